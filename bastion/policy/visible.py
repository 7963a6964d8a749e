"""Text that cannot lie on a screen (P6). Pure.

Theory of operation. What an agent sent is shown through here wherever a person reads it: console, command line,
log, stderr. The display is *injective*: two different inputs never look the same, so what an approver sees is what
is hashed. It is made of printable ASCII and four characters of its own:

    ⏎        one newline, followed by a real line break (`newlines=True`) or by nothing (`newlines=False`)
    ⟨ … ⟩    anything else, by name: ⟨ESC⟩, ⟨TAB⟩, ⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩, ⟨0xFF⟩ (a byte that is not UTF-8)
    …        only in `visible_line`, before the count of what was cut

None of the four is printable ASCII, so in the input they are shown by name like every other code point, and nothing
that an agent sends can imitate a mark. Non-ASCII letters are named too: they may be lookalikes (Cyrillic а, fullwidth
Ａ), may combine, may be two cells wide. That makes foreign prose hard to read and commands impossible to fake.

Real line breaks are decoration: taking them all out leaves a string from which the input follows. That is why text
made of blank lines may be folded freely: after two breaks without anything to see between, further newlines show
their mark and no break, so that nobody can push a line off the screen. A run of the same blank or unprintable
character is counted (⟨37 spaces⟩, ⟨NUL x900⟩); spaces at the end of a line are always counted.

Not protected: a terminal font that draws ASCII badly (l and 1, O and 0). Nothing here can see the font.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NEWLINE = "⏎"
OPEN, CLOSE = "⟨", "⟩"
CUT = "…"

SPACES_FOLD = 8
"""Spaces in a run from which on they are counted: one step of `cat -A`-style tabs still reads as indentation."""
SAME_FOLD = 4
"""Equal unprintable characters or newlines from which on they are counted."""
BREAKS_LIMIT = 2
"""Line breaks drawn without anything to see between: one blank line, as in prose."""

_CONTROL_NAMES = {
    0x00: "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC",
    0x1C: "FS GS RS US",
    0x7F: "DEL",
    0x80: "PAD HOP BPH NBH IND NEL SSA ESA HTS HTJ VTS PLD PLU RI SS2 SS3 DCS PU1 PU2 STS CCH MW SPA EPA SOS SGCI",
    0x9A: "SCI CSI ST OSC PM APC",
}
"""Names of the control characters (ISO 646 and ISO 6429); Unicode itself names none of them."""
_CONTROLS = {first + step: name for first, names in _CONTROL_NAMES.items() for step, name in enumerate(names.split())}

_CATEGORY_NAMES = {"Co": "PRIVATE USE", "Cs": "SURROGATE", "Cn": "UNASSIGNED"}

_TOKEN = re.compile(r"[!-~]+| +|\n+|(.)\1*", re.DOTALL)

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that draw nothing, though their category does not say so."""


@dataclass(frozen=True, slots=True)
class Visible:
    """A text as a person is shown it, with what is always said beside it."""

    text: str
    bytes: int
    """Of the original."""
    lines: int
    """Of the original; a last line without newline counts."""
    strange: tuple[str, ...]
    """Warnings in words, the worst first: `contains ESC`, `contains right-to-left override`, `not UTF-8`."""


def visible(data: bytes | str, *, newlines: bool = True) -> str:
    """The whole of `data`, injectively (see above). Never raises.

    `newlines` says whether newlines also break the line on the screen.
    """
    return "".join(shown for shown, _ in pieces(_text(data), newlines))


def visible_line(data: bytes | str, width: int) -> str:
    """One line of at most `width` characters, for tables; what does not fit is counted: `rm -rf /va… +312 bytes`.

    Never cuts inside a mark. Where not even the count fits, the count alone is returned, longer than `width`.
    """
    return fitted(pieces(_text(data), newlines=False), width)


def fitted(shown_pieces: Iterable[tuple[str, int]], width: int) -> str:
    """What `pieces` gives, as `visible_line` shows it."""
    total = size = 0
    kept_pieces: list[tuple[str, int]] = []
    for shown, length in shown_pieces:
        if size <= width:  # what begins further right cannot be kept
            whole = shown[0] in (OPEN, NEWLINE)
            kept_pieces += [(shown, length)] if whole else [(char, 1) for char in shown[: width + 1 - size]]
        total += length
        size += len(shown)
    if size <= width:
        return "".join(shown for shown, _ in kept_pieces)
    size, kept = sum(len(shown) for shown, _ in kept_pieces), sum(length for _, length in kept_pieces)
    while kept_pieces and size + len(f"{CUT} +{total - kept} bytes") > width:
        shown, length = kept_pieces.pop()
        size, kept = size - len(shown), kept - length
    return "".join(shown for shown, _ in kept_pieces) + f"{CUT} +{total - kept} bytes"


