"""One channel's transfers before ledger, policy and desk: from items to leave to do them, or the reason why not.

Theory of operation. As for a command: an identical request that was left behind is taken up; else the request is
judged, its proposal becomes durable, and where policy holds it, a person decides while the client waits. Leave is an
Authorization for exactly this digest, and stands behind the durable start (P1). One request is asked at a time; several
may be under way, since files are read side by side.

If we crash here: a held transfer goes back to the desk at the next start, and the client, asking for the same again,
attaches to it; what was started and not finished gets its end from recovery, which says that it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bastion.errors import BastionError, Conflict, NotAllowed
from bastion.gate import intent, notices
from bastion.gate.effects import Authorization
from bastion.gate.notices import Notice
from bastion.model import Assessment, Decision, Request, RequestKind, State, StdinMode, Verdict
from bastion.policy import score
from bastion.policy.judge import Judgement, restate
from bastion.sftp.changes import Item, TooLong, describe
from bastion.sftp.rating import rate
from bastion.ssh.dealings import Dealings
from recorder.errors import RecorderError
from recorder.recording import Summary


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave, and why."""

    reason: str
    """A sentence for the agent, made visible."""
    status: int
    """Exit status that says the same (gate.notices)."""


class Left(asyncio.CancelledError):
    """The agent left, or was cut, while it waited; its request was seen to. No Exception: asyncssh answers those."""


class Broken(asyncio.CancelledError):
    """The bastion cannot do its part, so the channel ends; `Asking.trouble` has why. No Exception, as Left."""


NO_STREAMS = {"output": 0, "stderr": 0, "input": 0}


