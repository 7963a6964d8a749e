"""An agent's paths, resolved by the target before anybody judges them; in directories yet to be made, by the batch.

Raises asyncssh.SFTPError for what no target could have, or this one cannot resolve.
"""

from __future__ import annotations

import asyncssh

from bastion.sftp import names
from bastion.sftp.far import Far
from bastion.sftp.settling import Settling

KERNEL = (b"/proc", b"/sys", b"/dev")
"""Not files but the kernel's own doors: nothing is written there."""


class Paths:
    """Of one channel."""

    def __init__(self, far: Far, settling: Settling) -> None:
        self._far, self._settling = far, settling

    def absolute(self, path: bytes) -> bytes:
        """As the client wrote it, from the root."""
        path = path or b"."
        whole = names.absolute(path, self._far.home)
        if reason := names.wrong(path) or names.wrong(whole):
            raise asyncssh.SFTPFailure(reason)
        return whole

    async def target(self, path: bytes) -> tuple[bytes, bytes]:
        """Where it leads with every link followed, and how it was asked for."""
        whole = self.absolute(path)
        return self._settling.batch.resolve(whole) or await self._far.real(whole), names.lexical(whole)

    async def name(self, path: bytes) -> tuple[bytes, bytes]:
        """The name itself in its resolved directory, for what acts on names."""
        whole = self.absolute(path)
        directory, name = names.split(whole)
        if name in (b"", b".."):
            return await self._far.real(whole), names.lexical(whole)
        directory = self._settling.batch.resolve(directory) or await self._far.real(directory)
        return names.join(directory, name), names.lexical(whole)


def writable(path: bytes) -> None:
    """Raises for a place where nothing is written."""
    if any(names.below(path, place) for place in KERNEL):
        raise asyncssh.SFTPPermissionDenied("bastion: nothing is written below /proc, /sys and /dev")
