"""What a person's own machine remembers of each bastion's ledger: the last head, by origin (trust on first use).

    $XDG_STATE_HOME/agent-bastion/pins.json, mode 0600
    {"bastions": {ADDRESS: ORIGIN}, "pins": {ORIGIN: {"genesis", "root", "size"}}, "v": 1}

On each contact the bastion has to prove that its ledger extends what is pinned (recorder.proof); then the pin moves on.
A bastion that is reached over SSH is also held to the origin that its address showed: a new ledger in its place is no
first contact. On the local socket the origin is not held to the path: on the bastion's own host somebody who
makes a new bastion in an old place knows it.

The file is replaced whole, under a lock, and a pin never moves back: two clients at once leave the later head.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastion.control.wire import HeadProof
from bastion.errors import HeadMismatch, UsageError
from recorder import checkpoint, proof
from recorder.errors import NoteError
from recorder.proof import Pin, ProofError

FILE = "pins.json"
FILE_LIMIT = 1 << 20
"""Bytes of the file: some thousand bastions."""


@dataclass(slots=True)
class Book:
    """The file's content."""

    bastions: dict[str, str] = field(default_factory=dict)
    pins: dict[str, Pin] = field(default_factory=dict)


class Pins:
    """The pins in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def wanted(self, origin: str) -> Pin | None:
        """What the ledger of that origin has to extend. Raises UsageError."""
        return self._read().pins.get(origin)

    def check(self, address: str, found: HeadProof, pinned: Pin | None) -> Pin:
        """Hold a bastion to its past, and remember its head. `address` is empty for the local socket.

        Raises HeadMismatch, UsageError.
        """
        known = self._read().bastions.get(address) if address else None
        try:
            head, _, pin = proof.check(found, pinned)
            if known is not None and known != head.origin:
                raise ProofError(f"it is another ledger than the one that this address had, {known}")
        except ProofError as error:
            raise HeadMismatch(
                f"this bastion cannot show that its ledger continues the one seen before: {error}",
                "nothing was sent. Ask those who run it, not over this bastion; if they moved or restored it:"
                f" bastion ledger accept {_anchor(found)}",
            ) from None
        if pin != pinned or (address and known is None):
            self._change(lambda book: _put(book, address, pin))
        return pin

    def accept(self, address: str, pin: Pin) -> None:
        """A person says that this is the ledger from now on, whatever was pinned. Raises UsageError."""

        def change(book: Book) -> None:
            book.pins[pin.origin] = pin
            if address:
                book.bastions[address] = pin.origin

        self._change(change)

    def _path(self) -> Path:
        return self._directory / FILE

    def _read(self) -> Book:
        try:
            with self._path().open("rb") as file:
                data = file.read(FILE_LIMIT + 1)
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise UsageError(f"{self._path()} cannot be read: {error.strerror}") from None
        try:
            return _parse(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UsageError(
                f"{self._path()} is damaged", "it says which bastions' ledgers you have seen; restore it or remove it"
            ) from None

    def _change(self, change: Callable[[Book], None]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._directory / f"{FILE}.lock"):
                book = self._read()
                change(book)
                self._write(book)
        except OSError as error:
            raise UsageError(f"{self._path()} cannot be written: {error.strerror}") from None

    def _write(self, book: Book) -> None:
        pins = {
            origin: {"genesis": pin.genesis.hex(), "root": pin.root.hex(), "size": pin.size}
            for origin, pin in book.pins.items()
        }
        text = json.dumps({"bastions": book.bastions, "pins": pins, "v": 1}, indent=1, sort_keys=True)
        making = self._directory / f".{FILE}.{os.getpid()}"
        making.unlink(missing_ok=True)
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(making, self._path())


def _put(book: Book, address: str, pin: Pin) -> None:
    old = book.pins.get(pin.origin)
    if old is None or old.size <= pin.size:
        book.pins[pin.origin] = pin
    if address:
        book.bastions.setdefault(address, pin.origin)


def _parse(value: Any) -> Book:
    if value["v"] != 1:
        raise ValueError("another version")
    book = Book()
    for address, origin in value["bastions"].items():
        book.bastions[str(address)] = str(origin)
    for origin, pin in value["pins"].items():
        if type(pin["size"]) is not int or pin["size"] < 1 or len(pin["root"]) != 64 or len(pin["genesis"]) != 64:
            raise ValueError("no pin")
        book.pins[origin] = Pin(origin, pin["size"], bytes.fromhex(pin["root"]), bytes.fromhex(pin["genesis"]))
    return book


def _anchor(found: HeadProof) -> str:
    try:
        return checkpoint.read(found.checkpoint)[0].anchor
    except NoteError:
        return "ANCHOR"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
