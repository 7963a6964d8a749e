"""Channel O of a governed shell: how the terminal is, and who reads a password from it. Opened when first asked.

Not protected: what the target says of itself. It decides what is masked, and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import asyncssh

from bastion.gate import driver, frames
from bastion.gate import shell_events as ev
from bastion.ssh.driver_channels import Channel, Owner

OBSERVE_SECONDS = 10.0
"""Until the observer answers. It takes about 30 ms."""

OBSERVED_LIMIT = 4096
"""Bytes of the observer's answers that are kept; one has less than a hundred."""


class Observer:
    """Asks one question at a time."""

    def __init__(
        self,
        owner: Owner,
        programs: driver.Programs,
        open_channel: Callable[[Channel, tuple[bytes, bytes]], Awaitable[None]],
    ) -> None:
        self._owner, self._programs, self._open = owner, programs, open_channel
        self.channel = Channel(owner, "O")
        self._one = asyncio.Lock()
        self._answer: asyncio.Future[list[str]] | None = None
        self._text = bytearray()
        self._asked = 0

    async def observe(self, made: frames.Made) -> ev.TtyChanged | None:
        """How the terminal of that shell is now; None where the target does not tell."""
        if not made.tty:
            return None
        async with self._one:
            try:
                async with asyncio.timeout(OBSERVE_SECONDS):
                    if self.channel.channel is None:
                        self.channel = Channel(self._owner, "O")
                        await self._open(self.channel, self._programs.observer(made.tty, made.pid))
                    self._asked += 1
                    self._answer = asyncio.get_running_loop().create_future()
                    self.channel.write(b"%d\n" % self._asked)
                    echo, canonical, owner = await self._answer
            except (TimeoutError, asyncssh.Error, OSError):
                return None
            finally:
                self._answer = None
        return ev.TtyChanged(echo == "1", canonical == "1", owner) if echo else None

    def renew(self) -> None:
        """Another shell is looked at from now on: it may have a terminal of its own (`sudo` with use_pty)."""
        self.closed()  # who waits for an answer about the other one gets none
        self.channel.drop()
        self.channel = Channel(self._owner, "O")

    def said(self, data: bytes) -> None:
        """Something came on its channel."""
        self._text = (self._text + data)[-OBSERVED_LIMIT:]
        for match in re.finditer(rb"^O;(\d+);([01]?);([01]);([a-z]*)\n", bytes(self._text), re.MULTILINE):
            waits = self._answer
            if int(match[1]) == self._asked and waits is not None and not waits.done():
                waits.set_result([field.decode() for field in match.groups()[1:]])
                self._text.clear()

    def closed(self) -> None:
        """Its channel is closed."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError("the observer ended"))
