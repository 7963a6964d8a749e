"""The app: owns the view, the connection and the clocks, and passes messages between them. Logic is elsewhere.

    tui/view.py       what is shown and selected        tui/deciding.py   what a key may do
    tui/feed.py       the connection                     tui/screens/      drawing and keys

The command palette holds our own commands only (tui/palette.py): its Screenshot writes files on the machine that the
process runs on, which is the bastion when the console is served from there. There are no toasts: they cover the text
that a person decides by.
"""

from __future__ import annotations

import os
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType

from bastion.control import wire
from bastion.covering import visible_line
from bastion.model import Choice
from tui import deciding, keys, messages, outcomes
from tui.background import Background, told
from tui.choices import known_theme, typed
from tui.editing import Edit
from tui.feed import Connect, Feed, words_of
from tui.guard import CHANGED, SETTLE
from tui.items import Item
from tui.lines import Link, frozen_badge, silent_badge
from tui.look import Look
from tui.palette import Commands
from tui.remembering import Memory, remember
from tui.screens import Drawn
from tui.screens.freezing import Freezing
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.screens.remembering import RememberScreen
from tui.screens.replay import ReplayScreen
from tui.screens.watch import WatchScreen
from tui.themes import THEMES
from tui.title import BEGIN, END, WITHOUT, title
from tui.view import View
from tui.words import amount, cell, duration, ending

VERBS = {Choice.APPROVE: "approving", Choice.DENY: "denying"}


HANGUP = 129
"""Exit status of a program that SIGHUP ended, as a shell tells it (128 + 1)."""


