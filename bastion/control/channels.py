"""Calls about notification channels: how they stand, and a test."""

from __future__ import annotations

from bastion.control import wire
from bastion.control.connection import Connection
from bastion.control.house import House


class Channels:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_channels(self, _: wire.ListChannels, __: Connection) -> object:
        """wire.ListChannels"""
        return self._house.notifier.infos()

    async def try_channels(self, call: wire.TryChannels, _: Connection) -> object:
        """wire.TryChannels"""
        return await self._house.notifier.test(call.names)
