"""Frames to the driver on the target, and the marks that it answers with. Pure.

Theory of operation. A *frame* is what the control channel writes into the private pipe from which the target's shell
takes its commands. A *mark* is `ESC ] 7770 ; letter ; nonce ; fields BEL`, an OSC sequence of our own number, which the
driver writes to its private descriptor for the terminal; `Marks` takes marks out of the output and passes every
other byte on, unchanged, however the bytes are split.

A command travels as one word of letters, digits and backslashes that ends in a nonce (`load`): should ^C make the shell
drop the first part of that line, then the rest is one word that no file, function or alias can be called, whatever the
command is. Nothing else on the line follows the word. The lines after it are ours and constant but for nonces.

    load    \\__b_l ls\\\\0040\\\\055lx\\\\c1234…    decode the command into a variable
    start   \\__b_s 1234… && \\builtin eval "$__b_c" <&7 7<&- 8>&- 9>&-; …
    done    \\__b_d 5678…                     print how it ended

The nonce of `done` is unread in the pipe, or in the shell's own input buffer, while the command runs: a command cannot
print it. Nonces have 128 bits, decimal digits (a terminal in `olcuc` mode changes letters), and count once: what comes
with the number of a mark and is none of those expected was made by somebody else, and is taken out and counted.

Not protected: approved code of the same account can read the shell's memory, and so can its administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

COMMAND_LIMIT = 131_071
"""Bytes in one command, as for exec (model.COMMAND_LIMIT)."""

NOTED = b"\n\n{ \\__b_u; } 2>/dev/null\n"
"""Behind a command, in a shell with `set -e`: notes its status and succeeds. `false && true` ends no such shell, but an
eval that returns its status would. Not behind a here-document, which could swallow it, nor behind an open pipe."""

FRAME_LIMIT = 6 * COMMAND_LIMIT + 1024
"""Bytes in one frame: each byte of a command takes at most six, and our own lines take less than 1 KiB."""

MARK_LIMIT = 1 << 15
"""Bytes in one mark. The longest of ours is `done` in a directory of DIRECTORY_LIMIT bytes: four characters a byte at
most."""

DIRECTORY_LIMIT = 4096
"""Bytes in the name of a directory: Linux' PATH_MAX. The driver names no longer one."""

NONCE_DIGITS = 39
"""Decimal digits of a 128-bit number, padded with zeros."""

START = b"\x1b]7770;"
END = b"\x07"

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_TABLE = [bytes([byte]) if byte in _PLAIN else b"\\\\0%03o" % byte for byte in range(256)]
_NONCE = re.compile(r"[0-9]{39}", re.ASCII)


class FrameError(ValueError):
    """Not a frame: a command that cannot be sent."""


def nonce_of(number: int) -> str:
    """A 128-bit number as a nonce. Raises ValueError if it is not one."""
    if not 0 <= number < 1 << 128:
        raise ValueError("a nonce has 128 bits")
    return f"{number:0{NONCE_DIGITS}d}"


def is_nonce(text: str) -> bool:
    """Whether `text` is 39 decimal digits."""
    return _NONCE.fullmatch(text) is not None


def word(data: bytes) -> bytes:
    """`data` as one shell word for printf's %b: letters and digits as they are, else `\\\\0ooo`. Raises FrameError."""
    if b"\0" in data:
        raise FrameError("a shell command cannot hold a NUL byte")
    return b"".join([_TABLE[byte] for byte in data])


