"""Archives that every reader reads alike, and all others."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.zips import NotPlain, members


def made(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = more.get("comment", b"")
    return out.getvalue()


FILES = {"a/__init__.py": b"", "a/b.py": b"x = 1\n" * 100}
GOOD = made(FILES)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_what_zipfile_writes(method: int) -> None:
    assert members(made(FILES, method), files=2, size=600) == FILES


def test_limits() -> None:
    for files, size in ((1, 600), (2, 599)):
        with pytest.raises(NotPlain):
            members(GOOD, files=files, size=size)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a//b", "a/", "./a", ".hidden", "a\\b", "é", "a b", "-x", "a/../b", "x" * 256]
)
def test_names(name: str) -> None:
    with pytest.raises(NotPlain):
        members(made({name: b""}), files=9, size=9)
    with pytest.raises(NotPlain):
        members(made({"aXb": b""}).replace(b"aXb", b"a\0b"), files=9, size=9)  # zipfile would cut it


def test_twice_the_same_name() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(NotPlain):
        members(out.getvalue(), files=9, size=9)


def test_other_archives() -> None:
    streamed = io.BytesIO()

    class Unseekable(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return streamed.write(bytes(data))  # type: ignore[call-overload]

    with zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[type-var]
        archive.writestr("a", b"x")
    extra = zipfile.ZipInfo("a")
    extra.extra = b"\x75\x70\x04\x00name"
    with_extra = io.BytesIO()
    with zipfile.ZipFile(with_extra, "w") as archive:
        archive.writestr(extra, b"x")
    for data in (
        b"", b"PK", GOOD[:-1], GOOD + b"\0", b"#!/bin/sh\n" + GOOD, GOOD + GOOD, made({}), made(FILES, comment=b"x"),
        made(FILES, zipfile.ZIP_BZIP2), streamed.getvalue(), with_extra.getvalue(),
    ):  # fmt: skip
        with pytest.raises(NotPlain):
            members(data, files=9, size=9999)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_every_byte_counts(at: int, by: int) -> None:
    """One byte changed: refused, or the same files; but for names, which are the caller's to know."""
    changed = GOOD[:at] + bytes([GOOD[at] ^ by]) + GOOD[at + 1 :]
    try:
        found = members(changed, files=9, size=9999)
    except NotPlain:
        return
    assert found == FILES


@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    with pytest.raises(NotPlain):
        members(data, files=9, size=9)
