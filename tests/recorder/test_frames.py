from __future__ import annotations

import itertools

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recorder import chunks, frames
from recorder.errors import FrameError
from recorder.frames import Frame

FRAMES = st.lists(
    st.builds(Frame, st.integers(0, 2**63), st.sampled_from(frames.KINDS), st.binary(max_size=50)), max_size=20
)
TIMED = st.lists(
    st.tuples(st.integers(0, 8000), st.sampled_from(("output", "stderr", "marker")), st.binary(max_size=40)),
    max_size=30,
)


@given(FRAMES)
def test_codec(given_frames: list[Frame]) -> None:
    data, leaves = frames.encode(given_frames)
    assert frames.decode(data) == (given_frames, leaves)
    assert len(data) == frames.encoded_size(len(given_frames), sum(len(each.data) for each in given_frames))


@given(st.binary(max_size=200))
def test_garbage_raises_one_type(data: bytes) -> None:
    try:
        decoded, _ = frames.decode(data)
    except FrameError:
        return
    assert frames.encoded_size(len(decoded), sum(len(each.data) for each in decoded)) == len(data)


@given(TIMED, st.integers(1, 64))
def test_coalescing_loses_and_reorders_nothing(raw: list[tuple[int, str, bytes]], limit: int) -> None:
    times = itertools.accumulate(gap for gap, _, _ in raw)
    given_frames = [Frame(at, kind, data) for at, (_, kind, data) in zip(times, raw, strict=True)]
    made = list(frames.coalesce(given_frames, limit))
    for kind in ("output", "stderr"):
        before = b"".join(each.data for each in given_frames if each.kind == kind)
        assert b"".join(each.data for each in made if each.kind == kind) == before
    assert [each for each in made if each.kind == "marker"] == [each for each in given_frames if each.kind == "marker"]
    assert all(len(each.data) <= limit for each in made if each.kind != "marker")
    assert [each.at_us for each in made] == sorted(each.at_us for each in made)

    def order(each: list[Frame]) -> list[tuple[str, bytes]]:
        """Runs of one kind; stream bytes joined."""
        runs = itertools.groupby((frame for frame in each if frame.data or frame.kind == "marker"), lambda f: f.kind)
        return [(kind, b"".join(frame.data for frame in run)) for kind, run in runs]

    assert order(made) == order(given_frames)


def test_the_window_and_the_limit_at_their_edges() -> None:
    def sizes(*pairs: tuple[int, int], limit: int = 4096) -> list[int]:
        return [len(f.data) for f in frames.coalesce([Frame(at, "output", bytes(n)) for at, n in pairs], limit)]

    assert sizes((0, 1), (frames.WINDOW_US, 1)) == [2]
    assert sizes((0, 1), (frames.WINDOW_US + 1, 1)) == [1, 1]
    assert sizes((0, 4095), (1, 1)) == [4096]
    assert sizes((0, 4096), (1, 1)) == [4096, 1]
    assert sizes((0, 4097)) == [4096, 1]
    assert sizes((0, 1), (1, 4097), (2, 1)) == [1, 4096, 1, 1]
    assert sizes((0, 0), (1, 0)) == []


class TestChunk:
    WHERE = {"origin": "h/12345678", "session": "s-1"}  # noqa: RUF012

    def sealed(self, *what: Frame) -> tuple[chunks.Facts, bytes, bytes]:
        compressor = zstandard.ZstdCompressor(level=3)
        return chunks.seal(what, **self.WHERE, number=3, first=40, compressor=compressor)

    @given(FRAMES.filter(bool))
    def test_round_trip(self, what: list[Frame]) -> None:
        what.sort(key=lambda frame: frame.at_us)
        facts, cipher, key = self.sealed(*what)
        assert chunks.unseal(facts, cipher, key, **self.WHERE) == what
        assert chunks.facts_of(facts.body()) == facts

    def test_every_flipped_bit_is_noticed(self) -> None:
        facts, cipher, key = self.sealed(Frame(5, "output", b"hello"))
        for at in range(len(cipher) * 8):
            changed = bytearray(cipher)
            changed[at // 8] ^= 1 << at % 8
            with pytest.raises(FrameError, match="signed"):
                chunks.unseal(facts, bytes(changed), key, **self.WHERE)

    @pytest.mark.parametrize("change", [{"session": "s-2"}, {"origin": "h/12345679"}])
    def test_it_decrypts_in_its_place_only(self, change: dict[str, str]) -> None:
        facts, cipher, key = self.sealed(Frame(5, "output", b"hello"))
        with pytest.raises(FrameError, match="decrypt"):
            chunks.unseal(facts, cipher, key, **{**self.WHERE, **change})
        with pytest.raises(FrameError, match="decrypt"):
            chunks.unseal(facts, cipher, bytes(32), **self.WHERE)

    @pytest.mark.parametrize(
        "change",
        [
            {"number": 4},
            {"frames": 2},
            {"from_us": 4},
            {"to_us": 6},
            {"plain": 1},
            {"length": 1},
            {"sha256": "0" * 64},
            {"root": "0" * 64},
            {"plain": chunks.PLAIN_LIMIT + 1},
            {"frames": -1},
            {"frames": "1"},
            {"root": None},
        ],
    )
    def test_facts_that_do_not_fit(self, change: dict[str, object]) -> None:
        facts, cipher, key = self.sealed(Frame(5, "output", b"hello"))
        with pytest.raises(FrameError):
            chunks.unseal(chunks.facts_of({**facts.body(), **change}), cipher, key, **self.WHERE)

    def test_a_bomb_is_not_unpacked(self) -> None:
        """Whoever holds a key can encrypt anything; the size is looked at before memory is taken."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        facts, _, key = self.sealed(Frame(5, "output", b"hello"))
        bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
        cipher = AESGCM(key).encrypt(bytes(12), bomb, b"agent-bastion chunk 1\nh/12345678\ns-1\n3")
        import hashlib

        body = {**facts.body(), "length": len(cipher), "sha256": hashlib.sha256(cipher).hexdigest()}
        with pytest.raises(FrameError, match="size"):
            chunks.unseal(chunks.facts_of(body), cipher, key, **self.WHERE)
