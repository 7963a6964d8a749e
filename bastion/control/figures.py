"""Calls that tell how deciding goes: figures out of the ledger, and who watches."""

from __future__ import annotations

import asyncio

from bastion.control import wire
from bastion.control.connection import Connection
from bastion.control.house import House


class Figures:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._counting = asyncio.Semaphore(1)  # one at a time: it keeps one of the host's cores busy

    async def show_stats(self, call: wire.ShowStats, _: Connection) -> object:
        """wire.ShowStats"""
        async with self._counting:
            return await self._house.archive.stats(call)

    async def list_presence(self, _: wire.ListPresence, __: Connection) -> object:
        """wire.ListPresence"""
        return self._house.presence.infos()
