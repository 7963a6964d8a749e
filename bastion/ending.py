"""How held requests end without a vote: by time, taken back, or because an approver was revoked; and the timer.

Theory of operation. Whatever ends a request ends it at the desk first, in the same instant; the entry follows, and only
when that is durable are the waiter and everybody else told (`_conclude`). The one timer is set for whatever comes next:
an end, a further group, a ticket that is void.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bastion import audit
from bastion.audit import Audit
from bastion.clock import Clock
from bastion.control.wire import RequestInfo
from bastion.desk import Desk
from bastion.errors import Conflict, NotFound, StoreError
from bastion.escalating import Escalating
from bastion.model import Decision, Request, State
from bastion.register import Filed, Register

log = logging.getLogger(__name__)


class Ending:
    """What a broker is, but for holding and deciding."""

    def __init__(self, desk: Desk, ledger: Audit, clock: Clock) -> None:
        self._desk, self._audit, self._clock = desk, ledger, clock
        self.alert: Callable[[str, str], None] = lambda kind, text: None
        """(kind, sentence): tells every console."""
        self.register = Register()
        """What people see of requests."""
        self.escalating = Escalating(desk, ledger, self.register, self._alert, self._spawn)
        self._timer: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._disowned: dict[str, tuple[list[str], list[str]]] = {}
        self._no_longer: set[str] = set()
        """Approvals that no longer count since an approver was revoked."""

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    async def withdraw(self, request_id: str, reason: str) -> None:
        """Take a held request back, or what stands in its place."""
        filed = self.register.get(self._desk.latest(request_id))
        while filed is not None and filed.editing is not None:
            await filed.editing.wait()
            filed = self.register.get(self._desk.latest(request_id))
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
                await self._write_end(self.register[request.id], end, 0.0)

    def disown(self, by: str) -> None:
        """The votes of a revoked approver count no more, from this moment; `write_disowned` puts it into the ledger."""
        lost, void = self._desk.disown(by)
        for request_id in lost:
            filed = self.register[request_id]
            self.register.change(filed, votes=[vote for vote in filed.info.votes if vote.by != by])
        self._disowned[by] = (lost, void)
        self._no_longer |= set(void)

    async def write_disowned(self, by: str) -> None:
        """Tell the ledger, and those who watch, what became of the votes of a revoked approver. Raises StoreError."""
        lost, void = self._disowned.pop(by, ([], []))
        reason = f"{by}, who approved it, was revoked"
        for request_id in lost:
            info = self.register[request_id].info
            await self._audit.write(audit.vote_voided(info.id, info.session, info.digest, by, info.proposal))
        for request_id in void:
            filed = self.register[request_id]
            end = Decision(request_id, filed.info.digest, State.WITHDRAWN, (), reason)
            await self._write_end(filed, end, 0.0)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _known(self, request_id: str) -> Filed:
        filed = self.register.get(request_id)
        if filed is None:
            raise NotFound(f"no request {request_id!r}")
        if request_id not in self._desk:
            raise Conflict(f"request {request_id} is {filed.info.state} already")
        return filed

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

    def _conclude(self, filed: Filed, decision: Decision, at: int, held: float) -> None:
        """Tell everybody of a durable decision."""
        waiter, filed.waiter, filed.edited = filed.waiter, None, None
        self.register.change(filed, state=decision.state.value, decided=at, decision_reason=decision.reason)
        if waiter is not None:
            waiter(decision, held)
        self._set_timer()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for decision in self._desk.expire(now):
            filed = self.register[decision.request]
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
        self.escalating.due(self._clock.monotonic())
        self._set_timer()

    def _forget_oldest(self, new: RequestInfo) -> None:
        self.register.forget_oldest(new, lambda each: each not in self._desk or self._desk.forget(each))

    def _alert(self, kind: str, text: str) -> None:
        self.alert(kind, text)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
