"""What is typed into a command that runs, and into a shell without a terminal."""

from __future__ import annotations

from tests.bypass.vector import (
    TOUCH,
    Approve,
    Channel,
    Ends,
    Held,
    Pause,
    Shell,
    Type,
    Vector,
)
from tests.bypass.vectors.shell import shell

INPUT = (
    shell(
        "SI-03",
        "stdin-code",
        "input of a pipe into a shell is held line by line",
        Type(b"cat | sh\r"),
        Approve(b"cat | sh"),
        Pause(0.3),
        Type(TOUCH + b"\r"),
        ends=Ends.CUT,
    ),
    shell(
        "SI-07",
        "stdin-code",
        "a pager's shell escape is a line that is held",
        Type(b"less /etc/passwd\r"),
        Approve(b"less /etc/passwd", mode="line"),
        Pause(0.3),
        Type(b"!" + TOUCH + b"\r"),
        ends=Ends.CUT,
    ),
    shell(
        "SI-08",
        "raw",
        "keys that only move about let no shell escape through",
        Type(b"less /etc/passwd\r"),
        Approve(b"less /etc/passwd", mode="view"),
        Pause(0.3),
        Type(b"!" + TOUCH + b"\r"),
        ends=Ends.CUT,
        needs=frozenset({"view"}),
    ),
    shell(
        "SI-09",
        "keys",
        "a nested shell gets only printable lines, each held",
        Type(b"bash\r"),
        Approve(b"bash"),
        Pause(0.3),
        Type(TOUCH + b"\x16\r"),
        Type(TOUCH + b"\r"),
        Type(TOUCH + b"\t\x0f"),
        Type(b"\x1b[200~" + TOUCH + b"\n"),
        ends=Ends.CUT,
    ),
)


PIPE = (
    Vector(
        "PI-01",
        "stdin-code",
        Channel.PIPE,
        "each complete command of stdin is held by itself",
        (Shell(terminal=False), Type(b"true\n" + TOUCH + b"\n"), Approve(b"true"), Held(TOUCH)),
        held=(b"true", TOUCH),
        ends=Ends.CUT,
    ),
    Vector(
        "PI-02",
        "stdin-code",
        Channel.PIPE,
        "a script's command gets no other part of the script on its stdin",
        (Shell(terminal=False), Type(b"sh\n" + TOUCH + b"\n"), Approve(b"sh")),
        ends=Ends.CUT,
    ),
)


VECTORS = INPUT + PIPE
