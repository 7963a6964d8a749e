"""The title of the terminal's window or tab: how much waits, for who looks at another one. Pure.

Only our own words and a number: nothing of what an agent wrote gets there. The title that the terminal had is put aside
at the start and comes back at the end (XTWINOPS 22 and 23 of xterm, which others know or ignore).
"""

from __future__ import annotations

BEGIN, END = "\x1b[22;2t", "\x1b[23;2t"

WITHOUT = frozenset({"", "dumb", "linux"})
"""TERM of what has no title: the kernel's console would take some of it for other things."""


def title(held: int, up: bool) -> str:
    """OSC 2 (xterm's control sequences): `3 held - agent-bastion`."""
    words = f"{held:,} held" if up else "NOT CONNECTED"
    return f"\x1b]2;{words} - agent-bastion\x1b\\"
