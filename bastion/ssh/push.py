"""What an agent sends into git-receive-pack: held until the list of refs that it changes was approved (P1, P2).

Theory of operation. git-receive-pack runs already, by an approval or a rule of its own: it has said what the repository
holds, and waits. The agent's bytes go into a pushes.ListReader and nowhere else, until the list is whole. Then the list
is a request of its own, a child of the command's, whose digest covers the exact packets; the agent is not read any
more. Approved, those packets go to the target, and from then on the agent's bytes follow them as they come: the pack.

    reading -> held -> flowing
                    -> refused    the command is stopped, and the target got no byte

A list that changes nothing goes on without a word; what follows it does not.

Not protected: what the pack holds. It brings objects; no ref moves by it that is not in the list. Hooks of the target
run with what was pushed, as they would without a bastion.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from bastion.errors import BastionError, Conflict
from bastion.gate import effects as do
from bastion.gate import notices
from bastion.model import Decision, Request, RequestKind, State, StdinMode, TtyMode, Verdict
from bastion.policy import pushes
from bastion.ssh.dealings import Dealings
from bastion.ssh.pump import Side, Upstream

log = logging.getLogger(__name__)

ANSWER_LIMIT = 1024
"""Bytes of the target's answer about so many updates: a line of four bytes each."""

Refuse = Callable[[notices.Notice, int, str], None]
"""(what the agent is told, its exit status, why for the ledger): the command is to be stopped."""


