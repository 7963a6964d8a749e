"""The bastion's host authority: what lets a client know `ssh -J bastion web-1` by one line of known_hosts.

Theory of operation. A jump ends in the bastion, so the host key that its client sees is the bastion's, one for each
target's name. Nothing is stored for it: the key is derived from the authority's own (HKDF, RFC 5869), so it stays the
same as long as the authority does, and clients that pin keys instead of the authority are not disturbed by restarts.
Its certificate (OpenSSH PROTOCOL.certkeys) names the target and nothing else, and is made anew for each jump.

The bastion's own host key gets a certificate too, for the names that the configuration gives it, so that one
`@cert-authority` line covers the jump and both of its ends.

Whoever has this key can pose as any target to clients that trust the line; it lies beside the host key, and is as safe
as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bastion import cakeys

VALID_SECONDS = 24 * 3600
"""Of a target's certificate. It is looked at once, when a jump begins; a day forgives clocks that are off."""

CLOCK_SECONDS = 3600
"""How far a client's clock may be behind."""

HostKeys = list[asyncssh.SSHKeyPair]
"""A host key without and with its certificate, in this order. The first is what a server guesses by, and dropbear,
which knows no certificates, gets in only where both sides guess alike."""


class HostAuthority:
    """Signs host keys. `name` is the bastion's, for people who look at a certificate."""

    def __init__(self, key: asyncssh.SSHKey, name: str) -> None:
        self._key, self._name = key, name

    @property
    def public(self) -> str:
        """`ssh-ed25519 base64`."""
        return cakeys.public_line(self._key)

    def own(self, host_key: asyncssh.SSHKey, names: Sequence[str]) -> HostKeys:
        """The bastion's own host key, certified for its names, without an end: its key has none either."""
        certificate = self._key.generate_host_certificate(host_key, f"{self._name}", principals=list(names))
        return _pair(host_key, certificate)

    def for_target(self, target: str, now: float) -> HostKeys:
        """Key and certificate for jumps to `target` at `now`, in seconds since the epoch."""
        seed = HKDF(SHA256(), 32, None, b"agent-bastion host key of target " + target.encode()).derive(_seed(self._key))
        raw = Ed25519PrivateKey.from_private_bytes(seed)
        key = asyncssh.import_private_key(raw.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        certificate = self._key.generate_host_certificate(
            key,
            f"{target} through {self._name}",
            principals=[target],
            valid_after=now - CLOCK_SECONDS,
            valid_before=now + VALID_SECONDS,
        )
        return _pair(key, certificate)


def known_hosts_line(public: str, name: str, hosts: str = "*") -> str:
    """The line for a client's known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return f"@cert-authority {hosts} {public} {name}"


def load_or_make(path: Path, name: str) -> HostAuthority:
    """The authority of a state directory. Raises UsageError."""
    return HostAuthority(cakeys.load_or_make(path), name)


def _pair(key: asyncssh.SSHKey, certificate: asyncssh.SSHCertificate) -> HostKeys:
    return sorted(asyncssh.load_keypairs([(key, certificate)]), key=lambda pair: pair.has_cert)


def _seed(key: asyncssh.SSHKey) -> bytes:
    raw = getattr(key, "pyca_key", None)
    assert isinstance(raw, Ed25519PrivateKey)  # noqa: S101 -- load and make give no other
    return raw.private_bytes_raw()
