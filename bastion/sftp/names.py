"""Paths as clients and targets spell them: checked, made absolute, and made harmless to show. Pure.

A path is bytes from end to end: Linux knows no other, and a name that is no UTF-8 is a name. Three forms of it are made
here: absolute with its `..` in place (what the target resolves), lexical without them (what it looks like, for policy
and people, when links are not followed), and text. Whether a `..` climbs out of a link only the target can say.
"""

from __future__ import annotations

import posixpath
import re

PATH_LIMIT = 4095
"""Bytes of a path: PATH_MAX of Linux (limits.h) less its NUL."""

NAME_LIMIT = 255
"""Bytes of one name in it: NAME_MAX of Linux."""

_PLAIN = re.compile(rb"[ -\[\]-~]*")
"""Printable ASCII without the backslash."""


def wrong(path: bytes) -> str:
    """Why no target could have such a path; empty if one could."""
    if not path:
        return "an empty path"
    if b"\0" in path:
        return "a path with a NUL byte"
    if len(path) > PATH_LIMIT:
        return f"a path has at most {PATH_LIMIT} bytes, this one {len(path)}"
    if any(len(name) > NAME_LIMIT for name in path.split(b"/")):
        return f"a name has at most {NAME_LIMIT} bytes"
    return ""


def absolute(path: bytes, home: bytes) -> bytes:
    """From the root, without `//` and `/./`; every `..` stays, since links decide where it leads."""
    whole = path if path.startswith(b"/") else home + b"/" + path
    return b"/" + b"/".join(name for name in whole.split(b"/") if name not in (b"", b"."))


def lexical(path: bytes) -> bytes:
    """An absolute path with every `..` taken as the name before it taken away."""
    return posixpath.normpath(b"/" + path.lstrip(b"/"))


def settled(path: bytes) -> bool:
    """Whether this is what a target may answer when it resolves a path: absolute, nothing left to resolve by name."""
    return path.startswith(b"/") and not wrong(path) and lexical(path) == path


def split(path: bytes) -> tuple[bytes, bytes]:
    """Directory and last name of an absolute path; the name is empty for the root."""
    directory, _, name = path.rpartition(b"/")
    return directory or b"/", name


def join(directory: bytes, name: bytes) -> bytes:
    """The name in that directory."""
    return directory.rstrip(b"/") + b"/" + name


def below(path: bytes, directory: bytes) -> bool:
    """Whether it is the directory itself, or in it."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def shown(path: bytes) -> str:
    """Printable ASCII, injective: every other byte, and the backslash, as `\\xNN`."""
    if _PLAIN.fullmatch(path):
        return path.decode("ascii")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in path)


def text(path: bytes) -> str:
    """As policy compares it: Unicode where it is UTF-8, other bytes as `\\xNN`."""
    return path.decode("utf-8", "backslashreplace")