class BastionConsole(Look, inherit_bindings=False):
    """The approver's console. `connect` makes a connection; everything else is optional.

    `title` is shown in the first row (where one is connected to); `keymap` maps ids of `tui/keys.py` to keys; `theme`
    is the name of a Textual theme; `confirm` says what approves high risk: `key` (a second one), or `target` (its name,
    typed). `served`: over ssh, where the preferences count that the bastion keeps. `clock` (seconds, monotonic) and
    `wall` (microseconds since the epoch) can be replaced for tests. Raises UsageError for an unknown theme, id or
    `confirm`, or a second key that is the first.
    """

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {Commands}  # noqa: RUF012 -- as Textual declares it
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (180, "-wide")]  # noqa: RUF012 - mypy wants it as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="console.quit_always"),
        Binding("ctrl+c", "how_to_quit", "how to quit", show=False, id="console.interrupt"),
    ]

    TICK_SECONDS = 0.5
    """Countdowns are drawn anew this often."""
    DRAW_SECONDS = 0.05
    """Pushes are drawn together when they come faster than this."""
    BELL_SECONDS = 1.0
    """At most one bell in this time."""
    LEAST = (40, 12)
    """Columns and rows of a window in which something can be decided: a phone's has about 45 by 20."""
    TOLD_SECONDS = 12.0
    """How long a notice stays."""

    def __init__(
        self,
        connect: Connect,
        title: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: time.time_ns() // 1000,
        keymap: Mapping[str, str] | None = None,
        theme: str = "",
        confirm: str = "",
        served: bool = False,
    ) -> None:
        # Textual removes colours altogether only for terminals' own ones, so those it is where NO_COLOR is set.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.bastion_title = title
        self.clock, self.wall = clock, wall
        self.served = served
        self.view = View()
        self.view.typed = typed(confirm)
        self.feed = Feed(connect, self.post_message)
        self.link = Link()
        self.pressed = clock()
        """When the key that is being handled was pressed."""
        self.told: messages.Told | None = None
        self.told_at = 0.0
        self.armed_why = ""
        self._drawn_at = self._rang_at = float("-inf")
        self._draw_waits = False
        self._title = ""
        self.frozen = ""
        """What is frozen, for the first row; empty: nothing."""
        self.silent = ""
        """Notification channels that deliver nothing, for the first row; empty: none."""
        self._asked: dict[str, None] = {}
        """Requests whose background is being asked for."""
        for own in THEMES:
            self.register_theme(own)
        self.theme = known_theme(theme) or ("ansi-dark" if self.no_color else THEMES[0].name)
        self.keymap_ids = keys.checked(keymap or {})
        self.set_keymap(self.keymap_ids)

    @property
    def daemon_time(self) -> int:
        """The bastion's clock, in microseconds since the epoch."""
        return self.view.daemon_time(self.wall())

    def simulate_key(self, key: str) -> None:
        """A click on a key in the last row. That row has just changed where the first key armed: what was aimed at may
        be elsewhere."""
        if self.clock() - self.view.guard.armed_at < SETTLE:
            self.tell(CHANGED, "warning")
            self.draw()
        else:
            super().simulate_key(key)

    def moment(self, event_time: float) -> float:
        """The moment of an input event on our clock."""
        return self.clock() - max(0.0, time.monotonic() - event_time)

    def on_mount(self) -> None:
        self.push_screen(MainScreen())
        self.run_worker(self.feed.run(), name="feed", exit_on_error=True)
        self.set_interval(self.TICK_SECONDS, self.draw, name="tick")
        if not self.is_headless:
            self.set_interval(self.TICK_SECONDS, self.leave_without_terminal, name="terminal")

    def leave_without_terminal(self) -> None:
        """Ends at once when the terminal is gone. Where it was the controlling one the kernel says so (SIGHUP);
        otherwise Textual would go on reading its end for ever, with all of a processor."""
        try:
            termios.tcgetattr(0)
        except termios.error:
            os._exit(HANGUP)

    # --- drawing and telling

    def draw(self) -> None:
        """Draws every screen that shows something of the view, also those under a dialog."""
        self._drawn_at, self._draw_waits = time.monotonic(), False
        self.entitle(title(len(self.view.held), self.link.up))
        for screen in self.screen_stack:
            if isinstance(screen, Drawn):
                screen.draw()

    def entitle(self, sequence: str) -> None:
        """Has the terminal show a title, where it has one."""
        if sequence != self._title and not self.is_headless and os.environ.get("TERM", "") not in WITHOUT:
            begin = "" if self._title else BEGIN
            self._title = sequence
            self.to_terminal(begin + sequence)

    def to_terminal(self, sequence: str) -> None:
        """Writes a control sequence of ours."""
        if self._driver is not None:
            self._driver.write(sequence)

    def exit(self, *arguments: Any, **named: Any) -> None:
        if self._title:
            self.to_terminal(END)
        super().exit(*arguments, **named)

    def _news(self) -> None:
        """Draws soon: at once, or together with what follows closely."""
        wait = self._drawn_at + self.DRAW_SECONDS - time.monotonic()
        if wait <= 0:
            self.draw()
        elif not self._draw_waits:
            self._draw_waits = True
            self.set_timer(wait, self.draw)

    def tell(self, words: str, style: str = "value") -> None:
        """A sentence for the notice row."""
        self.told, self.told_at = messages.Told(words, style), self.clock()

    def on_key(self, event: events.Key) -> None:
        """Runs before any binding does: notes when the key was pressed; any key but the second one disarms."""
        self.pressed = self.moment(event.time)
        self.view.guard.pressed(self.pressed)
        active = self.screen.active_bindings.get(event.key)
        if active is None or active.binding.id != "request.confirm":
            self.view.guard.disarm()

    def on_resize(self, event: events.Resize) -> None:
        """Rows are elsewhere now, whoever did it; and there may be too little room to read what one decides on."""
        columns, rows = self.LEAST
        small = event.size.width < columns or event.size.height < rows
        self.view.cramped = f"the window is too small to decide in: {columns} columns and {rows} rows" if small else ""
        self.view.guard.display_changed(self.clock())

    def on_app_focus(self) -> None:
        """The person comes back to this window: what they see is new to them, and the key or click may be meant for
        another one."""
        self.view.guard.display_changed(self.clock())

    # --- what the connection says

    @on(messages.Connected)
    def connected(self, message: messages.Connected) -> None:
        if self.link.reason:
            self.tell("connected again", "good")
        self.view.me = message.welcome.identity
        if "approver" not in message.welcome.roles:
            self.view.powerless = f"this console only shows: your role is {cell(', '.join(message.welcome.roles), 30)}"
            self.view.barred = self.view.barred or self.view.powerless
        if self.view.barred:
            self.tell(self.view.barred, "warning")
        self.link = Link(message.welcome, up=True)
        change, missing = self.view.snapshot(message.requests, message.sessions, self.clock())
        if missing:
            self.run_worker(self.feed.recheck(missing), name="recheck")
        self._ring(change.new)
        self._news()

    @on(messages.Disconnected)
    def disconnected(self, message: messages.Disconnected) -> None:
        now = self.clock()
        since = self.link.down_since if self.link.reason and not self.link.up else now
        retry_at = now + message.retry if message.retry else 0.0
        self.view.watching = None
        self.link = replace(self.link, up=False, reason=message.reason, retry_at=retry_at, down_since=since)
        self.view.guard.display_changed(now)
        self.tell(message.reason, "bad")
        self._news()

    @on(messages.Pushed)
    def pushed(self, message: messages.Pushed) -> None:
        if isinstance(message.push, wire.SessionOutput):
            for screen in self.screen_stack:
                if isinstance(screen, WatchScreen):
                    screen.receive(message.push)
            return
        if isinstance(message.push, wire.Alert):
            style = "warning" if message.push.kind == "policy.loaded" else "bad"
            self.tell(visible_line(message.push.text, 300), style)
            return
        if isinstance(message.push, wire.FreezesChanged | wire.ChannelsChanged):
            if isinstance(message.push, wire.FreezesChanged):
                self.frozen = frozen_badge(message.push.freezes)
            else:
                self.silent = silent_badge(message.push.channels)
            self._news()
            return
        change = self.view.apply(message.push, self.clock(), self.wall())
        self._ring(change.new)
        self._news()

    @on(messages.Gone)
    def gone(self, message: messages.Gone) -> None:
        self.view.gone(message.request, self.clock())
        self._news()

    @on(messages.Voted)
    def voted(self, message: messages.Voted) -> None:
        self.view.voting -= {message.info.id}
        self.view.apply(wire.RequestChanged(request=message.info), self.clock())
        stands = ending(message.info) or "more must approve"
        self.tell(f"your vote on {cell(message.info.id, 12)} counts: {stands}", "good")
        self._news()

    @on(messages.VoteFailed)
    def vote_failed(self, message: messages.VoteFailed) -> None:
        self.view.voting -= {message.request}
        self.tell(f"{cell(message.request, 12)}: {message.words}", "bad")
        self._news()

    @on(messages.Told)
    def told_something(self, message: messages.Told) -> None:
        self.tell(message.words, message.style)
        self._news()

    def _ring(self, new: tuple[str, ...]) -> None:
        """The terminal's bell for new requests, not more often than a person can hear."""
        if new and self.clock() - self._rang_at >= self.BELL_SECONDS:
            self._rang_at = self.clock()
            self.bell()

    # --- what the person does

    def cast_vote(self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0) -> None:
        """Signs and sends a vote; a signer may wait for a touch, so the console goes on meanwhile."""
        self.view.voting |= {info.id}
        self.tell(f"{VERBS[choice]} {cell(info.id, 12)}: being signed and sent ...")
        self.run_worker(self.feed.vote(info, choice, reason, mode, seconds), name=f"vote {info.id}")

    def cast_votes(self, infos: tuple[wire.RequestInfo, ...]) -> None:
        """Approves identical requests, each with a vote of its own."""
        self.view.voting |= {info.id for info in infos}
        self.tell(f"approving {amount(len(infos), 'identical request')}: being signed and sent, one by one ...")
        self.run_worker(self.feed.approve_each(infos), name="votes")

    def once(
        self, call: type[wire.Call], result: Any, done: str, then: Callable[[], object] | None = None, **fields: Any
    ) -> None:
        """One call that nobody signs; what became of it is told, and `then` is called."""
        self.run_worker(self._call(call, result, done, then, fields), name=call.__name__)

    async def _call(
        self,
        call: type[wire.Call],
        result: Any,
        done: str,
        then: Callable[[], object] | None,
        fields: dict[str, Any],
    ) -> None:
        try:
            after = await self.feed.call(call, result, **fields)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.tell(f"nothing was done: {words_of(error)}", "bad")
        else:
            self.tell(done, "good")
            if isinstance(after, wire.RequestInfo):
                self.view.apply(wire.RequestChanged(request=after), self.clock())
        if then is not None:
            then()
        self._news()

    def escalate(self, item: Item, reason: str | None) -> None:
        """Asks the next group to decide; nothing where it was given up."""
        if reason is not None:
            done = f"others were asked to decide {cell(item.id, 12)}"
            self.once(wire.EscalateRequest, wire.RequestInfo, done, request=item.id, reason=reason)

    def snooze(self, item: Item, until: int) -> None:
        """Puts a request aside, or takes it back."""
        left = duration(until - self.daemon_time) if until else ""
        done = f"{cell(item.id, 12)} is put aside for {left}, for you only" if until else f"{cell(item.id, 12)} is back"
        self.once(wire.SnoozeRequest, wire.RequestInfo, done, request=item.id, until=until)

    def freeze(self, freezing: Freezing | None) -> None:
        """Freezes everything; nothing where it was given up."""
        if freezing is not None:
            self.once(
                wire.SetFreeze,
                wire.FreezeInfo,
                "everything is frozen: nothing new runs until it is lifted",
                scope="all",
                name="",
                mode="refuse",
                reason=freezing.reason,
                cut=freezing.cut,
            )

    def put_edit(self, edit: Edit) -> None:
        """Puts a command in the place of another, and approves it."""
        self.view.voting |= {edit.item.id}
        self.tell(f"editing {cell(edit.item.id, 12)}: being signed and sent ...")
        self.run_worker(self.feed.edit(edit), name=f"edit {edit.item.id}")

    def ask_background(self) -> None:
        """Asks what there is to know about the held request on display, once."""
        item = self.view.current
        if (
            isinstance(item, Item)
            and item.held
            and item.id not in self.view.backgrounds
            and item.id not in self._asked
            and self.feed.me
        ):
            self._asked[item.id] = None
            self.run_worker(self._background(item.id), name=f"background {item.id}")

    async def _background(self, request: str) -> None:
        try:
            info = await self.feed.call(wire.ShowBackground, wire.BackgroundInfo, request=request)
            background = told(info)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            background = Background(problem=words_of(error))
        finally:
            self._asked.pop(request, None)
        self.view.background(request, background, self.clock())
        self._news()

    def ask_memory(self, item: Item) -> None:
        """Asks what may be remembered of a request, and opens the dialog for it."""
        self.tell(f"asking what may be remembered of {cell(item.id, 12)} ...")
        self.run_worker(self._propose(item), name=f"propose {item.id}")

    async def _propose(self, item: Item) -> None:
        try:
            proposal = await self.feed.call(wire.ProposeWhitelist, wire.ProposalInfo, request=item.id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.tell(f"nothing can be remembered: {words_of(error)}", "bad")
            self._news()
            return
        memory = remember(item, proposal, self.daemon_time)
        if isinstance(memory, str):
            self.tell(memory, "warning")
        elif isinstance(self.screen, MainScreen):
            self.told = None
            self.view.guard.display_changed(self.clock())
            self.push_screen(RememberScreen(memory), self._remembered)
        self._news()

    def _remembered(self, memory: Memory | None) -> None:
        if memory is None:
            return
        match deciding.remembered(self.view, memory.item, self.feed.me, self.pressed):
            case outcomes.Cast(info=info):
                self.view.voting |= {info.id}
                self.tell(f"approving {cell(info.id, 12)} and remembering it: being signed and sent ...")
                work = self.feed.vote_and_remember(info, memory.proposal, memory.candidate.pattern, **memory.limits)
                self.run_worker(work, name=f"vote {info.id}")
            case outcomes.Refused(words=words):
                self.tell(words, "warning")
        self.draw()

    def end(self, session: wire.SessionInfo, what: str) -> None:
        """Ends a session, or only the keys that pass to its command; nothing where `what` is empty."""
        if what == "session":
            self.run_worker(self._end(session.id, wire.KillSession), name=f"end {session.id}")
        elif what == "keys":
            self.run_worker(self._end(session.id, wire.EndKeys), name=f"end keys of {session.id}")

    async def _end(self, session: str, call: type[wire.KillSession] | type[wire.EndKeys]) -> None:
        subject = cell(session, 20) if call is wire.KillSession else f"the window for keys of {cell(session, 20)}"
        try:
            await self.feed.call(call, wire.SessionInfo, session=session, reason="ended from the console")
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.tell(f"{subject} was not ended: {words_of(error)}", "bad")
        else:
            self.tell(f"{subject} was ended", "good")
        self._news()

    def watch_session(self, session: str) -> None:
        """Shows a session live."""
        self.push_screen(WatchScreen(session))

    def replay_session(self, session: str, request: str = "") -> None:
        """Plays a session's recording, from a request on if one is named."""
        self.push_screen(ReplayScreen(session, request))

    def show_help(self) -> None:
        self.push_screen(HelpScreen())

    def next_theme(self) -> None:
        """The next of our themes; the choice lasts as long as the console runs."""
        names = [own.name for own in THEMES] + ["ansi-dark", "ansi-light"]
        self.theme = names[(names.index(self.theme) + 1) % len(names) if self.theme in names else 0]
        self.tell(f"theme: {self.theme}")

    def action_how_to_quit(self) -> None:
        self.tell("q quits; held requests stay held", "warning")
        self.draw()
