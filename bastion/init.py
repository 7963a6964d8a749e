"""`bastion init`: a configuration and a state directory, made once and never overwritten.

Order, and what a crash leaves:

    1. DIR                                      a directory; the next `init` goes on
    2. DIR/.state.making, mode 0700, locked     a left-over; nobody holds its lock, so the next `init` removes it
    3.   the keys and the store in there        the same
    4. rename to DIR/state                      keys and store without a configuration; the next `init` keeps them
    5. DIR/policy.bastion, linked into place    one that is there already is kept
    6. DIR/bastion.toml, linked into place      done: from here on `init` refuses

So the file is the mark of a finished init, and nothing that has a name of its own is ever half written.

Written are `bastion.toml`, `policy.bastion` and `state/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import asyncssh

from bastion import cakeys
from bastion.config import FILE, KEYS, Config, load, parse
from bastion.errors import BastionError, Conflict, StoreError, UsageError
from recorder.errors import RecorderError
from recorder.keys import LedgerKey, sync_directory
from recorder.ledger import Ledger

MAKING = ".state.making"
POLICY = "policy.bastion"

TEMPLATE = """\
# Configuration of an SSH bastion for AI agents. Every key: docs/configuration.md

[bastion]
listen = "{listen}"
state = "state"
policy = "policy.bastion"
host = "{host}"

[approval]
timeout = "60s"      # a held request is denied after this long
approvals = 1        # distinct humans for each, where the policy says nothing
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What there is after `init`."""

    config: Config
    fingerprint: str
    """Of the host key."""
    host_key_line: str
    """`ssh-ed25519 base64`: what clients pin."""
    kept: bool
    """Keys and store were there already, from an `init` that did not finish."""


def init(directory: Path, *, listen: str = "", host: str = "", policy: str = "") -> Made:
    """Make `bastion.toml`, `policy.bastion` and `state/` in `directory`; `policy` is the text of another policy than
    the usual one. Raises Conflict when it has them, UsageError, StoreError."""
    directory = directory.absolute()
    listen = listen or str(KEYS["bastion"]["listen"].default)
    text = TEMPLATE.format(listen=listen, host=host or _host())
    try:
        parse(text, directory / FILE)  # before anything is made
    except UsageError as error:
        wrong = "--listen" if "listen must be" in str(error) else "--host"
        raise UsageError(f"{wrong}: {str(error).rpartition(': ')[2]}") from None
    if (directory / FILE).exists():
        raise Conflict(f"{directory / FILE} exists", "nothing was changed; choose another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        kept = (directory / "state").exists()
        if kept:
            text = TEMPLATE.format(listen=listen, host=_check(directory / "state"))
        else:
            with _making(directory) as making:
                _fill(making, parse(text, directory / FILE).host_name)
                os.rename(making, directory / "state")
            sync_directory(directory)
        if not (directory / POLICY).exists():
            _place(directory / POLICY, (policy or default_policy()).encode())
        _place(directory / FILE, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write in {directory}: {error.strerror}") from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    config = load(directory / FILE)
    key = asyncssh.read_public_key(config.host_key.with_suffix(".pub"))
    line = " ".join(key.export_public_key().decode().split()[:2])
    return Made(config, key.get_fingerprint(), line, kept)


def default_policy() -> str:
    """What a bastion begins with: low reads flow, the rest is held, what cannot be undone takes two people."""
    return files("bastion").joinpath("default.bastion").read_text("utf-8")


def _fill(state: Path, host: str) -> None:
    """Keys and an empty store. Raises OSError or RecorderError."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=host)
    _write(state / "host_key", key.export_private_key(), 0o600)
    _write(state / "host_key.pub", key.export_public_key(), 0o644)
    cakeys.make(state / "host_authority")
    cakeys.make(state / "upstream_ca")
    ledger_key = LedgerKey.create(state / "ledger_key")
    _write(state / "ledger_key.pub", f"{ledger_key.line} {host}\n".encode(), 0o644)
    Ledger.create(state / "store", host=host, key=ledger_key).close()
    sync_directory(state)


def _check(state: Path) -> str:
    """The host name in the ledger of a state directory that an earlier `init` made. Raises Conflict if none did."""
    try:
        if state.stat().st_mode & 0o077:
            raise Conflict(f"{state} is open to others", f"chmod 700 {state}")
        asyncssh.read_private_key(state / "host_key")
        asyncssh.read_public_key(state / "host_key.pub")
        asyncssh.read_private_key(state / "host_authority")
        ledger = Ledger.open(state / "store", key=LedgerKey.load(state / "ledger_key"))
        ledger.close()
        return ledger.origin.rpartition("/")[0]
    except (OSError, asyncssh.KeyImportError, RecorderError) as error:
        raise Conflict(
            f"{state} exists and is not what `bastion init` makes: {_words(error)}", "nothing was changed"
        ) from None


@contextlib.contextmanager
def _making(directory: Path) -> Iterator[Path]:
    """A locked, empty directory to fill; removed again if that fails. Raises Conflict when another init is at it."""
    path = directory / MAKING
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)  # whatever the umask is
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another `bastion init` is at work in {directory}") from None
        for left in list(path.iterdir()):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        try:
            yield path
        except (OSError, BastionError, RecorderError):
            shutil.rmtree(path, ignore_errors=True)
            raise
    finally:
        os.close(fd)


def _write(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)  # whatever the umask is
        file.write(data)
        file.flush()
        os.fsync(fd)


def _place(path: Path, data: bytes) -> None:
    """The file, whole or not at all, and never over another. Raises Conflict or OSError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    try:
        _write(scratch, data, 0o644)
        os.link(scratch, path)
    except FileExistsError:
        raise Conflict(f"{path} exists", "another `bastion init` was faster") from None
    finally:
        scratch.unlink(missing_ok=True)
    sync_directory(path.parent)


def _host() -> str:
    """This machine's name, if it can stand in the ledger's origin."""
    name = socket.gethostname()
    try:
        KEYS["bastion"]["host"].check(name)
    except ValueError:
        return str(KEYS["bastion"]["host"].default)
    return name


def _words(error: Exception) -> str:
    match error:
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        case _:
            return str(error)
