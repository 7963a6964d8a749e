"""The bundles with recordings in them: sound, redacted, deleted at the end of their time, lost, and behind forged
tombstones. Chunks are made here one by one, so that no thread's timing is in their bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from recorder import chunks
from recorder.entry import Entry
from recorder.frames import Frame
from recorder.ledger import Draft, Job
from recorder.orders import NAMESPACE, Order
from recorder.reader import Reader
from recorder.redacting import carry_out, expire, holding, plan
from recorder.store import Taking
from tests.recorder.stories import Person

DAY = 86_400 * 10**9
SECRET = b"hunter2"


def record(made: Any, session: str, number: int, first: int, *data: bytes) -> None:
    """One chunk of a session."""
    frames = [Frame(1_000_000 * (first + at), "output", each) for at, each in enumerate(data)]
    facts, cipher, key = chunks.seal(
        frames, origin=made.story.ledger.origin, session=session, number=number, first=first,
        compressor=zstandard.ZstdCompressor(level=chunks.LEVEL),
    )  # fmt: skip
    done: list[Any] = []
    draft = Draft("recording.chunk", "bastion", facts.body(), session=session)
    made.story.ledger.submit(Job((draft,), done.append, done.append, (cipher, key)))
    made.story.ledger.seal_segment().result(30)


def recorded(made: Any) -> None:
    """Two sessions on a target in production, of two chunks and of one; ana and ben are administrators."""
    story = made.story
    for each in (story.ana, story.ben):
        story.identity(each, roles=("admin",))
    story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "production"}))
    for session in ("s-1", "s-2"):
        story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session=session))
    record(made, "s-1", 0, 0, b"$ env\r\n", b"PASSWORD=" + SECRET + b"\r\n", b"$ ")
    record(made, "s-1", 1, 3, b"exit\r\n", b"bye\r\n")
    record(made, "s-2", 0, 0, b"other\r\n", b"words\r\n", b"here\r\n")
    for session in ("s-1", "s-2"):
        story.write(Draft("session.closed", "bastion", {"end": "done"}, session=session))


def order(made: Any, *people: Person, **changes: Any) -> tuple[Order, str, list[dict[str, str]]]:
    with Reader.open(made.store) as reader:
        frames = plan(reader, "s-1", holding(SECRET)).frames
    values = {
        "origin": made.story.ledger.origin, "session": "s-1", "frames": frames, "contents": (), "reason": "a password",
        "expires": made.clock.now // 1000 + 10**9, "checkpoint": "0" * 64,
    }  # fmt: skip
    said = Order(**{**values, **changes})
    text = said.encode().decode()
    return said, text, [{"by": each.name, "signature": each.sign(text, NAMESPACE)} for each in people]


def redacted(made: Any) -> None:
    recorded(made)
    said = order(made, made.story.ana, made.story.ben)
    with Reader.open(made.store) as reader:
        carry_out(made.story.ledger, reader, *said)


def deleted(made: Any) -> None:
    recorded(made)
    made.story.write(Draft("retention.configured", "bastion", {"limits": {"production": 30}, "default": 0}))
    made.clock.now += 31 * DAY
    with Reader.open(made.store) as reader:
        expire(made.story.ledger, reader, "s-1", "bastion")


def ordered(made: Any, statement: str, signatures: list[dict[str, str]]) -> Entry:
    body = {"statement": statement, "signatures": signatures}
    entry: Entry = made.story.write(Draft("redaction.ordered", "ana", body, session="s-1"))
    return entry


def forged(made: Any, cause: str) -> None:
    """What a rightful redaction writes, under another cause."""
    from recorder.redacting import _redact

    said, _, _ = order(made)
    entry = type("Cause", (), {"leaf": cause, "actor": "ana"})()
    with Reader.open(made.store) as reader:
        chunk = next(iter(reader.entries(types=("recording.chunk",), session="s-1")))
        _redact(made.story.ledger, reader, entry, said, chunk)


def unsigned(made: Any) -> None:
    recorded(made)
    _, text, _ = order(made)
    forged(made, ordered(made, text, []).leaf)


def by_who_was_revoked(made: Any) -> None:
    recorded(made)
    _, text, signatures = order(made, made.story.ana)
    made.story.revoke(made.story.ana)
    forged(made, ordered(made, text, signatures).leaf)


def of_nobody(made: Any) -> None:
    recorded(made)
    forged(made, "")


def too_early(made: Any) -> None:
    recorded(made)
    made.story.write(Draft("retention.configured", "bastion", {"limits": {"production": 30}, "default": 0}))
    made.clock.now += 29 * DAY
    with Reader.open(made.store) as reader:
        expire(made.story.ledger, reader, "s-1", "bastion")


def while_held(made: Any) -> None:
    recorded(made)
    made.story.write(Draft("hold.placed", "eve", {"session": "s-1", "reason": "court"}))
    made.story.write(Draft("retention.configured", "bastion", {"limits": {}, "default": 1}))
    made.clock.now += 31 * DAY
    with Reader.open(made.store) as reader:
        expire(made.story.ledger, reader, "s-1", "bastion")


def still_there(made: Any) -> None:
    """The entry of a deletion, and nothing deleted."""
    recorded(made)
    made.story.write(Draft("retention.configured", "bastion", {"limits": {}, "default": 1}))
    made.clock.now += 31 * DAY
    ledger = made.story.ledger
    kept = ledger.take
    ledger.take = lambda _, *drafts: kept(Taking(), *drafts)
    with Reader.open(made.store) as reader:
        expire(ledger, reader, "s-1", "bastion")


# --- changes to a bundle without the key ------------------------------------------------------------------------------


def rows(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[Path], None]:
    """Change what says where chunks lie."""

    def apply(bundle: Path) -> None:
        path = bundle / "chunks.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in change(found)))

    return apply


def swapped(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first chunk of s-1 and that of s-2, with their keys."""
    first, middle, last = found
    return [{**last, "seq": first["seq"]}, middle, {**first, "seq": last["seq"]}]


