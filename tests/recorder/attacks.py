"""What somebody with write access to a store can do to it, with and without keys. The attacker's tools, so no product
code decides here what is allowed: rows are changed by SQL, entries made anew with plain `json`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recorder.keys import LedgerKey
from recorder.layout import SLOT
from recorder.merkle import root
from recorder.segments import NAMESPACE, Segments

Entry = dict[str, Any]


@contextmanager
def database(store: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(store / "ledger.sqlite3")
    try:
        yield connection
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def sql(*statements: str) -> Callable[[Path], None]:
    """Run SQL on the store."""

    def apply(store: Path) -> None:
        with database(store) as db:
            for statement in statements:
                assert db.execute(statement).rowcount != 0, f"{statement} changed nothing"

    return apply


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def encoded(entry: Entry) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def replace_bytes(store: Path, seq: int, change: Callable[[bytes], bytes], *, hide: bool) -> None:
    """Change one entry's bytes; with `hide` its leaf column too, as far as that goes without the key."""
    with database(store) as db:
        (data,) = db.execute("SELECT bytes FROM entries WHERE seq = ?", (seq,)).fetchone()
        new = change(data)
        assert new != data
        db.execute("UPDATE entries SET bytes = ? WHERE seq = ?", (new, seq))
        if hide:
            db.execute("UPDATE entries SET leaf = ? WHERE seq = ?", (leaf(new), seq))


def rechain(store: Path, change: Callable[[list[Entry]], list[Entry]], key: LedgerKey | None = None) -> None:
    """Rewrite history from changed entries, numbers, chain and causes made anew; with a key, sign all of it."""
    with database(store) as db:
        old = [json.loads(data) for (data,) in db.execute("SELECT bytes FROM entries ORDER BY seq")]
        before = {leaf(encoded(entry)).hex(): entry for entry in old}
        new = change([dict(entry) for entry in old])
        renamed: dict[str, str] = {}
        prev, rows, origin = "", [], ""
        for seq, entry in enumerate(new):
            source = next((name for name, each in before.items() if each["seq"] == entry["seq"]), "")
            entry.update(seq=seq, prev=prev, cause=renamed.get(entry["cause"], entry["cause"]))
            if seq:
                entry["origin"] = origin
            data = encoded(entry)
            prev = leaf(data).hex()
            origin = origin or f"{entry['origin']}/{prev[:8]}"
            renamed[source] = prev
            rows.append((seq, entry["type"], entry["session"] or None, entry["request"] or None, entry["t"], data))
        db.execute("DELETE FROM entries")
        db.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", [(*row[:5], leaf(row[5]), row[5]) for row in rows])
        if key is not None:
            sign(store, db, [row[5] for row in rows], origin, key)


def sign(store: Path, db: sqlite3.Connection, data: list[bytes], origin: str, key: LedgerKey) -> None:
    """Signatures over these entries everywhere that there are some."""
    flat = Segments(origin)
    for each in data:
        flat.append(each)
    now = flat.current()
    armour = key.sshsig(now.sha512, NAMESPACE)
    head = key.seal(origin, len(data), root(map(leaf, data)))
    db.execute("DELETE FROM segments")
    db.execute("INSERT INTO segments VALUES (?,?,0,?,?)", (now.number, now.entries, now.sha256, armour))
    db.execute("DELETE FROM checkpoints")
    db.execute("INSERT INTO checkpoints VALUES (?,?,?)", (head.size, head.note, head.sshsig))
    (store / "head").write_bytes(head.note.encode().ljust(SLOT, b"\0") * 2)