def run(command: bytes, start: str, done: str, *, kind: str, succeeded: bool, flags: str = "") -> bytes:
    """The frame of one command for a shell of this kind. `succeeded`: the status before it was 0; `flags`: its `$-`.

    The start function returns that status, so that `$?` is kept. In `a || b` a failure of `a` counts neither for
    `set -e` nor for an ERR trap; and it must be `&&` where `a` succeeds.

    Raises FrameError for a command with a NUL, an empty one, or one of more than COMMAND_LIMIT bytes.
    """
    if not command:
        raise FrameError("an empty command")
    if len(command) > COMMAND_LIMIT:
        raise FrameError(f"a command of more than {COMMAND_LIMIT} bytes")
    if "e" in flags and b"<<" not in command and not command.rstrip().endswith((b"|", b"&&")):
        command += NOTED
    then = b"&&" if succeeded else b"||"
    name, evaluate = start.encode(), b"\\builtin eval" if kind == "bash" else b"\\eval"
    load = b"\\__b_l %sx\\\\c%s\n" % (word(command), name)
    begin = b'\\__b_s %s %s %s "$__b_c" <&7 7<&- 8>&- 9>&-' % (name, then, evaluate)
    frame = load + begin + b"; { \\__b_u; \\__b_w; } 2>/dev/null\n" + finish(done)
    assert len(frame) <= FRAME_LIMIT  # noqa: S101 -- by construction; tested at the edge
    return frame


def finish(done: str) -> bytes:
    """The line that reports how the last command ended. Sent once more when an interrupt may have eaten the first."""
    return b"\\__b_d %s\n" % done.encode()


def flush(mark: str, token: str, done: str) -> bytes:
    """Have the driver empty the terminal's input, up to and with the line `token`, which the bastion sends when it sees
    the mark; `done` names the report."""
    return b"\\__b_f %s %s\n\\__b_e %s\n" % (mark.encode(), token.encode(), done.encode())


# --- what comes back --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """`M`: the bootstrap made the pipe, and waits for its other end."""

    nonce: str

    pid: int
    place: int
    """Which of the bootstrap's directories holds it."""
    kind: str
    """`bash` or `sh`: what it will become."""
    tty: str
    """The terminal's device, empty where the target could not tell."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """`E`: the bootstrap cannot do its part."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """`R`: the shell waits for the first frame."""

    nonce: str

    flags: str
    cwd: str


@dataclass(frozen=True, slots=True)
class Began:
    """`B`: the whole frame was read, and the command is next."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Done:
    """`D`: the command has ended."""

    nonce: str
    status: int
    flags: str
    """The shell's `$-`."""
    cwd: str
    """Empty where the shell could not tell, or what it says is not where it is."""


@dataclass(frozen=True, slots=True)
class Lost:
    """`L`: the frame did not arrive whole, and the command did not run."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Flushing:
    """`F`: the terminal takes everything as it comes, and waits for the token."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """`W`: how the flush ended."""

    nonce: str
    clean: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    """`I`: an interrupt brought the shell back to its input. It may have eaten a line of ours."""

    nonce: str
    """Which shell's, where one runs in another."""


@dataclass(frozen=True, slots=True)
class Impatient:
    """`K`: the shell will end itself when it gets no line for so many seconds (TMOUT, bash(1))."""

    nonce: str
    """Which shell's, as with `I`."""
    seconds: int


Mark = Made | Impossible | Ready | Began | Done | Lost | Flushing | Flushed | Interrupted | Impatient


@dataclass(slots=True)
class Marks:
    """Takes marks out of the target's output. Incremental: any split gives the same marks and the same bytes."""

    spoofed: int = 0
    """Sequences of our number that nobody expected."""
    _expected: dict[str, str] = field(default_factory=dict)
    _held: bytes = b""

    def expect(self, letters: str, nonce: str) -> None:
        """The driver was told to answer with this nonce and one of these letters: once, but `I` and `K` at any time."""
        self._expected[nonce] = letters

    def forget(self, nonce: str) -> None:
        """It will not come any more."""
        self._expected.pop(nonce, None)

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """Output and marks, in the order in which they came."""
        data, self._held = self._held + data, b""
        at = 0
        while True:
            start = data.find(START, at)
            if start < 0:
                keep = len(data) - _partial(data, at)
                if keep > at:
                    yield data[at:keep]
                self._held = data[keep:]
                return
            if start > at:
                yield data[at:start]
            end = _end(data, start + len(START))
            if end is None:
                self._held = data[start:]
                return
            stop, whole = end
            at = stop + whole
            mark = self._read(data[start + len(START) : stop]) if whole else None
            if mark is None:
                self.spoofed += 1
            else:
                yield mark

    def close(self) -> bytes:
        """What was held back when the output ended: not a mark, so it is output."""
        data, self._held = self._held, b""
        return data

    def _read(self, body: bytes) -> Mark | None:
        letter, _, rest = body.decode("latin-1").partition(";")
        nonce, *fields = rest.split(";", {"D": 3}.get(letter, 4))
        if len(letter) != 1 or letter not in self._expected.get(nonce, ""):
            return None
        mark = _mark(letter, nonce, fields)
        if mark is not None and letter not in "IK":
            del self._expected[nonce]
        return mark


