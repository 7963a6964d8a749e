"""Ends grants on time: by the monotonic clock, and first of all for what runs.

Theory of operation. Each grant has a timer, armed when it is added and, for those of an earlier run, when the daemon
starts, with what the wall clock says is left (it never goes back behind the newest entry). When it fires, in this
order:

    1. the grant counts no more, for anything that is asked from now on
    2. live sessions on targets that now lack a grant are cut
    3. `grant.expired` goes into the ledger; requests that nobody waits for any more are withdrawn

Setting the wall clock back prolongs nothing; setting it ahead ends grants for what is asked (Access.grant), not later.
If we crash before 3, the next start finds the grant over and writes the entry then.
"""

from __future__ import annotations

import asyncio
import logging

from bastion import audit
from bastion.audit import Audit, Draft
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.directory import Directory
from bastion.errors import BastionError
from bastion.ids import another
from bastion.ids import grant_id as new_id
from bastion.model import Decision, Request, RequestKind
from bastion.policy.admission import missing_grant
from bastion.policy.asking import seconds_of
from bastion.sessions import Sessions

log = logging.getLogger(__name__)


class Grants:
    """All grants of one daemon."""

    def __init__(
        self,
        directory: Directory,
        ledger: Audit,
        clock: Clock,
        broker: Broker,
        sessions: Sessions,
    ) -> None:
        self._directory, self._audit, self._clock = directory, ledger, clock
        self._broker, self._sessions = broker, sessions
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def drop_what_counts_no_more(self) -> None:
        """What was restored from an earlier run may lean on somebody or something that was revoked, removed or over by
        now, perhaps while no daemon ran: votes, requests, approvals. Raises StoreError."""
        directory, broker = self._directory, self._broker
        for identity in directory.identities.values():
            if identity.revoked:
                broker.disown(identity.name)
                await broker.write_disowned(identity.name)

        def homeless(request: Request) -> bool:
            return bool(directory.identities[request.identity].revoked) or request.target not in directory.targets

        await broker.withdraw_left_behind(homeless, "its identity was revoked, or its target removed")
        await self.withdraw_barred()

    def start(self) -> None:
        """Arm the grants of an earlier run; those that are over end now."""
        for grant_id in list(self._directory.access.grants):
            self.arm(grant_id)

    def arm(self, grant_id: str) -> None:
        """A grant was added."""
        grant = self._directory.access.grants.get(grant_id)
        if grant is not None:
            left = max(0.0, (grant.expires - self._clock.wall()) / 1_000_000)
            self._timers[grant_id] = asyncio.get_running_loop().call_later(left, self._over, grant_id)

    def draft(self, request: Request, decision: Decision) -> Draft:
        """The grant that an approved request for access makes."""
        body = self._directory.access.plan_grant(
            another(new_id, self._directory.access.grants),
            request.identity,
            request.target,
            seconds=seconds_of(request.command),
            reason=request.reason,
            by=", ".join(decision.by),
            request=request.id,
            now=self._clock.wall(),
        )
        return Draft("grant.added", audit.DAEMON, body, request=request.id, cause=audit.CAUSE_PREVIOUS)

    def granted(self, draft: Draft) -> None:
        """That grant is durable."""
        body = dict(draft.body)
        self._directory.apply("grant.added", body)
        self.arm(str(body["id"]))

    def enforce(self, reason: str) -> int:
        """Cut every live session on a target for which its identity now lacks a grant; returns how many."""
        return self._sessions.cut_where(lambda info: bool(self._barred(info.identity, info.target)), reason)

    async def withdraw_barred(self) -> None:
        """Take back what was left at the desk for a target for which its identity now lacks a grant."""
        await self._broker.withdraw_left_behind(
            lambda request: (
                bool(self._barred(request.identity, request.target)) and request.kind is not RequestKind.GRANT
            ),
            "the grant ended",
        )

    def close(self) -> None:
        """Stop the timers."""
        for timer in self._timers.values():
            timer.cancel()

    def _barred(self, identity: str, target: str) -> str:
        place = self._directory.targets.get(target)
        return missing_grant(self._directory, identity, place, self._clock.wall()) if place is not None else ""

    def _over(self, grant_id: str) -> None:
        self._timers.pop(grant_id, None)
        if grant_id not in self._directory.access.grants:
            return  # revoked meanwhile
        self._directory.access.suspend(grant_id)
        self.enforce("the grant ended")
        task = asyncio.get_running_loop().create_task(self._write(grant_id), name=f"expire {grant_id}")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, grant_id: str) -> None:
        body = {"id": grant_id}
        try:
            await self._audit.write(Draft("grant.expired", audit.DAEMON, body))
            self._directory.apply("grant.expired", body)
            await self.withdraw_barred()
        except BastionError as error:
            log.error("the end of grant %s is not recorded: %s", grant_id, error)
