"""Terminal output as operations: text, controls, escape and control sequences. Pure, bounded, never raises.

Theory of operation. A state machine after ECMA-48 and the DEC parser that xterm follows, over decoded text:

    GROUND    text in runs; C0 controls
    ESCAPE    after ESC: a final character, or the beginning of one of the others
    CSI       parameters until a final character (0x40-0x7e)
    CHARSET   one character after ESC ( ) * + - . / # % or space
    STRING    OSC, DCS, APC, PM, SOS: skipped to its end; nothing in one changes the screen that we draw

CAN and SUB abort, ESC begins anew, C0 controls inside a sequence are carried out, as on real terminals. State lasts
between calls, so it does not matter how the bytes were cut into frames. Memory is bounded: a string is not kept, and
of a control sequence at most CSI_LIMIT characters are; a longer one is skipped whole.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Protocol

CSI_LIMIT = 256
"""Characters of parameters. xterm keeps 30 parameters; the longest honest ones are SGR with true colours, 60 or so."""
NUMBER_LIMIT = 9999
"""A parameter is at most this: larger than any screen, and what an xterm clips to is smaller."""

STATES = ("GROUND", "ESCAPE", "CSI", "CHARSET", "STRING")

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_CSI = re.compile(r"\x1b\[([<=>?]?)([0-9;:]*)([@-~])")
"""A whole control sequence: most of what a program at work sends. Whatever else there is goes state by state."""
_LINE_FEEDS = re.compile(r"\n+")
_STRING_END = re.compile(r"[\x07\x18\x1a\x1b\x9c]")
_C1 = {"\x84": "D", "\x85": "E", "\x88": "H", "\x8d": "M", "\x90": "P", "\x98": "X", "\x9b": "[", "\x9d": "]",
       "\x9e": "^", "\x9f": "_"}  # fmt: skip
"""C1 controls and the character that means the same behind ESC (ECMA-48 section 5.3)."""


class Handler(Protocol):
    """What is done with it. None of these may raise."""

    def text(self, data: str) -> None:
        """Printable characters, zero-width and combining ones among them."""

    def control(self, code: str, count: int) -> None:
        """A C0 control; `count` of them in a row (only line feeds are counted)."""

    def escape(self, final: str) -> None:
        """ESC and one character."""

    def charset(self, slot: str, code: str) -> None:
        """ESC, an intermediate character, one more."""

    def csi(self, marker: str, parameters: str, final: str) -> None:
        """A control sequence; `marker` is a private one of `<=>?` or empty, `parameters` digits, `;` and `:`."""


class Parser:
    """Bytes in, calls to the handler out."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state = "GROUND"
        self._held = ""
        """GROUND: nothing. CSI: what there is of it. CHARSET: the intermediate. STRING: the character that began it."""

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        text, at = self._decoder.decode(data), 0
        while at < len(text):
            match self._state:
                case "GROUND":
                    at = self._ground(text, at)
                case "STRING":
                    at = self._string(text, at)
                case _:
                    self._inside(text[at])
                    at += 1

    def state(self) -> list[Any]:
        """Where it is, as JSON."""
        pending, flag = self._decoder.getstate()
        held = self._held if self._state in ("CSI", "CHARSET", "STRING") else ""
        return [self._state, held, pending.hex(), flag]

    def set_state(self, state: list[Any]) -> None:
        """Go on from there."""
        self._state, self._held = state[0], state[1]
        self._decoder.setstate((bytes.fromhex(state[2]), state[3]))

    def _ground(self, text: str, at: int) -> int:
        run = _TEXT.match(text, at)
        if run:
            self._handler.text(run[0])
            return run.end()
        feeds = _LINE_FEEDS.match(text, at)
        if feeds:
            self._handler.control("\n", len(feeds[0]))
            return feeds.end()
        whole = _CSI.match(text, at)
        if whole and len(whole[1]) + len(whole[2]) <= CSI_LIMIT:
            self._handler.csi(whole[1], whole[2], whole[3])
            return whole.end()
        self._special(text[at])
        return at + 1

    def _special(self, char: str) -> None:
        """A control, in any state."""
        if char == "\x1b":
            self._state, self._held = "ESCAPE", ""
        elif char in "\x18\x1a":
            self._state = "GROUND"
        elif char in _C1:
            self._escape(_C1[char])
        elif char < "\x20":
            self._handler.control(char, 1)

    def _string(self, text: str, at: int) -> int:
        end = _STRING_END.search(text, at)
        if end is None:
            return len(text)
        char = end[0]
        if char == "\x1b":
            self._state = "ESCAPE"
        elif char != "\x07" or self._held == "]":  # BEL ends an OSC only
            self._state = "GROUND"
        return end.end()

    def _inside(self, char: str) -> None:
        """One character in ESCAPE, CSI or CHARSET."""
        if char < "\x20" or char == "\x1b" or "\x80" <= char <= "\x9f":
            self._special(char)
        elif char == "\x7f":
            pass
        elif char > "\x9f":  # not part of any sequence: it ends it, and is text
            self._state = "GROUND"
            self._handler.text(char)
        elif self._state == "ESCAPE":
            self._escape(char)
        elif self._state == "CHARSET":
            self._state = "GROUND"
            self._handler.charset(self._held, char)
        elif char < "\x40":
            self._held += char if len(self._held) <= CSI_LIMIT else ""
        else:
            self._state = "GROUND"
            self._control_sequence(char)

    def _escape(self, char: str) -> None:
        if char == "[":
            self._state, self._held = "CSI", ""
        elif char in "]PX^_":
            self._state, self._held = "STRING", char
        elif "\x20" <= char < "\x30":
            self._state, self._held = "CHARSET", char
        else:
            self._state = "GROUND"
            self._handler.escape(char)

    def _control_sequence(self, final: str) -> None:
        form = re.fullmatch(r"([<=>?]?)([0-9;:]*)", self._held, re.ASCII)
        if form and len(self._held) <= CSI_LIMIT:  # one with intermediates means nothing that we draw
            self._handler.csi(form[1], form[2], final)


def numbers(parameters: str) -> list[int]:
    """The parameters; an absent one is 0, and what stands behind a colon is dropped."""
    return [number(word.partition(":")[0]) for word in parameters.split(";")]


def number(digits: str) -> int:
    """At most NUMBER_LIMIT, however many digits there are."""
    if len(digits) > 4:
        digits = digits.lstrip("0")
    return NUMBER_LIMIT if len(digits) > 4 else int(digits or "0")
