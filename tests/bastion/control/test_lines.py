"""Lines out of a stream, however it is cut, up to their limit."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from bastion.control.lines import LineReader


class Reader:
    """Has these pieces to give, then nothing."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.left = [piece for piece in pieces if piece]

    async def read(self, n: int = -1, /) -> bytes:
        return self.left.pop(0) if self.left else b""


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_lines_come_out_as_they_went_in_however_they_are_cut(chunks: list[bytes]) -> None:
    async def main() -> list[bytes]:
        lines = LineReader(Reader(chunks), limit=1000)
        got = []
        while (line := await lines.next()) is not None:
            got.append(line)
        return got

    assert asyncio.run(main()) == b"".join(chunks).split(b"\n")[:-1]


@given(size=st.integers(1, 40), limit=st.integers(2, 20), step=st.integers(1, 7))
def test_the_limit_of_a_line_counts_its_newline(size: int, limit: int, step: int) -> None:
    data = b"x" * (size - 1) + b"\n"
    pieces = [data[at : at + step] for at in range(0, len(data), step)]

    async def main() -> bytes | None:
        return await LineReader(Reader(pieces), limit=limit).next()

    if size <= limit:
        assert asyncio.run(main()) == data[:-1]
    else:
        with pytest.raises(wire.WireError):
            asyncio.run(main())
