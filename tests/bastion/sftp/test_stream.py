"""Lines, statuses and content of a client, in whatever pieces they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.stream import Lost, Stream


def reading(data: bytes, pieces: list[int]) -> Callable[[int], Awaitable[bytes]]:
    """Gives `data` in pieces of these sizes, and then one byte at a time."""
    rest, sizes = bytearray(data), list(pieces)

    async def read(most: int) -> bytes:
        size = min(most, sizes.pop(0) if sizes else 1)
        given = bytes(rest[:size])
        del rest[:size]
        return given

    return read


LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=6)


@given(LINES, st.binary(max_size=40), st.lists(st.integers(1, 30), max_size=20))
def test_any_split_gives_the_same(lines: list[bytes], content: bytes, pieces: list[int]) -> None:
    async def follow() -> tuple[list[bytes | None], bytes]:
        stream = Stream(reading(b"".join(line + b"\n" for line in lines) + content, pieces))
        found = [await stream.line(20) for _ in lines]
        rest = b""
        while more := await stream.some(7):
            assert len(more) <= 7
            rest += more
        return found, rest

    assert asyncio.run(follow()) == (lines, content)


@pytest.mark.parametrize("pieces", [[100], [1] * 100])
async def test_a_line_to_the_edge(pieces: list[int]) -> None:
    assert await Stream(reading(b"x" * 10 + b"\n", pieces)).line(10) == b"x" * 10
    with pytest.raises(Lost, match="more than 10 bytes"):
        await Stream(reading(b"x" * 12 + b"\n", pieces)).line(10)


async def test_the_end() -> None:
    assert await Stream(reading(b"", [])).line(10) is None
    with pytest.raises(Lost, match="middle of a line"):
        await Stream(reading(b"half", [])).line(10)


async def test_statuses() -> None:
    stream = Stream(reading(b"\0\1no\n\0", [100]))
    assert [await stream.status(10) for _ in range(3)] == [None, b"no", None]
    with pytest.raises(Lost):
        await stream.status(10)
    with pytest.raises(Lost):
        await Stream(reading(b"x", [])).status(10)
