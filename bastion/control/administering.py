"""Calls that administer: identities and targets."""

from __future__ import annotations

import asyncio

from bastion.control import wire
from bastion.control.house import House
from bastion.control.infos import identity_info, target_info
from bastion.control.server import Connection
from bastion.errors import NotFound

CUT_GRACE_SECONDS = 0.05
"""From telling a revoked identity's sessions to dropping its connections; the goal is 100 ms in all."""


class Administering:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_identities(self, _: wire.ListIdentities, __: Connection) -> object:
        """wire.ListIdentities"""
        return [identity_info(each) for each in self._house.directory.identities.values()]

    async def add_identity(self, call: wire.AddIdentity, connection: Connection) -> object:
        """wire.AddIdentity"""
        directory = self._house.directory
        await self._house.commit(
            "identity.added",
            lambda: directory.plan_identity(call.name, call.kind, call.roles, call.key),
            connection.caller.name,
        )
        return identity_info(directory.identities[call.name])

    async def revoke_identity(self, call: wire.RevokeIdentity, connection: Connection) -> object:
        """wire.RevokeIdentity"""
        house = self._house
        await self._house.commit(
            "identity.revoked",
            lambda: house.directory.plan_revocation(call.name, call.reason),
            connection.caller.name,
        )
        house.sessions.cut_where(lambda info: info.identity == call.name, f"identity {call.name} was revoked")
        asyncio.get_running_loop().call_later(CUT_GRACE_SECONDS, house.cut_connections, call.name)
        await house.broker.withdraw_left_behind(call.name, f"identity {call.name} was revoked")
        return identity_info(house.directory.identities[call.name])

    async def list_targets(self, _: wire.ListTargets, __: Connection) -> object:
        """wire.ListTargets"""
        return [target_info(each) for each in self._house.directory.targets.values()]

    async def add_target(self, call: wire.AddTarget, connection: Connection) -> object:
        """wire.AddTarget"""
        directory = self._house.directory
        await self._house.commit(
            "target.added",
            lambda: directory.plan_target(
                call.name, call.address, call.logins, call.env, call.host_keys, call.credential
            ),
            connection.caller.name,
        )
        return target_info(directory.targets[call.name])

    async def remove_target(self, call: wire.RemoveTarget, connection: Connection) -> object:
        """wire.RemoveTarget"""
        house = self._house
        gone = house.directory.targets.get(call.name)
        await self._house.commit(
            "target.removed", lambda: house.directory.plan_removal(call.name), connection.caller.name
        )
        house.sessions.cut_where(lambda info: info.target == call.name, f"target {call.name} was removed")
        house.drop_links(call.name)
        return target_info(gone) if gone is not None else None

    async def check_target(self, call: wire.CheckTarget, _: Connection) -> object:
        """wire.CheckTarget"""
        target = self._house.directory.targets.get(call.name)
        if target is None:
            raise NotFound(f"no target {call.name!r}", "`bastion target list` names them")
        return await self._house.probe(target)
