"""How the command line speaks: tables and JSON on stdout, one line of complaint on stderr.

Whatever comes from elsewhere (a command, a reason, a daemon's message) is shown through `policy.visible`; JSON is ASCII
with everything else escaped, so that it is as safe to print.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import IO, Any

import click

from bastion.errors import BastionError

NO_LIMIT = 1 << 30
"""Width where nobody reads on a screen: a file or a pipe gets everything."""

LEAST_WIDTH = 20
"""Characters of a table's last column, however narrow the terminal."""


PLAIN: ContextVar[bool] = ContextVar("plain", default=False)
"""`--plain`: one fact a line, as a screen reader reads it; set for the verb that runs."""


def prepare() -> None:
    """Speak UTF-8 whatever the locale says: the marks of `policy.visible` must not become something else."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else somebody has put a stream of theirs in its place
            with contextlib.suppress(ValueError):  # it is closed
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def silence() -> None:
    """Write nothing more: Python would complain about the broken pipe at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(data: bytes | str) -> str:
    """On one line, and harmless."""
    from bastion.covering import visible

    return visible(data, newlines=False)


def say(text: str = "", *, file: IO[str] | None = None) -> None:
    """One line of our own words, or of words that went through `shown`."""
    try:
        print(text, file=file or sys.stdout, flush=True)
    except BrokenPipeError:
        silence()  # the reader, `head` perhaps, has seen enough; the verb goes on, and its status is the true one


def stream(text: str, *, end: str = "\n") -> None:
    """One line of a verb that goes on until somebody ends it: when nobody reads any more, that is its end."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        silence()
        raise click.exceptions.Exit(0) from None


def complain(error: BastionError) -> int:
    """The failure on stderr; its exit status."""
    say(f"bastion: {shown(str(error))}", file=sys.stderr)
    return error.exit_status


def complain_usage(message: str, path: str) -> int:
    """What click does not understand, on stderr; the exit status for it."""
    words = message[:1].lower() + message[1:].rstrip(".")
    say(f"bastion: {shown(words)} (try `{path} --help`)", file=sys.stderr)
    return 2


def as_json(value: object) -> None:
    """One JSON value on one line."""
    say(to_json(value))


def to_json(value: object) -> str:
    """In ASCII, on one line."""
    return json.dumps(value, ensure_ascii=True)


def room(taken: int) -> int:
    """Characters that are left on a line; on what is no terminal, as many as one likes."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else NO_LIMIT
    return max(LEAST_WIDTH, columns - taken)


def table(heads: Sequence[str], rows: Iterable[Sequence[bytes | str]]) -> None:
    """Columns. On a terminal the last one is cut to fit, and says how much is missing."""
    from bastion.covering import visible_line

    whole = list(rows)
    if PLAIN.get():
        for number, row in enumerate(whole):
            if number:
                say()
            for head, cell in zip(heads, row, strict=True):
                fact(head.lower(), cell)
        return
    left = [[shown(cell) for cell in row[:-1]] for row in whole]
    widths = [max(map(len, column)) for column in zip(heads[:-1], *left, strict=True)]
    left_over = room(sum(width + 2 for width in widths))
    last = [heads[-1], *(visible_line(row[-1], left_over) for row in whole)]
    for cells, end in zip([list(heads[:-1]), *left], last, strict=True):
        say(("".join(f"{cell.ljust(width)}  " for cell, width in zip(cells, widths, strict=True)) + end).rstrip())


def fact(name: str, value: bytes | str) -> None:
    """A name and what it is, on one line; nothing is cut."""
    say(f"{name}: {shown(value)}")


def when(micros: int) -> str:
    """A moment in local time; `-` for 0, which is none."""
    if micros == 0:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(micros / 1_000_000))


def span(micros: int) -> str:
    """A time span in its two largest units."""
    seconds = abs(micros) // 1_000_000
    for unit, size, below, smaller in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // smaller:02d}{below}"
    return f"{seconds}s"


def block(data: bytes | str, *, file: IO[str] | None = None) -> None:
    """The complete text, harmless, each of its lines behind a bar."""
    from bastion.covering import visible

    for line in visible(data).split("\n"):
        if line:
            say(f"  | {line}", file=file)


def size_of(data: bytes) -> str:
    """`25 bytes, 1 line`, and what is strange about it."""
    from bastion.policy.visible import describe

    about = describe(data)
    counts = f"{about.bytes} byte{'' if about.bytes == 1 else 's'}, {about.lines} line{'' if about.lines == 1 else 's'}"
    return "; ".join([counts, *about.strange])


def structure(value: Any) -> Any:
    """A wire struct as JSON values: bytes as `NAME_base64` beside a readable `NAME`. Secrets are covered, in the base64
    by as many stars; `covered` then names the fields that lost something."""
    import base64

    import msgspec

    from bastion import covering

    made: dict[str, Any] = {}
    covered: list[str] = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, bytes):
            over = covering.overwritten(field)
            made[name] = covering.text(field.decode("utf-8", "replace"))
            made[f"{name}_base64"] = base64.b64encode(over).decode()
            covered += [name] if over != field else []
        else:
            plain = msgspec.to_builtins(field)
            made[name] = covering.value(plain)
            covered += [name] if made[name] != plain else []
    return {**made, "covered": covered} if covered else made


def progress(text: str) -> None:
    """How far it is, over the line before; for a terminal only, and not where nothing is redrawn."""
    if PLAIN.get():
        return
    print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Take the line away again."""
    if PLAIN.get():
        return
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
