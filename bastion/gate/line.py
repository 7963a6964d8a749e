"""The line editor of the governed shell: an agent's bytes in; edits, whole lines and an echo out. Pure.

Theory of operation. The target never sees a key: the bastion owns the editor, and only a line that was entered leaves
it, as text. So what can be typed is decided here, by tables: printable characters are text; the keys of CONTROLS and
SEQUENCES edit; everything else is refused with a bell and leaves no trace. Bytes are read as strict UTF-8, one after
the other, so that cutting them into packets elsewhere changes nothing. `feed` stops behind whatever somebody has to
act on (a line, ^C, ^D) and returns the rest unread: what it means depends on what happens meanwhile.

    Enter        \\r, \\n or \\r\\n, once
    Tab          text inside a bracketed paste, drawn as ^I; else refused (there is no completion)
    refused      other control characters, bidi controls, zero-width, private-use, unassigned: nothing may be in a line
                 that its reader cannot see
    a paste      is typed text: a newline in it is Enter, so a paste of three commands is three lines

Two ways to draw. A command's line is *full*: the cursor moves, the line wraps, history comes back. A line for a running
program, and any line on a terminal that is not known to move its cursor, is *cooked*, as the kernel's own line
discipline is (termios(3), ICANON): it grows and shrinks at its end only.

asyncssh has a line editor (asyncssh/editor.py). It reads decoded text and not bytes, takes every printable character
of `str.isprintable` (variation selectors, Hangul fillers), knows no bracketed paste, calls back for each line without
a way to stop behind it, and draws wide characters as one or two cells by their East Asian width alone: it stays unused.

Not protected: what the agent's own terminal draws. The approver sees the text through `policy.visible`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from wcwidth import wcwidth

LINE_LIMIT = 16_384
"""Characters in one line. A canonical tty takes 4,095 (N_TTY_BUF_SIZE); readline has no limit, but redraws."""
HISTORY_LIMIT = 500
"""Lines remembered, as bash has it (HISTSIZE)."""
HISTORY_CHARACTERS = 1 << 20
"""And at most so many characters: a line may be long."""
SEQUENCE_LIMIT = 16
"""Characters of an escape sequence; the longest of SEQUENCES has 6."""
COLUMNS_LEAST, COLUMNS_MOST, COLUMNS_UNKNOWN = 4, 10_000, 80
"""A window's width is a client's claim (RFC 4254 section 6.2: any 32 bits, 0 for unknown); only drawing uses it."""

BELL = b"\a"
TAB = "^I"
"""How one is drawn, as cat -A does it."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffd")
"""Letters and marks that draw nothing, and what stands for bytes that are not UTF-8."""
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f]")
_PRINTABLE = re.compile(rb"[ -~]+")

CONTROLS = {
    "\x01": "home",
    "\x05": "end",
    "\x08": "backspace",
    "\x0b": "kill_to_end",
    "\x0c": "clear",
    "\x15": "kill_to_start",
    "\x17": "kill_word",
    "\x19": "yank",
    "\x7f": "backspace",
}
"""^A ^E ^H ^K ^L ^U ^W ^Y and DEL."""
SEQUENCES = {
    "[A": "earlier", "[B": "later", "[C": "right", "[D": "left", "[H": "home", "[F": "end",
    "OA": "earlier", "OB": "later", "OC": "right", "OD": "left", "OH": "home", "OF": "end",
    "[1~": "home", "[7~": "home", "[4~": "end", "[8~": "end", "[3~": "delete",
    "[200~": "paste_begins", "[201~": "paste_ends",
}  # fmt: skip
"""What follows ESC: xterm's and rxvt's keys, and the brackets round a paste (xterm, mode 2004)."""
COOKED = frozenset({"backspace", "kill_to_start", "kill_word", "paste_begins", "paste_ends"})
"""What a cooked line knows of them (termios(3): VERASE, VKILL, VWERASE)."""
KEYS = {"\x03": "^C", "\x1a": "^Z", "\x1c": "^\\"}
"""Keys that are no text: ^C always, the others only while a program runs."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Enter: a whole line, without its end. A line of the history may hold newlines."""

    text: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """^C, ^D on an empty line, or, while a program runs, ^Z or ^\\."""

    key: str


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of some bytes."""

    echo: bytes
    """For the agent's terminal."""
    typed: Entered | Pressed | None
    """What somebody has to act on; None when all bytes were read without anything of the kind."""
    rest: bytes
    """Unread."""