class Push:
    """Of one running git-receive-pack. `repository` is its path; `refuse` is called once, if ever."""

    def __init__(
        self, dealings: Dealings, parent: Request, repository: str, upstream: Upstream, reading: Side, refuse: Refuse
    ) -> None:
        self._with, self._services, self._parent, self._repository = dealings, dealings.services, parent, repository
        self._upstream, self._reading, self._refuse = upstream, reading, refuse
        self._reader: pushes.ListReader | None = pushes.ListReader()
        self._ahead: list[bytes] = []
        """What came behind the list and waits for its approval."""
        self._eof = self._flowing = self._over = False
        self._held: Request | None = None
        self._decision: asyncio.Future[tuple[Decision, float] | None] = asyncio.get_running_loop().create_future()
        """None: nobody wants one any more."""
        self._task: asyncio.Task[None] | None = None

    def send(self, data: bytes) -> None:
        """From the agent."""
        if self._flowing:
            self._upstream.send(data)
        elif self._reader is not None and not self._over:
            self._read(self._reader, data)
        elif self._task is not None and not self._over:
            self._ahead.append(data)  # at most what was under way when the reading was paused

    def send_eof(self) -> None:
        """The agent sends no more."""
        if self._flowing or self._reader is not None:  # before the list is whole: it wants nothing
            self._upstream.send_eof()
        self._eof = True

    def _read(self, reader: pushes.ListReader, data: bytes) -> None:
        try:
            push = reader.feed(data)
        except pushes.NoPush as error:
            self._stop(notices.refused(str(error)), notices.EXIT_DENIED, f"refused: {error}")
            return
        if push is None:
            return
        self._reader = None
        if not push.updates and not push.shallow:
            self._upstream.send(push.raw)
            self._over = True
            return
        self._ahead.append(reader.rest)
        self._reading.pause("push")
        self._task = self._services.spawn(self._decide(push), f"session {self._with.id} push")

    def _stop(self, notice: notices.Notice, status: int, why: str) -> None:
        if not self._over:
            self._over = True
            self._ahead.clear()
            self._refuse(notice, status, why)

    async def _decide(self, push: pushes.Push) -> None:
        try:
            await self._hold(push)
        except BastionError as error:
            await self._withdraw("it could not be recorded")
            self._stop(notices.failed(str(error)), notices.EXIT_BASTION, str(error))
        except Exception:
            log.exception("session %s", self._with.id)
            reason = "internal error of the bastion; its log says more"
            self._stop(notices.failed(reason), notices.EXIT_BASTION, reason)
        finally:
            self._with.stop_progress()

    async def _hold(self, push: pushes.Push) -> None:
        services, asked = self._services, await self._ask(push)
        if self._over:
            return
        judgement = services.judge(asked, services.clock.wall())
        request = judgement.settle(asked)
        command = self._with.records.proposal
        await self._with.record_proposed(request, judgement, started=False)
        proposal, self._with.records.proposal = self._with.records.proposal, command
        match judgement.verdict:
            case Verdict.DENY:
                self._stop(notices.refused(judgement.reason), notices.EXIT_DENIED, "refused by policy")
            case Verdict.ALLOW:
                await services.vouch(request)
                if reason := self._with.closed():
                    raise Conflict(reason)
                await self._go(do.Authorization(request, judgement), push, proposal)
            case Verdict.HOLD:
                self._held = request
                services.broker.hold(request, proposal, self._with.id, self._decided)
                self._with.say(notices.held(request, request.seconds))
                self._with.report_progress(
                    request, lambda seconds, of: self._with.say(notices.still_held(request, seconds, of))
                )
                await self._wait(request, push)

    async def _ask(self, push: pushes.Push) -> Request:
        services, parent = self._services, self._parent
        ways: dict[str, pushes.Way] = {}
        if moved := pushes.moves(push):
            asked = pushes.question(self._repository, moved)
            said = await services.pool.ask(self._with.target, parent.login, asked, ANSWER_LIMIT)
            ways = pushes.answered(push, said)
        now = services.clock.wall()
        return replace(
            parent,
            id=services.new_request(),
            kind=RequestKind.STDIN,
            session=self._with.id,
            command=push.text(ways),
            environment=(),
            stdin=StdinMode.BUNDLED,
            stdin_code=push.raw,
            assessment=pushes.assess(push, ways),
            approvals=services.approvals,
            created=now,
            expires=now + services.broker.timeout * 1_000_000,
            rule="",
            emergency="",
            approvers=(),
            escalation=(),
            sequence=1,
            parent=parent.id,
            mode=TtyMode.NONE,
            author="",
            edits="",
            answers="",
        )

    def _decided(self, decision: Decision, seconds: float) -> None:
        if not self._decision.done():
            self._decision.set_result((decision, seconds))

    async def _wait(self, request: Request, push: pushes.Push) -> None:
        ended = await self._decision
        if ended is None:
            await self._withdraw("its command ended")
            return
        decision, seconds = ended
        self._held = None
        match decision.state:
            case State.APPROVED:
                authorization = do.Authorization(request, decision)
                self._with.say(notices.approved(request, decision.by, seconds))
                grounds = await self._with.use_approval(request)
                await self._go(authorization, push, grounds)
            case State.DENIED:
                notice = notices.denied(request, ", ".join(decision.by), decision.reason)
                self._stop(notice, notices.EXIT_DENIED, "the push was denied")
            case State.EXPIRED:
                notice = notices.expired(request, request.seconds)
                self._stop(notice, notices.EXIT_EXPIRED, "nobody decided on the push")
            case _:
                self._stop(notices.withdrawn(request, decision.reason), notices.EXIT_BASTION, decision.reason)

    async def _go(self, authorization: do.Authorization, push: pushes.Push, grounds: str) -> None:
        """Write that it goes, then send exactly the packets that were decided on."""
        if self._over:
            return
        request = authorization.request
        await self._with.records.sent(request, grounds)
        self._services.broker.ran(request.id, "sent")
        if self._over or self._with.unwanted():
            return
        self._upstream.send(request.stdin_code)
        for data in self._ahead:
            self._upstream.send(data)
        self._ahead.clear()
        self._flowing = True
        if self._eof:
            self._upstream.send_eof()
        self._reading.resume("push")

    async def close(self, reason: str) -> None:
        """The command has ended, or is about to: what is still held is taken back before that is written."""
        self._over = True
        await self._withdraw(reason)
        if not self._decision.done():
            self._decision.set_result(None)
        if self._task is not None and self._task is not asyncio.current_task():
            with contextlib.suppress(BastionError):
                await self._task

    async def _withdraw(self, reason: str) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._services.broker.withdraw(held.id, reason)
