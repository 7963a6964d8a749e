"""scp's far end against whatever a client says: nothing beside the place that was named, nothing left open."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.policy.copies import Scp
from bastion.sftp.sink import Sink
from bastion.sftp.stream import Stream


class Disk:
    """Files of a channel: a dictionary, in which `/to` is a directory."""

    def __init__(self) -> None:
        self.found: dict[bytes, bytes | None] = {b"/to": None}
        self.open_now: dict[bytes, bytearray] = {}
        self.seen: set[bytes] = set()

    async def stat(self, path: bytes) -> SFTPAttrs:
        if path not in self.found:
            raise asyncssh.SFTPNoSuchFile("no such file")
        return SFTPAttrs(permissions=0o040755 if self.found[path] is None else 0o100644)

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> bytes:
        self.seen.add(path)
        if self.found.get(path, b"") is None:
            raise asyncssh.SFTPFailure("that is a directory")
        self.open_now[path] = bytearray()
        return path

    async def write(self, opened: bytes, offset: int, data: bytes) -> int:
        assert offset == len(self.open_now[opened])
        self.open_now[opened] += data
        return len(data)

    async def fsetstat(self, opened: bytes, attrs: SFTPAttrs) -> None:
        assert opened in self.open_now

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        assert self.found[path] is None

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        self.seen.add(path)
        self.found[path] = None

    async def close(self, opened: bytes) -> None:
        self.found[opened] = bytes(self.open_now.pop(opened))

    async def drop(self, opened: bytes) -> None:
        del self.open_now[opened]


class Told:
    """The client's end."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


NAMES = st.sampled_from([b"a", b"b", b"..", b".", b"", b"x/y", b"/to", b"a\0", b"n" * 300, b"sub"])
CONTENT = st.binary(max_size=5)
SAID = st.one_of(
    st.builds(lambda name, data: b"C0644 %d %s\n%s\0" % (len(data), name, data), NAMES, CONTENT),
    st.builds(lambda name, data: b"C0644 %d %s\n%s\1gone\n" % (len(data) + 1, name, data + b"x"), NAMES, CONTENT),
    st.builds(lambda name: b"D0755 0 %s\n" % name, NAMES),
    st.sampled_from([b"E\n", b"T1 0 1 0\n", b"\1no\n", b"\2no\n", b"\0", b"C", b"C0644 9 a\n", b"x\n", b""]),
    st.binary(max_size=8),
)


@given(st.lists(SAID, max_size=8), st.lists(st.integers(1, 9), max_size=30), st.booleans(), st.booleans())
@example([b"D0755 0 sub\n", b"C0644 1 a\nx\0", b"E\n"], [], True, True)
def test_whatever_is_said(said: list[bytes], pieces: list[int], recursive: bool, preserves: bool) -> None:
    rest, sizes = bytearray(b"".join(said)), list(pieces)

    async def read(most: int) -> bytes:
        size = min(most, sizes.pop(0) if sizes else 1 << 20)
        given = bytes(rest[:size])
        del rest[:size]
        return given

    disk, told = Disk(), Told()
    call = Scp(False, (b"/to",), recursive=recursive, preserves=preserves)
    files: Any = disk
    writer: Any = told
    sink = Sink(files, call, Stream(read), writer, 4)
    asyncio.run(sink.run())
    assert disk.open_now == {}
    assert all(path.startswith(b"/to/") and b".." not in path.split(b"/") for path in disk.seen)
    assert all(len(content or b"") <= 4 for content in disk.found.values())
    assert told.data.startswith(b"\0")
    if sink.trouble:
        assert told.data.endswith(b"\n")
    if not recursive:
        assert all(path.count(b"/") == 2 for path in disk.seen)
