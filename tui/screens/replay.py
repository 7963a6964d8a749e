"""A session's recording, played: the screen as the agent saw it, the commands beside it, the line of its time.

What plays is `bastion.control.replaying` and recorder/player.py, as on the command line; here are the keys, the clock
and the widgets. Reading a recording is an entry of the ledger, made by the bastion.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, Input

from bastion import errors
from bastion.control import timeline, wire
from bastion.control.replaying import Replay
from bastion.covering import visible_line
from bastion.errors import UsageError
from recorder.player import CHANGES, MOVES, Goal
from tui import keys
from tui.feed import Feed, words_of
from tui.paper import Parts
from tui.screens import leave
from tui.widgets.bars import Bar
from tui.widgets.cells import CellsView
from tui.widgets.commands import CommandList
from tui.words import cell

if TYPE_CHECKING:
    from tui.app import BastionConsole

Job = Callable[[], Coroutine[Any, Any, None]]
"""Something that takes a call to the bastion."""
JOBS_LIMIT = 32
"""Keys that wait for their turn."""
PAN = 8
"""Columns and lines that a screen which does not fit moves at a time."""


class FeedRecordings:
    """Recordings over the console's connection."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def timeline(self, session: str) -> wire.TimelineInfo:
        found: wire.TimelineInfo = await self._feed.call(wire.ReadTimeline, wire.TimelineInfo, session=session)
        return found

    async def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> wire.MomentInfo:
        fields = {"session": session, "at": at, "frame": frame, "reveal": reveal}
        found: wire.MomentInfo = await self._feed.call(wire.ReadMoment, wire.MomentInfo, **fields)
        return found

    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[wire.FrameInfo]:
        fields = {"session": session, "after": after, "reveal": reveal}
        found: list[wire.FrameInfo] = await self._feed.call(wire.ReadRecording, list[wire.FrameInfo], **fields)
        return found

    async def search(self, question: wire.SearchSessions) -> wire.SearchResult:
        fields = {name: getattr(question, name) for name in question.__struct_fields__ if name != "id"}
        found: wire.SearchResult = await self._feed.call(wire.SearchSessions, wire.SearchResult, **fields)
        return found

    async def request(self, wanted: str) -> wire.RequestInfo:
        found: wire.RequestInfo = await self._feed.call(wire.ShowRequest, wire.RequestInfo, request=wanted)
        return found


