"""Held requests that go to further people: after a time, when nobody is there, or because somebody asks for it.

Policy names the groups (`escalate after T to GROUP`, `escalate when absent to GROUP`). A group that a request went to
may decide it from then on, beside those who may anyhow; whoever watches is told at once, and the ledger has an entry of
it before any vote that leans on it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bastion import audit
from bastion.audit import Audit
from bastion.control.wire import RequestInfo
from bastion.desk import Desk
from bastion.errors import NotAllowed, StoreError
from bastion.model import Request, State
from bastion.register import Filed, Register

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Escalating:
    """One broker's. `alert`: (kind, sentence), tells every console; `spawn` runs a write that nobody waits for."""

    def __init__(
        self, desk: Desk, ledger: Audit, register: Register, alert: Callable[[str, str], None], spawn: Spawn
    ) -> None:
        self._desk, self._audit, self._register = desk, ledger, register
        self._alert, self._spawn = alert, spawn
        self.watched: Callable[[RequestInfo], bool] = lambda info: True
        """Whether somebody watches the queue who may decide it."""

    async def by_hand(self, filed: Filed, by: str, reason: str) -> None:
        """Somebody who may decide it asks others to. Raises NotAllowed, StoreError."""
        request_id = filed.info.id
        if not by.startswith("local:") and not self._desk.may_approve(request_id, by):
            raise NotAllowed(f"{by} may not approve {request_id}", "who hands it on is one of those whom policy asks")
        drafts = [audit.raised(filed.info, by, reason)]
        group = self._desk.escalate_now(request_id)
        if group:
            drafts.append(audit.escalated(self._desk.get(request_id).request, group, filed.info.proposal))
            self._register.change(filed, escalated=[*filed.info.escalated, group])
        written = self._audit.queue(*drafts)
        words = f"goes to group {group}" if group else "needs somebody to decide"
        self._alert("request.escalated", f"{request_id} {words}: {by} asks" + (f", {reason}" if reason else ""))
        await written

    def due(self, now: float) -> None:
        """What policy hands on by this time; `now` of the monotonic clock."""
        for pending, group in self._desk.escalate(now):
            filed = self._register[pending.request.id]
            self._goes(filed, pending.request, group, "request.escalated", "nobody decided in time")

    def look(self, filed: Filed) -> None:
        """Hand it on where policy says so and nobody is there who may decide it."""
        info = filed.info
        waits = any(not seconds and group not in info.escalated for seconds, group in info.escalation)
        if not waits or info.state != State.HELD.value or self.watched(info):
            return
        request = self._desk.get(info.id).request
        for group in self._desk.escalate_absent(info.id):
            self._goes(filed, request, group, "presence.absent", "nobody watches who may decide it")

    def look_for_people(self) -> None:
        """Somebody came or left."""
        for pending in self._desk.held():
            if (filed := self._register.get(pending.request.id)) is not None:
                self.look(filed)

    def _goes(self, filed: Filed, request: Request, group: str, kind: str, why: str) -> None:
        written = self._audit.queue(audit.escalated(request, group, filed.info.proposal))
        self._register.change(filed, escalated=[*filed.info.escalated, group])
        self._alert(kind, f"{request.id} goes to group {group}: {why}")
        self._spawn(_settle(written, request.id), f"escalate {request.id}")


async def _settle(written: Awaitable[object], request_id: str) -> None:
    try:
        await written
    except StoreError as error:
        log.error("escalation of %s not recorded: %s", request_id, error)