@lru_cache(maxsize=4096)
def is_text(char: str) -> bool:
    """Whether a character may stand in a line: it is assigned, draws something, and changes nothing around it."""
    category = unicodedata.category(char)
    if category[0] == "C" or category in ("Zl", "Zp") or char in _BLANK:
        return False
    if category in ("Mn", "Me", "Mc"):
        return _VARIATION.match(char) is None
    return wcwidth(char) > 0


def width(char: str) -> int:
    """Cells that one character takes."""
    if char == "\t":
        return len(TAB)
    return 1 if " " <= char <= "~" else max(0, wcwidth(char))


class Editor:
    """One terminal's editor; see the file's header. `full` says whether the terminal can move its cursor."""

    def __init__(self, columns: int = COLUMNS_UNKNOWN, *, full: bool = True) -> None:
        self._can, self.columns = full, COLUMNS_UNKNOWN
        self.resize(columns)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape = ""
        self._after_return = self._pasting = False
        self._history: deque[str] = deque(maxlen=HISTORY_LIMIT)
        self._killed = ""
        self._begin("", full=False, echo=True, program=False)

    def _begin(self, prompt: str, *, full: bool, echo: bool, program: bool) -> None:
        self._prompt, self._full, self._echo, self._program = prompt, full and self._can, echo, program
        self._text: list[str] = []
        self._cursor = self._row = 0
        self._recalled = 0  # how far back in the history; 0: not at all
        self._draft: list[str] = []
        self._dirty = False
        self._end: tuple[int, int] | None = None  # of the text as drawn, while the cursor is there

    @property
    def text(self) -> str:
        """What stands in the line by now."""
        return "".join(self._text)

    def resize(self, columns: int) -> None:
        """The window's width, as the client claims it."""
        self.columns = min(max(columns, COLUMNS_LEAST), COLUMNS_MOST) if columns > 0 else COLUMNS_UNKNOWN

    def prompt(self, prompt: str) -> bytes:
        """Begin a command's line; returns what to draw. `prompt` is printable."""
        self._begin(prompt, full=True, echo=True, program=False)
        return (b"\x1b[?2004h" if self._full else b"") + self._redraw()

    def program(self, *, echo: bool) -> None:
        """Begin a line for a running program: cooked, without history; ^Z and ^\\ are keys. Draws nothing."""
        self._begin("", full=False, echo=echo, program=True)

    def echo(self, *, on: bool) -> None:
        """The terminal's echo changed, while a program runs."""
        if self._program:
            self._echo = on

    def interrupted(self) -> None:
        """What came so far was thrown away, a paste's end perhaps with it."""
        self._pasting, self._escape, self._after_return = False, "", False
        self._decoder.reset()

    def remember(self, text: str) -> None:
        """Put a line into the history."""
        if not text.strip() or len(text) > HISTORY_CHARACTERS or (self._history and self._history[-1] == text):
            return
        self._history.append(text)
        while sum(map(len, self._history)) > HISTORY_CHARACTERS:
            self._history.popleft()

    def feed(self, data: bytes) -> Fed:
        """Take bytes up to the first thing that somebody has to act on."""
        self._out: list[bytes] = []
        self._refused = False
        at = 0
        typed: Entered | Pressed | None = None
        while at < len(data) and typed is None:
            run = None
            if not self._escape and not self._decoder.getstate()[0]:
                run = _PRINTABLE.match(data, at)
            if run is not None:
                self._after_return = False
                self._insert(list(run[0].decode("ascii")))
                at = run.end()
                continue
            for char in self._decoder.decode(data[at : at + 1]):
                typed = self._take(char) or typed
            at += 1
        if self._dirty and typed is None:
            self._out.append(self._redraw())
        if self._refused:
            self._out.append(BELL)
        return Fed(b"".join(self._out), typed, data[at:])

    # --- one character ----------------------------------------------------------------------------------------------

    def _take(self, char: str) -> Entered | Pressed | None:
        if self._escape:
            if char >= " " and char != "\x7f":
                self._sequence(char)
                return None
            self._escape, self._refused = "", True
        after_return, self._after_return = self._after_return, False
        if char in "\r\n":
            if char == "\n" and after_return:
                return None
            self._after_return = char == "\r"
            return self._enter()
        if char == "\x1b":
            self._escape = char
        elif char in KEYS and (self._program or char == "\x03"):
            return self._press(KEYS[char])
        elif char == "\x04":
            if not self._text:
                return self._press("^D")
            self._edit("delete")
        elif char in CONTROLS:
            self._edit(CONTROLS[char])
        elif (self._pasting and char == "\t") or is_text(char):
            self._insert([char])
        else:
            self._refused = True
        return None

    def _sequence(self, char: str) -> None:
        self._escape += char
        body = self._escape[1:]
        if len(body) == 1 and char in "[O":
            return
        if body[0] == "[" and not "@" <= char <= "~" and len(body) < SEQUENCE_LIMIT:
            return
        self._escape = ""
        if body in SEQUENCES:
            self._edit(SEQUENCES[body])
        else:
            self._refused = True

    def _enter(self) -> Entered:
        self._leave(b"\r\n")
        text = self.text
        self._text, self._cursor, self._recalled = [], 0, 0
        return Entered(text)

    def _press(self, key: str) -> Pressed:
        if key == "^C":
            self._pasting = False
        if key != "^D":
            self._leave(key.encode() + (b"" if self._program else b"\r\n"))
            self._text, self._cursor, self._recalled = [], 0, 0
        return Pressed(key)

    def _leave(self, last: bytes) -> None:
        """Draw what is left to draw, and go behind the line."""
        if self._echo or not self._text:
            if self._dirty or self._cursor < len(self._text):
                self._cursor = len(self._text)
                self._out.append(self._redraw())
            off = b"\x1b[?2004l" if self._full else b""
            self._out.append(off + last)
        elif last == b"\r\n":
            self._out.append(last)

    # --- edits ------------------------------------------------------------------------------------------------------

    def _edit(self, name: str) -> None:
        if name == "paste_begins":
            self._pasting = True
        elif name == "paste_ends":
            self._pasting = False
        elif not self._full:
            self._edit_cooked(name)
        elif getattr(self, f"_do_{name}")():
            self._dirty, self._end = True, None
        else:
            self._refused = True

    def _edit_cooked(self, name: str) -> None:
        if name not in COOKED or not self._text:
            self._refused = True
            return
        keep = 0
        if name == "backspace":
            keep = len(self._text) - 1
        elif name == "kill_word":
            keep = self._word_start()
        gone = sum(width(char) for char in self._text[keep:])
        del self._text[keep:]
        self._cursor = keep
        if self._echo:
            self._out.append(b"\b \b" * gone)

    def _insert(self, chars: list[str]) -> None:
        room = max(0, LINE_LIMIT - len(self._text))
        if len(chars) > room:
            self._refused = True
            chars = chars[:room]
        at_end = self._cursor == len(self._text)
        self._text[self._cursor : self._cursor] = chars
        self._cursor += len(chars)
        if not self._echo:
            return
        if not self._full:
            self._out.append(_drawn(chars))
        elif at_end and not self._dirty and self._end is not None and all(" " <= char <= "~" for char in chars):
            row, column = self._end
            down, column = divmod(column + len(chars), self.columns)
            self._row = row + down
            self._end = self._row, column
            self._out.append(_drawn(chars) + (b" \r" if down and column == 0 else b""))
        else:
            self._dirty = True

    def _word_start(self) -> int:
        """Where the word before the cursor begins, by blanks, as ^W of a tty has it."""
        at = self._cursor
        while at and self._text[at - 1].isspace():
            at -= 1
        while at and not self._text[at - 1].isspace():
            at -= 1
        return at

    def _cut(self, start: int, end: int) -> bool:
        if start == end:
            return False
        self._killed = "".join(self._text[start:end])
        del self._text[start:end]
        self._cursor = start
        return True

    def _do_home(self) -> bool:
        self._cursor = 0
        return True

    def _do_end(self) -> bool:
        self._cursor = len(self._text)
        return True

    def _do_left(self) -> bool:
        moved = self._cursor > 0
        self._cursor -= moved
        return moved

    def _do_right(self) -> bool:
        moved = self._cursor < len(self._text)
        self._cursor += moved
        return moved

    def _do_backspace(self) -> bool:
        if self._cursor == 0:
            return False
        self._cursor -= 1
        del self._text[self._cursor]
        return True

    def _do_delete(self) -> bool:
        if self._cursor == len(self._text):
            return False
        del self._text[self._cursor]
        return True

    def _do_kill_to_end(self) -> bool:
        return self._cut(self._cursor, len(self._text))

    def _do_kill_to_start(self) -> bool:
        return self._cut(0, self._cursor)

    def _do_kill_word(self) -> bool:
        return self._cut(self._word_start(), self._cursor)

    def _do_yank(self) -> bool:
        if not self._killed or len(self._text) + len(self._killed) > LINE_LIMIT:
            return False
        self._text[self._cursor : self._cursor] = self._killed
        self._cursor += len(self._killed)
        return True

    def _do_clear(self) -> bool:
        self._out.append(b"\x1b[H\x1b[2J")
        self._row = 0
        return True

    def _do_earlier(self) -> bool:
        return self._recall(self._recalled + 1)

    def _do_later(self) -> bool:
        return self._recall(self._recalled - 1)

    def _recall(self, back: int) -> bool:
        if not 0 <= back <= len(self._history):
            return False
        if self._recalled == 0:
            self._draft = self._text
        self._recalled = back
        self._text = list(self._history[-back]) if back else self._draft
        self._cursor = len(self._text)
        return True

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _redraw(self) -> bytes:
        """Draw prompt and line anew, from where they began."""
        self._dirty = False
        if not self._full:
            return self._prompt.encode() + (_drawn(self._text) if self._echo else b"")
        back = (b"\x1b[%dA" % self._row if self._row else b"") + b"\r\x1b[J"
        end = self._place(len(self._text))
        body = self._prompt.encode() + _drawn(self._text)
        if end[1] == 0 and end[0] and not (self._text and self._text[-1] == "\n"):
            body += b" \r"  # the terminal waits in its last column, and would wrap at the next character only
        row, column = end
        if self._cursor < len(self._text):
            row, column = self._place(self._cursor)
            body += (b"\x1b[%dA" % (end[0] - row) if end[0] > row else b"") + b"\r"
            body += b"\x1b[%dC" % column if column else b""
            self._end = None
        else:
            self._end = end
        self._row = row
        return back + body

    def _place(self, index: int) -> tuple[int, int]:
        """Row and column, from the prompt's beginning, of the cursor in front of the character at `index`."""
        row = column = 0
        for char in (self._prompt + "".join(self._text[:index])).replace("\t", TAB):
            if char == "\n":
                row, column = row + 1, 0
                continue
            cells = width(char)
            if column + cells > self.columns:
                row, column = row + 1, 0
            column += cells
            if column >= self.columns:
                row, column = row + 1, 0
        return row, column


def _drawn(chars: list[str]) -> bytes:
    return "".join(chars).replace("\t", TAB).replace("\n", "\r\n").encode()