class ReplayScreen(Screen[None], inherit_bindings=False):
    """One recording."""

    app: BastionConsole
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.REPLAY)
    WORK_SECONDS = 0.04
    """Between two steps of drawing."""
    WORK_BYTES = 12 * 1024
    """Of output that one step shows: 3 to 15 ms, so that keys stay quick."""
    LOOK_SECONDS = 1.0
    """Between two looks at what is rendered or recorded by now."""

    def __init__(self, session: str, request: str = "") -> None:
        super().__init__()
        self.session = session
        self.request = request
        """Where it begins; empty: at its beginning."""
        self.replay: Replay | None = None
        self.problem = ""
        self._asking = ""
        """What is typed for: `search` or `place`."""
        self._jobs: deque[Job] = deque()
        self._busy = False
        self._looked = 0.0

    def compose(self) -> ComposeResult:
        yield Bar("replay-title")
        with Horizontal(id="replay-body"):
            yield CellsView("replay-cells")
            yield CommandList("replay-commands")
        yield Bar("replay-line")
        yield Bar("replay-status")
        yield Input(id="replay-input", disabled=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self.set_interval(self.WORK_SECONDS, self._work)
        self._run(self._begin)
        self.call_after_refresh(self.draw)

    # --- playing

    def _run(self, job: Job) -> None:
        """One thing after another: what is pressed meanwhile waits, and nothing is lost."""
        if len(self._jobs) < JOBS_LIMIT:
            self._jobs.append(job)
        if not self._busy:
            self._busy = True
            self.run_worker(self._run_all(), name=f"replay {self.session}")

    async def _run_all(self) -> None:
        try:
            while self._jobs:
                try:
                    await self._jobs.popleft()()
                except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
                    self.problem = words_of(error)
                self.draw()
        finally:
            self._busy = False

    async def _begin(self) -> None:
        feed = self.app.feed
        info = await feed.call(wire.ShowSession, wire.SessionInfo, session=self.session)
        replay = await Replay.of(FeedRecordings(feed), info)
        if not replay.about.frames:
            self.problem = "nothing was recorded of this session"
            return
        self.replay = replay
        mark = next((mark for mark in replay.player.marks if mark.name == self.request), None)
        if mark is not None:
            await replay.go(Goal(mark.at_us, mark.frame))
        replay.player.play(on=True)
        self.run_worker(replay.load(), name=f"requests of {self.session}", exit_on_error=False)

    def _work(self) -> None:
        replay = self.replay
        if replay is None or not self.query("#replay-status"):
            return
        now, player = time.monotonic(), replay.player
        if self._busy:
            return
        before = (player.frame, player.position_us)
        player.advance(now, self.WORK_BYTES)
        if player.wants is not None and not player.at_end:
            self._run(replay.fetch)
        elif replay.growing and now - self._looked > self.LOOK_SECONDS:
            self._looked = now
            self._run(replay.look)
        if (player.frame, player.position_us) != before:
            self.draw()

    # --- drawing

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws all of it as it is now."""
        if not self.query("#replay-status"):
            return
        self._draw_title()
        replay = self.replay
        if replay is None:
            words: Parts = ((f" {self.problem or 'asking ...'}", "warning" if self.problem else "value"),)
            self.query_one("#replay-status", Bar).draw(words)
            return
        player, cells = replay.player, self.query_one(CellsView)
        cells.draw(player.screen)
        self.query_one(CommandList).draw(replay.listed, timeline.current(replay.listed, player.frame))
        width = self.query_one("#replay-line", Bar).size.width
        self.query_one("#replay-line", Bar).draw(
            timeline.line(replay.listed, player.position_us, player.until_us, max(1, width))
        )
        self.query_one("#replay-status", Bar).draw(self._status(replay, cells))

    def _status(self, replay: Replay, cells: CellsView) -> Parts:
        player = replay.player
        if self.problem:
            return ((f" {self.problem}", "warning"),)
        if replay.told:
            return ((f" {visible_line(replay.told, 300)}", "value"),)
        cut = f"cut: {player.screen.columns}x{player.screen.lines}" if cells.cut else ""
        return timeline.status(
            player.playing and not player.at_end, player.position_us, player.until_us, player.speed, player.idle,
            hurrying=player.hurrying, more=replay.notice or cut,
        )  # fmt: skip

    def _draw_title(self) -> None:
        shown = self.replay is not None and self.replay.reveal
        left: Parts = ((" REVEALED ", "alarm"),) if shown else ((" REPLAY ", "title"),)
        left += ((f" {cell(self.session, 20)}  ", "strong"),)
        right: Parts = ()
        if self.replay is not None:
            info = self.replay.info
            left += ((f"{cell(info.identity, 24)} on {cell(info.login, 16)}@{cell(info.target, 24)}", "value"),)
            right = ((f"{info.state}  ", "quiet"),)
        if not self.app.link.up:
            right = (("NOT CONNECTED ", "alarm"),)
        self.query_one("#replay-title", Bar).draw(left, right)

    # --- keys

    def action_change(self, name: str) -> None:
        if self.replay is not None:
            self._told("")
            player = self.replay.player
            if name == "pause" and player.at_end:
                self._run(partial(self.replay.go, Goal(0)))
                player.play(on=True)
            else:
                CHANGES[name](player)
            self.draw()

    def action_move(self, name: str) -> None:
        if self.replay is not None:
            self._told("")
            player = self.replay.player
            if name == "frame":
                player.play(on=False)
            self._run(partial(self._move, self.replay, name))

    async def _move(self, replay: Replay, name: str) -> None:
        await replay.go(MOVES[name](replay.player))  # from where it is when its turn comes

    def action_reveal(self) -> None:
        """With the secrets, or covered again, from the place where it is."""
        if self.replay is not None:
            self._told("")
            self._run(partial(self._reveal, self.replay, not self.replay.reveal))

    async def _reveal(self, replay: Replay, yes: bool) -> None:
        before, replay.reveal = replay.reveal, yes
        try:
            await replay.go(Goal(replay.player.position_us))
        except errors.BastionError:
            replay.reveal = before
            raise

    def action_pan(self, columns: int, lines: int) -> None:
        self.query_one(CellsView).pan(columns * PAN, lines * PAN)

    def action_list(self) -> None:
        """The list in the place of the screen, where there is no room for both."""
        self.toggle_class("-list")
        self.call_after_refresh(self.draw)

    def _told(self, words: str) -> None:
        self.problem = ""
        if self.replay is not None:
            self.replay.told = words

    def action_ask(self, what: str) -> None:
        """Something is typed now: what to search for, or a time."""
        field = self.query_one(Input)
        self._asking = what
        field.value = ""
        field.placeholder = "search this session" if what == "search" else "time: 83.5, 1:23.5 or 0:01:23.5"
        field.disabled, field.display = False, True
        self.query_one("#replay-status", Bar).display = False
        field.focus()

    @on(Input.Submitted, "#replay-input")
    def typed(self, event: Input.Submitted) -> None:
        event.stop()
        what, text, replay = self._asking, event.value.strip(), self.replay
        self._close_input()
        if replay is None or not text:
            return
        self._told("")
        if what == "search":
            self._told("searching ...")
            self._run(partial(replay.find, text))
        else:
            try:
                self._run(partial(replay.go, replay.player.to_time(timeline.place(text))))
            except UsageError as error:
                self.problem = str(error)
        self.draw()

    def _close_input(self) -> None:
        field = self.query_one(Input)
        self._asking = ""
        field.disabled, field.display = True, False
        self.query_one("#replay-status", Bar).display = True
        self.set_focus(None)

    def action_back(self) -> None:
        if self._asking:
            self._close_input()
        else:
            leave(self)

    def action_help(self) -> None:
        self.app.show_help()
