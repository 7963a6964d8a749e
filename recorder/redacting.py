"""Taking something out of recordings: what an order means for the chunks, and the entries that go with it.

Theory of operation. `plan` turns what a person points at (a time, a request, a text) into numbers of frames; people
sign those (recorder.orders.Order). `carry_out` writes the order, then one entry a chunk, each in one transaction
with the chunk's new ciphertext and key. What is left of the chunk is made outside the ledger's thread. A crash between
two chunks leaves an order that is not wholly carried out: `unfinished` finds it, and doing the rest is doing it again.

`expire` writes the entry of a recording whose time is over, in one transaction with the deletion of its rows.

Redactions and deletions of one store are done by one thread at a time: both change rows that the other may look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from recorder import chunks
from recorder.entry import Entry
from recorder.errors import FrameError, RecorderError, StoreDamaged
from recorder.frames import KEPT, Frame
from recorder.ledger import Draft, Ledger
from recorder.orders import RANGES_LIMIT, Order, Ranges, joined, ranges_text, read_order
from recorder.reader import Missing, Reader
from recorder.schema import REDACTED
from recorder.store import NewChunk, Taking
from recorder.tombstones import DELETED, FORGOTTEN, ORDERED, PAYLOAD
from recorder.votes import Violation

SECONDS = 30.0
"""For one entry to become durable."""

CHUNK = "recording.chunk"


class NothingToRedact(RecorderError):
    """The selection names nothing that is there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a selection comes to."""

    frames: Ranges
    count: int
    bytes: int
    """Of the frames' data."""


Choose = Callable[[Iterator[tuple[int, Frame]]], Iterator[int]]
"""Which of a recording's frames, given with their numbers, shall go; a number may come twice, and in any order."""
Find = Callable[[bytes], Iterable[tuple[int, int]]]
"""Where in some bytes something stands: start and end."""


def plan(reader: Reader, session: str, choose: Choose) -> Plan:
    """The frames that `choose` chooses. Raises NothingToRedact, RecorderError, StoreDamaged, Missing."""
    sizes: list[int] = []

    def numbered() -> Iterator[tuple[int, Frame]]:
        for number, frame in enumerate(reader.frames(session)):
            sizes.append(-1 if frame.gone or frame.kind in KEPT else len(frame.data))
            yield number, frame

    numbers = sorted(set(choose(numbered())))
    goes = [sizes[number] for number in numbers if sizes[number] >= 0]
    if not goes:
        raise NothingToRedact(f"nothing of that is in the recording of {session}")
    ranges = joined(numbers)
    if len(ranges) > RANGES_LIMIT:
        raise RecorderError(
            f"that is in {len(ranges)} places; one order names {RANGES_LIMIT} at most", "narrow it: a span of time"
        )
    return Plan(ranges, len(goes), sum(goes))


def between(first_us: int, last_us: int) -> Choose:
    """Frames of that time, both ends included."""
    return lambda frames: (number for number, frame in frames if first_us <= frame.at_us <= last_us)


def while_running(request: str) -> Choose:
    """Frames from the marker of that request, itself included, up to the next one."""

    def choose(frames: Iterator[tuple[int, Frame]]) -> Iterator[int]:
        inside = False
        for number, frame in frames:
            if frame.kind == "marker":
                inside = frame.data.partition(b" ")[0] == request.encode()
            if inside:
                yield number

    return choose


def where(find: Find, reach: int) -> Choose:
    """Frames in which something is that `find` finds, also where it goes on in later frames of the same stream: it is
    given each frame with the `reach` bytes before it."""

    def choose(frames: Iterator[tuple[int, Frame]]) -> Iterator[int]:
        tails: dict[str, list[tuple[int, bytes]]] = {}
        for number, frame in frames:
            if frame.gone or frame.kind in KEPT:
                continue
            parts = [*tails.get(frame.kind, []), (number, frame.data)]
            for start, end in find(b"".join(data for _, data in parts)):
                yield from _touched(parts, start, end)
            tails[frame.kind] = _last(parts, reach)

    return choose


def holding(text: bytes) -> Choose:
    """Frames in which these bytes are."""

    def find(data: bytes) -> Iterator[tuple[int, int]]:
        at = data.find(text)
        while at >= 0:
            yield at, at + len(text)
            at = data.find(text, at + 1)

    return where(find, len(text) - 1)


def _touched(parts: list[tuple[int, bytes]], start: int, end: int) -> Iterator[int]:
    at = 0
    for number, data in parts:
        if at < end and at + len(data) > start:
            yield number
        at += len(data)


def _last(parts: list[tuple[int, bytes]], reach: int) -> list[tuple[int, bytes]]:
    """The last `reach` bytes of them."""
    kept: list[tuple[int, bytes]] = []
    for number, data in reversed(parts):
        if reach <= 0:
            break
        kept.insert(0, (number, data[-reach:]))
        reach -= len(data)
    return kept


