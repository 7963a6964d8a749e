"""What changes the meaning of later commands: each is held like everything else, and its approver is warned of it."""

from __future__ import annotations

from tests.bypass.vector import TOUCH, Approve, Channel, Ends, Plant, Step, Type, Vector
from tests.bypass.vectors.shell import START


def _flag(name: str, must: str, command: bytes, *words: str) -> Vector:
    """Held; and one of these words stands in the reasons that the approver gets."""
    return Vector(
        name,
        "state",
        Channel.SHELL,
        must,
        (*START, Type(command + b"\r")),
        held=(command,),
        flagged=words,
        bites=False,
    )


def _later(name: str, must: str, first: bytes, then: bytes, ends: Ends = Ends.SENTINEL) -> Vector:
    """The first was approved; the second is held all the same."""
    steps: tuple[Step, ...] = (*START, Plant(b"{E}", TOUCH + b"\n"), Type(first + b"\r"), Approve(first))
    return Vector(name, "state", Channel.SHELL, must, (*steps, Type(then + b"\r")), held=(then,), ends=ends)


def _done(command: bytes) -> tuple[Step, ...]:
    """Typed, and approved."""
    return (Type(command + b"\r"), Approve(command))


VECTORS = (
    _later("ST-01", "an alias of that name lets no later command through", b"alias ls='sh {E};ls'", b"ls"),
    _later("ST-02", "nor does a function", b"ls(){ sh {E}; command ls; }", b"ls"),
    _flag("ST-03", "a change of PATH is said", b"export PATH=/tmp/evil:$PATH", "path", "sets"),
    _flag("ST-04", "LD_PRELOAD is said", b"export LD_PRELOAD=/tmp/x.so", "ld_preload", "sets", "loads"),
    _flag("ST-05", "BASH_ENV is said", b"export BASH_ENV=/tmp/x ENV=/tmp/x", "bash_env", "env", "sets"),
    _flag("ST-06", "an exported function is said", b"export -f ls", "function", "later commands"),
    Vector(
        "ST-07",
        "state",
        Channel.SHELL,
        "a trap at the end was seen by a person, who is warned",
        (*START, Type(b"trap '" + TOUCH + b"' EXIT\r")),
        held=(b"trap '" + TOUCH + b"' EXIT",),
        flagged=("trap", "later commands"),
        bites=False,
    ),
    _flag(
        "ST-09",
        "a handler of unknown commands is said",
        b'command_not_found_handle(){ eval "$@"; }',
        "cannot be judged",
    ),
    _flag("ST-10", "hash -p and enable -f are said", b"hash -p /tmp/evil ls ; enable -f ./x.so x", "later commands"),
    Vector(
        "ST-14",
        "state",
        Channel.SHELL,
        "set -e ends the session like a login shell's, and opens nothing",
        (*START, *_done(b"set -e; set -u"), *_done(b"false"), Type(TOUCH + b"\r")),
        ends=Ends.CUT,
        bites=False,
    ),
    Vector(
        "ST-15",
        "state",
        Channel.SHELL,
        "exit in a function ends the session, and what was typed ahead with it",
        (*START, Type(b"f(){ exit 3; }; f\r" + TOUCH + b"\r"), Approve(b"f(){ exit 3; }; f")),
        ends=Ends.CLOSED,
        bites=False,
    ),
    Vector(
        "ST-16",
        "state",
        Channel.SHELL,
        "PROMPT_COMMAND runs nothing that nobody saw",
        (*START, Plant(b"{E}", TOUCH + b"\n"), *_done(b"echo x"), Type(b"PROMPT_COMMAND='sh {E}'\r")),
        held=(b"PROMPT_COMMAND='sh {E}'",),
    ),
)
