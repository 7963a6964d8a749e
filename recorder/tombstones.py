"""What stands in the place of what was taken out of a ledger's recordings: the entries, and who may write them. Pure.

Nothing is ever taken out of the entries. What can go is what they commit to: frames of a recording, the content of a
request, or, when its time is over, a whole recording. In its place stands an entry; missing without one is TAMPER.

    redaction.ordered     people with the role admin signed (SSHSIG, namespace `redaction@agent-bastion`) what shall go:
      │                   session, numbers of frames, entries whose content, reason
      ├─ recording.redacted   one chunk: {"chunk": number of its entry, "entry": that entry, "frames": "12-39,57-57",
      │                       "was": SHA-256 of the ciphertext before, "plain", "length", "sha256": of the one since}
      └─ content.redacted     {"entry": number, "name": payload}
    retention.configured  {"limits": {environment: days}, "default": days}; 0: for ever
      └─ retention.deleted    a whole recording: {"chunks": how many, "was": chained hash of their ciphertexts}
    hold.placed, hold.lifted  {"session", "reason"}: retention leaves it alone meanwhile; redaction is refused

The number and the bytes of a chunk's entry stand in its tombstone, so that a verifier need not remember every chunk;
the bytes are compared with the leaf. What is checked of a tombstone: the signatures, by people who count at that point,
over this ledger and session, used once; that it takes out what was ordered and no more; that a recording was old enough
under the limits in force, its session over and not held. What is left of a chunk must still give its root
(recorder.chunks).

What it cannot see: that what was taken out was a secret and nothing else (how much, where and why stands there); what a
stub says of time, kind and length of a frame is the daemon's word from then on, since what could prove it is gone. A
redaction that one person ordered, and every retention, is said in the report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recorder import chunks, schema, strict
from recorder.errors import FrameError
from recorder.orders import FIELDS, NAMESPACE, Order, order_of, ranges_of
from recorder.rows import RowLike
from recorder.schema import REDACTED
from recorder.votes import People, Violation

ORDERED, FORGOTTEN = "redaction.ordered", schema.FORGOTTEN
CONFIGURED, DELETED = "retention.configured", schema.DELETED
HELD, LIFTED = "hold.placed", "hold.lifted"
ROLE = "admin"
"""Who decides on commands must not take out what shows how."""
PAYLOAD = "content"
"""The payload that can be redacted: a request's. What a policy says is part of the judgement."""
SIGNERS_LIMIT = 2
DAY_US = 86_400_000_000
SLACK_US = 60_000_000
"""Microseconds that a wall clock may be off."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a chunk from which frames were taken."""

    facts: chunks.Facts
    """Of the ciphertext that there is now."""
    gone: frozenset[int]
    """Frames that are stubs, counted from 0 within the chunk."""


def rest_of(facts: chunks.Facts, stones: Iterable[Mapping[str, Any]]) -> Rest:
    """What is left of the chunk with these facts, by the bodies of its `recording.redacted` entries, in order.
    Raises Violation when one does not fit the one before."""
    gone: set[int] = set()
    for body in stones:
        if body.get("was") != facts.sha256:
            raise Violation("it is redacted from another ciphertext than it had")
        frames = ranges_of(body.get("frames"))
        last = facts.first + facts.frames - 1
        if not frames or frames[0][0] < facts.first or frames[-1][1] > last:
            raise Violation("frames are redacted that it does not have")
        gone.update(number - facts.first for first, end in frames for number in range(first, end + 1))
        try:
            new = {name: body[name] for name in ("plain", "length", "sha256")}
            facts = chunks.facts_of({**facts.body(), **new})
        except (KeyError, FrameError):
            raise Violation("what is left of it is not described") from None
    return Rest(facts, frozenset(gone))


@dataclass(slots=True)
class _Session:
    env: str = ""
    ended: int = 0
    """When, by the wall clock; 0 while it goes on."""
    chunks: int = 0
    was: bytes = b""
    """The chained hash over its ciphertexts."""
    roots: bytes = b""
    """The same over the roots of their frames."""
    deleted: int = -1
    """Number of the entry that says so."""


