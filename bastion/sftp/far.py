"""The target's end: its SFTP server over one channel, asked with paths that were resolved before.

Theory of operation. Everything that is asked of a target goes through here, with absolute paths as bytes. What it
answers is not trusted: a resolved path must be absolute and have nothing left in it to resolve, names in a listing must
be names, no file is read past the limit that the caller names.

Raises asyncssh.SFTPError as the target reports it; SFTPConnectionLost when it is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs, SFTPName, start_sftp_client

from bastion.sftp import names
from bastion.sftp.changes import NOTHING, Found, There
from bastion.sftp.staging import Staged
from bastion.ssh import algorithms

READ_BLOCK = 255 << 10
"""Bytes asked for at once: what OpenSSH's sftp-server gives and takes at most (SFTP_MAX_READ_LENGTH)."""

READS_AHEAD = 16
"""Blocks under way when a whole file is read: 4 MiB, which fills 100 Mbit/s at 300 ms."""

_TYPES = {stat.S_IFREG: There.FILE, stat.S_IFDIR: There.DIRECTORY, stat.S_IFLNK: There.SYMLINK}

GONE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


async def served(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    """The SFTP server of a connection, on a channel that takes as much at once as a command's."""
    writer, reader, _ = await connection.open_session(
        subsystem="sftp", encoding=None, send_env=None, window=algorithms.WINDOW, max_pktsize=algorithms.PACKET
    )
    loop = asyncio.get_running_loop()
    return await start_sftp_client(connection, loop, "backslashreplace", reader, writer, None, "strict", 3)


class Moved(Exception):
    """The target does not have what was there before; the message says what."""


class Far:
    """One target's SFTP server."""

    def __init__(self, client: asyncssh.SFTPClient) -> None:
        self.client = client
        self.raw: Any = client._handler
        """asyncssh's packets, for what is read and written in blocks."""
        self.home = b"/"

    async def begin(self) -> None:
        """Ask where relative paths begin."""
        self.home = await self.real(b".")

    @property
    def block(self) -> int:
        """Bytes that are read and written at once."""
        limits = self.client.limits
        return min(READ_BLOCK, limits.max_read_len, limits.max_write_len)

    async def real(self, path: bytes) -> bytes:
        """The path without links; what its last name stands for need not exist."""
        answer = await self.raw.realpath(path)
        found = bytes(answer[0][0].filename) if len(answer[0]) == 1 else b""
        if not names.settled(found):
            raise asyncssh.SFTPBadMessage("the target resolves this path to something that is no path")
        return found

    async def attributes(self, path: bytes, *, follow: bool = False) -> SFTPAttrs | None:
        """Of what is there; None if there is nothing."""
        try:
            return await (self.client.stat(path) if follow else self.client.lstat(path))
        except GONE:
            return None

    async def found(self, path: bytes) -> Found:
        """What is there, its content not read."""
        attrs = await self.attributes(path)
        if attrs is None:
            return NOTHING
        found = found_of(attrs)
        if found.there is There.SYMLINK:
            return replace(found, points=bytes(await self.client.readlink(path)))
        return found

    async def blocks(self, path: bytes, limit: int) -> AsyncIterator[bytes]:
        """The content of a file in order. Raises Moved when it is longer than `limit`."""
        handle = await self.raw.open(path, asyncssh.FXF_READ, SFTPAttrs())
        waiting: list[asyncio.Task[bytes]] = []
        loop, size, asked, got = asyncio.get_running_loop(), self.block, 0, 0
        try:
            while True:
                while len(waiting) < READS_AHEAD:
                    task = loop.create_task(self.read(handle, asked, size), name="sftp read")
                    waiting.append(task)
                    asked += size
                block = await waiting.pop(0)
                if not block:
                    return
                got += len(block)
                if got > limit:
                    raise Moved(f"it has more than {limit} bytes")
                yield block
                if len(block) < size:  # short of what was asked: what was asked behind it does not fit on
                    await _drop(waiting)
                    asked = got
        finally:
            await _drop(waiting)
            await self.raw.close(handle)

    async def read(self, handle: bytes, offset: int, size: int) -> bytes:
        """One block; empty at the end."""
        try:
            data, _ = await self.raw.read(handle, offset, size)
        except asyncssh.SFTPEOFError:
            return b""
        if len(data) > size:
            raise asyncssh.SFTPBadMessage("the target sent more than it was asked for")
        return bytes(data)

    async def digest(self, path: bytes, limit: int, keep: int) -> tuple[str, bytes, int]:
        """SHA-256 (hex) of a file, its first `keep` bytes, and its size. Raises Moved past `limit`."""
        digest, begin, size = hashlib.sha256(), bytearray(), 0
        async for block in self.blocks(path, limit):
            digest.update(block)
            size += len(block)
            if len(begin) < keep:
                begin += block[: keep - len(begin)]
        return digest.hexdigest(), bytes(begin), size

    async def hash(self, path: bytes, limit: int) -> str:
        """SHA-256 (hex) of a file. Raises Moved past `limit`."""
        return (await self.digest(path, limit, 0))[0]

    async def fetch(self, path: bytes, into: Staged, limit: int) -> None:
        """Copy a file into a staged one. Raises Conflict past a limit."""
        at = 0
        async for block in self.blocks(path, limit):
            into.write(at, block)
            at += len(block)

    async def listing(self, path: bytes) -> AsyncIterator[SFTPName]:
        """The names in a directory; `.` and `..` among them, as servers send them."""
        async for entry in self.client.scandir(path):
            name = filename(entry)
            if b"/" not in name and b"\0" not in name:
                yield entry


def filename(entry: SFTPName) -> bytes:
    """Its name. asyncssh types it as bytes or text; as these clients are opened, it is bytes."""
    return entry.filename if isinstance(entry.filename, bytes) else entry.filename.encode()


def found_of(attrs: SFTPAttrs) -> Found:
    """What attributes say."""
    return Found(
        kind_of(attrs),
        attrs.size or 0,
        stat.S_IMODE(attrs.permissions or 0),
        (attrs.uid, attrs.gid) if attrs.uid is not None and attrs.gid is not None else None,
        attrs.mtime or 0,
    )


def kind_of(attrs: SFTPAttrs) -> There:
    """What the target says that it is. Without permissions it is not known to be a file."""
    return _TYPES.get(stat.S_IFMT(attrs.permissions or 0), There.OTHER)


async def _drop(tasks: list[asyncio.Task[bytes]]) -> None:
    dropped, tasks[:] = list(tasks), []
    for task in dropped:
        task.cancel()
    await asyncio.gather(*dropped, return_exceptions=True)
