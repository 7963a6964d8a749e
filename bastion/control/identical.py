"""Which held requests are the same in all that a person judges, so that one look can be enough for several. Pure.

Theory of operation. Every request has a digest of its own, which binds its id and its session, so two digests are
never equal. `sameness` is a hash over everything else that the protocol tells of a request: what runs, with which
stdin, script and environment, where, as whom, by which agent's key, why, how it was rated and what it takes. What may
differ is named in WHICH and PROGRESS; any field that the protocol gains later counts until it is named there. A request
of which somebody has to see more than itself has no sameness: a line of a shell, or of stdin, means what the shell
before it made of it; an edited one has an author; glass is broken once.

Nothing is joined: each request gets a vote of its own, over its own digest, signed on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from bastion.control import wire
from bastion.model import RequestKind, State

PROGRESS = frozenset(
    {"state", "votes", "decided", "decision_reason", "attached", "status", "escalated", "snoozed", "edited"}
)
"""How far a request has come; it says nothing of what is asked."""

WHICH = frozenset({"id", "session", "digest", "proposal", "created", "expires"})
"""Which asking of it this is."""

JUDGED = tuple(name for name in wire.RequestInfo.__struct_fields__ if name not in PROGRESS | WHICH)

ALONE = frozenset({RequestKind.LINE.value, RequestKind.STDIN.value})
"""Kinds that depend on what came before them in their shell."""

MOST = 12
"""Requests approved by one act. So many fit into the dialog that lists them in a terminal of 80 by 24."""


def sameness(info: wire.RequestInfo) -> str:
    """SHA-256 (hex) of all that is judged; empty for what is judged alone. Raises nothing."""
    if info.kind in ALONE or info.sequence or info.parent or info.author or info.edits or info.emergency:
        return ""
    judged = [getattr(info, name) for name in JUDGED]
    return hashlib.sha256(msgspec.json.encode(judged)).hexdigest()


def identical(info: wire.RequestInfo, others: Iterable[wire.RequestInfo]) -> list[wire.RequestInfo]:
    """Those of `others` that are held and the same as `info`; the ones that end first come first."""
    wanted = sameness(info)
    found = [
        each
        for each in others
        if wanted and each.id != info.id and each.state == State.HELD and sameness(each) == wanted
    ]
    return sorted(found, key=lambda each: (each.expires, each.id))
