"""What the console does for a person: it sends what a key came to, one worker a call, and tells what became of it. A
part of the app.

Whether a key counts was decided before (`tui/deciding.py`), and what a dialog answered is checked again right before it
is sent. Whatever fails, the console stays up and says it. A signer may wait for somebody to touch a key: the console
goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bastion.control import wire
from bastion.model import Choice
from tui import deciding, outcomes
from tui.background import Background, told
from tui.editing import Edit
from tui.feed import words_of
from tui.items import Item
from tui.remembering import Memory, remember
from tui.screens.freezing import Freezing
from tui.screens.main import MainScreen
from tui.screens.remembering import RememberScreen
from tui.screens.replay import ReplayScreen
from tui.screens.watch import WatchScreen
from tui.showing import Showing
from tui.words import amount, cell, duration

VERBS = {Choice.APPROVE: "approving", Choice.DENY: "denying"}


class Doing(Showing, inherit_bindings=False):
    """One method a deed."""

    _asked: frozenset[str] = frozenset()
    """Requests whose background is being asked for."""

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
        self.news()

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
            self._asked |= {item.id}
            self.run_worker(self._background(item.id), name=f"background {item.id}")

    async def _background(self, request: str) -> None:
        try:
            info = await self.feed.call(wire.ShowBackground, wire.BackgroundInfo, request=request)
            background = told(info)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            background = Background(problem=words_of(error))
        finally:
            self._asked -= {request}
        self.view.background(request, background, self.clock())
        self.news()

    def ask_memory(self, item: Item) -> None:
        """Asks what may be remembered of a request, and opens the dialog for it."""
        self.tell(f"asking what may be remembered of {cell(item.id, 12)} ...")
        self.run_worker(self._propose(item), name=f"propose {item.id}")

    async def _propose(self, item: Item) -> None:
        try:
            proposal = await self.feed.call(wire.ProposeWhitelist, wire.ProposalInfo, request=item.id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.tell(f"nothing can be remembered: {words_of(error)}", "bad")
            self.news()
            return
        memory = remember(item, proposal, self.daemon_time)
        if isinstance(memory, str):
            self.tell(memory, "warning")
        elif isinstance(self.screen, MainScreen):
            self.told = None
            self.view.guard.display_changed(self.clock())
            self.push_screen(RememberScreen(memory), self._remembered)
        self.news()

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
        self.news()

    def watch_session(self, session: str) -> None:
        """Shows a session live."""
        self.push_screen(WatchScreen(session))

    def replay_session(self, session: str, request: str = "") -> None:
        """Plays a session's recording, from a request on if one is named."""
        self.push_screen(ReplayScreen(session, request))
