"""What an exec and a shell have in common: one session channel's dealings with ledger, desk, registry and agent.

Made with the channel, before anybody knows what the agent will ask for; the session that then serves it (`session.py`
for an exec, `shell.py` for a shell) has it, and is told of things through the mailbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import asyncssh

from bastion import audit
from bastion.control.wire import FrameInfo, SessionInfo
from bastion.errors import BastionError, Conflict, NotAllowed
from bastion.gate import effects as do
from bastion.gate import notices
from bastion.history import info_of
from bastion.ids import session_id
from bastion.model import Decision, Identity, Request, RequestKind, State, Target, Verdict
from bastion.policy.admission import obstacle
from bastion.policy.judge import Judgement
from bastion.ssh.channel import AgentChannel
from bastion.ssh.pump import drained
from bastion.ssh.records import Records, asked_mode
from bastion.ssh.services import Services

E = TypeVar("E")

PROGRESS_SECONDS = 15
"""Between two words of progress to a waiting agent: agent tools give up on a silent call after 60-120 s."""

REFUSALS_TOLD = 8
"""Refused requests that the agent is told of before its command."""


REQUESTS_LISTED = 100
"""Of one session that are listed with it while it is open; the ledger has all."""


class Mailbox(Generic[E]):
    """What happened and was not looked at yet, for the one task of a session."""

    def __init__(self) -> None:
        self._events: deque[E] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def post(self, event: E) -> None:
        """It happened."""
        self._events.append(event)
        self._wake.set()

    def post_newest(self, event: E) -> None:
        """It happened, and makes one of its kind right before it meaningless: a flood of them is one."""
        if self._events and type(self._events[-1]) is type(event):
            self._events[-1] = event
        else:
            self.post(event)

    def post_first(self, event: E) -> None:
        """It happened before all the others."""
        self._events.appendleft(event)
        self._wake.set()

    async def take(self) -> E:
        """The next one, once there is one."""
        while not self._events:
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class Dealings:
    """See the file's header."""

    def __init__(
        self, services: Services, identity: Identity, key: str, target: Target, login: str, client: str
    ) -> None:
        self.services, self.target, self.login = services, target, login
        self.environment: dict[str, str] = {}
        self.info = SessionInfo(
            id=session_id(),
            identity=identity.name,
            key=key,
            target=target.name,
            login=login,
            client=client,
            state="open",
            opened=services.clock.wall(),
            closed=0,
            end="",
            requests=[],
            output_bytes=0,
        )
        self.id = self.info.id
        opened = audit.session_opened(self.id, identity.name, key, target.name, login, client)
        self.records = Records(services.audit, self.id, identity.name, opened)
        self.channel: AgentChannel | None = None
        self.moved = asyncio.Event()
        """Set whenever the agent took something, left, or was cut."""
        self.gone = False
        """The agent left."""
        self.cut = ""
        """Why somebody ends this session; empty while nobody does."""
        self.end = ""
        """How it ended, for the ledger."""
        self._refusals: list[notices.Notice] = []
        self._requests: list[str] = []
        self._recording_failed = False
        self._progress: asyncio.TimerHandle | None = None

    # --- what became of the agent -----------------------------------------------------------------------------------

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self.records.refused(what)
        if reason and len(self._refusals) < REFUSALS_TOLD:
            self._refusals.append(notices.refused(f"{what}: {reason}"))

    def take_refusals(self) -> list[notices.Notice]:
        """Those that the agent was not told yet."""
        told, self._refusals = self._refusals, []
        return told

    def withdrawn(self) -> str:
        """Why this identity may not be on this target any more: the channel can be older than the revocation."""
        directory, name = self.services.directory, self.info.identity
        if directory.identities[name].revoked:
            return f"identity {name} was revoked"
        if directory.targets.get(self.target.name) != self.target:
            return f"target {self.target.name} was removed"
        return ""

    def unwanted(self) -> str:
        """Why nothing shall be started any more; empty while it shall."""
        return self.cut or ("the agent left" if self.gone else "") or self.withdrawn()

    def closed(self) -> str:
        """Why this identity may not be on this target at this moment, for lack of a grant or in a freeze; empty if it
        may. Asked right before a start is written: nothing waits in between, so none stands behind its bar."""
        services, name = self.services, self.info.identity
        blocked = obstacle(services.directory, RequestKind.EXEC, name, self.target.name, services.clock.wall())
        return blocked.reason if blocked is not None and blocked.verdict is Verdict.DENY else ""

    def recording_failed(self) -> str:
        """What is not recorded does not run: people are told, and the reason why the session ends."""
        if not self._recording_failed:
            self._recording_failed = True
            self.services.broker.alert("recorder.failed", f"the recording of session {self.id} failed: it ends")
        return "the recording failed, so the session ends"

    # --- registry and ledger ------------------------------------------------------------------------------------------

    def seen(self, kind: str, data: bytes) -> None:
        """It put something out, or took it in: for those who watch."""
        at = self.services.clock.wall() - self.info.opened
        self.services.sessions.output(self.id, FrameInfo(at=at, kind=kind, data=data))

    async def record_proposed(self, request: Request, judgement: Judgement, *, started: bool) -> None:
        """Commit a proposal, and with `started` the start of what is allowed without a person."""
        broker = self.services.broker
        if judgement.verdict is Verdict.HOLD:
            broker.reserve(request)
        if judgement.verdict is not Verdict.DENY:  # before anything waits, so that no two count as one
            self.services.usage.note(request.identity, request.target, self.services.clock.wall())
        if judgement.emergency:
            broker.alert("emergency", f"{request.id}: {request.identity} broke the glass on {request.target}")
        at_once = started and not self.services.needs_vouching(request)
        try:
            await self.records.proposed(request, judgement, started=at_once)
        except BastionError:
            broker.release(request.id)
            raise
        if started and not at_once:
            await self.services.vouch(request)
            if not judgement.emergency and (reason := self.closed()):
                raise Conflict(reason)
            await self.records.started(request, self.records.proposal, asked_mode(request))
        if judgement.verdict is Verdict.HOLD:
            self.list_request(request)
        else:  # people see it a turn later: the target need not wait for that
            state = State.ALLOWED if judgement.verdict is Verdict.ALLOW else State.REFUSED
            asyncio.get_running_loop().call_soon(self._list_unheld, request, state, self.records.proposal)

    def _list_unheld(self, request: Request, state: State, proposal: str) -> None:
        self.list_request(request)
        self.services.broker.record_unheld(info_of(request, state, proposal))

    def list_request(self, request: Request) -> None:
        """It is one of this session's."""
        self._requests = [*self._requests, request.id][-REQUESTS_LISTED:]
        self.services.sessions.change(self.id, requests=self._requests)

    async def use_approval(self, request: Request) -> str:
        """Use it, once; the leaf of what grants it. Raises Conflict, NotAllowed, StoreError."""
        broker = self.services.broker
        await self.services.vouch(request)
        if reason := self.services.overruled(request):
            raise NotAllowed(f"{request.id} was approved, and may not start any more: {reason}")
        if not broker.take(request.id, self.id):
            raise Conflict(f"the approval of {request.id} was used or is void")
        grounds = await broker.grounds(request.id)
        if reason := self.closed():
            raise Conflict(reason)
        return grounds

    def close(self) -> None:
        """The session's task has ended."""
        self.stop_progress()
        self.services.pool.unexpect(self.id)
        self.services.sessions.close(self.id, self.services.clock.wall(), self.end)
        self.services.spawn(self.records.closed(self.end), f"session {self.id}")

    # --- desk ---------------------------------------------------------------------------------------------------

    def hold(
        self,
        request: Request,
        decided: Callable[[Decision, float], None],
        edited: Callable[[Request], None] | None = None,
    ) -> None:
        """Hand a request to the desk; `edited` gets what an approver puts in its place, where something can be."""
        replaced = self.replaced(edited) if edited is not None else None
        self.services.broker.hold(request, self.records.proposal, self.id, decided, replaced)

    def replaced(self, edited: Callable[[Request], None]) -> Callable[[Request, str], None]:
        """What the broker is to call for an edit."""

        def told(request: Request, proposal: str) -> None:
            self.records.proposal = proposal
            self.list_request(request)
            edited(request)

        return told

    def report_progress(self, request: Request, tell: Callable[[int, int], None]) -> None:
        """Call `tell` with the seconds that passed, and of how many, from time to time."""
        clock, loop = self.services.clock, asyncio.get_running_loop()
        begun, of = clock.monotonic(), (request.expires - request.created) // 1_000_000
        self.stop_progress()

        def report() -> None:
            tell(round(clock.monotonic() - begun), of)
            self._progress = loop.call_later(PROGRESS_SECONDS, report)

        self._progress = loop.call_later(PROGRESS_SECONDS, report)

    def call_later(self, seconds: float, work: Callable[[], None]) -> None:
        """Once, unless progress is reported or stopped before."""
        self.stop_progress()
        self._progress = asyncio.get_running_loop().call_later(seconds, work)

    def stop_progress(self) -> None:
        """Nothing is waited for."""
        if self._progress is not None:
            self._progress.cancel()
            self._progress = None

    # --- to the agent -----------------------------------------------------------------------------------------------

    @property
    def as_json(self) -> bool:
        """The agent wants its notices as JSON."""
        return self.environment.get("BASTION_OUTPUT", "") == "json"

    def say(self, notice: notices.Notice) -> None:
        """One line on stderr."""
        if self.channel is not None and not self.gone and not self.channel.is_closing():
            self.channel.write(notices.line(notice, as_json=self.as_json), asyncssh.EXTENDED_DATA_STDERR)

    def say_refusals(self) -> None:
        """What the table refused so far."""
        for notice in self.take_refusals():
            self.say(notice)

    @property
    def delivered(self) -> bool:
        """Nothing waits for the agent to take it: what is sent now arrives at once."""
        channel = self.channel
        return channel is None or self.gone or channel.is_closing() or not channel.get_write_buffer_size()

    async def exit(self, effect: do.Exit) -> None:
        """Send the status after everything sent before it; a client that does not read can be cut."""
        self.end = end_of(effect)
        channel = self.channel
        if channel is None or self.gone or channel.is_closing():
            return
        channel.set_write_buffer_limits(high=0, low=0)  # so that asyncssh says when the last byte is gone
        await drained(channel, self.moved, lambda: self.gone or bool(self.cut))
        if self.gone or channel.is_closing():
            return
        channel.write_eof()
        if effect.signal:
            channel.exit_with_signal(effect.signal)
        else:
            channel.exit(effect.status)


def end_of(effect: do.Exit) -> str:
    """How a session ends with it, in words for the ledger."""
    return effect.why or (f"signal {effect.signal}" if effect.signal else f"exit {effect.status}")