def _partial(data: bytes, at: int) -> int:
    """How many bytes at the end may be the beginning of START."""
    last = data.rfind(START[:1], max(at, len(data) - len(START) + 1))
    return len(data) - last if last >= 0 and START.startswith(data[last:]) else 0


def _end(data: bytes, begin: int) -> tuple[int, bool] | None:
    """Where the sequence that began ends, and whether BEL ends it, as ours do; not at another control character, or
    where it is longer than any of ours. None if more has to come."""
    match = _CONTROL.search(data, begin, begin + MARK_LIMIT)
    if match is not None:
        return match.start(), match[0] == END
    return (begin + MARK_LIMIT, False) if len(data) - begin >= MARK_LIMIT else None


_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def _mark(letter: str, nonce: str, fields: list[str]) -> Mark | None:
    """None for what is not of the form. Fields are as `latin-1`, one character a byte."""
    match letter, fields:
        case "M", [pid, place, ("bash" | "sh") as kind, tty] if _number(pid) and _number(place):
            return Made(nonce, int(pid), int(place), kind, tty if _TTY.fullmatch(tty) else "")
        case "E", [reason]:
            return Impossible(reason)
        case "R", [flags, cwd]:
            return Ready(nonce, _flags(flags), directory(cwd))
        case "B", []:
            return Began(nonce)
        case "D", [status, flags, cwd] if _number(status) and int(status) <= 255:
            return Done(nonce, int(status), _flags(flags), directory(cwd))
        case "L", []:
            return Lost(nonce)
        case "F", []:
            return Flushing(nonce)
        case "W", [("0" | "1") as clean]:
            return Flushed(nonce, clean == "1")
        case "I", []:
            return Interrupted(nonce)
        case "K", [""]:  # atoi(3) of it may be anything
            return Impatient(nonce, 1)
        case "K", [seconds] if _number(seconds):
            return Impatient(nonce, int(seconds))
        case _:
            return None


_TTY = re.compile(r"/dev/[A-Za-z0-9/]{1,60}", re.ASCII)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _flags(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and letter.isalpha())[:52]


_QUOTED = re.compile(rb"\\(?:([0-7]{3})|(.))|([^\\])", re.DOTALL)
_NAMED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r", b"E": b"\x1b"}


def directory(quoted: str) -> str:
    """The directory as bash's `printf %q` or the POSIX driver (as it is) gave it; "" where there is none.

    What is not UTF-8 becomes `\\xNN`: the name is for people.
    """
    raw = unquoted(quoted)
    if not raw.startswith(b"/") or len(raw) > DIRECTORY_LIMIT:
        return ""
    return raw.decode("utf-8", "backslashreplace")


def unquoted(quoted: str) -> bytes:
    """What bash's `printf %q` was given."""
    raw = quoted.encode("latin-1")
    if raw.startswith(b"$'") and raw.endswith(b"'"):
        return b"".join(_unquoted(match) for match in _QUOTED.finditer(raw[2:-1]))
    return b"" if raw == b"''" else re.sub(rb"\\(.)", rb"\1", raw)


def _unquoted(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 8) & 255])
    if match[2]:
        return _NAMED.get(match[2], match[2])
    return match[3]
