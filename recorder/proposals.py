"""What is known of requests as of some entry, and what a proposal says of one. Pure.

Most requests ask for the same as many others: who, where, with how many approvals. That is kept once (`Terms`), and a
request has what is its own. A ledger of a million entries has 300,000 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from recorder.rows import RowLike
from recorder.votes import Violation

OpenPayload = Callable[[str], bytes | None]
"""Gives a payload of the entry at hand, checked; None where it is not there."""


Judge = Callable[[Any, str, OpenPayload], None]
"""Takes an entry: its row, a RowLike, its leaf (hex), its payloads. Raises Violation."""


TERMS = 1024
"""Of which the last ones are kept to be used again; 16 MiB, should each fill its entry."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a proposal asks for, apart from the command."""

    verdict: str
    approvals: int
    proposers: frozenset[str]
    """Who cannot approve it."""
    groups: tuple[str, ...]
    """Who approves is in all of them …"""
    unsigned: frozenset[str]
    """Chats whose buttons count."""
    kind: str
    identity: str
    target: str
    mode: str
    """What may be typed into it once it runs, as it was asked for; empty outside a shell."""
    tier: str
    emergency: bool
    """Somebody broke the glass."""


class Request(msgspec.Struct, gc=False):
    """What is known of one."""

    leaf: str
    digest: str
    terms: Terms
    parent: str = ""
    """Of a line of stdin: the request of the command that reads it."""
    command: bytes | None = None
    """Of a request for a grant, where its content is still there."""
    escalated: tuple[str, ...] = ()
    """… or in one of these."""
    approvers: frozenset[str] = frozenset()
    approving: frozenset[str] = frozenset()
    """Leaves of the approving decisions."""
    modes: tuple[str, ...] = ()
    """As the approvers said."""
    ended: str = ""
    """denied, expired or withdrawn."""
    edited: bool = False
    """Another request was made from it, and answers for it."""
    started: str = ""
    """Leaf of its `command.started`."""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """What an approver signed to stand in place of an agent's command, until it is proposed."""

    of: str
    """Id of the request that it was made from."""
    by: str
    command: str
    """SHA-256 (hex)."""


@dataclass(slots=True)
class Requests:
    """All of them, and the edits that wait for their proposal, by id."""

    known: dict[str, Request] = field(default_factory=dict)
    edits: dict[str, Edit] = field(default_factory=dict)

    def find(self, row: RowLike) -> Request:
        """The request that a decision or start is about, by an equal digest. Raises Violation."""
        request = self.known.get(row.request)
        if request is None:
            raise Violation(f"request {row.request!r} was never proposed")
        if row.body.get("digest") != request.digest:
            raise Violation(f"the digest is not that of request {row.request}")
        return request


def terms_of(row: RowLike, author: str, groups: tuple[str, ...], chats: tuple[str, ...]) -> Terms:
    """Of a proposal, which `author` made from another one unless that is empty."""
    get = row.body.get
    said = (
        row.actor, author, groups, chats, get("identity"), get("verdict"), get("approvals"), get("kind", ""),
        get("target", ""), get("mode", ""), get("tier", ""), get("emergency"),
    )  # fmt: skip
    try:
        return _terms(*said)
    except TypeError:  # a list or an object, where nobody writes one
        return _terms.__wrapped__(*said)


@lru_cache(maxsize=TERMS, typed=True)
def _terms(
    actor: str, author: str, groups: tuple[str, ...], chats: tuple[str, ...], identity: Any, verdict: Any,
    approvals: Any, kind: Any, target: Any, mode: Any, tier: Any, emergency: Any,
) -> Terms:  # fmt: skip
    who = [actor, identity] if isinstance(identity, str) else [actor]
    return Terms(
        verdict=str(verdict),
        approvals=approvals if type(approvals) is int else 0,
        proposers=frozenset(who if not author else [name for name in who if name != author]),
        groups=groups,
        unsigned=frozenset(chats),
        kind=str(kind),
        identity="" if identity is None else str(identity),
        target=str(target),
        mode=str(mode),
        tier=str(tier),
        emergency=bool(emergency) and verdict == "allow",
    )


def texts_of(body: Any, name: str, what: str) -> tuple[str, ...]:
    """A list of texts in a proposal's body; none if it is not there. Raises Violation."""
    texts = body.get(name, [])
    if texts == []:
        return ()
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Violation(f"a request whose {what} cannot be read")
    return tuple(texts)
