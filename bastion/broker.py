"""asyncio round the desk: waiters, timers, subscribers.

Theory of operation. The desk decides, in memory and at once; the broker writes what it decided and tells the world only
when that is durable. A decision that could not be written is told to nobody: the ledger has failed by then, and no
command starts any more. The ledger is written in the order of calls, so "decided" always stands before the "started"
that follows from it, even where a client claims an approval in the instant before it is durable.

A waiter is a session that holds a request; it is told of the decision by a callback, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from bastion import audit, history
from bastion.audit import Audit, Draft, Entry
from bastion.clock import Clock
from bastion.control.wire import RequestInfo, VoteInfo
from bastion.desk import Desk, Pending, decision_of
from bastion.errors import BastionError, Conflict, NotAllowed, NotFound, StoreError, UsageError
from bastion.model import Choice, Decision, Request, RequestKind, State, Tier, TtyMode, Verdict, Vote
from bastion.policy.judge import Judgement

log = logging.getLogger(__name__)

REMEMBERED = 500
"""Ended requests kept in memory for lists, and an eighth more; older ones are read from the ledger."""

REMEMBERED_BYTES = 32 << 20
"""Bytes of their commands and code; one request can have a megabyte."""


@dataclass(slots=True)
class Filed:
    """What the broker knows of a request beside the desk."""

    info: RequestInfo
    waiter: Callable[[Decision, float], None] | None = None
    edited: Callable[[Request, str], None] | None = None
    """Tells the waiter that another request stands in this one's place, and the leaf of its proposal."""
    editing: asyncio.Event | None = None
    """Set once an edit that is on its way has arrived."""
    grounds: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Leaf of the entry that approved it, once that is durable."""


class Granting(Protocol):
    """What turns an approved request for access into a grant."""

    def draft(self, request: Request, decision: Decision) -> Draft:
        """Its `grant.added`, which answers the entry before it."""

    def granted(self, draft: Draft) -> None:
        """It is durable."""


class Broker:
    """The desk of one daemon, with its ledger, timers and audience."""

    def __init__(self, desk: Desk, ledger: Audit, clock: Clock, *, timeout: int) -> None:
        self._desk, self._audit, self._clock = desk, ledger, clock
        self.timeout = timeout
        self.alert: Callable[[str, str], None] = lambda kind, text: None
        """(kind, sentence): tells every console."""
        self.watched: Callable[[RequestInfo], bool] = lambda info: True
        """Whether somebody watches the queue who may decide it."""
        self._filed: dict[str, Filed] = {}
        self._look_at, self._new_bytes = REMEMBERED, 0
        self._subscribers: set[Callable[[RequestInfo], None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._disowned: dict[str, tuple[list[str], list[str]]] = {}
        self._no_longer: set[str] = set()
        """Approvals that no longer count since an approver was revoked."""
        self.granting: Granting | None = None
        """Makes the grant that an approved request for access asks for; set by the daemon."""

    # --- people's side ------------------------------------------------------------------------------------------

    def subscribe(self, tell: Callable[[RequestInfo], None]) -> Callable[[], None]:
        """Call `tell` on every change from now on; returns what ends that."""
        self._subscribers.add(tell)
        return lambda: self._subscribers.discard(tell)

    def infos(self) -> list[RequestInfo]:
        """Requests that are held or were lately, oldest first."""
        return [filed.info for filed in self._filed.values()]

    def info(self, request_id: str) -> RequestInfo | None:
        """One of them, by its full id."""
        filed = self._filed.get(request_id)
        return filed.info if filed else None

    def forget(self, request_id: str) -> None:
        """A request that ended is looked up in the store from now on: its content was redacted there."""
        filed = self._filed.get(request_id)
        if filed is not None and filed.info.state != State.HELD.value:
            del self._filed[request_id]

    async def vote(self, vote: Vote, statement: bytes) -> RequestInfo:
        """Count a vote whose signature and role were checked, and make it durable. Raises as Desk.vote, StoreError."""
        self._expire()
        self._escalate()
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
            self._change(filed, votes=[*filed.info.votes, counted])
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
        self._filed[request.id] = new
        old.waiter = old.edited = None
        self._change(old, state=State.WITHDRAWN.value, decided=entries[2].t, decision_reason=why, edited=request.id)
        self._publish(new)
        self._look(new)
        if new.edited is not None:
            new.edited(request, leaf)
        self._forget_oldest(new.info)
        return new.info

    async def escalate(self, request_id: str, by: str, reason: str) -> RequestInfo:
        """Somebody who may decide it asks others to: the next group that policy names may decide from now on, and
        everybody is told. Raises NotFound, Conflict, NotAllowed, StoreError."""
        self._expire()
        filed = self._held(request_id)
        if not by.startswith("local:") and not self._desk.may_approve(request_id, by):
            raise NotAllowed(f"{by} may not approve {request_id}", "who hands it on is one of those whom policy asks")
        drafts = [audit.raised(filed.info, by, reason)]
        group = self._desk.escalate_now(request_id)
        if group:
            request = self._desk.get(request_id).request
            drafts.append(audit.escalated(request, group, filed.info.proposal))
            self._change(filed, escalated=[*filed.info.escalated, group])
        written = self._audit.queue(*drafts)
        words = f"goes to group {group}" if group else "needs somebody to decide"
        self.alert("request.escalated", f"{request_id} {words}: {by} asks" + (f", {reason}" if reason else ""))
        await written
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
        self._change(filed, snoozed=[*others, (by, until)] if until > now else others)
        self._look(filed)
        await self._audit.write(audit.snoozed(filed.info, by, max(until, 0)))
        return filed.info

    def look_for_people(self) -> None:
        """Somebody came or left: what nobody who is there may decide goes on, where policy says so."""
        for pending in self._desk.held():
            if (filed := self._filed.get(pending.request.id)) is not None:
                self._look(filed)

    def may_approve(self, request_id: str, by: str) -> bool:
        """Whether policy lets them approve it as it stands. Raises NotFound."""
        return self._desk.may_approve(request_id, by)

    def _look(self, filed: Filed) -> None:
        info = filed.info
        waits = any(not seconds and group not in info.escalated for seconds, group in info.escalation)
        if not waits or info.state != State.HELD.value or self.watched(info):
            return
        request = self._desk.get(info.id).request
        for group in self._desk.escalate_absent(info.id):
            written = self._audit.queue(audit.escalated(request, group, info.proposal))
            self._change(filed, escalated=[*filed.info.escalated, group])
            self.alert("presence.absent", f"{info.id} goes to group {group}: nobody watches who may decide it")
            self._spawn(self._settle(written, f"escalation of {info.id}"), f"escalate {info.id}")

    def _held(self, request_id: str) -> Filed:
        """Raises NotFound, Conflict."""
        filed = self._known(request_id)
        if filed.info.state != State.HELD.value:
            raise Conflict(f"request {request_id} is {filed.info.state} already")
        return filed

    async def _void(self, filed: Filed, request: Request, held: float) -> None:
        """A vote was counted that the ledger does not have: nothing may come of it, and nobody is to wait for it."""
        reason = "a vote on it could not be recorded"
        end = self._desk.withdraw(request.id, reason, self._clock.monotonic())
        end = end or Decision(request.id, request.digest, State.WITHDRAWN, (), reason)
        with contextlib.suppress(StoreError):  # the whole ledger has failed: the daemon is stopping
            await self._write_end(filed, end, held)

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
        self._filed[request.id] = filed
        self._publish(filed)
        self._look(filed)
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
        self._filed[request.id] = filed
        self._publish(filed)
        self._set_timer()

    def record_unheld(self, info: RequestInfo) -> None:
        """List a request that was allowed or refused without a person."""
        self._filed[info.id] = Filed(info)
        self._publish(self._filed[info.id])
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
        filed = self._filed[pending.request.id]
        if pending.decision is None:
            filed.waiter, filed.edited = tell, edited
        else:
            await filed.grounds
        self._change(filed, attached=True)
        return pending.request, pending.decision, filed.info.proposal

    def take(self, request_id: str, session: str) -> bool:
        """Use the approval, once."""
        return self._desk.take(request_id, session)

    async def grounds(self, request_id: str) -> str:
        """Leaf of the entry that approved the request."""
        return await self._filed[request_id].grounds

    def detach(self, request_id: str, session: str) -> None:
        """The client left."""
        request_id = self._desk.latest(request_id)
        self._desk.detach(request_id, session, self._clock.monotonic())
        filed = self._known(request_id)
        if not self._desk.get(request_id).session:
            filed.waiter = filed.edited = None
            self._change(filed, attached=False)
        self._set_timer()

    async def withdraw(self, request_id: str, reason: str) -> None:
        """Take a held request back, or what stands in its place."""
        filed = self._filed.get(self._desk.latest(request_id))
        while filed is not None and filed.editing is not None:
            await filed.editing.wait()
            filed = self._filed.get(self._desk.latest(request_id))
        if filed is None:
            return
        decision = self._desk.withdraw(filed.info.id, reason, self._clock.monotonic())
        filed.waiter = filed.edited = None
        if decision is not None:
            await self._write_end(filed, decision, 0.0)

    async def withdraw_left_behind(self, which: Callable[[Request], bool], reason: str) -> None:
        """Take back what `which` picks of the requests that nobody waits for; the sessions see to the others."""
        for pending in self._desk.left_behind():
            request = pending.request
            if which(request) and pending.decision is None:
                await self.withdraw(request.id, reason)
            elif which(request):
                self._desk.withdraw(request.id, reason, self._clock.monotonic())  # an approval that nobody used: void
                end = Decision(request.id, request.digest, State.WITHDRAWN, (), reason)
                await self._write_end(self._filed[request.id], end, 0.0)

    def disown(self, by: str) -> None:
        """The votes of a revoked approver count no more, from this moment; `write_disowned` puts it into the ledger."""
        lost, void = self._desk.disown(by)
        for request_id in lost:
            filed = self._filed[request_id]
            self._change(filed, votes=[vote for vote in filed.info.votes if vote.by != by])
        self._disowned[by] = (lost, void)
        self._no_longer |= set(void)

    async def write_disowned(self, by: str) -> None:
        """Tell the ledger, and those who watch, what became of the votes of a revoked approver. Raises StoreError."""
        lost, void = self._disowned.pop(by, ([], []))
        reason = f"{by}, who approved it, was revoked"
        for request_id in lost:
            info = self._filed[request_id].info
            await self._audit.write(audit.vote_voided(info.id, info.session, info.digest, by, info.proposal))
        for request_id in void:
            filed = self._filed[request_id]
            end = Decision(request_id, filed.info.digest, State.WITHDRAWN, (), reason)
            await self._write_end(filed, end, 0.0)

    def ran(self, request_id: str, status: str) -> None:
        """Show how the command stands: `running`, and in the end how it ended."""
        if (filed := self._filed.get(request_id)) is not None:
            self._change(filed, status=status)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _known(self, request_id: str) -> Filed:
        filed = self._filed.get(request_id)
        if filed is None:
            raise NotFound(f"no request {request_id!r}")
        if request_id not in self._desk.ids():
            raise Conflict(f"request {request_id} is {filed.info.state} already")
        return filed

    def _change(self, filed: Filed, **fields: object) -> None:
        filed.info = msgspec.structs.replace(filed.info, **fields)
        self._publish(filed)

    def _publish(self, filed: Filed) -> None:
        for tell in list(self._subscribers):
            tell(filed.info)

    def _conclude(self, filed: Filed, decision: Decision, at: int, held: float) -> None:
        """Tell everybody of a durable decision."""
        waiter, filed.waiter, filed.edited = filed.waiter, None, None
        self._change(filed, state=decision.state.value, decided=at, decision_reason=decision.reason)
        if waiter is not None:
            waiter(decision, held)
        self._set_timer()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for decision in self._desk.expire(now):
            filed = self._filed[decision.request]
            held = now - self._desk.get(decision.request).held_since
            log.warning("%s expired: nobody decided in time", decision.request)
            self.alert("request.expired", f"{decision.request} is denied: nobody decided in time")
            self._spawn(self._write_expiry(filed, decision, held), f"expire {decision.request}")

    async def _write_expiry(self, filed: Filed, decision: Decision, held: float) -> None:
        try:
            await self._write_end(filed, decision, held)
        except StoreError as error:
            log.error("expiry of %s not recorded: %s", decision.request, error)

    async def _write_end(self, filed: Filed, decision: Decision, held: float) -> None:
        info = filed.info
        choice = "expired" if decision.state is State.EXPIRED else "withdrawn"
        draft = audit.ended(info.id, info.session, info.digest, choice, decision.reason, info.proposal)
        entries = await self._audit.write(draft)
        self._conclude(filed, decision, entries[0].t, held)

    def _escalate(self) -> None:
        """Tell everybody at once, and the ledger: its entry stands before any vote that leans on it."""
        for pending, group in self._desk.escalate(self._clock.monotonic()):
            filed = self._filed[pending.request.id]
            written = self._audit.queue(audit.escalated(pending.request, group, filed.info.proposal))
            self._change(filed, escalated=[*filed.info.escalated, group])
            self.alert("request.escalated", f"{pending.request.id} goes to group {group}: nobody decided in time")
            self._spawn(self._settle(written, f"escalation of {pending.request.id}"), f"escalate {pending.request.id}")

    async def _settle(self, written: Awaitable[object], what: str) -> None:
        try:
            await written
        except StoreError as error:
            log.error("%s not recorded: %s", what, error)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._desk.next_deadline()
        if deadline is not None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, deadline - self._clock.monotonic())
            self._timer = loop.call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._expire()
        self._escalate()
        self._set_timer()

    def _forget_oldest(self, new: RequestInfo) -> None:
        self._new_bytes += _size(new)
        if len(self._filed) <= self._look_at and self._new_bytes <= REMEMBERED_BYTES // 8:
            return  # each look costs as much as there are: not for each request
        ended = [each for each in self._filed if self._filed[each].info.state != State.HELD.value]
        size = sum(_size(self._filed[each].info) for each in ended)
        for request_id in ended:
            if len(self._filed) <= REMEMBERED and size <= REMEMBERED_BYTES:
                break
            size -= _size(self._filed[request_id].info)
            if request_id not in self._desk.ids() or self._desk.forget(request_id):
                del self._filed[request_id]
        self._look_at, self._new_bytes = len(self._filed) + REMEMBERED // 8, 0


def _size(info: RequestInfo) -> int:
    return len(info.command) + len(info.stdin_code) + len(info.script_code)
