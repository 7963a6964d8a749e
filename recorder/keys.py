"""The ledger's signing key: an Ed25519 key in OpenSSH's file format, mode 0600.

Made with O_EXCL so that no key is overwritten, synced with its directory so that no ledger is signed by a key that a
crash forgets. Loading refuses a file that others can read or that belongs to somebody else: whoever has the key can
rewrite the whole ledger, and only an anchor kept elsewhere would show it. It is not encrypted: a daemon that starts
by itself would keep the passphrase beside it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from recorder import checkpoint, sshsig
from recorder.errors import KeyFileError
from recorder.publickey import public_bytes, public_line

__all__ = ["LedgerKey", "public_bytes", "public_line", "sync_directory"]

KEY_FILE_LIMIT = 16 * 1024
"""Bytes of a key file; an Ed25519 one has about 400."""


class LedgerKey:
    """A private key that signs checkpoints. Its `repr` shows only the public half."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """32 bytes."""

    def __repr__(self) -> str:
        return f"LedgerKey({self.line})"

    def sign(self, message: bytes) -> bytes:
        """The raw Ed25519 signature. For formats with a domain of their own (recorder.cosignature)."""
        return self._private.sign(message)

    @property
    def line(self) -> str:
        """`ssh-ed25519 base64`, as in authorized_keys."""
        return public_line(self.public)

    def seal(self, origin: str, size: int, root: bytes) -> checkpoint.Checkpoint:
        """A checkpoint with both signatures."""
        text = checkpoint.body(origin, size, root)
        armour = self.sshsig(hashlib.sha512(text).digest(), checkpoint.NAMESPACE)
        return checkpoint.sealed(origin, size, root, self.public, self._private.sign(text), armour)

    def sshsig(self, sha512: bytes, namespace: str) -> str:
        """Armoured SSHSIG over the message with that digest."""
        return sshsig.sign_ed25519(self._private.sign, self.public, sha512, namespace)

    @classmethod
    def generate(cls) -> LedgerKey:
        """A new key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def create(cls, path: Path) -> LedgerKey:
        """A new key in a new file. Raises KeyFileError; never overwrites."""
        private = Ed25519PrivateKey.generate()
        data = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise KeyFileError(f"{path} exists", "a ledger key is never overwritten") from None
        except OSError as error:
            raise KeyFileError(f"{path} cannot be made: {error.strerror}") from None
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(file.fileno(), 0o600)  # whatever the umask is
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(path.parent)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None
        return cls(private)

    @classmethod
    def load(cls, path: Path) -> LedgerKey:
        """The key in that file. Raises KeyFileError, also for a file that others than its owner can use."""
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                data = file.read(KEY_FILE_LIMIT)
        except OSError as error:
            raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
            raise KeyFileError(f"{path} is no file of yours")
        # systemd hands a key to a service by an ACL, whose mask shows as group bits (systemd.exec(5), CREDENTIALS)
        handed = str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY")
        if stat.S_IMODE(status.st_mode) & (0o037 if handed else 0o077):
            raise KeyFileError(f"{path} can be used by others", f"chmod 600 {path}")
        try:
            private = load_ssh_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFileError(f"{path} is no OpenSSH private key without a passphrase") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{path} is no Ed25519 key")
        return cls(private)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
