"""What a daemon opens and reads before it serves: the ledger, and what its entries say of who there is, and of usage.

Each of these may refuse, and then nothing was served (daemon.py has the order).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import asyncssh

from bastion import audit, ledgerkey
from bastion.config import Config
from bastion.credentials import exposed
from bastion.directory import Directory
from bastion.errors import StoreError, UsageError
from bastion.inforce import InForce
from bastion.model import Verdict
from bastion.policy.usage import KEPT_MICROSECONDS, Usage
from bastion.renderer import Renderer
from recorder.entry import Entry
from recorder.errors import NotAStore, RecorderError, StoreBusy
from recorder.ledger import Ledger
from recorder.reader import Reader
from recorder.recording import TERMINAL_CHUNK, Recording

CHUNK_BYTES = 1 << 20
"""Of an exec's recording: streams are seldom looked at by the screen, and each chunk costs a ledger entry."""

USAGE_ENTRIES = 100_000
"""Proposals of the last day that are read at the start, which takes about a second."""


def open_ledger(config: Config) -> Ledger:
    """Open the store for writing. Raises StoreError with a sentence that says what to do."""
    try:
        return Ledger.open(config.store, key=ledgerkey.signer(config))
    except StoreBusy as error:
        raise StoreError(error.message, error.hint or "another daemon, or a command that writes, has it open") from None
    except NotAStore as error:
        hint = "`bastion init DIR` makes one; is `state` in bastion.toml the right directory?"
        raise StoreError(error.message, error.hint or hint) from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None


def recorded(
    ledger: Ledger, renderer: Renderer, session: str, notify: Callable[[], None], chunk: int = CHUNK_BYTES
) -> Recording:
    """A session's recording, and of a terminal's what it shows: rendered beside it, never waited for."""
    recording = ledger.recording(session, actor=audit.DAEMON, chunk_bytes=chunk, notify=notify)
    if chunk == TERMINAL_CHUNK:
        renderer.follow(session)
    return recording


def usage_of(reader: Reader, now: int) -> Usage:
    """What every identity did lately, so that a restart gives nobody a fresh allowance. Raises StoreError."""
    usage = Usage()
    recent: list[Entry] = []
    try:
        for entry in reader.newest("request.proposed"):
            if entry.t < now - KEPT_MICROSECONDS or len(recent) >= USAGE_ENTRIES:
                break
            recent.append(entry)
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    for entry in reversed(recent):
        if entry.body["verdict"] != Verdict.DENY:
            usage.note(str(entry.body["identity"]), str(entry.body["target"]), entry.t)
    return usage


def members_of(in_force: InForce, directory: Directory, group: str) -> frozenset[str]:
    """Who is in a group: as the policy in force has it, else as `bastion group` made it."""
    members = in_force.policy.groups.get(group)
    return directory.access.groups.get(group, frozenset()) if members is None else members


def read_host_key(path: Path) -> asyncssh.SSHKey:
    """The bastion's own host key. Raises UsageError."""
    try:
        if exposed(path):
            raise UsageError(f"{path} is readable by others", f"chmod 600 {path}")
        return asyncssh.read_private_key(path)
    except OSError as error:
        raise UsageError(f"cannot read the host key {path}: {error.strerror}", "`bastion init` makes one") from None
    except asyncssh.KeyImportError as error:
        raise UsageError(f"the host key {path} is damaged: {error}") from None


def latest(reader: Reader) -> int:
    """The wall time of the newest entry: the clock does not go back behind it."""
    return next((entry.t for entry in reader.newest()), 0)


def private(config: Config) -> list[Path]:
    """Directories that hold what is the bastion's own: a process that sends notifications reads nothing there. Not one
    that holds what every program needs, with a bastion.toml beside it."""
    base = config.path.absolute().parent
    return [config.state.absolute(), *([] if base in (Path("/"), Path("/etc")) else [base])]
