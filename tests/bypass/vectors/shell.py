"""A shell, and an attack that is typed into one."""

from __future__ import annotations

from tests.bypass.vector import Approve, Channel, Ends, Sees, Shell, Step, Type, Vector

READY = b"echo re''ady"
START = (Shell(), Type(READY + b"\r"), Approve(READY), Sees(rb"ready\r?\n"))
"""A shell that has shown that it works."""


def shell(
    name: str,
    category: str,
    must: str,
    *steps: Step,
    held: tuple[bytes, ...] = (),
    ends: Ends = Ends.SENTINEL,
    bites: bool = True,
    flagged: tuple[str, ...] = (),
    needs: frozenset[str] = frozenset(),
) -> Vector:
    """What happens once the shell is there."""
    return Vector(
        name,
        category,
        Channel.SHELL,
        must,
        (*START, *steps),
        held=held,
        ends=ends,
        bites=bites,
        flagged=flagged,
        needs=needs,
    )
