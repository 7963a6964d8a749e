"""The file with the ledger's key, and its change. A key that systemd hands to the service is not changed: nobody could
give systemd the new one.

A change, and what a crash leaves:

    1. `ledger_key.next` is made            a left-over; the next change makes it anew
    2. `key.rotated` is durable             the ledger wants the new key: `load` finds it in `.next` and does step 3
    3. `.next` takes the place of the key   done; the old private key is gone: it can sign nothing any more
"""

from __future__ import annotations

import os
from pathlib import Path

from bastion.config import Config
from bastion.errors import StoreError
from recorder.errors import KeyFileError, RecorderError
from recorder.keys import LedgerKey, sync_directory
from recorder.ledger import Ledger
from recorder.reader import Reader
from recorder.signerprocess import SignerProcess

MEMORY = "ledger_key.signed"
"""File in the state directory with what the signer signed last."""


def load(config: Config) -> LedgerKey:
    """The key that the ledger wants. Raises RecorderError."""
    following = _next(config.ledger_key)
    if following.exists():
        with Reader.open(config.store) as reader:
            wanted = reader.keys().current
        try:
            new = LedgerKey.load(following)
        except KeyFileError:
            new = None  # half made: its entry was never written
        if new is not None and new.public == wanted:
            _take_over(config.ledger_key, new.line)
            return new
    return LedgerKey.load(config.ledger_key)


def signer(config: Config) -> SignerProcess:
    """The key in a process of its own; for the daemon. Raises RecorderError."""
    if _next(config.ledger_key).exists():
        load(config)  # finishes a change of keys; otherwise the key never comes into this process
    return SignerProcess(config.ledger_key, config.state / MEMORY)


def rotate(config: Config, actor: str) -> LedgerKey:
    """Change the ledger's key, where no daemon runs. Raises StoreBusy or another RecorderError."""
    if reason := _handed(config):
        raise KeyFileError(*reason)
    ledger = Ledger.open(config.store, key=load(config))
    try:
        following = _next(config.ledger_key)
        try:
            following.unlink(missing_ok=True)
        except OSError as error:
            raise KeyFileError(f"{following} cannot be removed: {error.strerror}") from None
        new = LedgerKey.create(following)
        ledger.rotate(new, actor=actor)
        _take_over(config.ledger_key, new.line)
        return new
    finally:
        ledger.close()


def rotate_running(config: Config, ledger: Ledger, actor: str) -> str:
    """Change the key of a ledger that is being written; the new key's line. A new signer makes it, and takes over
    between two commits; the old one is then gone. In a thread: it takes seconds where the ledger is long.

    Raises BastionError.
    """
    if reason := _handed(config):
        raise StoreError(*reason)
    following = _next(config.ledger_key)
    try:
        following.unlink(missing_ok=True)
        entry = ledger.succeed(SignerProcess(following, config.state / MEMORY, make=True), actor=actor)
        line = str(entry.body["log_key"])
        _take_over(config.ledger_key, line)
    except OSError as error:
        raise StoreError(f"{following} cannot be removed: {error.strerror}") from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    return line


def _handed(config: Config) -> tuple[str, str] | None:
    """Why it cannot be changed, and what to do; None where it can."""
    if config.ledger_key.parent == config.state:
        return None
    hint = "put it back into the state directory, change it there, and give systemd the new one"
    return "the ledger's key is a credential of the systemd service", hint


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _take_over(path: Path, line: str) -> None:
    public = path.with_name(f"{path.name}.pub")
    making = public.with_name(f".{public.name}.making")
    try:
        making.write_text(f"{line}\n", "ascii")
        making.chmod(0o644)
        os.replace(making, public)
        os.replace(_next(path), path)
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be replaced: {error.strerror}", "start it again") from None
