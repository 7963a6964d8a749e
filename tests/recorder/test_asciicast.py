from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import asciicast
from recorder.asciicast import Event, Header
from recorder.errors import CastError
from recorder.frames import Frame

FRAMES = [
    Frame(0, "resize", b"100x30"),
    Frame(100_000, "output", b"caf\xc3"),
    Frame(150_000, "input", b"ls\r"),
    Frame(250_000, "output", b"\xa9\r\n"),
    Frame(1_000_000, "marker", b"r-1 approved"),
    Frame(1_500_000, "stderr", b"bad \xff\n"),
    Frame(2_000_000, "exit", b"1"),
]


def lines(version: int) -> list[Any]:
    header = Header(version, 100, 30, 1_763_692_000, "a title", "", "xterm")
    return [json.loads(line) for line in asciicast.write(header, asciicast.events(FRAMES))]


def test_version_3() -> None:
    header, *events = lines(3)
    assert header == {
        "version": 3,
        "term": {"cols": 100, "rows": 30, "type": "xterm"},
        "timestamp": 1_763_692_000,
        "title": "a title",
    }
    assert events == [
        [0.0, "r", "100x30"],
        [0.1, "o", "caf"],
        [0.05, "i", "ls\r"],
        [0.1, "o", "é\r\n"],
        [0.75, "m", "r-1 approved"],
        [0.5, "o", "bad �\n"],
        [0.5, "x", "1"],
    ]


def test_version_2() -> None:
    header, *events = lines(2)
    assert header == {
        "version": 2,
        "width": 100,
        "height": 30,
        "timestamp": 1_763_692_000,
        "title": "a title",
        "env": {"TERM": "xterm"},
    }
    assert [event[:2] for event in events] == [
        [0.0, "r"], [0.1, "o"], [0.15, "i"], [0.25, "o"], [1.0, "m"], [1.5, "o"],
    ], "absolute times, and no exit event"  # fmt: skip


@pytest.mark.parametrize("version", [2, 3])
def test_read_back(version: int) -> None:
    header = Header(version, 80, 24, 12, "t", "c", "xterm")
    events = [event for event in asciicast.events(FRAMES) if version == 3 or event.code != "x"]
    again, _ = asciicast.read(asciicast.write(header, events))
    assert again == header
    for one, other in zip(asciicast.read(asciicast.write(header, events))[1], events, strict=True):
        assert (one.code, one.data) == (other.code, other.data)
        assert one.at == pytest.approx(other.at, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.sampled_from("oim"), st.text()), max_size=20))
def test_intervals_add_up(raw: list[tuple[int, str, str]]) -> None:
    events = [Event(at / 1e6, code, data) for at, code, data in sorted(raw)]
    for version in (2, 3):
        try:
            written = [line.encode().decode() for line in asciicast.write(Header(version, 80, 24), events)]
        except UnicodeEncodeError:
            return  # a lone surrogate cannot come out of a decoder
        _, read = asciicast.read(written)
        for one, other in zip(read, events, strict=True):
            assert (one.code, one.data) == (other.code, other.data)
            assert abs(one.at - other.at) < 2e-6


@given(st.lists(st.binary(max_size=8), max_size=12))
def test_cut_anywhere_a_stream_decodes_the_same(parts: list[bytes]) -> None:
    frames = [Frame(number, "output", part) for number, part in enumerate(parts)]
    text = "".join(event.data for event in asciicast.events(frames))
    assert text == b"".join(parts).decode(errors="replace")


@given(st.lists(st.text("ab\r\n", max_size=4), max_size=10))
def test_newline(parts: list[str]) -> None:
    frames = [Frame(number, "output", part.encode()) for number, part in enumerate(parts)]
    text = "".join(event.data for event in asciicast.events(frames, newline=True))
    assert text.replace("\r\n", "\n") == "".join(parts).replace("\r\n", "\n")
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        '{"version": 1, "width": 80, "height": 24}\n',
        '{"version": 4, "term": {"cols": 80, "rows": 24}}\n',
        '{"version": 2, "width": 0, "height": 24}\n',
        '{"version": 3, "width": 80, "height": 24}\n',
        '{"version": true}\n',
        '{"version": 2, "width": 80, "height": 24, "timestamp": "x"}\n',
        '{"version": 2, "width": 80, "height": 24, "timestamp": NaN}\n',
        '{"version": 2, "width": 80, "height": 24}\n[1]\n',
        '{"version": 2, "width": 80, "height": 24}\n[-1, "o", "x"]\n',
        '{"version": 2, "width": 80, "height": 24}\n[NaN, "o", "x"]\n',
        '{"version": 2, "width": 80, "height": 24}\n[1, "o", 2]\n',
        '{"version": 2, "width": 80, "height": 24}\n{"a":\n',
        "[" * 5000 + "\n",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(CastError):
        list(asciicast.read(text.splitlines(keepends=True))[1])


@given(st.text(max_size=200))
def test_garbage_raises_one_type(text: str) -> None:
    with pytest.raises(CastError):
        list(asciicast.read(text.splitlines(keepends=True))[1])


def test_comments_and_unknown_codes_are_ignored() -> None:
    text = '{"version": 3, "term": {"cols": 80, "rows": 24}}\n# hello\n[1, "z", "?"]\n\n[1.5, "o", "x"]\n'
    _, events = asciicast.read(text.splitlines(keepends=True))
    assert list(events) == [Event(2.5, "o", "x")], "the time of what is ignored counts"


@pytest.mark.skipif(not shutil.which("asciinema"), reason="asciinema is not installed (apt install asciinema)")
def test_asciinema_plays_version_2(tmp_path: Path) -> None:
    path = tmp_path / "x.cast"
    frames = [Frame(0, "output", b"hello\n"), Frame(1000, "output", "wörld\n".encode())]
    events = asciicast.events(frames, newline=True)
    path.write_text("".join(asciicast.write(Header(2, 80, 24), events)))
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    command = ["script", "-qec", f"asciinema cat {path}", "/dev/null"]  # it wants a terminal of its own
    done = subprocess.run(command, capture_output=True, env=env, check=True, stdin=subprocess.DEVNULL)
    assert done.stdout == "hello\r\nwörld\r\n".encode()
