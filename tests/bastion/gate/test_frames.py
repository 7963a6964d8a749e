"""Frames and marks: any split gives the same; others' bytes pass unchanged; what pretends to be ours is counted."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gate import frames
from bastion.gate.frames import Began, Done, FrameError, Interrupted, Made, Marks

N1, N2, N3 = (frames.nonce_of(n) for n in (1, 2**128 - 1, 77))


def mark(text: str) -> bytes:
    return frames.START + text.encode() + frames.END


def take(marks: Marks, *chunks: bytes) -> tuple[bytes, list[object]]:
    """What passes, and the marks."""
    passed, found = b"", []
    for chunk in chunks:
        for item in marks.feed(chunk):
            if isinstance(item, bytes):
                passed += item
            else:
                found.append(item)
    return passed, found


def expecting() -> Marks:
    marks = Marks()
    marks.expect("B", N1)
    marks.expect("D", N2)
    marks.expect("I", N3)
    return marks


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                mark(f"B;{N1}"),
                mark(f"D;{N2};3;himBHs;/tmp"),
                mark(f"D;{N2};3;himBHs;$'/a\\nb'"),
                mark(f"I;{N3}"),
                mark("B;1"),
                mark(""),
                frames.START,
                frames.START + b"x" * 50,
                frames.START[:-1],
                b"\x1b",
                b"\x1b]",
                b"\x1b]777",
                b"\x1b]7771;x\x07",
                b"\x07",
            ]
        ),
    ),
    max_size=12,
)


@given(PIECES, st.lists(st.integers(0, 400), max_size=30))
def test_any_split_gives_the_same(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole, split = expecting(), expecting()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    once, each = take(whole, data), take(split, *chunks)
    assert once == each
    assert whole.spoofed == split.spoofed
    assert whole.close() == split.close()


@given(st.binary(max_size=300).filter(lambda data: frames.START not in data))
def test_what_is_not_ours_passes_unchanged(data: bytes) -> None:
    marks = Marks()
    passed, found = take(marks, data)
    assert passed + marks.close() == data
    assert not found
    assert not marks.spoofed


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60))
def test_marks_come_out_of_any_output(before: bytes, after: bytes) -> None:
    marks = expecting()
    passed, found = take(marks, before + mark(f"D;{N2};130;hs;/") + after)
    if frames.START not in before + after:
        assert passed + marks.close() == before + after
    assert Done(N2, 130, "hs", "/") in found


def test_a_nonce_counts_once() -> None:
    marks = expecting()
    passed, found = take(marks, mark(f"B;{N1}") * 2 + b"x")
    assert (passed, found, marks.spoofed) == (b"x", [Began(N1)], 1)


def test_interrupts_may_come_again() -> None:
    assert take(expecting(), mark(f"I;{N3}") * 2)[1] == [Interrupted(N3)] * 2


@pytest.mark.parametrize(
    "text",
    [
        f"D;{N1};0;;/",  # the nonce of another letter
        f"B;{N2}",
        f"D;{N2};256;;/",
        f"D;{N2};-1;;/",
        f"D;{N2};0",
        f"B;{N1};",
        "D;000;0;x;/tmp",
        "1;000;0;x;/tmp",
        ";",
        "",
        "BD;" + N1,
    ],
)
def test_spoofs_are_taken_out_and_counted(text: str) -> None:
    marks = expecting()
    assert take(marks, b"a" + mark(text) + b"b") == (b"ab", [])
    assert marks.spoofed == 1


def test_an_unfinished_spoof_does_not_swallow_the_real_mark() -> None:
    marks = expecting()
    assert take(marks, b"a" + frames.START + b"B;junk" + mark(f"B;{N1}") + b"b") == (b"ab", [Began(N1)])
    assert marks.spoofed == 1


@pytest.mark.parametrize(("size", "taken"), [(frames.MARK_LIMIT - 1, True), (frames.MARK_LIMIT, False)])
def test_the_longest_mark(size: int, taken: bool) -> None:
    """One longer: its beginning goes as a spoof, the rest is output again."""
    body = f"D;{N2};0;;/".encode()
    marks = expecting()
    passed, found = take(marks, frames.START + body + b"a" * (size - len(body)) + frames.END + b"tail")
    assert len(found) == taken
    assert passed == (b"tail" if taken else frames.END + b"tail")
    assert marks.spoofed == (not taken)


def test_output_is_held_back_only_while_it_may_be_a_mark() -> None:
    marks = Marks()
    assert take(marks, b"prompt\x1b]777")[0] == b"prompt"
    assert take(marks, b"1;x")[0] == b"\x1b]7771;x"
    assert take(marks, frames.START + b"zzz")[0] == b""
    assert marks.close() == frames.START + b"zzz"


def test_the_bootstrap_s_mark() -> None:
    marks = Marks()
    marks.expect("ME", N1)
    assert take(marks, mark(f"M;{N1};412;0;bash;/dev/pts/3"))[1] == [Made(N1, 412, 0, "bash", "/dev/pts/3")]
    marks.expect("ME", N1)
    assert take(marks, mark(f"M;{N1};412;0;bash;/etc/$(x)"))[1] == [Made(N1, 412, 0, "bash", "")]


# --- frames ---------------------------------------------------------------------------------------------------------


COMMANDS = st.binary(min_size=1, max_size=200).filter(lambda data: b"\0" not in data)


@given(COMMANDS)
def test_each_suffix_of_a_command_s_line_is_one_inert_word(command: bytes) -> None:
    """^C drops what the shell has read of a line, and the rest is read as a line of its own."""
    line, *rest = frames.run(command, N1, N2, kind="bash", succeeded=True).splitlines()
    payload = line.removeprefix(b"\\__b_l ")
    assert set(payload) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\\")
    assert payload.endswith(N1.encode())
    assert rest == frames.run(b"other", N1, N2, kind="bash", succeeded=True).splitlines()[1:]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("shell", ["bash", "dash", "busybox"])
def test_the_word_decodes_to_the_command(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    program = [shell, "sh"] if shell == "busybox" else [shell]
    data = bytes(range(1, 256))
    script = b"printf %b " + frames.word(data) + b"\\\\c123"
    assert subprocess.run([*program, "-c", script], capture_output=True, check=True).stdout == data


def test_limits_of_a_command() -> None:
    longest = frames.run(b"'" * frames.COMMAND_LIMIT, N1, N2, kind="bash", succeeded=True)
    assert len(longest) <= frames.FRAME_LIMIT
    for wrong in (b"", b"a" * (frames.COMMAND_LIMIT + 1), b"a\0b"):
        with pytest.raises(FrameError):
            frames.run(wrong, N1, N2, kind="bash", succeeded=True)


def test_nonces() -> None:
    assert frames.is_nonce(frames.nonce_of(0))
    assert frames.is_nonce(frames.nonce_of(2**128 - 1))
    for wrong in (-1, 2**128):
        with pytest.raises(ValueError, match="128 bits"):
            frames.nonce_of(wrong)
    assert not frames.is_nonce("1" * 38)
    assert not frames.is_nonce("1" * 38 + "a")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@given(st.binary(min_size=1, max_size=40).filter(lambda data: b"\0" not in data))
def test_directories_as_bash_quotes_them(name: bytes) -> None:
    name = b"/" + name
    quoted = subprocess.run([b"bash", b"-c", b'printf %q "$1"', b"x", name], capture_output=True, check=True).stdout
    assert frames.directory(quoted.decode("latin-1")) == name.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("text", ["", "''", "tmp", "$'tmp'", "/" + "a" * frames.DIRECTORY_LIMIT])
def test_what_is_no_directory(text: str) -> None:
    assert frames.directory(text) == ""
