"""Calls that tell what there is to know before deciding: earlier decisions on the like, what the agent's shell showed
lately, what the agent could do there anyway; and the policy in force.

Nothing here decides or changes anything. The shell's output is a look at what an agent did, so the first one of a
connection at a session is an entry of the ledger, as for watching.
"""

from __future__ import annotations

import asyncio

from bastion import likeness
from bastion.audit import Draft
from bastion.control import standing, wire
from bastion.control.connection import Connection
from bastion.control.house import House
from bastion.control.infos import freeze_info
from bastion.errors import NotFound, UsageError
from bastion.policy import explain
from bastion.policy import standing as judged

PAST_SHOWN = 5
"""Earlier requests in one answer."""

LOOKED_AT = 200
"""Ended requests that are looked at beside those in memory; reading one takes about 0.3 ms."""

COMMAND_SHOWN = 1024
"""Bytes of an earlier command in a row."""

ENDED = frozenset({"approved", "denied", "expired"})
"""States that somebody, or the time, decided."""


class Background:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reading = asyncio.Semaphore(1)
        self._noted: set[tuple[int, str]] = set()

    async def show_background(self, call: wire.ShowBackground, connection: Connection) -> object:
        """wire.ShowBackground"""
        house = self._house
        info = house.broker.info(call.request)
        if info is None:
            raise NotFound(f"no request {call.request!r} at the desk", "this takes the full id")
        earlier = await self._earlier(info)
        same, similar = _compared(info, earlier)
        past = [*same, *similar]
        access, damage = self._standing(info)
        return wire.BackgroundInfo(
            past=[_past(each, same=each in same) for each in past[:PAST_SHOWN]],
            same_approved=sum(each.state == "approved" for each in same),
            same_denied=sum(each.state == "denied" for each in same),
            looked_at=len(earlier),
            approved=next((each for each in past if each.state == "approved"), None),
            terminal=await self._terminal(info, connection),
            access=access,
            damage=damage,
        )

    async def _earlier(self, info: wire.RequestInfo) -> list[wire.RequestInfo]:
        """Ended requests, the newest first."""
        live = self._house.broker.infos()
        known = {each.id for each in live}
        async with self._reading:
            older = await self._house.archive.requests(LOOKED_AT, without=known)
        return [each for each in reversed([*older, *live]) if each.state in ENDED and each.id != info.id]

    async def _terminal(self, info: wire.RequestInfo, connection: Connection) -> list[wire.FrameInfo]:
        frames = self._house.sessions.recent(info.session) if info.sequence else []
        spot = (id(connection), info.session)
        if frames and spot not in self._noted:
            self._noted.add(spot)
            connection.on_close(lambda: self._noted.discard(spot))
            body = {"what": "live"}
            await self._house.audit.write(Draft("access.viewed", connection.caller.name, body, session=info.session))
        return frames

    def _standing(self, info: wire.RequestInfo) -> tuple[wire.AccessInfo | None, list[wire.DamageInfo]]:
        house = self._house
        identity = house.directory.identities.get(info.identity)
        target = house.directory.targets.get(info.target)
        if identity is None or target is None or identity.revoked or identity.decides:
            return None, []
        now = house.clock.wall()
        stands = standing.access_info(judged.standing(house.directory, identity, target, now))
        return stands, [standing.damage_info(each) for each in judged.blast(identity, target, house.policy(), now)]

    async def show_policy(self, _: wire.ShowPolicy, __: Connection) -> object:
        """wire.ShowPolicy"""
        policy = self._house.policy()
        if not policy.texts and policy.files:
            raise UsageError("the policy's text is not kept")
        return wire.PolicyInfo(
            name=policy.name,
            digest=policy.digest,
            texts=[(name, policy.texts[name]) for name in policy.files if name in policy.texts],
            sentences=[(str(where.place) if where else "", words) for where, words in explain.policy(policy)],
            freezes=[freeze_info(each) for each in self._house.directory.access.freezes.values()],
        )


def _compared(
    info: wire.RequestInfo, earlier: list[wire.RequestInfo]
) -> tuple[list[wire.RequestInfo], list[wire.RequestInfo]]:
    """The same, and the similar; each the newest first, of the same target before others."""
    mine = likeness.words(info.command)
    same, similar = [], []
    for each in earlier:
        if _what(each) == _what(info):
            same.append(each)
        elif each.kind == info.kind and likeness.alike(mine, likeness.words(each.command)) >= likeness.ALIKE:
            similar.append(each)
    similar.sort(key=lambda each: (each.target, each.identity) != (info.target, info.identity))
    return same, similar


def _what(info: wire.RequestInfo) -> tuple[object, ...]:
    return (info.command, info.identity, info.target, info.login, info.stdin_code, info.script_code, info.cwd)


def _past(info: wire.RequestInfo, *, same: bool) -> wire.PastInfo:
    choice = "deny" if info.state == "denied" else "approve"
    return wire.PastInfo(
        request=info.id,
        state=info.state,
        at=info.decided,
        by=[vote.by for vote in info.votes if vote.choice == choice],
        reason=info.decision_reason,
        status=info.status,
        identity=info.identity,
        login=info.login,
        target=info.target,
        command=info.command[:COMMAND_SHOWN],
        same=same,
    )
