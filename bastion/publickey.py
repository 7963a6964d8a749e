"""A line of a `.pub` file, read (RFC 4253 section 6.6, RFC 4251 section 5). Pure.

What is not of a kind that is accepted here, or does not divide exactly into its parts, is no key. Whether its numbers
make sense is asked where it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from bastion.errors import UsageError
from bastion.model import PublicKey

KEY_ALGORITHMS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
"""Accepted public keys. DSA is broken; certificates are no identities here."""

RSA_LEAST_BITS = 2048
"""OpenSSH's RequiredRSASize is 1024; NIST SP 800-57 has asked for 2048 since 2014."""


def parse_key(line: str) -> PublicKey:
    """One line of a `.pub` file. Options in front are refused, since they would not be enforced. Raises UsageError."""
    words = line.strip().split(None, 2)
    if len(words) < 2 or words[0] not in KEY_ALGORITHMS:
        raise UsageError("no public key that is accepted here", f"`algorithm base64 comment`, {KEY_ALGORITHMS[0]} best")
    algorithm, text = words[:2]
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the public key is damaged", "its second word is no base64") from None
    parts = _ssh_strings(blob)
    if not parts or parts[0] != algorithm.encode():
        raise UsageError("the public key is damaged", "its parts do not fit its algorithm")
    if algorithm == "ssh-rsa" and (len(parts) != 3 or int.from_bytes(parts[2], "big").bit_length() < RSA_LEAST_BITS):
        raise UsageError("the RSA key is too short", f"at least {RSA_LEAST_BITS} bits, or better an Ed25519 key")
    mark = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()
    return PublicKey(f"SHA256:{mark}", f"{algorithm} {base64.b64encode(blob).decode()}")


def _ssh_strings(blob: bytes) -> list[bytes]:
    """The strings (RFC 4251 section 5) that make up a public key blob; empty if it does not divide exactly."""
    parts: list[bytes] = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            return []
        parts.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return parts
