"""What goes to a target is read back from the ledger first: whatever was changed there in between is not run (P2)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bastion import audit, history
from bastion.control.archive import Archive
from bastion.errors import StoreError
from bastion.model import Request, Verdict
from bastion.policy.judge import Judgement
from recorder import layout
from recorder.entry import commitment
from recorder.ledger import Ledger
from recorder.reader import Reader
from tests.bastion.control.conftest import request as a_request
from tests.recorder.stories import HOST, ledger_key

MADE = replace(a_request(), id="r-00000007", command=b"uptime")
OTHER = replace(MADE, id="r-00000008", command=b"reboot")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    ledger = Ledger.create(tmp_path / "store", host=HOST, key=ledger_key())
    for each in (MADE, OTHER):
        ledger.append(audit.proposed(each, Judgement(Verdict.ALLOW, each.digest, "test", "because"))).result(30)
    yield tmp_path / "store"
    ledger.close()


def stored(store: Path, request: Request, digest: str = "") -> bytes:
    with Reader.open(store) as reader:
        return Archive(reader).stored(request.id, digest or request.digest)


def changed(store: Path, sql: str, *values: object) -> None:
    """As somebody does who can write the file, beside the daemon."""
    database = sqlite3.connect(store / layout.DATABASE, isolation_level=None)
    database.execute(sql, values)
    database.close()


def test_it_is_what_was_proposed(store: Path) -> None:
    assert stored(store, MADE) == b"uptime"
    assert stored(store, OTHER) == b"reboot"


def test_another_digest_or_another_request(store: Path) -> None:
    with pytest.raises(StoreError, match="does not hold"):
        stored(store, MADE, OTHER.digest)
    with pytest.raises(StoreError, match="does not hold"):
        stored(store, replace(MADE, id="r-00000009"))


FORGED = history.pack(replace(MADE, command=b"reboot"))
LYING = history.pack(MADE).replace(b'"dXB0aW1l"', b'"cmVib290"')
"""Another command under the approved digest."""


@pytest.mark.parametrize("data", [FORGED, LYING, b"", b"{}", b"\xff"], ids=["whole", "lying", "empty", "{}", "no text"])
def test_another_payload(store: Path, data: bytes) -> None:
    assert b"cmVib290" in LYING
    changed(store, "UPDATE payloads SET data = ? WHERE seq = 1", data)
    with pytest.raises(StoreError, match="does not hold"):
        stored(store, MADE)


@pytest.mark.parametrize("data", [FORGED, LYING], ids=["whole", "lying"])
def test_another_payload_with_an_entry_that_commits_to_it(store: Path, data: bytes) -> None:
    """Nothing but the digest stands against that at this moment; the signed head does later (verify)."""
    ((salt, row),) = sqlite3.connect(store / layout.DATABASE).execute(
        "SELECT p.salt, e.bytes FROM payloads p JOIN entries e ON e.seq = p.seq WHERE p.seq = 1"
    )
    old = history.pack(MADE)
    entry = row.replace(commitment(salt, old).hex().encode(), commitment(salt, data).hex().encode())
    entry = entry.replace(b'"bytes":%d' % len(old), b'"bytes":%d' % len(data))
    assert entry != row
    changed(store, "UPDATE payloads SET data = ? WHERE seq = 1", data)
    changed(store, "UPDATE entries SET bytes = ? WHERE seq = 1", entry)
    with pytest.raises(StoreError, match="does not hold"):
        stored(store, MADE)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM payloads WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 1",
        "UPDATE entries SET bytes = x'7b7d' WHERE seq = 1",
        "UPDATE entries SET bytes = (SELECT bytes FROM entries WHERE seq = 2) WHERE seq = 1",
        "UPDATE entries SET request = 'r-00000008' WHERE seq = 1",
        "UPDATE payloads SET salt = x'00' WHERE seq = 1",
    ],
)
def test_what_is_gone_or_no_entry(store: Path, sql: str) -> None:
    changed(store, sql)
    with pytest.raises(StoreError, match="does not hold"):
        stored(store, MADE)
