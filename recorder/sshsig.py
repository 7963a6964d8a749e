"""SSHSIG: signatures that `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` checks (OpenSSH PROTOCOL.sshsig). Pure.

Armour around: "SSHSIG" || uint32 1 || public key || namespace || reserved || hash name || signature, each a string of
RFC 4251 section 5. What is signed: "SSHSIG" || namespace || reserved || hash name || hash(message).

The namespace is always demanded here, never taken from the signature: without that, a signature made for git would
pass for a decision. Ed25519 is checked by `cryptography` directly; the other kinds, security keys among them, by
asyncssh, which is loaded only when one turns up. A DSA or certificate key is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAGIC = b"SSHSIG"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
SIGNATURE_LIMIT = 16 * 1024
"""Characters of armour. The largest, RSA of 16384 bits, has about 5,700."""
KEY_TYPES = frozenset(
    {
        b"ssh-ed25519",
        b"sk-ssh-ed25519@openssh.com",
        b"ecdsa-sha2-nistp256",
        b"ecdsa-sha2-nistp384",
        b"ecdsa-sha2-nistp521",
        b"sk-ecdsa-sha2-nistp256@openssh.com",
        b"ssh-rsa",
    }
)
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class SignatureError(ValueError):
    """The signature is malformed, of another namespace or key, or wrong."""


def string(data: bytes) -> bytes:
    """A string of RFC 4251 section 5."""
    return len(data).to_bytes(4, "big") + data


def ed25519_blob(public: bytes) -> bytes:
    """The public key blob of 32 raw bytes (RFC 8709 section 4)."""
    return string(b"ssh-ed25519") + string(public)


def key_blob(line: str) -> bytes:
    """The blob of an `algorithm base64 [comment]` line. Raises SignatureError."""
    words = line.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError):
        raise SignatureError("not a public key line") from None
    kind, _ = _take(blob)
    if kind not in KEY_TYPES or kind.decode() != words[0]:
        raise SignatureError("a public key of an unknown kind")
    return blob


def _take(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise SignatureError("cut short")
    return data[4 : 4 + size], data[4 + size :]


def _to_be_signed(digest: bytes, namespace: str, hash_name: bytes) -> bytes:
    return MAGIC + string(namespace.encode()) + string(b"") + string(hash_name) + string(digest)


def sign_ed25519(sign: Callable[[bytes], bytes], public: bytes, sha512: bytes, namespace: str) -> str:
    """Armoured signature over a message of which the SHA-512 digest is given.

    `sign` makes a raw Ed25519 signature with the key whose 32 public bytes are given.
    """
    raw = sign(_to_be_signed(sha512, namespace, b"sha512"))
    signature = string(b"ssh-ed25519") + string(raw)
    parts = (ed25519_blob(public), namespace.encode(), b"", b"sha512", signature)
    text = base64.b64encode(MAGIC + (1).to_bytes(4, "big") + b"".join(map(string, parts))).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join([BEGIN, *lines, END, ""])


def verify(armour: str, message: bytes, namespace: str) -> bytes:
    """Check a signature over a message; otherwise as `verify_digests`."""
    return verify_digests(armour, {name: hash_(message).digest() for name, hash_ in _HASHES.items()}, namespace)


def verify_digests(armour: str, digests: Mapping[bytes, bytes], namespace: str) -> bytes:
    """Check a signature over a message of which the digests are given, by hash name (`sha256`, `sha512`).

    Return the blob of the key that made it, which the caller compares with the keys it trusts.

    Raises SignatureError, and nothing else, for anything that is not a good signature under exactly that namespace.
    """
    blob, found, hash_name, signature = _parse(armour)
    if found != namespace.encode():
        raise SignatureError(f"made for namespace {found[:64].decode(errors='replace')!r}, not {namespace!r}")
    if hash_name not in digests:
        raise SignatureError("an unknown hash")
    kind, rest = _take(blob)
    signed = _to_be_signed(digests[hash_name], namespace, hash_name)
    if kind == b"ssh-ed25519":
        public, left = _take(rest)
        algorithm, tail = _take(signature)
        raw, end = _take(tail)
        if left or end or algorithm != kind or len(public) != 32:
            raise SignatureError("malformed key or signature")
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(raw, signed)
        except (InvalidSignature, ValueError):
            raise SignatureError("the signature is wrong") from None
    elif kind not in KEY_TYPES or not _verify_other(blob, signed, signature):
        raise SignatureError("the signature is wrong")
    return blob


def _verify_other(blob: bytes, signed: bytes, signature: bytes) -> bool:
    import asyncssh

    if _take(signature)[0] == b"ssh-rsa":
        return False  # SHA-1, which PROTOCOL.sshsig forbids
    try:
        return bool(asyncssh.public_key.decode_ssh_public_key(blob).verify(signed, signature))
    except (asyncssh.KeyImportError, asyncssh.packet.PacketDecodeError, ValueError, UnsupportedAlgorithm):
        return False


def _parse(armour: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Key blob, namespace, hash name and signature of armoured text."""
    if len(armour) > SIGNATURE_LIMIT:
        raise SignatureError("too long")
    lines = armour.strip().splitlines()
    if len(lines) < 3 or lines[0] != BEGIN or lines[-1] != END:
        raise SignatureError("not an armoured SSH signature")
    try:
        text = "".join(lines[1:-1])
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise SignatureError("base64 in another form than the usual one")
    if data[:10] != MAGIC + (1).to_bytes(4, "big"):
        raise SignatureError("not SSHSIG version 1")
    blob, data = _take(data[10:])
    namespace, data = _take(data)
    reserved, data = _take(data)
    hash_name, data = _take(data)
    signature, data = _take(data)
    if data or reserved:
        raise SignatureError("trailing or reserved data")
    return blob, namespace, hash_name, signature
