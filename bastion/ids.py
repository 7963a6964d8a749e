"""Ids of requests, sessions, whitelist entries, grants, freezes: random, and short to type.

Of requests there are many, and 32 bits are few: among the 165,000 of a soak three pairs are to be expected with one id.
One was met, which the read-back before a start refused and `verify` took for an attack. So one that the ledger knows is
drawn again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container

DRAWN = 10_000
"""Ids that are remembered until the ledger knows them: what is between its drawing and its proposal at once is one for
each channel, of which there are a thousand or two."""


def request_id() -> str:
    """`r-` and 8 hex digits."""
    return f"r-{secrets.token_hex(4)}"


class RequestIds:
    """Ids that no request has."""

    def __init__(self, known: Callable[[str], bool], draw: Callable[[], str] = request_id) -> None:
        """`known`: whether the ledger has a request of that id."""
        self._known, self._draw = known, draw
        self._drawn: dict[str, None] = {}

    def __call__(self) -> str:
        """Another one. Raises what `known` raises."""
        while (made := self._draw()) in self._drawn or self._known(made):
            pass
        self._drawn[made] = None
        if len(self._drawn) > DRAWN:
            del self._drawn[next(iter(self._drawn))]
        return made


def session_id() -> str:
    """`s-` and 16 hex digits: sessions are many, and their id is in every recording."""
    return f"s-{secrets.token_hex(8)}"


def whitelist_id() -> str:
    """`w-` and 8 hex digits."""
    return f"w-{secrets.token_hex(4)}"


def grant_id() -> str:
    """`g-` and 8 hex digits."""
    return f"g-{secrets.token_hex(4)}"


def freeze_id() -> str:
    """`f-` and 8 hex digits."""
    return f"f-{secrets.token_hex(4)}"


def another(draw: Callable[[], str], known: Container[str]) -> str:
    """An id that is not among these."""
    while (made := draw()) in known:
        pass
    return made


def nonce() -> str:
    """128 bits as 39 decimal digits: for the marks of a governed shell (gate/frames.py)."""
    return f"{secrets.randbits(128):039d}"