def ciphertext(bundle: Path) -> None:
    path = bundle / "chunks.pack"
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)


RECORDED: dict[str, tuple[str, str, int | None, Any, Any]] = {
    "valid-recorded": ("two recordings, complete", "OK", None, recorded, None),
    "valid-redacted": ("a frame of s-1 was redacted by two administrators", "OK", None, redacted, None),
    "valid-deleted": ("s-1 was deleted when its time was over", "OK", None, deleted, None),
    "chunk-of-another-session": ("two sessions' chunks changed places", "TAMPER", 6, recorded, rows(swapped)),
    "ciphertext-changed": ("a bit of a chunk", "TAMPER", 6, recorded, ciphertext),
    "chunk-lost": (
        "a chunk is gone, and no entry says so", "TAMPER", 7, recorded, rows(lambda found: found[:1] + found[2:])
    ),
    "chunk-lost-beside-a-redaction": (
        "a chunk is gone beside one that was redacted", "TAMPER", 7, redacted, rows(lambda found: found[:1] + found[2:])
    ),
    "chunk-lost-beside-a-deletion": (
        "a chunk of s-2 is gone where s-1 was deleted", "TAMPER", 8, deleted, rows(lambda found: [])
    ),
    "tombstone-unsigned": ("the order has no signature", "TAMPER", 6, unsigned, None),
    "tombstone-by-who-was-revoked": ("the order's signer was revoked before", "TAMPER", 6, by_who_was_revoked, None),
    "tombstone-of-nobody": ("a chunk was redacted without an order", "TAMPER", 6, of_nobody, None),
    "tombstone-too-early": ("deleted a day before its time", "TAMPER", 6, too_early, None),
    "tombstone-while-held": ("deleted under a legal hold", "TAMPER", 6, while_held, None),
    "tombstone-and-still-there": ("an entry says deleted, and it is there", "TAMPER", 12, still_there, None),
}  # fmt: skip
"""Name: about, verdict, first bad entry, story, change. `verify.sh` looks at none of it."""


def without_casts(bundle: Path) -> None:
    """They are made from the rest."""
    shutil.rmtree(bundle / "casts")