# --- carrying out ---------------------------------------------------------------------------------------------------


def carry_out(ledger: Ledger, reader: Reader, order: Order, statement: str, signatures: list[dict[str, str]]) -> Entry:
    """Write the order and do what it says; the order's entry. Who signed was checked by the caller. Raises
    RecorderError: what was done by then stays done, and `unfinished` knows the rest."""
    body = {"statement": statement, "signatures": signatures}
    by = " and ".join(each["by"] for each in signatures)
    entry = _durable(ledger, Taking(), Draft(ORDERED, by, body, session=order.session))
    carry_on(ledger, reader, entry, order)
    return entry


def carry_on(ledger: Ledger, reader: Reader, entry: Entry, order: Order) -> int:
    """Do what of that order is not done yet; how many chunks and contents. Raises RecorderError."""
    done = 0
    for chunk in list(reader.entries(types=(CHUNK,), session=order.session)):
        facts = chunks.facts_of(chunk.body)
        first, last = facts.first, facts.first + facts.frames - 1
        if any(begin <= last and end >= first for begin, end in order.frames):
            done += _redact(ledger, reader, entry, order, chunk)
    for seq in order.contents:
        proposal = reader.entry(seq)
        if reader.has_payload(proposal, PAYLOAD):
            draft = Draft(
                FORGOTTEN, entry.actor, {"entry": seq, "name": PAYLOAD}, session=order.session,
                request=proposal.request, cause=entry.leaf,
            )  # fmt: skip
            _durable(ledger, Taking(payloads=((seq, PAYLOAD),)), draft)
            done += 1
    return done


def _redact(ledger: Ledger, reader: Reader, entry: Entry, order: Order, chunk: Entry) -> int:
    """One chunk; 1 where something of it went."""
    rest, cipher, key = reader.sealed(chunk)
    frames = reader.chunk(chunk)
    first = rest.facts.first
    numbers = [number for number in range(first, first + rest.facts.frames) if order.covers(number)]
    if all(frames[number - first].gone or frames[number - first].kind in KEPT for number in numbers):
        return 0
    try:
        facts, sealed, new = chunks.reseal(
            rest.facts, cipher, key, {number - first for number in numbers}, origin=chunk.origin, session=chunk.session
        )
    except FrameError as error:
        raise StoreDamaged(f"entry {chunk.seq}: {error.message}", seq=chunk.seq) from None
    body = {
        "chunk": chunk.seq,
        "entry": chunk.bytes.decode(),
        "frames": ranges_text(joined(numbers)),
        "was": rest.facts.sha256,
        "plain": facts.plain,
        "length": facts.length,
        "sha256": facts.sha256,
    }
    draft = Draft(REDACTED, entry.actor, body, session=order.session, cause=entry.leaf)
    _durable(ledger, Taking(replaced=(NewChunk(chunk.seq, sealed, new),)), draft)
    return 1


def unfinished(ledger: Ledger, reader: Reader) -> int:
    """Do what a crash left of orders; how many chunks and contents. At the start of a daemon. Raises RecorderError."""
    done = 0
    for entry in list(reader.entries(types=(ORDERED,))):
        try:
            order = read_order(str(entry.body.get("statement")).encode())
        except Violation as error:
            raise StoreDamaged(f"entry {entry.seq}: {error}", seq=entry.seq) from None
        if not any(True for _ in reader.entries(after=entry.seq, limit=1, types=(DELETED,), session=order.session)):
            done += carry_on(ledger, reader, entry, order)
    return done


def expire(ledger: Ledger, reader: Reader, session: str, actor: str) -> int:
    """Delete the recording of a session, whose time is over, with the entry that says so; bytes of ciphertext. 0 where
    there is none any more. Whether it may go, the caller has checked. Raises RecorderError."""
    if any(True for _ in reader.entries(limit=1, types=(DELETED,), session=session)):
        return 0
    was, size, seqs = b"", 0, list[int]()
    for entry in reader.entries(types=(CHUNK,), session=session):
        facts = chunks.facts_of(entry.body)
        was, size = chunks.chain(was, facts.sha256), size + facts.length
        seqs.append(entry.seq)
    if not seqs:
        return 0
    body = {"chunks": len(seqs), "was": was.hex(), "bytes": str(size)}
    _durable(ledger, Taking(deleted=tuple(seqs)), Draft(DELETED, actor, body, session=session))
    return size


def _durable(ledger: Ledger, taking: Taking, draft: Draft) -> Entry:
    return ledger.take(taking, draft).result(SECONDS)[-1]


__all__ = ["Missing", "NothingToRedact", "Plan", "carry_out", "expire", "plan", "unfinished"]
