"""What a client is shown on each contact, and every way in which it can be a lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.proof import Pin, Proof, ProofError, check
from recorder.prover import Prover
from recorder.reader import Reader
from tests.recorder.attacks import rechain
from tests.recorder.stories import HOST, Story, ledger_key

NEW, OTHER = ledger_key(8), ledger_key(9)


@pytest.fixture
def grown(store: Path, key: LedgerKey) -> tuple[Path, list[Pin]]:
    """A ledger that changed its key, and pins from before and after."""
    pins = []
    ledger = Ledger.create(store, host=HOST, key=key)
    pins.append(shown(store)[1])
    Story(ledger).everything()
    pins.append(shown(store)[1])
    ledger.rotate(NEW, actor="x")
    pins.append(shown(store)[1])
    ledger.append(*(Draft("a.b", "x", {"n": n}) for n in range(600))).result(20)
    pins.append(shown(store)[1])
    ledger.close()
    return store, pins


def shown(store: Path, pinned: Pin | None = None) -> tuple[Proof, Pin]:
    with Reader.open(store) as reader:
        proof = Prover(reader).head(pinned.size if pinned else 0)
    return proof, check(proof, pinned)[2]


def test_every_earlier_head_is_proved(grown: tuple[Path, list[Pin]]) -> None:
    store, pins = grown
    assert [pin.size for pin in pins] == [1, 17, 18, 618]
    for pin in pins:
        assert shown(store, pin)[1] == pins[-1]
    head, keys, _ = check(shown(store)[0], None)
    assert (head.size, keys.current) == (618, NEW.public)


def test_a_rollback(grown: tuple[Path, list[Pin]], tmp_path: Path) -> None:
    store, pins = grown
    shutil.copytree(store, tmp_path / "backup")
    ledger = Ledger.open(store, key=NEW)
    ledger.append(Draft("a.b", "x", {})).result(20)
    ledger.close()
    later = shown(store, pins[-1])[1]
    with pytest.raises(ProofError, match="it shows 618 entries and had 619 before"):
        shown(tmp_path / "backup", later)


def test_a_fork_shown_to_two_clients(grown: tuple[Path, list[Pin]], tmp_path: Path) -> None:
    """Both halves are signed well; whoever has seen one is not shown the other."""
    store, _ = grown
    shutil.copytree(store, tmp_path / "fork")
    pins = []
    for directory, word in ((store, "one"), (tmp_path / "fork", "other")):
        ledger = Ledger.open(directory, key=NEW)
        ledger.append(Draft("a.b", "x", {"word": word})).result(20)
        ledger.close()
        pins.append(shown(directory)[1])
    for directory, pin in ((store, pins[1]), (tmp_path / "fork", pins[0])):
        with pytest.raises(ProofError, match="are not those that it had before"):
            shown(directory, pin)


def test_a_history_written_again_with_the_stolen_key(store: Path, key: LedgerKey, tmp_path: Path) -> None:
    ledger = Ledger.create(store, host=HOST, key=key)
    Story(ledger).everything()
    ledger.close()
    pin = shown(store)[1]
    rechain(store, lambda entries: entries[:3] + entries[4:], key)
    with pytest.raises(ProofError):
        shown(store, pin)


def test_another_ledger(grown: tuple[Path, list[Pin]], tmp_path: Path, key: LedgerKey) -> None:
    _, pins = grown
    Ledger.create(tmp_path / "other", host=HOST, key=key).close()
    with pytest.raises(ProofError, match="another ledger"):
        shown(tmp_path / "other", pins[0])


LIES: dict[str, Callable[[Proof], Proof]] = {
    "no proof": lambda p: replace(p, consistency=[]),
    "a hash changed": lambda p: replace(p, consistency=[bytes(32), *p.consistency[1:]]),
    "a hash too many": lambda p: replace(p, consistency=[*p.consistency, bytes(32)]),
    "no change of keys": lambda p: replace(p, rotations=[]),
    "the change of keys twice": lambda p: replace(p, rotations=p.rotations * 2),
    "the change of keys of another history": lambda p: replace(
        p, rotations=[replace(p.rotations[0], consistency=[bytes(32)])]
    ),
    "the change of keys not in the tree": lambda p: replace(p, rotations=[replace(p.rotations[0], inclusion=[])]),
    "the change of keys as another entry": lambda p: replace(p, rotations=[replace(p.rotations[0], entry=p.genesis)]),
    "the change of keys under the new key": lambda p: replace(
        p, rotations=[replace(p.rotations[0], checkpoint=p.checkpoint)]
    ),
    "entry 0 changed": lambda p: replace(p, genesis=p.genesis.replace(b'"schema":1', b'"schema":2')),
    "entry 0 is none": lambda p: replace(p, genesis=b"{}"),
    "entry 0 not in the tree": lambda p: replace(p, genesis_inclusion=[]),
    "the head by another key": lambda p: replace(p, checkpoint=resealed(p, OTHER)),
    "the head by the old key": lambda p: replace(p, checkpoint=resealed(p, ledger_key())),
    "no note": lambda p: replace(p, checkpoint="x"),
}


def resealed(proof: Proof, key: LedgerKey) -> str:
    head = check(proof, None)[0]
    return key.seal(head.origin, head.size, head.root).note


@pytest.mark.parametrize("name", LIES)
def test_lies(name: str, grown: tuple[Path, list[Pin]]) -> None:
    store, pins = grown
    proof, _ = shown(store, pins[1])
    check(proof, pins[1])
    with pytest.raises(ProofError):
        check(LIES[name](proof), pins[1])
