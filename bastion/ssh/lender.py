"""An approver's forwarded agent, on its way to the console: asked over the approver's own connection, one message at
a time, and only what `control.lending` permits.

The agent is the other end of a channel that this side opens (`auth-agent@openssh.com`), and that OpenSSH's client only
accepts after it asked for forwarding by itself (`ssh -A`). Each message gets a channel of its own: nothing stays open
in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import cast

import asyncssh
from asyncssh.stream import SSHReader, SSHUNIXStreamSession, SSHWriter

from bastion.control import lending
from bastion.control.lines import ByteReader, ByteWriter
from bastion.model import PublicKey

log = logging.getLogger(__name__)

WINDOW = 512 << 10
"""Of a channel to the agent: an answer of the largest size, twice."""


class Lender:
    """The agent behind one connection, for the keys of one identity."""

    def __init__(self, connection: asyncssh.SSHServerConnection, keys: Iterable[PublicKey]) -> None:
        self._connection = connection
        self._keys = frozenset(lending.blob_of(key) for key in keys)

    async def serve(self, reader: ByteReader, writer: ByteWriter) -> None:
        """Answer the borrower until it goes. Raises nothing but cancellation."""
        try:
            while (message := await lending.read_message(reader)) is not None:
                answer = lending.FAILURE
                if lending.permitted(message, self._keys):
                    answer = lending.narrowed(await self._ask(message), self._keys)
                else:
                    log.warning("a console asked a forwarded agent for something else than a decision: refused")
                writer.write(lending.frame(answer))
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _ask(self, message: bytes) -> bytes:
        """What the agent says; FAILURE where it says nothing."""
        try:
            async with asyncio.timeout(lending.SIGN_SECONDS):
                channel = self._connection.create_agent_channel(WINDOW, WINDOW // 2)
                session = cast(SSHUNIXStreamSession[bytes], await channel.open(SSHUNIXStreamSession))
                try:
                    SSHWriter[bytes](session, channel).write(lending.frame(message))
                    answer = await lending.read_message(SSHReader[bytes](session, channel))
                finally:
                    channel.close()
        except (OSError, asyncssh.Error, TimeoutError) as error:
            log.info("a forwarded agent does not answer: %s", error or type(error).__name__)
            return lending.FAILURE
        return answer if answer is not None else lending.FAILURE
