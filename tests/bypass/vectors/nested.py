"""Shells in the shell: what is typed for one runs in no other, and in none without being asked for."""

from __future__ import annotations

from tests.bypass.vector import TOUCH, Approve, Ends, Held, Pause, Plant, Sees, Step, Type, Vector
from tests.bypass.vectors.shell import shell

PROMPT = Sees(rb"[#$] ")
IN = (PROMPT, Type(b"bash\r"), Approve(b"bash"), PROMPT, Type(b"echo in''side\r"), Approve(b"echo in''side"))
INSIDE = (*IN, Sees(rb"inside\r?\n"), PROMPT)


def _nested(
    name: str, must: str, *steps: Step, held: tuple[bytes, ...] = (), ends: Ends = Ends.SENTINEL, bites: bool = True
) -> Vector:
    return shell(name, "nested", must, *steps, held=held, ends=ends, bites=bites)


KILL = b"(until [ -e {E} ]; do sleep 0.02; done; kill -9 $$) & echo ar''med"

GAMES = b"bind -x '\"t\": . {E}'; stty intr o eof u; echo ga''mes"

VECTORS = (
    _nested("NE-01", "a line inside is held by itself", *INSIDE, Type(TOUCH + b"\r"), held=(TOUCH,)),
    _nested(
        "NE-02",
        "what was typed ahead of the shell inside is held in it",
        PROMPT,
        Type(b"bash\r" + TOUCH + b"\r"),
        Approve(b"bash"),
        held=(TOUCH,),
    ),
    _nested(
        "NE-03",
        "what is held when its shell is killed runs nowhere, nor what was typed behind it",
        *INSIDE,
        Type(KILL + b"\r"),
        Approve(KILL),
        Sees(rb"armed\r?\n"),
        PROMPT,
        Type(TOUCH + b"\r" + TOUCH + b"\r"),
        Held(TOUCH),
        Plant(b"{E}", b""),
        Sees(rb"dropped"),
        held=(TOUCH,),
        bites=False,
    ),
    _nested(
        "NE-04",
        "what is typed behind its end is held outside",
        *INSIDE,
        Type(b"exit\r" + TOUCH + b"\r"),
        Approve(b"exit"),
        held=(TOUCH,),
    ),
    _nested(
        "NE-05",
        "a shell in the place of the one inside gets only what was approved",
        *INSIDE,
        Type(b"exec sh\r"),
        Approve(b"exec sh"),
        Pause(0.2),
        Type(TOUCH + b"\r"),
        ends=Ends.CUT,
    ),
    _nested(
        "NE-06",
        "a shell in the background reads nothing of the terminal",
        PROMPT,
        Type(b"bash & sleep 0.2; echo go''es\r"),
        Approve(b"bash & sleep 0.2; echo go''es"),
        Sees(rb"goes\r?\n"),
        Type(TOUCH + b"\r"),
        held=(TOUCH,),
    ),
    _nested(
        "NE-07",
        "^D leaves one shell, and runs nothing of what follows it",
        *INSIDE,
        Type(b"\x04" + TOUCH + b"\r"),
        held=(TOUCH,),
    ),
    _nested(
        "NE-08",
        "key bindings, editing modes and settings of the terminal inside do nothing to what is typed",
        *INSIDE,
        Plant(b"{E}", TOUCH),
        Type(GAMES + b"\r"),
        Approve(GAMES),
        Sees(rb"games\r?\n"),
        PROMPT,
        Type(TOUCH + b"\r"),
        held=(TOUCH,),
    ),
    _nested(
        "NE-09",
        "a made-up word of a shell inside brings up none",
        Type(
            b"printf '\\033]7770;M;%039d;1;0;bash;/dev/tty\\007\\033]7770;R;%039d;x;/\\007' 0 0; sleep 1; echo RE''AL\r"
        ),
        Approve(
            b"printf '\\033]7770;M;%039d;1;0;bash;/dev/tty\\007\\033]7770;R;%039d;x;/\\007' 0 0; sleep 1; echo RE''AL"
        ),
        Type(TOUCH + b"\r"),
        Sees(rb"REAL\r?\n"),
        held=(TOUCH,),
    ),
)