@dataclass(slots=True)
class _Carried:
    order: Order
    seq: int


@dataclass(slots=True)
class Tombstones:
    """Feed it every entry in order. After a Violation it can go on with the next entry."""

    people: People
    environments: Mapping[str, str]
    """Of targets, as of the entry at hand."""
    redacted: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Bodies of the `recording.redacted` entries of a chunk, by the number of its entry."""
    forgotten: dict[tuple[int, str], int] = field(default_factory=dict)
    """Payloads that were redacted, with the number of the entry that says so."""
    deleted: int = 0
    """Recordings that retention took."""
    notes: list[str] = field(default_factory=list)
    _limits: dict[str, int] = field(default_factory=dict)
    _default: int = 0
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)
    _orders: dict[str, _Carried] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set)

    @property
    def any(self) -> bool:
        """Is anything gone?"""
        return bool(self.redacted or self.forgotten or self.deleted)

    def feed(self, row: RowLike, leaf: str) -> None:
        """Take one entry. Raises Violation."""
        rule = _TABLE.get(row.type)
        if rule is not None:
            rule(self, row, leaf)

    def chunk(self, row: RowLike, facts: chunks.Facts) -> None:
        """Take a `recording.chunk`. Raises Violation."""
        session = self._sessions.setdefault(row.session, _Session())
        if session.deleted >= 0:
            raise Violation("a recording goes on that was deleted")
        session.chunks += 1
        session.was = chunks.chain(session.was, facts.sha256)
        session.roots = chunks.chain(session.roots, facts.root)

    def deleted_by(self, session: str) -> int:
        """Number of the entry that says that retention took the recording; -1: none."""
        found = self._sessions.get(session)
        return found.deleted if found is not None else -1

    # --- sessions -------------------------------------------------------------------------------------------------

    def _opened(self, row: RowLike, _: str) -> None:
        known = self._sessions.setdefault(row.session, _Session())
        known.env = self.environments.get(str(row.body.get("target")), "")

    def _closed(self, row: RowLike, _: str) -> None:
        self._sessions.setdefault(row.session, _Session()).ended = row.t

    def _finished(self, row: RowLike, _: str) -> None:
        known = self._sessions.get(row.session)
        if "recording" in row.body and row.body["recording"] != (known.roots.hex() if known is not None else ""):
            raise Violation("a command finished with another recording than there is")

    def _placed(self, row: RowLike, _: str) -> None:
        session = row.body.get("session")
        if session not in self._sessions or session in self._held:
            raise Violation("a hold on a session that there is not, or that is held")
        self._held.add(str(session))

    def _lifted(self, row: RowLike, _: str) -> None:
        if row.body.get("session") not in self._held:
            raise Violation("a hold is lifted that there is not")
        self._held.discard(str(row.body["session"]))

    # --- retention ------------------------------------------------------------------------------------------------

    def _configured(self, row: RowLike, _: str) -> None:
        limits, default = row.body.get("limits"), row.body.get("default")
        if not isinstance(limits, dict) or not all(type(days) is int and days >= 0 for days in limits.values()):
            raise Violation("limits of retention that are no days")
        if type(default) is not int or default < 0:
            raise Violation("limits of retention that are no days")
        self._limits, self._default = dict(limits), default

    def _deleted(self, row: RowLike, _: str) -> None:
        session = self._sessions.get(row.session)
        if session is None or not session.chunks or session.deleted >= 0:
            raise Violation("a recording is deleted that there is not")
        if row.session in self._held:
            raise Violation("a recording is deleted whose session is held")
        days = self._limits.get(session.env, self._default)
        if not days or not session.ended or row.t - session.ended < days * DAY_US - SLACK_US:
            raise Violation("a recording is deleted before its time")
        if row.body.get("chunks") != session.chunks or row.body.get("was") != session.was.hex():
            raise Violation("another recording is deleted than there was")
        session.deleted = row.seq
        self.deleted += 1

    # --- redaction ------------------------------------------------------------------------------------------------

    def _ordered(self, row: RowLike, leaf: str) -> None:
        statement, signatures = row.body.get("statement"), row.body.get("signatures")
        if not isinstance(statement, str) or not isinstance(signatures, list):
            raise Violation("an order without a statement or signatures")
        if not 1 <= len(signatures) <= SIGNERS_LIMIT:
            raise Violation(f"an order with {len(signatures)} signatures")
        signers: set[str] = set()
        fields: dict[str, str] = {}
        for each in signatures:
            by, fields = self.people.signed(
                {**(each if isinstance(each, dict) else {}), "statement": statement}, NAMESPACE, FIELDS, role=ROLE
            )
            if by in signers:
                raise Violation(f"{by} signed twice")
            signers.add(by)
        order = order_of(fields)
        if order.origin != row.origin or order.session != row.session or row.session not in self._sessions:
            raise Violation("an order for another ledger or session")
        if row.session in self._held:
            raise Violation("an order for a session that is held")
        if row.t > order.expires + SLACK_US:
            raise Violation("an order that was void by then")
        digest = hashlib.sha256(statement.encode()).digest()
        if digest in self._known:
            raise Violation("an order that was given before")
        self._known.add(digest)
        self._orders[leaf] = _Carried(order, row.seq)
        if len(signers) < SIGNERS_LIMIT:
            self._note("a redaction was ordered by one person")

    def _order_for(self, row: RowLike) -> Order:
        found = self._orders.get(row.cause)
        if found is None:
            raise Violation("something is taken out that nobody ordered")
        if found.order.session != row.session:
            raise Violation("it is taken out of another session than was ordered")
        return found.order

    def _redacted(self, row: RowLike, _: str) -> None:
        order, chunk = self._order_for(row), row.body.get("chunk")
        frames = ranges_of(row.body.get("frames"))
        if type(chunk) is not int or not 0 <= chunk < row.seq or not frames:
            raise Violation("a redaction of no chunk or of no frames")
        for first, last in frames:
            if not any(begin <= first and last <= end for begin, end in order.frames):
                raise Violation("frames are taken out that nobody ordered")
        self.redacted.setdefault(chunk, []).append({**row.body, "seq": row.seq, "session": row.session})

    def _forgotten(self, row: RowLike, _: str) -> None:
        order, entry = self._order_for(row), row.body.get("entry")
        if type(entry) is not int or entry not in order.contents or row.body.get("name") != PAYLOAD:
            raise Violation("a content is taken out that nobody ordered")
        if self.forgotten.setdefault((entry, PAYLOAD), row.seq) != row.seq:
            raise Violation("a content is taken out twice")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def chunk_facts(stone: Mapping[str, Any], leaf: bytes) -> chunks.Facts:
    """Facts of the chunk whose entry a `recording.redacted` quotes; `leaf` is that of the entry of that number.
    Raises Violation."""
    text = stone.get("entry")
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
    if hashlib.sha256(b"\x00" + data).digest() != leaf:
        raise Violation("the entry that it quotes is not the one of that number")
    try:
        row = strict.parse(data)
        if row.type == "recording.chunk" and row.session == stone["session"] and row.seq == stone["chunk"]:
            return chunks.facts_of(row.body)
    except (strict.NotCanonical, FrameError):
        pass
    raise Violation("the entry that it quotes is no chunk of this session")


_TABLE: dict[str, Callable[[Tombstones, RowLike, str], None]] = {
    "session.opened": Tombstones._opened,
    "session.closed": Tombstones._closed,
    "session.interrupted": Tombstones._closed,
    "command.finished": Tombstones._finished,
    CONFIGURED: Tombstones._configured,
    DELETED: Tombstones._deleted,
    HELD: Tombstones._placed,
    LIFTED: Tombstones._lifted,
    ORDERED: Tombstones._ordered,
    REDACTED: Tombstones._redacted,
    FORGOTTEN: Tombstones._forgotten,
}

RULED = frozenset(_TABLE)
"""Types of the entries that `Tombstones.feed` does something with."""