def describe(data: bytes | str) -> Visible:
    """The text with its length and the warnings that belong beside it."""
    text = _text(data)
    size = sum(_size(char) for char in text) if isinstance(data, str) else len(data)
    lines = text.count("\n") + (1 if text and not text.endswith("\n") else 0)
    return Visible(visible(data), size, lines, strange(data))


def strange(data: bytes | str) -> tuple[str, ...]:
    """What a person should be warned about, in words, the worst first. Tabs and newlines are not strange."""
    text = _text(data)
    found: dict[str, int] = {}
    for char in set(text):
        if not " " <= char <= "~" and char not in "\n\t":
            rank, words = _warning(char)
            found.setdefault(words, rank)
    if f"{' ' * 80}" in text or "\n\n\n\n\n\n" in text:
        found["contains long blank runs"] = 9
    return tuple(sorted(found, key=lambda words: (found[words], words)))


def _text(data: bytes | str) -> str:
    """Text in which each byte that is not UTF-8 is one surrogate U+DC80..U+DCFF (PEP 383)."""
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data


def _size(char: str) -> int:
    """Bytes that this code point stands for in the original."""
    point = ord(char)
    return 1 if point < 0x80 or 0xDC80 <= point <= 0xDCFF else 2 if point < 0x800 else 3 if point < 0x10000 else 4


def pieces(text: str, newlines: bool, *, followed: bool = False) -> Iterator[tuple[str, int]]:
    """What to show, piece by piece, with the bytes of the original that each stands for. `followed`: something to see
    comes right behind it, so that spaces at its end need not be counted."""
    breaks = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        char, count = token[0], len(token)
        if "!" <= char <= "~":
            breaks = 0
            yield token, count
        elif char == " ":
            ends = match.end() == len(text)
            if count < SPACES_FOLD and (followed if ends else text[match.end()] != "\n"):
                yield token, count
            else:
                yield f"{OPEN}{count} space{'s' if count > 1 else ''}{CLOSE}", count
        elif char == "\n":
            folded = count >= SAME_FOLD
            marks = [f"{OPEN}{count} newlines{CLOSE}"] if folded else [NEWLINE] * count
            for drawn, shown in enumerate(marks, breaks + 1):
                end = "\n" if newlines and drawn <= BREAKS_LIMIT else ""
                yield shown + end, count if folded else 1
            breaks += len(marks)
        else:
            if char.isprintable():
                breaks = 0
            times = [f" x{count}"] if count >= SAME_FOLD else [""] * count
            for suffix in times:
                yield f"{OPEN}{_name(char)}{suffix}{CLOSE}", _size(char) * count // len(times)


def _name(char: str) -> str:
    """How a code point that is not printable ASCII is called; every code point has a name of its own."""
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:
        return f"0x{point - 0xDC00:02X}"
    if point < 0x80:
        return _CONTROLS[point]
    known = _CONTROLS.get(point) or unicodedata.name(char, _CATEGORY_NAMES.get(unicodedata.category(char), ""))
    return f"U+{point:04X} {known}".rstrip()


def _warning(char: str) -> tuple[int, str]:
    """Rank (0 worst) and words for one code point that is neither printable ASCII, tab nor newline."""
    category = unicodedata.category(char)
    named = unicodedata.name(char, "").lower()
    answers = (
        (char == "\x1b", 0, "contains ESC (terminal control)"),
        (char == "\x00", 0, "contains NUL"),
        ("\udc80" <= char <= "\udcff", 1, "not UTF-8"),
        (char == "\r", 1, "contains carriage return"),
        (category == "Cc", 1, f"contains control character {_name(char)}"),
        (char in _BIDI, 0, f"contains {named}"),
        (category == "Cf" or char in _BLANK_LETTERS, 2, f"contains invisible {named}"),
        (category in {"Zs", "Zl", "Zp"}, 3, f"contains blank that is no space ({named})"),
        (category in {"Mn", "Mc", "Me"}, 4, "contains combining marks"),
        (category in {"Co", "Cs", "Cn"}, 4, f"contains {_CATEGORY_NAMES.get(category, '').lower()} code points"),
        (category[0] in "LN", 5, "contains non-ASCII letters or digits (may be lookalikes)"),
    )
    for holds, rank, words in answers:
        if holds:
            return rank, words
    return 6, "contains non-ASCII signs"
