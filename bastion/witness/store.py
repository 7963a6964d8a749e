"""What a witness keeps: its key, which ledgers it watches, and the last head of each that it cosigned.

    DIR/witness_key          Ed25519, mode 0600 (recorder.keys)
    DIR/witness_key.vkey     its verifier key: what bastions and auditors are given
    DIR/logs/HASH.json       one ledger: {"keys", "note", "origin", "root", "size", "v"}; HASH is of the origin
    DIR/lock                 held by the one process that serves

A head is durable (written whole, synced, renamed) before it is cosigned. If we crash before the rename, nothing was
signed; after it, the ledger asks again from the size that it is told.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bastion.errors import Conflict, NotFound, StoreError, UsageError
from recorder.cosignature import NAME, Witness
from recorder.errors import KeyFileError
from recorder.keys import LedgerKey, sync_directory
from recorder.publickey import public_bytes, public_line

KEY, VKEY, LOGS, LOCK = "witness_key", "witness_key.vkey", "logs", "lock"
KEYS_LIMIT = 64
"""Keys of one ledger: one for each change."""


@dataclass(frozen=True, slots=True)
class Log:
    """One ledger that is watched."""

    origin: str
    keys: tuple[bytes, ...]
    """Any of them may sign its heads."""
    size: int = 0
    root: bytes = b""
    note: str = ""


class WitnessStore:
    """The directory of one witness."""

    def __init__(self, directory: Path) -> None:
        """Raises NotFound, UsageError."""
        self._directory = directory
        try:
            self.key = LedgerKey.load(directory / KEY)
            name = (directory / VKEY).read_text("ascii").partition("+")[0]
        except (KeyFileError, OSError, UnicodeError) as error:
            raise NotFound(f"{directory} holds no witness: {error}", "`bastion witness init` makes one") from None
        self.witness = Witness(name, self.key.public)

    @classmethod
    def create(cls, directory: Path, name: str) -> WitnessStore:
        """A new witness in a new or empty directory. Raises UsageError, Conflict, StoreError."""
        if not NAME.fullmatch(name):
            raise UsageError("a witness has a name of printable ASCII characters without spaces and plus signs")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            if any(directory.iterdir()):
                raise Conflict(f"{directory} is not empty", "a witness has a directory of its own")
            (directory / LOGS).mkdir(mode=0o700)
            key = LedgerKey.create(directory / KEY)
            _put(directory / VKEY, Witness(name, key.public).verifier_key + "\n")
        except (OSError, KeyFileError) as error:
            raise StoreError(f"no witness can be made in {directory}: {error}") from None
        return cls(directory)

    def lock(self) -> int:
        """Hold the store; the descriptor does. Raises Conflict when another process does."""
        fd = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Conflict(f"another process serves {self._directory}") from None
        return fd

    def trust(self, origin: str, key_line: str) -> Log:
        """Watch the ledger of that origin, or take a further key for it. Raises UsageError, StoreError."""
        if not origin or "+" in origin or any(not c.isprintable() or c.isspace() for c in origin):
            raise UsageError("an origin is what `bastion ledger head` prints first: HOST/xxxxxxxx")
        try:
            public = public_bytes(key_line)
        except KeyFileError as error:
            raise UsageError(f"the ledger's key: {error.message}", "state/ledger_key.pub of that bastion") from None
        known = self.log(origin) or Log(origin, ())
        if public not in known.keys:
            if len(known.keys) >= KEYS_LIMIT:
                raise UsageError(f"a ledger has at most {KEYS_LIMIT} keys here")
            known = replace(known, keys=(*known.keys, public))
            self.put(known)
        return known

    def logs(self) -> Iterable[Log]:
        """All ledgers that are watched. Raises StoreError."""
        for path in sorted((self._directory / LOGS).glob("*.json")):
            yield self._load(path)

    def log(self, origin: str) -> Log | None:
        """That ledger. Raises StoreError when its file is damaged: then nothing is signed for it."""
        path = self._path(origin)
        return self._load(path) if path.exists() else None

    def _load(self, path: Path) -> Log:
        try:
            value = json.loads(path.read_bytes())
            keys = tuple(public_bytes(line) for line in value["keys"])
            log = Log(value["origin"], keys, value["size"], bytes.fromhex(value["root"]), value["note"])
            if value["v"] != 1 or type(log.size) is not int or self._path(log.origin) != path:
                raise ValueError("another form")
            return log
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, KeyFileError) as error:
            raise StoreError(f"{path} is damaged: {error}", "restore it; nothing is signed for it meanwhile") from None

    def put(self, log: Log) -> None:
        """Make it durable. Raises StoreError."""
        value = {
            "keys": [public_line(key) for key in log.keys],
            "note": log.note,
            "origin": log.origin,
            "root": log.root.hex(),
            "size": log.size,
            "v": 1,
        }
        try:
            _put(self._path(log.origin), json.dumps(value, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise StoreError(f"the witness cannot write: {error.strerror}") from None

    def _path(self, origin: str) -> Path:
        return self._directory / LOGS / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"


def _put(path: Path, text: str) -> None:
    """The file, whole or not at all, durable. Raises OSError."""
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(making, path)
    sync_directory(path.parent)
