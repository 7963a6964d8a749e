"""The daemon's parts, as far as calls of the control protocol need them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bastion.audit import Audit, Draft
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.control import wire
from bastion.control.archive import Archive
from bastion.control.infos import freeze_info
from bastion.custody import Custody
from bastion.directory import Body, Directory
from bastion.grants import Grants
from bastion.model import Assessment, Request, Target
from bastion.notify.notifier import Notifier
from bastion.policy.judge import Judgement
from bastion.policy.rules import Policy
from bastion.presence import Presence
from bastion.sessions import Sessions

LIST_LIMIT = 1000
"""Rows that one call returns at most."""

REASON_LIMIT = 1024
"""Characters of a reason: it stands in a ledger entry and on the agent's stderr."""


@dataclass(frozen=True, slots=True)
class House:
    """Built once, by the daemon."""

    directory: Directory
    broker: Broker
    sessions: Sessions
    audit: Audit
    archive: Archive
    clock: Clock
    cut_connections: Callable[[str], None]
    """Drop all connections of an identity."""
    drop_links: Callable[[str], None]
    """Drop all links to a target."""
    ask: Callable[[Target, str, bytes, int], Awaitable[bytes]]
    """(target, login, question, limit) -> what a command of the bastion's own prints there; empty if it cannot."""
    probe: Callable[[Target], Awaitable[list[wire.CheckInfo]]]
    assess: Callable[..., Assessment]
    """As policy.risk.assess: (command, code that it reads on stdin) -> what risk says of it."""
    new_request: Callable[[], str]
    """An id that no request has. Raises StoreError."""
    reads_code: Callable[[bytes], str | None]
    judge: Callable[[Request, int], Judgement]
    """What the policy in force says of a request."""
    grants: Grants
    policy: Callable[[], Policy]
    """The one in force."""
    longest_grant: int
    """Seconds."""
    notifier: Notifier
    presence: Presence
    custody: Custody
    rotate: Callable[[str], Awaitable[str]]
    """(who): change the ledger's key; the new one's line."""
    render: Callable[[str], None] = lambda _: None
    """Have a session's recording rendered now."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    audience: set[Callable[[wire.Alert], None]] = field(default_factory=set)
    """Who hears of alerts."""

    crowd: set[Callable[[wire.Push], None]] = field(default_factory=set)
    """Who hears of who watches, of freezes, and of how channels stand."""

    def came_or_left(self, people: list[wire.PresenceInfo]) -> None:
        """Tell every console who watches."""
        self._push(wire.PresenceChanged(people=people))

    def channels(self) -> wire.ChannelsChanged:
        """How the notification channels stand."""
        return wire.ChannelsChanged(channels=self.notifier.infos())

    def channels_changed(self) -> None:
        """Tell every console how the notification channels stand."""
        self._push(self.channels())

    def freezes(self) -> wire.FreezesChanged:
        """What is frozen."""
        return wire.FreezesChanged(freezes=[freeze_info(each) for each in self.directory.access.freezes.values()])

    def _push(self, message: wire.Push) -> None:
        for tell in list(self.crowd):
            tell(message)

    def _apply(self, kind: str, body: Body) -> None:
        """It counts from now on, and consoles show it."""
        before = list(self.directory.access.freezes)
        self.directory.apply(kind, body)
        if before != list(self.directory.access.freezes):
            self._push(self.freezes())

    def watched(self, info: wire.RequestInfo) -> bool:
        """Whether somebody watches who may decide it, and has not put it aside."""
        now = self.clock.wall()
        aside = {by for by, until in info.snoozed if until > now}
        return any(
            name not in aside and (local or self.broker.may_approve(info.id, name))
            for name, local in self.presence.deciders()
        )

    def alert(self, kind: str, text: str) -> None:
        """Tell every console."""
        for tell in list(self.audience):
            tell(wire.Alert(kind=kind, text=text, at=self.clock.wall()))

    async def commit(self, kind: str, plan: Callable[[], Body], actor: str) -> Body:
        """Plan, write, apply: one change of the directory at a time. Raises what `plan` raises, and StoreError."""
        async with self.changing:
            body = plan()
            await self.audit.write(Draft(kind, actor, body))
            self._apply(kind, body)
            return body

    async def withdraw(
        self, kind: str, plan: Callable[[], Body], actor: str, then: Callable[[], None] | None = None
    ) -> Body:
        """As `commit`, for what takes something away: it counts no more from the moment that its entry is on its way,
        so that nothing that leans on it can stand behind it in the ledger. `then` follows at once.

        Should the entry not become durable, the ledger has failed, and the daemon stops.
        """
        async with self.changing:
            body = plan()
            written = self.audit.queue(Draft(kind, actor, body))
            self._apply(kind, body)
            if then is not None:
                then()
            await written
            return body
