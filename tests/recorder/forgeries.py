"""Changes to a store: every attack that can be made without the key, and random ones."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from recorder.checkpoint import NAMESPACE
from recorder.errors import RecorderError
from recorder.ledger import Ledger
from recorder.reader import Reader
from tests.recorder.attacks import Entry, database, encoded, leaf, rechain, replace_bytes, sql
from tests.recorder.stories import Story, ledger_key

Attack = Callable[[Path], None]


def seq_of(store: Path, kind: str, number: int = 0) -> int:
    with Reader.open(store) as reader:
        return [entry.seq for entry in reader.entries(types=(kind,))][number]


def last(store: Path) -> int:
    with Reader.open(store) as reader:
        return reader.size() - 1


def flip(store: Path) -> None:
    replace_bytes(store, 3, lambda data: data.replace(b'"web-1"', b'"web-2"'), hide=False)


def flip_hidden(store: Path) -> None:
    replace_bytes(store, 3, lambda data: data.replace(b'"web-1"', b'"web-2"'), hide=True)


def flip_last_hidden(store: Path) -> None:
    replace_bytes(store, last(store), lambda data: data.replace(b"done", b"dine"), hide=True)


def reserialised(store: Path) -> None:
    replace_bytes(store, 3, lambda data: json.dumps(json.loads(data), indent=1).encode(), hide=True)


def reserialised_last(store: Path) -> None:
    replace_bytes(store, last(store), lambda data: data.replace(b'"v":1', b'"v": 1'), hide=True)


def swap(store: Path) -> None:
    with database(store) as db:
        rows = {seq: db.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone() for seq in (4, 5)}
        db.execute("DELETE FROM entries WHERE seq IN (4, 5)")
        for seq, other in ((4, 5), (5, 4)):
            db.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", (seq, *rows[other][1:]))


def duplicate(store: Path) -> None:
    with database(store) as db:
        row = db.execute("SELECT * FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        db.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", (row[0] + 1, *row[1:]))


def appended(store: Path) -> None:
    """A well-made entry behind the signed head."""
    with database(store) as db:
        data, prev = db.execute("SELECT bytes, leaf FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        entry = json.loads(data)
        entry.update(seq=entry["seq"] + 1, prev=prev.hex(), body={"end": "forged"})
        new = encoded(entry)
        values = (entry["seq"], entry["type"], entry["session"], None, entry["t"], leaf(new), new)
        db.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", values)


def truncate(store: Path) -> None:
    sql("DELETE FROM entries WHERE seq > 6")(store)


def truncate_with_checkpoints(store: Path) -> None:
    sql("DELETE FROM entries WHERE seq > 6", "DELETE FROM checkpoints")(store)


def drop_first(store: Path) -> None:
    sql("DELETE FROM entries WHERE seq = 0")(store)


def rechained(store: Path) -> None:
    def change(entries: list[Entry]) -> list[Entry]:
        entries[3]["body"] = {"target": "web-9"}
        return entries

    rechain(store, change)


def rechained_without_one(store: Path) -> None:
    rechain(store, lambda entries: [*entries[:6], *entries[7:]])


def signed_by_another(store: Path) -> None:
    rechain(store, lambda entries: entries, ledger_key(99))


def checkpoint_of_another(store: Path) -> None:
    """The good note replaced by one that another key made over the same tree."""
    with database(store) as db:
        (size,) = db.execute("SELECT max(size) FROM checkpoints").fetchone()
        leaves = [row[0] for row in db.execute("SELECT leaf FROM entries ORDER BY seq")]
        from recorder.merkle import root

        with Reader.open(store) as reader:
            origin = reader.checkpoint().origin
        other = ledger_key(99).seal(origin, size, root(leaves))
        db.execute("UPDATE checkpoints SET note = ?, sshsig = ?", (other.note, other.sshsig))


def sshsig_of_another_namespace(store: Path) -> None:
    with Reader.open(store) as reader:
        text = reader.checkpoint().text
    import hashlib

    armour = ledger_key().sshsig(hashlib.sha512(text).digest(), "file")
    with database(store) as db:
        db.execute("UPDATE checkpoints SET sshsig = ?", (armour,))
    assert NAMESPACE != "file"


def other_store(store: Path) -> Path:
    """Another ledger under the same key, on another bastion."""
    path = store.parent / "other"
    ledger = Ledger.create(path, host="other.example", key=ledger_key())
    Story(ledger).everything()
    ledger.close()
    return path


def spliced_entries(store: Path) -> None:
    with closing(sqlite3.connect(other_store(store) / "ledger.sqlite3")) as theirs, theirs:
        rows = theirs.execute("SELECT * FROM entries WHERE seq > 8").fetchall()
    with database(store) as db:
        db.execute("DELETE FROM entries WHERE seq > 8")
        db.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", rows)


def spliced_checkpoint(store: Path) -> None:
    with closing(sqlite3.connect(other_store(store) / "ledger.sqlite3")) as theirs, theirs:
        rows = theirs.execute("SELECT * FROM checkpoints").fetchall()
    with database(store) as db:
        db.execute("DELETE FROM checkpoints")
        db.executemany("INSERT INTO checkpoints VALUES (?,?,?)", rows)


def spliced_head(store: Path) -> None:
    shutil.copy(other_store(store) / "head", store / "head")


def chunk_of(store: Path, session: str) -> tuple[int, int, int, bytes]:
    with closing(sqlite3.connect(store / "ledger.sqlite3")) as db, db:
        return db.execute(  # type: ignore[no-any-return]
            "SELECT c.seq, c.offset, c.length, c.key FROM chunks c JOIN entries e ON e.seq = c.seq WHERE e.session = ?",
            (session,),
        ).fetchone()


def chunks_swapped(store: Path) -> None:
    (one, *place), (other, *second) = chunk_of(store, "s-1"), chunk_of(store, "s-2")
    with database(store) as db:
        for seq, (offset, length, key) in ((one, second), (other, place)):
            db.execute("UPDATE chunks SET offset = ?, length = ?, key = ? WHERE seq = ?", (offset, length, key, seq))


def ciphertext_changed(store: Path) -> None:
    _, offset, _, _ = chunk_of(store, "s-1")
    with (store / "chunks-000001.pack").open("r+b") as file:
        file.seek(offset + 5)
        byte = file.read(1)
        file.seek(offset + 5)
        file.write(bytes([byte[0] ^ 1]))


def pack_cut(store: Path) -> None:
    with (store / "chunks-000001.pack").open("r+b") as file:
        file.truncate(10)


def triggered(store: Path) -> None:
    with database(store) as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE type = 'x'; END")


ATTACKS: dict[str, tuple[Attack, int | str | None]] = {
    # name: attack, the entry that the report must name (a word: the first entry of that type; None: none can be)
    "bit flip": (flip, 3),
    "bit flip, leaf made to fit": (flip_hidden, 4),
    "bit flip in the last entry, leaf made to fit": (flip_last_hidden, 0),
    "re-serialised JSON": (reserialised, 3),
    "re-serialised JSON in the last entry": (reserialised_last, "session.closed"),
    "deleted": (sql("DELETE FROM entries WHERE seq = 5"), 5),
    "first entry deleted": (drop_first, 0),
    "reordered": (swap, 4),
    "duplicated": (duplicate, -1),
    "appended": (appended, -1),
    "truncated": (truncate, 7),
    "truncated, with its checkpoints": (truncate_with_checkpoints, None),
    "re-chained without the key": (rechained, 0),
    "re-chained without one entry": (rechained_without_one, 6),
    "re-chained and signed with another key": (signed_by_another, -2),
    "checkpoint by another key": (checkpoint_of_another, -2),
    "SSHSIG under another namespace": (sshsig_of_another_namespace, -2),
    "entries of another store": (spliced_entries, 9),
    "checkpoint of another store": (spliced_checkpoint, -2),
    "head file of another store": (spliced_head, None),
    "columns that lie": (sql("UPDATE entries SET type = 'session.opened' WHERE seq = 7"), 7),
    "session column that lies": (sql("UPDATE entries SET session = 's-2' WHERE seq = 4"), 4),
    "payload changed": (sql("UPDATE payloads SET data = x'00' WHERE name = 'note'"), "target.added"),
    "payload removed": (sql("DELETE FROM payloads WHERE name = 'more'"), "target.added"),
    "payload added": (sql("INSERT INTO payloads VALUES (3, 'note', x'00', x'00')"), 3),
    "salt changed": (sql("UPDATE payloads SET salt = zeroblob(16) WHERE name = 'more'"), "target.added"),
    "chunks swapped between sessions": (chunks_swapped, "recording.chunk"),
    "ciphertext changed": (ciphertext_changed, "recording.chunk"),
    "chunk row removed": (sql("DELETE FROM chunks"), "recording.chunk"),
    "chunk key changed": (sql("UPDATE chunks SET key = zeroblob(32)"), "recording.chunk"),
    "chunk row added": (sql("INSERT INTO chunks VALUES (2, 1, 0, 5, zeroblob(32))"), 2),
    "chunk row of nonsense": (sql("UPDATE chunks SET offset = -1, length = 1 << 60"), "recording.chunk"),
    "pack cut": (pack_cut, "recording.chunk"),
    "pack removed": (lambda store: (store / "chunks-000001.pack").unlink(), "recording.chunk"),
    "segment signature removed": (sql("DELETE FROM segments"), None),
    "segment hash changed": (sql("UPDATE segments SET sha256 = '00'"), None),
    "checkpoints removed": (sql("DELETE FROM checkpoints"), None),
    "head file removed": (lambda store: (store / "head").unlink(), None),
    "trigger planted": (triggered, None),
}


def content(store: Path) -> list[Any]:
    """All that a reader gets from the store; or the failure that it gets."""
    try:
        with Reader.open(store) as reader:
            found: list[Any] = []
            for entry in reader.entries():
                found.append(entry.bytes)
                for name, value in entry.body.items():
                    if isinstance(value, dict) and "salt" in value:
                        found.append(reader.payload(entry, name))
            for session in ("s-1", "s-2"):
                found.append(list(reader.frames(session)))
                found.append([entry.seq for entry in reader.entries(session=session)])
            for request in ("r-00000001", "r-00000002", "r-00000003"):
                found.append([entry.seq for entry in reader.entries(request=request)])
            for kind in ("request.decided", "recording.chunk"):
                found.append([entry.seq for entry in reader.entries(types=(kind,))])
            found.append(reader.checkpoint().note)
            return found
    except RecorderError as error:
        return [str(type(error))]


def mutations(store: Path, seed: int) -> Iterator[None]:
    """One to three bytes of one file changed, cut or inserted; undone afterwards."""
    chance = random.Random(seed)
    path = chance.choice([store / "ledger.sqlite3"] * 6 + [store / "chunks-000001.pack", store / "head"])
    good = path.read_bytes()
    bad = bytearray(good)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(bad))
        match chance.randrange(8):
            case 0:
                del bad[at : at + chance.randint(1, 64)]
            case 1:
                bad[at:at] = chance.randbytes(chance.randint(1, 64))
            case _:
                bad[at] ^= 1 << chance.randrange(8)
    try:
        path.write_bytes(bad)
        yield
    finally:
        path.write_bytes(good)
        for name in ("ledger.sqlite3-wal", "ledger.sqlite3-shm"):
            (store / name).unlink(missing_ok=True)
