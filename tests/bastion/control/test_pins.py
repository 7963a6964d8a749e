"""A person's tools remember the last head of each bastion, and hold it to it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bastion.control.archive import Archive
from bastion.control.pins import FILE, Pins
from bastion.control.wire import HeadProof
from bastion.errors import HeadMismatch, UsageError
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from tests.recorder.stories import HOST, ledger_key

ADDRESS = "bastion.example:2222"


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(tmp_path / "home" / "agent-bastion")


def made(path: Path, entries: int = 3) -> Path:
    ledger = Ledger.create(path, host=HOST, key=ledger_key())
    ledger.append(*(Draft("a.b", "x", {"n": n}) for n in range(entries))).result(10)
    ledger.close()
    return path


def proof(store: Path, size: int = 0) -> HeadProof:
    with Reader.open(store) as reader:
        return Archive(reader).proof_now(size)


def grow(store: Path) -> None:
    ledger = Ledger.open(store, key=ledger_key())
    ledger.append(Draft("a.b", "x", {})).result(10)
    ledger.close()


def contact(pins: Pins, store: Path, address: str = ADDRESS) -> None:
    found = proof(store)
    origin = found.checkpoint.partition("\n")[0]
    pinned = pins.wanted(origin)
    pins.check(address, proof(store, pinned.size if pinned else 0), pinned)


def test_the_pin_moves_on(pins: Pins, tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    contact(pins, store)
    grow(store)
    contact(pins, store)
    path = tmp_path / "home" / "agent-bastion" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    value = json.loads(path.read_text())
    assert [pin["size"] for pin in value["pins"].values()] == [5]
    assert list(value["bastions"]) == [ADDRESS]
    before = path.stat().st_ino
    contact(pins, store)
    assert path.stat().st_ino == before, "nothing new, nothing written"


def test_a_bastion_that_was_put_back(pins: Pins, tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    old = proof(store)
    contact(pins, store)
    grow(store)
    contact(pins, store)
    origin = old.checkpoint.partition("\n")[0]
    with pytest.raises(HeadMismatch, match=r"put back.*bastion ledger accept 4:[0-9a-f]{64}"):
        pins.check(ADDRESS, old, pins.wanted(origin))
    with pytest.raises(HeadMismatch):  # and again: a refusal changes nothing
        pins.check(ADDRESS, old, pins.wanted(origin))
    contact(pins, store)


def test_a_new_ledger_in_its_place(pins: Pins, tmp_path: Path) -> None:
    contact(pins, made(tmp_path / "one"))
    other = made(tmp_path / "other")
    with pytest.raises(HeadMismatch, match="another ledger than the one that this address had"):
        contact(pins, other)
    contact(pins, other, address="another.example:2222")
    contact(pins, other, address="")  # the local socket


def test_i_know(pins: Pins, tmp_path: Path) -> None:
    contact(pins, made(tmp_path / "one"))
    other = made(tmp_path / "other")
    pin = Pins(tmp_path / "x").check("", proof(other), None)
    pins.accept(ADDRESS, pin)
    contact(pins, other)


def test_two_clients_at_once_leave_the_later_head(pins: Pins, tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    early = proof(store)
    grow(store)
    contact(pins, store)
    pins.check(ADDRESS, early, None)
    (pin,) = [pins.wanted(origin) for origin in (early.checkpoint.partition("\n")[0],)]
    assert pin is not None
    assert pin.size == 5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2}', '{"v":1,"bastions":{},"pins":{"x":{"size":true}}}', "\0"])
def test_a_damaged_file_is_said(text: str, pins: Pins, tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    contact(pins, store)
    (tmp_path / "home" / "agent-bastion" / FILE).write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        contact(pins, store)
