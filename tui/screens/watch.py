"""A session, live: its requests on top, stdout under them, stderr where there is any.

An open session is watched: the daemon sends what was put out lately and everything from then on. Of one that is over,
the recording is read, up to a limit; `bastion session replay` shows it all.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from bastion import errors
from bastion.control import wire
from tui import keys
from tui.documents import approvals
from tui.feed import words_of
from tui.guard import HASTY
from tui.live import Live
from tui.paper import Parts
from tui.screens import leave
from tui.screens.killing import KillScreen
from tui.widgets.bars import Bar
from tui.widgets.log import LogView
from tui.words import amount, cell, duration, state_badge

if TYPE_CHECKING:
    from tui.app import BastionConsole

READ_LIMIT = 4 << 20
"""Bytes of a recording that are read to show its end."""
REQUESTS_SHOWN = 4
"""Requests of the session listed on top, the newest."""


class WatchScreen(Screen[None], inherit_bindings=False):
    """One session."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.WATCH)
    WORK_SECONDS = 0.05
    """Between two steps of drawing output."""

    def __init__(self, session: str) -> None:
        super().__init__()
        self.session = session
        self.live: Live | None = None
        self.problem = ""
        self._watched: object = None
        self.reveal = False
        """With the secrets in what is shown; noted in the ledger by the bastion."""

    def compose(self) -> ComposeResult:
        yield Bar("watch-title")
        for number in range(REQUESTS_SHOWN):
            yield Bar(f"watch-request-{number}")
        yield Bar("watch-out-title")
        yield LogView("watch-out", "value")
        yield Bar("watch-err-title")
        yield LogView("watch-err", "stderr")
        yield Bar("watch-notice")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.set_interval(self.WORK_SECONDS, self._work)
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws titles and requests; begins to watch where that has not been done on this connection."""
        if not self.query("#watch-notice"):
            return
        if self.live is None and self.size.width:
            self.live = Live(self.size.width - 4)
        if self.app.link.up and self._watched is not self.app.link.welcome:
            self._watched = self.app.link.welcome
            self.run_worker(self._begin(), name="watch", exclusive=True)
        self._draw_title()
        self._draw_requests()

    def receive(self, push: wire.SessionOutput) -> None:
        """One frame of any watched session."""
        if push.session == self.session and self.live is not None:
            self.live.add(push.frame)

    async def _begin(self) -> None:
        """Watches, or reads the recording of what is over."""
        if self.live is not None and (self.live.out.total or self.live.err.total):
            self.live = Live(self.size.width - 4)  # a new connection begins with recent output again
        try:
            info = self._info()
            if info and info.closed:
                await self._read()
                return
            try:
                fields = {"session": self.session, "reveal": self.reveal}
                await self.app.feed.call(wire.WatchSession, wire.SessionInfo, **fields)
            except (errors.NotFound, errors.Conflict):  # it is over, and nobody told us yet
                await self._read()
        except errors.NotAllowed as error:
            self.problem, self.reveal = words_of(error), False
            await self._begin()
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.problem = words_of(error)

    async def _read(self) -> None:
        frames, size = 0, 0
        while self.live is not None:
            some = await self.app.feed.call(
                wire.ReadRecording,
                list[wire.FrameInfo],
                session=self.session,
                after=frames,
                reveal=self.reveal,
            )
            if not some:
                return
            for frame in some:
                self.live.add(frame)
                size += len(frame.data)
            frames += len(some)
            if size > READ_LIMIT:
                self.problem = f"only the first {amount(size, 'byte')} are shown: bastion session replay shows all"
                return

    def _info(self) -> wire.SessionInfo | None:
        return self.app.view.sessions.get(self.session)

    def _work(self) -> None:
        if self.live is None or not self.query("#watch-notice"):
            return
        self.live.work()
        for name, stream in (("out", self.live.out), ("err", self.live.err)):
            skipped = f", {amount(stream.skipped, 'byte')} skipped: too fast to show" if stream.skipped else ""
            title = "terminal" if self.live.pty else f"std{name}"
            log, columns = self.query_one(f"#watch-{name}", LogView), stream.screen.columns if self.live.pty else 0
            words: Parts = ((f" {title} ", "title"), (f" {amount(stream.total, 'byte')}{skipped}", "quiet"))
            if columns > log.outer_size.width:
                words += ((f", {columns - log.outer_size.width} columns at the right are not shown", "warning"),)
            self.query_one(f"#watch-{name}-title", Bar).draw(words)
            log.draw(stream.lines(), columns)
        self.set_class(self.live.err.total > 0, "-stderr")
        note = self.live.notes[-1] if self.live.notes else None
        words = ((f" {self.problem}", "warning"),) if self.problem else ()
        if note:
            words += ((f" {duration(note[0])}: {note[1]}", "quiet"),)
        self.query_one("#watch-notice", Bar).draw(words)

    def _draw_title(self) -> None:
        info = self._info()
        left: Parts = ((" REVEALED ", "alarm"),) if self.reveal else ((" WATCHING ", "title"),)
        left += ((f" {cell(self.session, 20)}  ", "strong"),)
        right: Parts = ()
        if info:
            left += ((f"{cell(info.identity, 24)} on {cell(info.login, 16)}@{cell(info.target, 24)}", "value"),)
            lasts = duration((info.closed or self.app.daemon_time) - info.opened)
            over = f"over: {cell(info.end or info.state, 40)} " if info.closed else f"* open for {lasts} "
            right = ((over, "bad" if info.closed else "good"),)
        if not self.app.link.up:
            right = (("NOT CONNECTED: this is old ", "alarm"),)
        self.query_one("#watch-title", Bar).draw(left, right)

    def _draw_requests(self) -> None:
        mine = [item for item in self.app.view.items.values() if item.info.session == self.session]
        mine = sorted(mine, key=lambda item: item.info.created)[-REQUESTS_SHOWN:]
        for number in range(REQUESTS_SHOWN):
            bar = self.query_one(f"#watch-request-{number}", Bar)
            bar.display = number < len(mine)
            if number < len(mine):
                info = mine[number].info
                badge = state_badge(info.state)
                votes = f" {approvals(info)}/{info.approvals}" if info.state == "held" else ""
                head = f" {badge.glyph} {badge.word}{votes} "
                ends = f"{cell(info.status, 14)} " if info.status else ""
                room = max(10, self.size.width - len(head) - len(ends) - 14)
                bar.draw(
                    ((head, badge.style), (f"{cell(info.id, 10)} ", "quiet"), (cell(info.command, room), "command")),
                    ((ends, "value"),),
                )

    # --- keys

    def action_back(self) -> None:
        if self.app.link.up:
            self.app.run_worker(self._end(), name="unwatch")
        leave(self)

    async def _end(self) -> None:
        try:
            await self.app.feed.call(wire.UnwatchSession, NoneType, session=self.session)
        except errors.BastionError:
            return  # it is over, or the connection is: nothing is sent either way

    def action_reveal(self) -> None:
        """With the secrets from here on, or covered again: what was put out lately is shown anew."""
        if self.app.link.up and self.live is not None:
            self.problem, self.reveal = "", not self.reveal
            self.run_worker(self._anew(), name="watch", exclusive=True)

    async def _anew(self) -> None:
        await self._end()
        await self._begin()
        self._draw_title()

    def action_kill(self) -> None:
        info = self._info()
        if info is None or info.closed:
            self.problem = "that session is over already"
        elif self.app.view.guard.hasty:
            self.problem = HASTY
        else:
            self.app.push_screen(KillScreen(info), lambda what: self.app.end(info, what or ""))

    def action_help(self) -> None:
        self.app.show_help()
