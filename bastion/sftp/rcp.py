"""The lines of scp's old protocol (rcp's; OpenSSH scp.c, sink and source): parsed strictly, made anew. Pure.

    T1700000000 0 1700000000 0     times of what comes next: modified, accessed; microseconds are dropped
    C0644 120 app.conf             a file: mode, bytes, name; its content follows, then a status
    D0755 0 conf.d                 into a directory
    E                              out of it

and, both ways, a status: a NUL byte for "fine", `\\x01` or `\\x02` and a sentence for a failure, the second fatal. No
line says where: a name is a single name, and the place is the far end's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bastion.sftp import names

LINE_LIMIT = 4096
"""Bytes of a line. OpenSSH takes 16 KiB; a name has 255, a sentence hardly more than a path."""

SIZE_LIMIT, TIME_LIMIT = (1 << 63) - 1, (1 << 32) - 1
"""Of a file, as off_t has it; of a date, as SFTP version 3 has it."""


class Malformed(ValueError):
    """Not a line of this protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class Copy:
    """`C`: a file comes."""

    mode: int
    size: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Enter:
    """`D`: what comes lies in this directory."""

    mode: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Leave:
    """`E`: the directory is done."""


@dataclass(frozen=True, slots=True)
class Times:
    """`T`: seconds since the epoch, of what comes next."""

    modified: int
    accessed: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Something failed at the other end."""

    text: bytes
    fatal: bool = False


Line = Copy | Enter | Leave | Times | Failure

_ENTRY = re.compile(rb"([CD])([0-7]{4}) ([0-9]{1,19}) (.+)", re.DOTALL)
_TIMES = re.compile(rb"T([0-9]{1,19}) ([0-9]{1,6}) ([0-9]{1,19}) ([0-9]{1,6})")


def parse(line: bytes) -> Line:
    """A line without its end. Raises Malformed."""
    if line[:1] in (b"\1", b"\2"):
        return Failure(line[1:], fatal=line[:1] == b"\2")
    if line == b"E":
        return Leave()
    if (times := _TIMES.fullmatch(line)) is not None:
        modified, accessed = int(times[1]), int(times[3])
        if max(modified, accessed) > TIME_LIMIT:
            raise Malformed("a date behind the year 2106, which SFTP cannot set")
        return Times(modified, accessed)
    if (entry := _ENTRY.fullmatch(line)) is None:
        raise Malformed("a line that scp does not send")
    kind, mode, size, name = entry.groups()
    if reason := wrong(name):
        raise Malformed(reason)
    if int(size) > SIZE_LIMIT:
        raise Malformed("a size that no file has")
    return Copy(int(mode, 8), int(size), name) if kind == b"C" else Enter(int(mode, 8), name)


def wrong(name: bytes) -> str:
    """Why this protocol cannot carry such a name; empty if it can."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        return "a name that is no single name"
    if b"\n" in name:
        return "a name with a line end in it"
    return "" if len(name) <= names.NAME_LIMIT else f"a name has at most {names.NAME_LIMIT} bytes"


def encode(line: Line) -> bytes:
    """With its end."""
    match line:
        case Copy():
            return b"C%04o %d %s\n" % (line.mode, line.size, line.name)
        case Enter():
            return b"D%04o 0 %s\n" % (line.mode, line.name)
        case Leave():
            return b"E\n"
        case Times():
            return b"T%d 0 %d 0\n" % (line.modified, line.accessed)
        case Failure():
            return (b"\2" if line.fatal else b"\1") + line.text + b"\n"


FINE = b"\0"
"""The status of what went well."""


def sentence(words: str) -> bytes:
    """For the text of a Failure: one line that does nothing to a terminal, and fits."""
    return names.shown(words.encode())[: LINE_LIMIT // 2].encode()
