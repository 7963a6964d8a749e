"""A zip archive that every reader reads alike, or an error. Pure.

Theory of operation. Readers of zip differ in what they make of prefixes, gaps, comments, doubled names, extra fields,
and names that differ between the two places where they stand; so what one of them shows need not be what another runs.
Here an archive is what `zipfile` writes from memory, byte for byte, and nothing else (APPNOTE.TXT 6.3):

    (local header, data)…   in order, without a gap, from the first byte on
    (central header)…       the same order, the same fields, no comment, no extra field
    end of central directory, no comment, to the last byte

Names are plain relative paths of ASCII, each once; data is stored or deflated, of exactly the size and CRC that is
said. Only dates are free.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

LOCAL, CENTRAL, END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
STORED, DEFLATED = 0, 8
VERSION = 20
"""To extract what is deflated (4.4.3)."""
FREE_FLAGS = 0
"""No encryption, no data descriptor, names in ASCII."""

_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)
NAME_LIMIT = 255
"""Bytes."""


class NotPlain(ValueError):
    """Not such an archive."""


def members(packed: bytes, *, files: int, size: int) -> dict[str, bytes]:
    """What is in it: at most so many files, and so many bytes of them all. Raises NotPlain."""
    try:
        return dict(_members(packed, files, size))
    except (struct.error, zlib.error, IndexError) as error:
        raise NotPlain(str(error)) from None


def _members(packed: bytes, files: int, size: int) -> Iterator[tuple[str, bytes]]:
    _demand(len(packed) >= END.size, "too short")
    end = END.unpack_from(packed, len(packed) - END.size)
    _, disk, start_disk, here, count, length, start, comment = end
    _demand(end[0] == b"PK\5\6" and (disk, start_disk, comment) == (0, 0, 0) and here == count, "no plain end")
    _demand(0 < count <= files and start + length == len(packed) - END.size, "no plain directory")
    at, central, seen = 0, start, set()
    for _ in range(count):
        name, fields, data, at = _local(packed, at, size)
        _demand(name not in seen, "a name is there twice")
        seen.add(name)
        begun, central = central, _central(packed, central, name, fields)
        _demand(CENTRAL.unpack_from(packed, begun)[16] == at - fields[-1], "another place than its own")
        size -= len(data)
        yield name.decode("ascii"), data
    _demand(at == start and central == start + length, "something in between")


Fields = tuple[int, ...]


def _local(packed: bytes, at: int, room: int) -> tuple[bytes, Fields, bytes, int]:
    """Name, fields that the directory repeats with the length of it all, data, where the next one begins."""
    signature, version, flags, method, time, date, crc, packed_size, size, named, extra = LOCAL.unpack_from(packed, at)
    _demand(signature == b"PK\3\4" and version == VERSION and flags == FREE_FLAGS and extra == 0, "no plain header")
    _demand(size <= room and method in (STORED, DEFLATED), "too much, or packed in another way")
    begin = at + LOCAL.size + named
    name, raw = packed[at + LOCAL.size : begin], packed[begin : begin + packed_size]
    _demand(named <= NAME_LIMIT and len(raw) == packed_size and _NAME.fullmatch(name) is not None, "no plain name")
    data = _unpacked(raw, size) if method == DEFLATED else raw
    _demand(len(data) == size and zlib.crc32(data) == crc, "another content than is said")
    after = begin + packed_size
    return name, (method, time, date, crc, packed_size, size, named, after - at), data, after


def _unpacked(raw: bytes, size: int) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflating.decompress(raw, size + 1)
    _demand(
        inflating.eof and not inflating.unused_data and not inflating.unconsumed_tail, "more, or less, than is said"
    )
    return data


def _central(packed: bytes, at: int, name: bytes, fields: Fields) -> int:
    """Where the next header of the directory begins."""
    found = CENTRAL.unpack_from(packed, at)
    _, _, version, flags, *repeated = found[:11]
    extra, comment, disk = found[11:14]
    _demand(found[0] == b"PK\1\2" and version == VERSION and flags == FREE_FLAGS, "no plain directory")
    _demand((extra, comment, disk) == (0, 0, 0) and tuple(repeated) == fields[:-1], "another header than its own")
    begin = at + CENTRAL.size
    _demand(packed[begin : begin + len(name)] == name, "another name than its own")
    return begin + len(name)


def _demand(condition: bool, why: str) -> None:
    if not condition:
        raise NotPlain(why)
