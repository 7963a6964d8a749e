"""What is shown is injective, bounded in tricks, and never silent about a cut."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.visible import describe, strange, visible, visible_line

NASTY = st.text(st.sampled_from("ab \n\t\r\x00\x1b\x7f\x9b\u202e\u200b\u0430⟨⟩⏎…x1 spacenwliU+0EC\ue000\U0010ffff"))
NASTY_BYTES = st.lists(
    st.sampled_from([b"a", b" ", b"\n", b"\xff", b"\xc3", b"\xa9", b"\xe2\x8f\x8e", b"\x1b[31m", b" " * 9, b"\n" * 5])
).map(b"".join)


def invert(shown: str) -> str:
    """The input, from what was shown: proof that nothing was lost. Independent of the code under test."""
    shown = shown.replace("\n", "")
    out: list[str] = []
    for name, mark, plain in re.findall("⟨([^⟩]*)⟩|(⏎)|([ -~])", shown):
        if mark:
            out.append("\n")
        elif plain:
            out.append(plain)
        elif counted := re.fullmatch(r"(\d+) (space|newline)s?", name):
            out.append({"space": " ", "newline": "\n"}[counted[2]] * int(counted[1]))
        else:
            base, _, times = name.rpartition(" x") if re.search(r" x\d+$", name) else (name, "", "1")
            if base.startswith("0x"):
                char = chr(0xDC00 + int(base[2:], 16))
            elif base.startswith("U+"):
                char = chr(int(base[2:].split()[0], 16))
            else:
                char = {"NUL": "\0", "ESC": "\x1b", "TAB": "\t", "CR": "\r", "DEL": "\x7f"}.get(base, "")
                char = char or next(chr(c) for c in range(32) if visible(chr(c)) == f"⟨{base}⟩")
            out.append(char * int(times))
    return "".join(out)


@given(st.binary() | NASTY_BYTES)
def test_bytes_can_be_read_back(data: bytes) -> None:
    assert invert(visible(data)).encode("utf-8", "surrogateescape") == data
    assert invert(visible(data, newlines=False)).encode("utf-8", "surrogateescape") == data


@given(st.text(st.characters()) | NASTY)
def test_text_can_be_read_back(text: str) -> None:
    assert invert(visible(text)) == text


@given(NASTY, NASTY)
def test_injective(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@given(st.binary() | NASTY_BYTES)
def test_only_ascii_and_marks_reach_the_screen(data: bytes) -> None:
    assert set(visible(data)) <= set(map(chr, range(0x20, 0x7F))) | set("⏎⟨⟩\n")
    assert "\n" not in visible(data, newlines=False)


def test_every_code_point_has_its_own_name() -> None:
    names = {visible(chr(point)) for point in range(sys.maxunicode + 1)}
    assert len(names) == sys.maxunicode + 1


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"ls -l /tmp", "ls -l /tmp"),
        (b"a\x1b[2Kb", "a⟨ESC⟩[2Kb"),
        (b"a\x00b", "a⟨NUL⟩b"),
        (b"a\rb", "a⟨CR⟩b"),
        (b"\xff", "⟨0xFF⟩"),
        (b"\xc0\xaf", "⟨0xC0⟩⟨0xAF⟩"),
        ("x\u202ey", "x⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩y"),
        ("\u0430", "⟨U+0430 CYRILLIC SMALL LETTER A⟩"),
        ("\x9b31m", "⟨U+009B CSI⟩31m"),
        ("⟨ESC⟩", "⟨U+27E8 MATHEMATICAL LEFT ANGLE BRACKET⟩ESC⟨U+27E9 MATHEMATICAL RIGHT ANGLE BRACKET⟩"),
        ("⏎", "⟨U+23CE RETURN SYMBOL⟩"),
        ("\ue000", "⟨U+E000 PRIVATE USE⟩"),
        ("\U000e0fff", "⟨U+E0FFF UNASSIGNED⟩"),
        ("\ud800", "⟨U+D800 SURROGATE⟩"),
        (b"a\nb\n", "a⏎\nb⏎\n"),
        (b"a" + b" " * 7 + b"b", "a" + " " * 7 + "b"),
        (b"a" + b" " * 8 + b"b", "a⟨8 spaces⟩b"),
        (b"a" + b" " * 37 + b"b", "a⟨37 spaces⟩b"),
        (b"rm -rf / ", "rm -rf /⟨1 space⟩"),
        (b"a \nb", "a⟨1 space⟩⏎\nb"),
        (b"a\n\n\nb", "a⏎\n⏎\n⏎b"),
        (b"a" + b"\n" * 40 + b"b", "a⟨40 newlines⟩\nb"),
        (b"\x00" * 900, "⟨NUL x900⟩"),
        (b"\x00" * 3, "⟨NUL⟩⟨NUL⟩⟨NUL⟩"),
        (b"", ""),
    ],
)
def test_examples(data: bytes | str, shown: str) -> None:
    assert visible(data) == shown


def test_blank_lines_of_any_make_cannot_push_text_off_the_screen() -> None:
    for blank in (b"\n", b" \n", b"\t\n", b"\r\n", "\u200b\n".encode(), b"  \n\t\n"):
        assert visible(b"a" + blank * 500 + b"rm -rf /").count("\n") <= 2


@pytest.mark.parametrize(
    ("data", "width", "shown"),
    [
        (b"ls", 10, "ls"),
        (b"a\nb", 10, "a⏎b"),
        (b"0123456789", 10, "0123456789"),
        (b"0123456789a", 11, "0123456789a"),
        (b"0123456789abcdefghij", 16, "01234… +15 bytes"),
        (b"ab\x1bcd" + b"z" * 300, 16, "ab… +303 bytes"),
        (b"0123456789abcdefghij", 4, "… +20 bytes"),
        ("é" * 20, 12, "… +40 bytes"),
    ],
)
def test_one_line_says_what_was_cut(data: bytes | str, width: int, shown: str) -> None:
    assert visible_line(data, width) == shown


@given(st.binary(max_size=200) | NASTY_BYTES, st.integers(0, 100))
def test_one_line_fits_or_says_so(data: bytes, width: int) -> None:
    line = visible_line(data, width)
    whole = visible(data, newlines=False)
    if len(whole) <= width:
        assert line == whole
        return
    kept, _, rest = line.rpartition("…")
    assert whole.startswith(kept)
    assert kept.count("⟨") == kept.count("⟩")
    cut = int(rest.removeprefix(" +").removesuffix(" bytes"))
    assert len(invert(kept).encode("utf-8", "surrogateescape")) + cut == len(data)
    assert len(line) <= width or not kept


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ls -l\n\tx", ()),
        (b"\x1b[m", ("contains ESC (terminal control)",)),
        ("\u202e", ("contains right-to-left override",)),
        (b"\xff", ("not UTF-8",)),
        ("\u200b", ("contains invisible zero width space",)),
        ("\u3164", ("contains invisible hangul filler",)),
        ("\xa0", ("contains blank that is no space (no-break space)",)),
        ("\u0430", ("contains non-ASCII letters or digits (may be lookalikes)",)),
        ("e\u0301", ("contains combining marks",)),
        ("→", ("contains non-ASCII signs",)),
        ("\ue000", ("contains private use code points",)),
        (b"a" + b" " * 80 + b"b", ("contains long blank runs",)),
        (b"a" + b" " * 79 + b"b", ()),
        (b"\xff\x1b", ("contains ESC (terminal control)", "not UTF-8")),
    ],
)
def test_strange(data: bytes | str, words: tuple[str, ...]) -> None:
    assert strange(data) == words


def test_describe_counts_the_original() -> None:
    seen = describe("é\n".encode() + b"\xff x")
    assert (seen.bytes, seen.lines) == (6, 2)
    assert seen.strange == ("not UTF-8", "contains non-ASCII letters or digits (may be lookalikes)")
    assert describe("é\n").bytes == 3
    assert describe(b"").lines == 0


def test_unicode_names_hold_no_bracket() -> None:
    assert not any(set("⟨⟩") & set(unicodedata.name(chr(point), "")) for point in range(sys.maxunicode + 1))
