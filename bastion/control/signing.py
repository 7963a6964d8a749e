"""SSHSIG: what is signed, and whether a signature counts. Pure.

Theory of operation. The format is OpenSSH's PROTOCOL.sshsig: an armoured blob names the public key, a namespace and a
hash; the signature is over those and the message's hash. `ssh-keygen -Y sign` and `-Y verify` speak the same.

`verify` is stricter than either asyncssh or ssh-keygen, because what it accepts becomes evidence:

- the namespace is compared, always (asyncssh checks it only if an allowed_signers line says so);
- the signing key must be one of the keys given, byte for byte; certificates do not count;
- RSA counts only with SHA-2, as PROTOCOL.sshsig demands; a FIDO key only with the touch bit (user presence);
- the reserved field is empty, nothing follows the blob or the armour, and base64 is canonical, so that one signature
  has one spelling (line breaks in the armour and space around it apart).

What it does not see: whether the key still was its owner's, or whether an agent or a token signed unattended.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import asyncssh

from bastion.model import PublicKey

SIGNATURE_LIMIT = 8 << 10
"""Characters of an armoured signature. The largest that ssh-keygen makes, by an RSA key of 16,384 bits, has 5.7 KiB;
and it must fit into a ledger entry of 16 KiB."""

HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
"""PROTOCOL.sshsig allows these two and no other."""

_MAGIC = b"SSHSIG"
_VERSION = 1
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_LINE = 70
"""Base64 characters a line, as ssh-keygen writes them."""

_ALGORITHMS = {"ssh-rsa": frozenset({b"rsa-sha2-256", b"rsa-sha2-512"})}
"""Signature algorithms by key algorithm; for the others the two have the same name."""


class SignatureError(ValueError):
    """The text is no SSHSIG signature."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One SSHSIG blob, taken apart."""

    key: bytes
    """Public key blob (RFC 4253 section 6.6)."""
    namespace: str
    hash_name: str
    """One of HASHES."""
    signature: bytes
    """`string algorithm, string blob`, and for FIDO keys flags and counter."""


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def signed_data(message: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """What the key signs for `message`. Raises KeyError for another hash."""
    digest = HASHES[hash_name](message).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(hash_name.encode()) + _string(digest)


def armour(signature: Signature) -> str:
    """The text form, as ssh-keygen writes it, ending in a newline."""
    blob = _MAGIC + struct.pack(">I", _VERSION)
    for part in (signature.key, signature.namespace.encode(), b"", signature.hash_name.encode(), signature.signature):
        blob += _string(part)
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join([_BEGIN, *lines, _END]) + "\n"


def parse(text: str) -> Signature:
    """The armoured text taken apart. Raises SignatureError and nothing else."""
    if len(text) > SIGNATURE_LIMIT:
        raise SignatureError(f"longer than {SIGNATURE_LIMIT} characters")
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0].rstrip() != _BEGIN or lines[-1] != _END:
        raise SignatureError("no armour")
    joined = "".join(line.rstrip() for line in lines[1:-1])
    try:
        blob = base64.b64decode(joined, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("no base64") from None
    if base64.b64encode(blob).decode() != joined:
        raise SignatureError("base64 with stray bits")
    head = _MAGIC + struct.pack(">I", _VERSION)
    if not blob.startswith(head):
        raise SignatureError("no SSHSIG of version 1")
    parts = _strings(blob[len(head) :])
    if len(parts) != 5:
        raise SignatureError("other parts than version 1 has")
    key, namespace, reserved, hash_name, signature = parts
    if reserved:
        raise SignatureError("the reserved field is used")
    try:
        name = hash_name.decode("ascii")
        space = namespace.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError("a name is no text") from None
    if name not in HASHES:
        raise SignatureError("unknown hash")
    return Signature(key, space, name, signature)


def verify(message: bytes, signature: str, namespace: str, keys: Iterable[PublicKey]) -> PublicKey | None:
    """Whose signature over exactly these bytes this is, under exactly this namespace; None if it does not count.

    Never raises, whatever `signature` holds. `keys` are lines that `publickey.parse_key` accepted.
    """
    try:
        parsed = parse(signature)
    except SignatureError:
        return None
    if not namespace or parsed.namespace != namespace:
        return None
    for key in keys:
        algorithm, _, text = key.line.partition(" ")
        if base64.b64decode(text) == parsed.key:
            good = _holds(key, algorithm, parsed, signed_data(message, namespace, parsed.hash_name))
            return key if good else None
    return None


def _holds(key: PublicKey, algorithm: str, parsed: Signature, data: bytes) -> bool:
    used = _first_string(parsed.signature)
    if used not in _ALGORITHMS.get(algorithm, frozenset({algorithm.encode()})):
        return False
    try:
        public = asyncssh.import_public_key(key.line)
        public.set_touch_required(True)
        return public.verify(data, parsed.signature)
    except Exception:  # noqa: BLE001 - a library at work on hostile bytes: whatever is no clear yes is a no
        return False


def _first_string(data: bytes) -> bytes:
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size]


def _strings(data: bytes) -> list[bytes]:
    """The strings (RFC 4251 section 5) that `data` consists of. Raises SignatureError if it does not divide exactly."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 4 + size
        if at + 4 > len(data) or end > len(data):
            raise SignatureError("cut short")
        parts.append(data[at + 4 : end])
        at = end
    return parts