class Asking:
    """See the file's header."""

    def __init__(self, dealings: Dealings, say: Callable[[Notice], None]) -> None:
        self.say = say
        self._with, self._services = dealings, dealings.services
        self._waiting: asyncio.Future[tuple[Decision, float]] | None = None
        self._ended = ""
        self._keeps = False
        self._given = 0
        """Bytes of files that the agent got."""
        self.busy = 0
        """Steps under way that must not be cancelled between the ledger and the desk."""
        self.trouble: BastionError | RecorderError | None = None

    # --- what becomes of the agent --------------------------------------------------------------------------------

    def end(self, reason: str, *, keeps: bool) -> None:
        """The agent left or was cut; `keeps`: what is held stays at the desk."""
        self._ended, self._keeps = reason, keeps
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Left(reason))

    def _decided(self, decision: Decision, seconds: float) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((decision, seconds))

    # --- judging --------------------------------------------------------------------------------------------------

    def request(self, items: Sequence[Item]) -> Request:
        """The request that these would make now. Raises TooLong."""
        return self._request(RequestKind.TRANSFER, describe(items), rate(items))

    def _request(self, kind: RequestKind, command: bytes, assessment: Assessment) -> Request:
        said, info, services = intent.read(b"", self._with.environment), self._with.info, self._services
        now, target = services.clock.wall(), self._with.target
        return Request(
            id=services.new_request(),
            kind=kind,
            identity=info.identity,
            key=info.key,
            session=info.id,
            target=target.name,
            env=target.env,
            host_keys=target.host_keys,
            login=self._with.login,
            command=command,
            environment=(),
            stdin=StdinMode.BUNDLED,
            stdin_code=b"",
            reason=said.reason,
            rollback=said.rollback,
            task=said.task,
            emergency=said.emergency,
            assessment=assessment,
            approvals=services.approvals,
            created=now,
            expires=now + services.broker.timeout * 1_000_000,
        )

    def judged(self, items: Sequence[Item]) -> tuple[Verdict, str]:
        """What policy would say of these at this moment, and why; nothing is asked or recorded."""
        if reason := self._with.unwanted():
            return Verdict.DENY, reason
        try:
            asked = self.request(items)
        except TooLong as error:
            return Verdict.DENY, str(error)
        judgement = self._services.judge(asked, asked.created)
        return judgement.verdict, judgement.reason

    def forbidden(self, items: Sequence[Item]) -> str:
        """Why policy would refuse these; empty where it would not."""
        verdict, reason = self.judged(items)
        return reason if verdict is Verdict.DENY else ""

    async def turned_away(self, command: bytes, reason: str) -> Refusal | None:
        """Refuse the command that asks for the transfer: for this reason, or where a statement of the policy denies a
        command of these words. On record like any refused command. Raises Broken."""
        asked = self._request(RequestKind.EXEC, command, score.assess([]))
        judgement = self._services.judge(asked, asked.created)
        if reason:
            judgement = restate(judgement, asked, verdict=Verdict.DENY, rule="tool", reason=reason)
        elif judgement.verdict is not Verdict.DENY or judgement.rule == "default":
            return None
        with self._whole():
            await self._with.record_proposed(judgement.settle(asked), judgement, started=False)
        return self._refuse(notices.refused(judgement.reason), notices.EXIT_DENIED)

    # --- asking ---------------------------------------------------------------------------------------------------

    async def ask(self, items: Sequence[Item]) -> Authorization | Refusal:
        """Leave to do these, its start durable. Raises Left, Broken."""
        try:
            asked = self.request(items)
        except TooLong as error:
            return self._refuse(notices.refused(str(error)), notices.EXIT_DENIED)
        if reason := self._with.unwanted():
            raise Left(reason)
        with self._whole():
            try:
                return await self._ask(asked)
            except (Conflict, NotAllowed) as error:
                return self._refuse(notices.failed(str(error)), notices.EXIT_BASTION)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """A step that is made to its end, or breaks the channel."""
        self.busy += 1
        try:
            yield
        except (BastionError, RecorderError) as error:
            self.trouble = error
            raise Broken from error
        finally:
            self.busy -= 1

    async def _ask(self, asked: Request) -> Authorization | Refusal:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            found = await self._services.broker.claim(asked, self._with.id, self._decided)
            if found is None:
                return await self._judged(asked)
            request, decision, self._with.records.proposal = found
            await self._with.records.attached(request)
            self._with.list_request(request)
            if decision is None:
                self.say(notices.attached(request))
                return await self._wait(request)
            self.say(notices.ticket(request, decision.by))
            return await self._start(Authorization(request, decision))
        finally:
            if self._waiting.done() and not self._waiting.cancelled():
                self._waiting.exception()  # nobody may have waited for it
            self._waiting.cancel()
            self._waiting = None

    async def _judged(self, asked: Request) -> Authorization | Refusal:
        judgement = self._services.judge(asked, asked.created)
        request = judgement.settle(asked)
        allowed = judgement.verdict is Verdict.ALLOW
        await self._with.record_proposed(request, judgement, started=allowed)
        if allowed:
            return Authorization(request, judgement)
        if judgement.verdict is Verdict.DENY:
            return self._refuse(notices.refused(judgement.reason), notices.EXIT_DENIED)
        return await self._held(request, judgement)

    async def _held(self, request: Request, judgement: Judgement) -> Authorization | Refusal:
        self._with.hold(request, self._decided)
        self.say(notices.held(request, request.seconds))
        if self._with.environment.get("BASTION_WAIT", "") == "no":
            self._services.broker.detach(request.id, self._with.id)
            return self._refuse(notices.later(request), notices.EXIT_LATER)
        return await self._wait(request)

    async def _wait(self, request: Request) -> Authorization | Refusal:
        assert self._waiting is not None  # noqa: S101 -- ask made it
        self._with.report_progress(request, lambda seconds, of: self.say(notices.still_held(request, seconds, of)))
        if self._ended:
            self.end(self._ended, keeps=self._keeps)
        try:
            decision, seconds = await self._waiting
        except Left as error:
            await self._leave(request, str(error))
            raise
        finally:
            self._with.stop_progress()
        match decision.state:
            case State.APPROVED:
                self.say(notices.approved(request, decision.by, seconds))
                return await self._start(Authorization(request, decision))
            case State.DENIED:
                notice = notices.denied(request, ", ".join(decision.by), decision.reason)
                return self._refuse(notice, notices.EXIT_DENIED)
            case State.EXPIRED:
                return self._refuse(notices.expired(request, request.seconds), notices.EXIT_EXPIRED)
            case _:
                return self._refuse(notices.withdrawn(request, decision.reason), notices.EXIT_BASTION)

    async def _leave(self, request: Request, reason: str) -> None:
        """Nobody waits any more. What the agent left stays; what a person cut does not."""
        if self._with.cut and not self._keeps:
            await self._services.broker.withdraw(request.id, reason)
            return
        self._services.broker.detach(request.id, self._with.id)
        if self._with.cut:
            self.say(notices.kept(request, reason))

    async def _start(self, authorization: Authorization) -> Authorization:
        request = authorization.request
        await self._with.records.started(request, await self._with.use_approval(request))
        self._services.broker.ran(request.id, "running")
        return authorization

    # --- afterwards -----------------------------------------------------------------------------------------------

    async def finished(
        self,
        request: Request,
        *,
        status: int,
        note: str = "",
        given: tuple[int, str] = (0, ""),
        taken: tuple[int, str] = (0, ""),
    ) -> None:
        """Commit the end: `given` are bytes and SHA-256 that went to the agent, `taken` that came from it and were
        written. Nothing happens the second time. Raises Broken."""
        if request not in self._with.records.unfinished:
            return
        sizes = {**NO_STREAMS, "output": given[0], "input": taken[0]}
        files = {kind: digest for kind, digest in (("output", given[1]), ("input", taken[1])) if digest}
        summary = Summary(0, 0, sizes, "", "")
        with self._whole():
            ended = await self._with.records.finished(request, summary, status, "", note, files)
        self._services.broker.ran(request.id, ended)
        self._given += given[0]
        self._services.sessions.change(self._with.id, output_bytes=self._given)

    async def abandon(self, note: str) -> None:
        """Commit the end of all that was started and has none. Raises Broken."""
        for request in self._with.records.unfinished:
            await self.finished(request, status=1, note=note)

    # --- words ----------------------------------------------------------------------------------------------------

    def _refuse(self, notice: Notice, status: int) -> Refusal:
        self.say(notice)
        return Refusal(notice.text, status)
