"""SFTP packets of an agent (draft-ietf-secsh-filexfer-02), on asyncssh's decoding: in order, bounded, nothing unknown.

Theory of operation. asyncssh's handler decodes each packet and calls `files.Files`; here stands what it must not do,
and in which order things are answered. A table names what is taken; what has no row is answered "unsupported", also
what asyncssh would do. Reads go out to the target as they come and are answered in their order, so that a
far target is read at full speed; everything else waits until the reads before it are answered. While a request is held,
nothing further is read from the client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import asyncssh
from asyncssh.constants import (
    FXP_CLOSE,
    FXP_DATA,
    FXP_EXTENDED,
    FXP_FSETSTAT,
    FXP_FSTAT,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
    FXP_READLINK,
    FXP_REALPATH,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_RMDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_STATUS,
    FXP_SYMLINK,
    FXP_WRITE,
)
from asyncssh.packet import SSHPacket, String, UInt32
from asyncssh.sftp import SFTPError, SFTPLimits, SFTPServerHandler

from bastion.sftp.far import READ_BLOCK

MESSAGE_LIMIT = (256 << 10) + 1024
"""Bytes of one packet: OpenSSH takes 256 KiB (SFTP_MAX_MSG_LENGTH)."""

HANDLES_LIMIT = 64
"""Files and directories open at once; OpenSSH's own clients have one."""

READS_LIMIT = 64
"""Reads of one client that are under way; OpenSSH's sftp sends 64."""

EXTENSIONS = (
    b"posix-rename@openssh.com",
    b"hardlink@openssh.com",
    b"fsync@openssh.com",
    b"limits@openssh.com",
    b"statvfs@openssh.com",
)
"""What is offered and taken (PROTOCOL of OpenSSH, section 4). copy-data and lsetstat are not: they would be two more
ways to say what others say."""

_VERSIONS = {b"statvfs@openssh.com": b"2"}

_TAKEN = (
    *(FXP_OPEN, FXP_CLOSE, FXP_WRITE, FXP_LSTAT, FXP_FSTAT, FXP_SETSTAT, FXP_FSETSTAT, FXP_OPENDIR, FXP_READDIR),
    *(FXP_REMOVE, FXP_MKDIR, FXP_RMDIR, FXP_REALPATH, FXP_STAT, FXP_RENAME, FXP_READLINK, FXP_SYMLINK),
    *EXTENSIONS,
)


class Handler(SFTPServerHandler):
    """One channel's SFTP."""

    _extensions = [(name, _VERSIONS.get(name, b"1")) for name in EXTENSIONS]  # noqa: RUF012 -- looked up by asyncssh

    def __init__(self, files: Any, reader: Any, writer: Any) -> None:
        super().__init__(files, reader, writer, 3)
        self._files = files
        self._reads: deque[tuple[int, asyncio.Task[bytes]]] = deque()
        self._answering: asyncio.Task[None] | None = None
        self.trouble = ""
        """Why the client's bytes could not be followed any further."""
        self.status = 0
        """Each failure was an answer of its own."""

    async def recv_packet(self) -> SSHPacket:
        """The next packet; one that is too long ends the channel."""
        reader = self._reader
        if reader is None:
            raise EOFError
        size = int.from_bytes(await reader.readexactly(4), "big")
        if not 0 < size <= MESSAGE_LIMIT:
            raise asyncssh.SFTPBadMessage(f"a packet of {size} bytes")
        return SSHPacket(await reader.readexactly(size))

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """In order; see the file's header."""
        kind: int | bytes = pkttype
        if pkttype == FXP_EXTENDED:
            kind = SSHPacket(packet.get_remaining_payload()).get_string()
        self._files.asked(kind)
        if pkttype == FXP_READ:
            await self._take_read(pktid, packet)
            return
        await self.settle()
        if kind in (FXP_OPEN, FXP_OPENDIR) and len(self._file_handles) + len(self._dir_handles) >= HANDLES_LIMIT:
            self._fail(pktid, asyncssh.SFTPFailure(f"at most {HANDLES_LIMIT} files are open at once"))
            return
        await super()._process_packet(pkttype, pktid, packet)
        await self._files.pace()

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        packet.check_end()
        return SFTPLimits(MESSAGE_LIMIT, READ_BLOCK, READ_BLOCK, HANDLES_LIMIT)

    _packet_handlers = {  # noqa: RUF012 -- looked up by asyncssh
        **{each: SFTPServerHandler._packet_handlers[each] for each in _TAKEN},
        b"limits@openssh.com": cast(Any, _process_limits),
    }

    # --- reads ------------------------------------------------------------------------------------------------------

    async def _take_read(self, pktid: int, packet: SSHPacket) -> None:
        handle, offset, size = packet.get_string(), packet.get_uint64(), packet.get_uint32()
        packet.check_end()
        opened = self._file_handles.get(handle)
        if opened is None:
            await self.settle()
            self._fail(pktid, asyncssh.SFTPInvalidHandle("no such handle"))
            return
        while len(self._reads) >= READS_LIMIT:
            await self._answer_one()
        work = self._files.read(opened, offset, min(size, READ_BLOCK))
        self._reads.append((pktid, asyncio.get_running_loop().create_task(work, name="sftp read")))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.get_running_loop().create_task(self._answer(), name="sftp answers")

    async def _answer(self) -> None:
        """Answer what was asked for, in its order, as the target and the client allow."""
        while self._reads:
            await self._answer_one()

    async def _answer_one(self) -> None:
        """The oldest read. Two may wait here for the same one; whoever comes first answers it."""
        pktid, task = self._reads[0]
        await asyncio.wait([task])
        if not self._reads or self._reads[0][1] is not task:
            return
        self._reads.popleft()
        try:
            data = task.result()
            if not data:
                raise asyncssh.SFTPEOFError
            self.send_packet(FXP_DATA, pktid, UInt32(pktid), String(data))
        except SFTPError as error:
            self._fail(pktid, error)
        except asyncio.CancelledError:
            return
        await self._files.pace()

    async def settle(self) -> None:
        """Until every read is answered."""
        while self._reads:
            await self._answer_one()

    def _fail(self, pktid: int, error: SFTPError) -> None:
        self.send_packet(FXP_STATUS, pktid, UInt32(pktid), error.encode(self._version))

    # --- the end ----------------------------------------------------------------------------------------------------

    async def _cleanup(self, exc: Exception | None) -> None:
        """The client is done, or cannot be followed: what is open is dropped. The session ends the channel."""
        if exc is not None:
            self.trouble = getattr(exc, "reason", "") or str(exc) or type(exc).__name__
        await self.stop()
        self._reader = None

    async def stop(self) -> None:
        """No more reads; nothing stays open."""
        for _, task in self._reads:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._reads), return_exceptions=True)
        self._reads.clear()
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)
        for opened in list(self._file_handles.values()):
            await self._files.drop(opened)
        self._file_handles.clear()
        self._dir_handles.clear()
