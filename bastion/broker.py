"""asyncio round the desk: waiters, timers, subscribers.

Theory of operation. The desk decides, in memory and at once; the broker writes what it decided and tells the world only
when that is durable. A decision that could not be written is told to nobody: the ledger has failed by then, and no
command starts any more. The ledger is written in the order of calls, so "decided" always stands before the "started"
that follows from it, even where a client claims an approval in the instant before it is durable.

A waiter is a session that holds a request; it is told of the decision by a callback, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bastion import audit, history
from bastion.audit import Audit, Draft, Entry
from bastion.clock import Clock
from bastion.control.wire import RequestInfo, VoteInfo
from bastion.desk import Desk, decision_of
from bastion.ending import Ending
from bastion.errors import BastionError, Conflict, NotAllowed, StoreError, UsageError
from bastion.model import Choice, Decision, Request, RequestKind, State, Tier, TtyMode, Verdict, Vote
from bastion.pending import Pending
from bastion.policy.judge import Judgement
from bastion.register import Filed

log = logging.getLogger(__name__)


class Granting(Protocol):
    """What turns an approved request for access into a grant."""

    def draft(self, request: Request, decision: Decision) -> Draft:
        """Its `grant.added`, which answers the entry before it."""

    def granted(self, draft: Draft) -> None:
        """It is durable."""


class Broker(Ending):
    """The desk of one daemon, with its ledger, timers and audience."""

    def __init__(self, desk: Desk, ledger: Audit, clock: Clock, *, timeout: int) -> None:
        super().__init__(desk, ledger, clock)
        self.timeout = timeout
        self.granting: Granting | None = None
        """Makes the grant that an approved request for access asks for; set by the daemon."""

    # --- people's side ------------------------------------------------------------------------------------------

    def subscribe(self, tell: Callable[[RequestInfo], None]) -> Callable[[], None]:
        """Call `tell` on every change from now on; returns what ends that."""
        return self.register.subscribe(tell)

    def infos(self) -> list[RequestInfo]:
        """Requests that are held or were lately, oldest first."""
        return [filed.info for filed in self.register]

    def info(self, request_id: str) -> RequestInfo | None:
        """One of them, by its full id."""
        filed = self.register.get(request_id)
        return filed.info if filed else None

    async def vote(self, vote: Vote, statement: bytes) -> RequestInfo:
        """Count a vote whose signature and role were checked, and make it durable. Raises as Desk.vote, StoreError."""
        self._expire()
        self.escalating.due(self._clock.monotonic())
        filed = self._known(vote.request)
        if vote.via and (vote.via not in filed.info.unsigned or filed.info.tier not in (Tier.LOW, Tier.MEDIUM)):
            raise NotAllowed("a decision without a signature, where policy accepts none")
        if vote.via and vote.choice is Choice.APPROVE and filed.info.mode == TtyMode.RAW:
            raise NotAllowed("what may be typed into a command is granted with a signature")
        decision = self._desk.vote(vote, self._clock.monotonic())
        held = self._clock.monotonic() - self._desk.get(vote.request).held_since
        pending = self._desk.get(vote.request)
        request = pending.request
        drafts = [audit.voted(request, vote, statement, filed.info.proposal)]
        granting = self.granting if request.kind is RequestKind.GRANT else None
        if granting is not None and decision is not None and decision.state is State.APPROVED:
            drafts.append(granting.draft(request, decision))  # one commit: no approval without its grant
            self._desk.take(request.id, pending.session)
        try:
            entries = await self._audit.write(*drafts)
        except StoreError as error:
            filed.grounds.set_exception(error)
            filed.grounds.exception()  # whoever claims the approval gets it too; nobody has to
            await self._void(filed, request, held)
            raise
        if granting is not None and len(drafts) > 1:
            granting.granted(drafts[1])
        if vote in pending.votes:  # else the approver was revoked meanwhile
            counted = VoteInfo(by=vote.by, choice=vote.choice.value, reason=vote.reason, at=entries[0].t)
            self.register.change(filed, votes=[*filed.info.votes, counted])
        if request.id in self._no_longer:
            filed.grounds.set_exception(Conflict(f"{vote.by} was revoked"))
            filed.grounds.exception()
        elif decision is not None:
            if decision.state is State.APPROVED:
                filed.grounds.set_result(entries[0].leaf)
            self._conclude(filed, decision, entries[0].t, held)
        return filed.info

    async def edit(
        self, original_id: str, request: Request, judgement: Judgement, statement: bytes, signature: str, reason: str
    ) -> RequestInfo:
        """Put an approver's request, whose signature and role were checked, in the place of the one that it was made
        from. Raises NotFound, Conflict, NotAllowed where policy denies it, StoreError."""
        self._expire()
        filed = self._known(original_id)
        if judgement.verdict is Verdict.DENY:
            await self._audit.write(audit.edit_refused(filed.info, request, judgement))
            raise NotAllowed(f"the edited command may not run: {judgement.reason}", "the agent's own is still held")
        self._desk.begin_edit(original_id, self._clock.monotonic())
        filed.editing = asyncio.Event()
        why = f"edited by {request.author}: {request.id} is in its place"
        info = filed.info
        try:
            self.reserve(request)
            entries = await self._audit.write(
                audit.edited(info, request, statement, signature, reason),
                audit.proposed(request, judgement),
                audit.ended(info.id, info.session, info.digest, "withdrawn", why, info.proposal),
            )
        except BastionError:
            self._desk.end_edit(original_id)
            self.release(request.id)
            raise
        else:
            return self._replaced(filed, request, entries, why)
        finally:
            filed.editing.set()
            filed.editing = None
            self._set_timer()

    def _replaced(self, old: Filed, request: Request, entries: Sequence[Entry], why: str) -> RequestInfo:
        """It is durable: the new one is at the desk, and whoever waits for the old one waits for it."""
        pending = self._desk.replace(old.info.id, request, why, self._clock.monotonic())
        leaf = entries[1].leaf
        new = Filed(history.info_of(request, State.HELD, leaf), old.waiter, old.edited)
        new.info = msgspec.structs.replace(new.info, attached=bool(pending.session))
        old.waiter = old.edited = None
        self.register.change(
            old, state=State.WITHDRAWN.value, decided=entries[2].t, decision_reason=why, edited=request.id
        )
        self.register.add(new)
        self.escalating.look(new)
        if new.edited is not None:
            new.edited(request, leaf)
        self._forget_oldest(new.info)
        return new.info

    async def escalate(self, request_id: str, by: str, reason: str) -> RequestInfo:
        """Somebody who may decide it asks others to: the next group that policy names may decide from now on, and
        everybody is told. Raises NotFound, Conflict, NotAllowed, StoreError."""
        self._expire()
        filed = self._held(request_id)
        await self.escalating.by_hand(filed, by, reason)
        return filed.info

    async def snooze(self, request_id: str, by: str, until: int) -> RequestInfo:
        """`by` does not want to be reminded of it before `until` (microseconds since the epoch; now or earlier: from
        now on again). It decides nothing. Raises NotFound, Conflict, UsageError, StoreError."""
        self._expire()
        filed = self._held(request_id)
        if until >= filed.info.expires:
            raise UsageError(f"{request_id} is denied before that", "snooze it for a shorter time, or deny it")
        others = [each for each in filed.info.snoozed if each[0] != by]
        now = self._clock.wall()
        self.register.change(filed, snoozed=[*others, (by, until)] if until > now else others)
        self.escalating.look(filed)
        await self._audit.write(audit.snoozed(filed.info, by, max(until, 0)))
        return filed.info

    def may_approve(self, request_id: str, by: str) -> bool:
        """Whether policy lets them approve it as it stands. Raises NotFound."""
        return self._desk.may_approve(request_id, by)

    # --- the agents' side ---------------------------------------------------------------------------------------

    def reserve(self, request: Request) -> None:
        """Promise room for a request until `hold` or `release`. Raises Conflict when there is none."""
        size = len(request.command) + len(request.stdin_code) + len(request.script_code)
        self._desk.reserve(request.id, size)

    def release(self, request_id: str) -> None:
        """It will not be held; nothing happens if it is."""
        self._desk.release(request_id)

    def hold(
        self,
        request: Request,
        proposal: str,
        session: str,
        tell: Callable[[Decision, float], None],
        edited: Callable[[Request, str], None] | None = None,
    ) -> None:
        """Hold a request whose proposal is durable; `tell` gets its decision, `edited` what an approver put in its
        place, and the leaf of its proposal. Raises Conflict."""
        self._desk.submit(request, session=session, now=self._clock.monotonic(), timeout=request.seconds)
        filed = Filed(history.info_of(request, State.HELD, proposal), tell, edited)
        self.register.add(filed)
        self.escalating.look(filed)
        self._forget_oldest(filed.info)
        self._set_timer()

    def restore(self, left: history.Left, ticket: float) -> None:
        """Put back what an earlier run had at its desk; nobody waits for it yet."""
        info, request = left.info, left.info.to_model()
        now, wall = self._clock.monotonic(), self._clock.wall()
        pending = Pending(
            request,
            deadline=now + (request.expires - wall) / 1e6,
            held_since=now - (wall - request.created) / 1e6,
            session="",
            votes=list(left.votes),
            escalated=list(left.escalated),
        )
        filed = Filed(info)
        if left.grounds:
            by = tuple(vote.by for vote in left.votes)
            pending.decision = decision_of(pending, by, info.decision_reason)
            pending.void_after = now + ticket - (wall - left.decided) / 1e6
            filed.grounds.set_result(left.grounds)
        self._desk.restore(pending)
        self.register.add(filed)
        self._set_timer()

    def record_unheld(self, info: RequestInfo) -> None:
        """List a request that was allowed or refused without a person."""
        self.register.add(Filed(info))
        self._forget_oldest(info)

    async def claim(
        self,
        request: Request,
        session: str,
        tell: Callable[[Decision, float], None],
        edited: Callable[[Request, str], None] | None = None,
    ) -> tuple[Request, Decision | None, str] | None:
        """An identical request that was left behind, now waited for by `session`: the request, its decision if it was
        approved already, and the leaf of its proposal. None if there is none."""
        self._expire()
        pending = self._desk.claim(request.likeness, session, self._clock.monotonic())
        if pending is None:
            return None
        filed = self.register[pending.request.id]
        if pending.decision is None:
            filed.waiter, filed.edited = tell, edited
        else:
            await filed.grounds
        self.register.change(filed, attached=True)
        return pending.request, pending.decision, filed.info.proposal

    def take(self, request_id: str, session: str) -> bool:
        """Use the approval, once."""
        return self._desk.take(request_id, session)

    async def grounds(self, request_id: str) -> str:
        """Leaf of the entry that approved the request."""
        return await self.register[request_id].grounds

    def detach(self, request_id: str, session: str) -> None:
        """The client left."""
        request_id = self._desk.latest(request_id)
        self._desk.detach(request_id, session, self._clock.monotonic())
        filed = self._known(request_id)
        if not self._desk.get(request_id).session:
            filed.waiter = filed.edited = None
            self.register.change(filed, attached=False)
        self._set_timer()

    def ran(self, request_id: str, status: str) -> None:
        """Show how the command stands: `running`, and in the end how it ended."""
        if (filed := self.register.get(request_id)) is not None:
            self.register.change(filed, status=status)
