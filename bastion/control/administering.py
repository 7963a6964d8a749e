"""Calls that administer: identities, targets, grants, freezes, groups.

What can be wished for is the table of control.wishes; here is what the daemon does beside writing the entry: it cuts
what may no longer run, in the moment in which the entry is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bastion.control import wire
from bastion.control.connection import Connection
from bastion.control.house import House
from bastion.control.infos import freeze_info, grant_info, group_info, identity_info, target_info
from bastion.control.standing import blasted, listed
from bastion.control.wishes import WISHES, Context
from bastion.errors import NotFound

CUT_GRACE_SECONDS = 0.05
"""From telling a revoked identity's sessions to dropping its connections; the goal is 100 ms in all."""


class Administering:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def perform(self, call: wire.Call, connection: Connection) -> object:
        """Any call of the table of wishes."""
        house, wish = self._house, WISHES[type(call)]
        context = Context(connection.caller.name, house.clock.wall(), house.longest_grant)
        before: list[object] = []

        def plan() -> dict[str, object]:
            body = wish.plan(call, house.directory, context)
            if wish.gone:
                before.append(wish.answer(house.directory, body))
            return body

        if wish.taking:
            body = await house.withdraw(wish.entry, plan, context.actor, self._at_once(call))
        else:
            body = await house.commit(wish.entry, plan, context.actor)
        await self._afterwards(call, body)
        return before[0] if before else wish.answer(house.directory, body)

    def _at_once(self, call: wire.Call) -> Callable[[], None]:
        """What follows in the very moment in which something is taken away."""
        house = self._house

        def then() -> None:
            match call:
                case wire.RevokeIdentity(name=name):
                    reason = f"identity {name} was revoked"
                    house.broker.disown(name)
                    house.sessions.cut_where(lambda info: info.identity == name, reason)
                    asyncio.get_running_loop().call_later(CUT_GRACE_SECONDS, house.cut_connections, name)
                case wire.RemoveTarget(name=name):
                    house.sessions.cut_where(lambda info: info.target == name, f"target {name} was removed")
                    house.drop_links(name)
                case wire.RevokeGrant():
                    house.grants.enforce("the grant was revoked")
                case wire.SetFreeze():
                    self._cut_frozen(call)
                case _:
                    pass

        return then

    def _cut_frozen(self, call: wire.SetFreeze) -> None:
        house = self._house

        def covered(info: wire.SessionInfo) -> bool:
            target = house.directory.targets.get(info.target)
            env = target.env if target is not None else ""
            return call.scope == "all" or call.name == (info.target if call.scope == "target" else env)

        house.sessions.cut_where(covered, f"frozen: {call.reason}", forwards=not call.cut)

    async def _afterwards(self, call: wire.Call, body: dict[str, object]) -> None:
        """What follows once the entry is durable."""
        house = self._house
        told = _words(call, body)
        if told:
            house.alert(WISHES[type(call)].entry, told)
        match call:
            case wire.RevokeIdentity(name=name):
                await house.broker.write_disowned(name)
                await house.broker.withdraw_left_behind(
                    lambda request: request.identity == name, f"identity {name} was revoked"
                )
            case wire.RemoveTarget(name=name):
                await house.broker.withdraw_left_behind(
                    lambda request: request.target == name, f"target {name} was removed"
                )
            case wire.RevokeGrant():
                await house.grants.withdraw_barred()
            case wire.AddGrant():
                house.grants.arm(str(body["id"]))
            case _:
                pass

    async def list_identities(self, _: wire.ListIdentities, __: Connection) -> object:
        """wire.ListIdentities"""
        return [identity_info(each) for each in self._house.directory.identities.values()]

    async def list_targets(self, _: wire.ListTargets, __: Connection) -> object:
        """wire.ListTargets"""
        return [target_info(each) for each in self._house.directory.targets.values()]

    async def list_grants(self, _: wire.ListGrants, __: Connection) -> object:
        """wire.ListGrants"""
        access, now = self._house.directory.access, self._house.clock.wall()
        return [
            grant_info(each, in_force=each.id not in access.suspended and now < each.expires)
            for each in access.grants.values()
        ]

    async def list_freezes(self, _: wire.ListFreezes, __: Connection) -> object:
        """wire.ListFreezes"""
        return [freeze_info(each) for each in self._house.directory.access.freezes.values()]

    async def list_groups(self, _: wire.ListGroups, __: Connection) -> object:
        """wire.ListGroups"""
        return [group_info(*each) for each in sorted(self._house.directory.access.groups.items())]

    async def list_access(self, _: wire.ListAccess, __: Connection) -> object:
        """wire.ListAccess"""
        return listed(self._house.directory, self._house.clock.wall())

    async def review_access(self, call: wire.ReviewAccess, _: Connection) -> object:
        """wire.ReviewAccess"""
        return await self._house.archive.reviewed(
            self._house.directory, self._house.clock.wall() - max(0, call.seconds_unused) * 1_000_000
        )

    async def blast(self, call: wire.Blast, _: Connection) -> object:
        """wire.Blast"""
        house = self._house
        return blasted(house.directory, house.policy(), call.identity, house.clock.wall())

    async def check_target(self, call: wire.CheckTarget, _: Connection) -> object:
        """wire.CheckTarget"""
        target = self._house.directory.targets.get(call.name)
        if target is None:
            raise NotFound(f"no target {call.name!r}", "`bastion target list` names them")
        return await self._house.probe(target)


def _words(call: wire.Call, body: dict[str, object]) -> str:
    """What everybody who watches is told of it at once; empty: nothing."""
    match call:
        case wire.RevokeIdentity(name=name, reason=reason):
            return f"identity {name} was revoked: {reason}"
        case wire.RemoveTarget(name=name):
            return f"target {name} was removed"
        case wire.RevokeGrant(reason=reason):
            return f"grant {body['id']} was revoked: {reason}"
        case wire.RemoveWhitelist():
            return f"whitelist entry {body['id']} was removed"
        case wire.SetFreeze(name=name, mode=mode, reason=reason):
            return f"{name or 'everything'} is frozen ({mode}): {reason}"
        case wire.LiftFreeze(reason=reason):
            return f"freeze {body['id']} is lifted: {reason}"
        case _:
            return ""
