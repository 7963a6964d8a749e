"""Ids of requests, sessions, whitelist entries, grants, freezes: random, short to type, long enough not to collide."""

from __future__ import annotations

import secrets


def request_id() -> str:
    """`r-` and 8 hex digits; the desk refuses one that it holds already."""
    return f"r-{secrets.token_hex(4)}"


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


def nonce() -> str:
    """128 bits as 39 decimal digits: for the marks of a governed shell (gate/frames.py)."""
    return f"{secrets.randbits(128):039d}"
