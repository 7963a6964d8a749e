"""What an agent types into a shell ahead of time, and in pastes."""

from __future__ import annotations

from tests.bypass.vector import (
    TOUCH,
    Approve,
    Ends,
    Held,
    Sees,
    Type,
)
from tests.bypass.vectors.shell import shell

NAP = b"echo run''ning; sleep 1; echo do''ne"
"""A command that says when it reads what is typed, and when no more."""
OVER = (Sees(rb"done\r?\n"), Sees(rb"[#$] "))
"""It has ended: before the prompt, keys of a window in which they pass are still its own."""


def _nap(mode: str = "") -> tuple[Type | Approve | Sees, ...]:
    return (Type(NAP + b"\r"), Approve(NAP, mode=mode), Sees(rb"running\r?\n"))


RAW = frozenset({"raw"})


VECTORS = (
    shell(
        "TA-01",
        "typeahead",
        "held as input of the running command; withdrawn at its end and held anew as a command",
        *_nap(),
        Type(TOUCH + b"\r"),
        Held(TOUCH, line=True),
        held=(TOUCH,),
    ),
    shell(
        "TA-02",
        "typeahead",
        "kept in the bastion, never sent, each line held by itself",
        Type(b"sleep 0.3\r" + TOUCH + b"\r"),
        Approve(b"sleep 0.3"),
        held=(TOUCH,),
    ),
    shell(
        "TA-03",
        "typeahead",
        "a denial of the first is none of the second, and no approval either",
        Type(b"false\r" + TOUCH + b"\r"),
        held=(b"false", TOUCH),
    ),
    shell(
        "TA-04",
        "paste",
        "two items, in order",
        Type(b"true\n" + TOUCH + b"\n"),
        Approve(b"true"),
        held=(b"true", TOUCH),
    ),
    shell(
        "TA-05",
        "paste",
        "one item of several lines or several items, never a hidden line",
        Type(b"\x1b[200~true\n" + TOUCH + b"\n\x1b[201~\r"),
    ),
    shell(
        "TA-06",
        "paste",
        "without an end of the paste: the text is shown whole, and held once",
        Type(b"\x1b[200~true; " + TOUCH),
        Type(b"\r"),
        held=(b"true; " + TOUCH,),
        bites=False,
    ),
    shell(
        "TA-07",
        "typeahead",
        "what a command left unread is thrown away before the next one starts",
        *_nap("raw"),
        Type((TOUCH + b"\r") * 2),
        *OVER,
        Type(b"timeout -s KILL --foreground 1 sh; echo en''ded\r"),
        Approve(b"timeout -s KILL --foreground 1 sh; echo en''ded"),
        Sees(rb"ended\r?\n"),  # the shell that shall find nothing to read is gone
        needs=RAW,
    ),
    shell(
        "TA-08",
        "driver-forgery",
        "the terminal is never a source of commands",
        *_nap("raw"),
        Type(b"\\builtin eval '" + TOUCH + b"' <&7\n\\__g_d 1 0\n"),
        *OVER,
        bites=False,
        needs=RAW,
    ),
    shell(
        "TA-09",
        "typeahead",
        "the channel is closed, and with it what was typed ahead",
        Type(b"exit\r" + TOUCH + b"\r"),
        Approve(b"exit"),
        ends=Ends.CLOSED,
        bites=False,
    ),
    shell(
        "TA-11",
        "typeahead",
        "another shell in the place of the first gets only what was approved",
        Type(b"exec bash\r"),
        Approve(b"exec bash"),
        Type(TOUCH + b"\r"),
        ends=Ends.CUT,
    ),
    shell(
        "TA-12",
        "typeahead",
        "^C takes back what is held and what was typed behind it",
        Type(b"sleep 5\r" + TOUCH),
        Held(b"sleep 5"),
        Type(b"\x03"),
        bites=False,
    ),
    shell(
        "AP-08",
        "approver-race",
        "an approval of what the agent took back runs nothing",
        Type(TOUCH + b"\r"),
        Held(TOUCH),
        Type(b"\x03"),
        bites=False,
    ),
)
