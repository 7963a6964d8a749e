"""Forged tombstones of frames: what is taken out of a recording is what was ordered, and the rest is there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from os import urandom
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder import chunks
from recorder.entry import Entry
from recorder.frames import Frame, encode, redact
from recorder.ledger import Draft, Job
from recorder.merkle import root
from recorder.orders import joined, ranges_text
from recorder.reader import Reader
from recorder.redacting import carry_out, holding
from recorder.store import NewChunk, Taking
from tests.recorder.attacks import database
from tests.recorder.takings import SECRET, Taken, judged, ordered


def redacted(taken: Taken) -> Entry:
    """A rightful one; its last tombstone."""
    order = taken.order(holding(SECRET))
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana, taken.ben))
        return next(reader.newest("recording.redacted"))


def forge(taken: Taken, stone: Entry, cause: str | None = None, session: str = "s-1", **changes: Any) -> Entry:
    body = {**stone.body, **changes}
    return taken.write("recording.redacted", body, session, cause=stone.cause if cause is None else cause)


def test_a_tombstone_that_nobody_ordered(taken: Taken) -> None:
    forge(taken, redacted(taken), cause="")
    judged(taken, "nobody ordered")


def test_a_tombstone_for_another_entry_than_an_order(taken: Taken) -> None:
    stone = redacted(taken)
    with Reader.open(taken.store) as reader:
        other = next(reader.newest("session.closed"))
    forge(taken, stone, cause=other.leaf)
    judged(taken, "nobody ordered")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"frames": "0-1"}, "frames are taken out that nobody ordered"),
        ({"frames": ""}, "no frames"),
        ({"frames": "1-0"}, "cannot be read"),
        ({"chunk": 10**9}, "no chunk"),
        ({"chunk": True}, "no chunk"),
        ({"chunk": 1}, "chunk 1: there is no such chunk"),
        ({"was": "0" * 64}, "another ciphertext"),
        ({"entry": "{}"}, "quotes"),
        ({"entry": 7}, "quotes"),
        ({"sha256": "0" * 64}, "another ciphertext"),
        ({"length": -1}, "not described"),
    ],
)
def test_a_tombstone_that_does_not_fit(taken: Taken, changes: dict[str, Any], text: str) -> None:
    """A second one beside the rightful one: it has the cause of an order, and says something else."""
    stone = redacted(taken)
    forge(taken, stone, **{"was": stone.body["sha256"], **changes})
    judged(taken, text if "sha256" not in changes else "what is left of chunk")


def test_a_lost_chunk_behind_a_tombstone_of_a_redaction(taken: Taken) -> None:
    """What is left must be there, too."""
    stone = redacted(taken)
    with database(taken.store) as db:
        db.execute("DELETE FROM chunks WHERE seq = ?", (stone.body["chunk"],))
    judged(taken, "it is missing")


def test_another_lost_chunk_beside_a_tombstone(taken: Taken) -> None:
    stone = redacted(taken)
    with database(taken.store) as db:
        (other,) = db.execute("SELECT max(seq) FROM chunks WHERE seq <> ?", (stone.body["chunk"],)).fetchone()
        db.execute("DELETE FROM chunks WHERE seq = ?", (other,))
    assert judged(taken, "its chunk is missing").seq == other


def test_more_is_taken_out_than_the_tombstone_says(taken: Taken) -> None:
    """A stub for a frame that nobody ordered, in a chunk that was rightly redacted: the ciphertext is signed."""
    order = taken.order(holding(SECRET))
    entry = ordered(taken, *taken.signed(order, taken.ana, taken.ben))
    with Reader.open(taken.store) as reader:
        seq = next(
            each for each in reader.entries(types=("recording.chunk",), session="s-1")
            if any(SECRET[:9] in frame.data for frame in reader.chunk(each))
        )  # fmt: skip
        rest, cipher, key = reader.sealed(seq)
    where = [n for n in range(rest.facts.first, rest.facts.first + rest.facts.frames) if order.covers(n)]
    numbers = {number - rest.facts.first for number in where} | {0}
    facts, sealed, new = chunks.reseal(rest.facts, cipher, key, numbers, origin=seq.origin, session="s-1")
    body = {
        "chunk": seq.seq, "entry": seq.bytes.decode(), "frames": ranges_text(joined(where)),
        "was": rest.facts.sha256, "plain": facts.plain, "length": facts.length, "sha256": facts.sha256,
    }  # fmt: skip
    taking = Taking(replaced=(NewChunk(seq.seq, sealed, new),))
    taken.ledger.take(taking, Draft("recording.redacted", "ana", body, session="s-1", cause=entry.leaf)).result(30)
    judged(taken, "other frames are missing from it than were redacted")


def test_a_chunk_that_was_recorded_with_a_hole(taken: Taken) -> None:
    """A daemon that was taken over cannot record stubs in the first place."""
    plain, leaves = encode([Frame(1, "output", b"rm -rf /"), Frame(2, "output", b"ok")])
    holed = redact(plain, {0})
    facts = chunks.Facts(0, 0, 2, 1, 2, len(holed), 0, "", root(leaves).hex())
    key = urandom(32)
    context = f"agent-bastion chunk 1\n{taken.ledger.origin}\ns-9\n0".encode()
    cipher = AESGCM(key).encrypt(bytes(12), zstandard.ZstdCompressor().compress(holed), context)
    facts = replace(facts, length=len(cipher), sha256=hashlib.sha256(cipher).hexdigest())
    done: list[object] = []
    draft = Draft("recording.chunk", "bastion", facts.body(), session="s-9")
    taken.ledger.submit(Job((draft,), done.append, done.append, (cipher, key)))
    taken.story.write(Draft("session.opened", "fixer", {}, session="s-9"))
    judged(taken, "other frames are missing")
