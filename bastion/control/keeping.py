"""Calls that keep recordings or let go of them: redaction, holds, retention, the ledger's key.

The work is done in threads (custody.py); here is who asks, and with what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bastion.control import signing, wire
from bastion.control.connection import Connection
from bastion.control.house import House
from bastion.custody import Hold, Old, admins_of, secrets_in
from bastion.errors import UsageError
from bastion.model import Identity
from recorder import redacting
from recorder.orders import ranges_text
from recorder.redacting import Choose

REACH = 8 << 10
"""Bytes before a frame that are looked at for a secret that goes on in it."""


class Keeping:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def plan_redaction(self, call: wire.PlanRedaction, _: Connection) -> object:
        """wire.PlanRedaction"""
        custody, choose = self._house.custody, _choose(call)
        plan = await asyncio.to_thread(custody.plan, call.session, choose) if choose is not None else None
        states = {name: await self._state(name) for name in call.contents}
        contents = await asyncio.to_thread(custody.contents, call.session, call.contents, states.__getitem__)
        return wire.RedactionInfo(
            session=call.session,
            frames=ranges_text(plan.frames) if plan else "",
            contents=list(contents),
            count=plan.count if plan else 0,
            bytes=plan.bytes if plan else 0,
            people=custody.people,
        )

    async def _state(self, request: str) -> str:
        live = next((info for info in self._house.broker.infos() if info.id == request), None)
        return (live or await self._house.archive.request(request)).state

    async def redact(self, call: wire.Redact, connection: Connection) -> object:
        """wire.Redact"""
        house, caller = self._house, connection.caller
        admins = admins_of(house.directory.identities.values())
        order = await asyncio.to_thread(
            house.custody.redact, call.statement, call.signatures, admins, _whose,
            "" if caller.local else caller.name, house.clock.wall(),
        )  # fmt: skip
        for request in await asyncio.to_thread(house.custody.requests, order.contents):
            house.broker.register.forget(request)
        return wire.RedactionInfo(
            session=order.session,
            frames=ranges_text(order.frames),
            contents=list(order.contents),
            count=0,
            bytes=0,
            people=house.custody.people,
        )

    async def place_hold(self, call: wire.PlaceHold, connection: Connection) -> object:
        """wire.PlaceHold"""
        who = connection.caller.name
        return _info(await asyncio.to_thread(self._house.custody.hold, call.session, call.reason, who))

    async def lift_hold(self, call: wire.LiftHold, connection: Connection) -> object:
        """wire.LiftHold"""
        who = connection.caller.name
        return _info(await asyncio.to_thread(self._house.custody.release, call.session, call.reason, who))

    async def list_holds(self, _: wire.ListHolds, __: Connection) -> object:
        """wire.ListHolds"""
        return [_info(hold) for hold in await asyncio.to_thread(self._house.custody.holds)]

    async def run_retention(self, call: wire.RunRetention, _: Connection) -> object:
        """wire.RunRetention"""
        custody, now = self._house.custody, self._house.clock.wall()
        if call.dry:
            old = await asyncio.to_thread(custody.old, now)
            return wire.RetentionInfo(recordings=list(map(_old, old)), freed=0, whole=True)
        gone, freed = await asyncio.to_thread(custody.expire, now)
        return wire.RetentionInfo(recordings=list(map(_old, gone)), freed=freed.bytes, whole=freed.whole)

    async def rotate_key(self, _: wire.RotateKey, connection: Connection) -> object:
        """wire.RotateKey"""
        return await self._house.rotate(connection.caller.name)


def _choose(call: wire.PlanRedaction) -> Choose | None:
    """Raises UsageError."""
    ways = [call.last >= 0, bool(call.request), bool(call.text), call.secrets]
    if sum(ways) > 1 or not (any(ways) or call.contents):
        raise UsageError("what shall go: a time, a request, a text, or secrets", "one of them")
    if call.last >= 0:
        return redacting.between(call.first, call.last)
    if call.request:
        return redacting.while_running(call.request)
    if call.text:
        return redacting.holding(call.text)
    return redacting.where(secrets_in, REACH) if call.secrets else None


def _whose(statement: bytes, signature: str, admins: Iterable[Identity]) -> Identity | None:
    keys = {key: each for each in admins for key in each.keys}
    key = signing.verify(statement, signature, wire.REDACTION_NAMESPACE, keys)
    return keys[key] if key is not None else None


def _info(hold: Hold) -> wire.HoldInfo:
    return wire.HoldInfo(session=hold.session, reason=hold.reason, by=hold.by, since=hold.since)


def _old(each: Old) -> wire.OldInfo:
    return wire.OldInfo(session=each.session, env=each.env, ended=each.ended)
