"""Ledgers to test with: real stores in a temporary directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder.keys import LedgerKey
from recorder.ledger import Ledger
from tests.recorder.stories import HOST, Story, ledger_key
from tests.recorder.takings import Taken


@pytest.fixture
def key() -> LedgerKey:
    return ledger_key()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a store will be."""
    return tmp_path / "store"


@pytest.fixture
def ledger(store: Path, key: LedgerKey) -> Iterator[Ledger]:
    opened = Ledger.create(store, host=HOST, key=key)
    yield opened
    opened.close()


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


@pytest.fixture
def told(store: Path, key: LedgerKey) -> Callable[[Callable[[Story], object]], Path]:
    """Tell a story into a new store, close it, give its directory."""

    def tell(what: Callable[[Story], object]) -> Path:
        opened = Ledger.create(store, host=HOST, key=key)
        try:
            what(Story(opened))
        finally:
            opened.close()
        return store

    return tell


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Taken]:
    """Two recordings, and who may take something out of them."""
    made = Taken.begin(tmp_path / "store")
    yield made
    made.ledger.close()
