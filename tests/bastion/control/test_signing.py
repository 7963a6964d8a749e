"""SSHSIG against the real ssh-keygen, and against whatever an attacker may hand in."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.control import signing
from bastion.control.signing import Signature, SignatureError, armour, parse, signed_data, verify
from bastion.control.wire import DECISION_NAMESPACE, WHITELIST_NAMESPACE
from bastion.model import PublicKey
from bastion.publickey import parse_key

MESSAGE = b'{"choice":"approve"}'

KINDS = (
    ("ed25519", ()),
    ("ecdsa", ("-b", "256")),
    ("ecdsa", ("-b", "384")),
    ("ecdsa", ("-b", "521")),
    ("rsa", ("-b", "2048")),
)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0] + "".join(kind[1][1:]))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair that ssh-keygen made."""
    kind, options = request.param
    path = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-f", path], check=True)
    return path


def public(path: Path) -> PublicKey:
    return parse_key(path.with_name("id.pub").read_text())


def keygen_sign(path: Path, message: bytes, namespace: str, hash_name: str = "sha512") -> str:
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", path, "-n", namespace, "-O", f"hashalg={hash_name}"],
        input=message,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def own_sign(path: Path, message: bytes, namespace: str, hash_name: str = "sha512") -> str:
    key = asyncssh.load_keypairs([str(path)])[0]
    if key.sig_algorithm == b"ssh-rsa":
        key.set_sig_algorithm(b"rsa-sha2-512")
    made = key.sign(signed_data(message, namespace, hash_name))
    return armour(Signature(key.public_data, namespace, hash_name, made))


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_is_accepted(pair: Path, hash_name: str) -> None:
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE, hash_name)
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, [public(pair)]) == public(pair)


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_ssh_keygen_accepts_what_is_signed_here(pair: Path, hash_name: str, tmp_path: Path) -> None:
    signature = own_sign(pair, MESSAGE, DECISION_NAMESPACE, hash_name)
    (tmp_path / "sig").write_text(signature)
    (tmp_path / "signers").write_text(f"ana {public(pair).line}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ana", "-n", DECISION_NAMESPACE, "-s", "sig"]
    done = subprocess.run(command, cwd=tmp_path, input=MESSAGE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    altered = subprocess.run(command, cwd=tmp_path, input=MESSAGE + b" ", capture_output=True, check=False)
    assert altered.returncode != 0


def test_the_armour_is_spelled_as_ssh_keygen_spells_it(pair: Path) -> None:
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE)
    assert armour(parse(signature)) == signature


def test_another_namespace_does_not_count(pair: Path) -> None:
    for namespace in (WHITELIST_NAMESPACE, "git", "file", DECISION_NAMESPACE + "x", DECISION_NAMESPACE[:-1]):
        signature = keygen_sign(pair, MESSAGE, namespace)
        assert verify(MESSAGE, signature, DECISION_NAMESPACE, [public(pair)]) is None
        assert verify(MESSAGE, signature, namespace, [public(pair)]) is not None


def test_an_empty_namespace_never_counts(pair: Path) -> None:
    signature = own_sign(pair, MESSAGE, "")
    assert verify(MESSAGE, signature, "", [public(pair)]) is None


def test_another_key_does_not_count(pair: Path) -> None:
    other = parse_key(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE)
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, [other]) is None
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, []) is None
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, [other, public(pair)]) == public(pair)


def test_a_signature_does_not_change_owner(pair: Path) -> None:
    """The blob names another key than the one that signed."""
    other = parse_key(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
    parsed = parse(keygen_sign(pair, MESSAGE, DECISION_NAMESPACE))
    blob = base64.b64decode(other.line.split()[1])
    forged = armour(Signature(blob, parsed.namespace, parsed.hash_name, parsed.signature))
    assert verify(MESSAGE, forged, DECISION_NAMESPACE, [other, public(pair)]) is None


def test_altered_bytes_do_not_count(pair: Path) -> None:
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE)
    for altered in (b"", MESSAGE[:-1], MESSAGE + b"\n", MESSAGE.replace(b"approve", b"Approve")):
        assert verify(altered, signature, DECISION_NAMESPACE, [public(pair)]) is None


def test_every_truncation_is_refused(pair: Path) -> None:
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE)
    for size in range(len(signature) - 1):  # the last newline is not needed
        assert verify(MESSAGE, signature[:size], DECISION_NAMESPACE, [public(pair)]) is None


def test_every_bit_of_the_blob_matters(pair: Path) -> None:
    signature = keygen_sign(pair, MESSAGE, DECISION_NAMESPACE)
    blob = base64.b64decode("".join(signature.splitlines()[1:-1]))
    for at in range(0, len(blob) * 8, 5):
        bent = bytearray(blob)
        bent[at // 8] ^= 1 << at % 8
        text = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(bent).decode()}\n-----END SSH SIGNATURE-----\n"
        assert verify(MESSAGE, text, DECISION_NAMESPACE, [public(pair)]) is None, at


def test_rsa_with_sha1_does_not_count() -> None:
    private = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key = parse_key(private.export_public_key().decode())
    data = signed_data(MESSAGE, DECISION_NAMESPACE)
    weak = armour(Signature(private.public_data, DECISION_NAMESPACE, "sha512", private.sign(data, b"ssh-rsa")))
    good = armour(Signature(private.public_data, DECISION_NAMESPACE, "sha512", private.sign(data, b"rsa-sha2-256")))
    assert verify(MESSAGE, weak, DECISION_NAMESPACE, [key]) is None
    assert verify(MESSAGE, good, DECISION_NAMESPACE, [key]) == key


def fido(touched: bool) -> tuple[PublicKey, str]:
    """A FIDO key's signature as OpenSSH's PROTOCOL.u2f lays it out, made by hand: no token is at hand in a test."""
    import hashlib

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def string(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    secret = Ed25519PrivateKey.generate()
    raw = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    name = b"sk-ssh-ed25519@openssh.com"
    blob = string(name) + string(raw) + string(b"ssh:")
    data = signed_data(MESSAGE, DECISION_NAMESPACE)
    tail = bytes([1 if touched else 0]) + (7).to_bytes(4, "big")
    made = secret.sign(hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(data).digest())
    signature = armour(Signature(blob, DECISION_NAMESPACE, "sha512", string(name) + string(made) + tail))
    return parse_key(f"{name.decode()} {base64.b64encode(blob).decode()}"), signature


def test_a_fido_key_counts_only_when_touched() -> None:
    key, signature = fido(touched=True)
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, [key]) == key
    key, signature = fido(touched=False)
    assert verify(MESSAGE, signature, DECISION_NAMESPACE, [key]) is None


@pytest.fixture(scope="module")
def example() -> tuple[PublicKey, str]:
    private = asyncssh.generate_private_key("ssh-ed25519")
    made = private.sign(signed_data(MESSAGE, DECISION_NAMESPACE), b"ssh-ed25519")
    key = parse_key(private.export_public_key().decode())
    return key, armour(Signature(private.public_data, DECISION_NAMESPACE, "sha512", made))


def wrap(blob: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"


def parts(*fields: bytes) -> bytes:
    return b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(len(f).to_bytes(4, "big") + f for f in fields)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no armour"),
        ("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", "no armour"),
        ("-----BEGIN SSH SIGNATURE-----\n!!!!\n-----END SSH SIGNATURE-----\n", "no base64"),
        ("-----BEGIN SSH SIGNATURE-----\n\u00fc\u00fc\n-----END SSH SIGNATURE-----\n", "no base64"),
        ("-----BEGIN SSH SIGNATURE-----\nAB==\n-----END SSH SIGNATURE-----\n", "base64 with stray bits"),
        (wrap(b"SSHSIG\0\0\0\2"), "no SSHSIG of version 1"),
        (wrap(parts(b"k", b"n", b"", b"sha512")), "other parts than version 1 has"),
        (wrap(parts(b"k", b"n", b"", b"sha512", b"s", b"")), "other parts than version 1 has"),
        (wrap(parts(b"k", b"n", b"r", b"sha512", b"s")), "the reserved field is used"),
        (wrap(parts(b"k", b"n", b"", b"sha1", b"s")), "unknown hash"),
        (wrap(parts(b"k", b"\xff", b"", b"sha512", b"s")), "a name is no text"),
        (wrap(parts(b"k", b"n", b"", b"sha512", b"s") + b"\0\0"), "cut short"),
        (wrap(parts(b"k", b"n", b"", b"sha512", b"s") + b"\xff\xff\xff\xff"), "cut short"),
    ],
)
def test_what_is_no_signature_is_named(text: str, why: str) -> None:
    with pytest.raises(SignatureError, match=why):
        parse(text)


def test_the_limit_is_at_its_number(example: tuple[PublicKey, str]) -> None:
    key, signature = example
    fits = signature + " " * (signing.SIGNATURE_LIMIT - len(signature))
    assert verify(MESSAGE, fits, DECISION_NAMESPACE, [key]) == key
    assert verify(MESSAGE, fits + " ", DECISION_NAMESPACE, [key]) is None


@given(text=st.text())
def test_garbage_never_raises(example: tuple[PublicKey, str], text: str) -> None:
    assert verify(MESSAGE, text, DECISION_NAMESPACE, [example[0]]) is None


@given(blob=st.binary(max_size=300))
def test_garbage_in_armour_never_raises(example: tuple[PublicKey, str], blob: bytes) -> None:
    assert verify(MESSAGE, wrap(blob), DECISION_NAMESPACE, [example[0]]) is None


KEYS = [
    asyncssh.generate_private_key(name, **options)
    for name, options in (
        ("ssh-ed25519", {}),
        ("ecdsa-sha2-nistp256", {}),
        ("ecdsa-sha2-nistp521", {}),
        ("ssh-rsa", {"key_size": 2048}),
    )
]


@settings(max_examples=300)
@given(
    which=st.sampled_from(range(len(KEYS))),
    algorithm=st.sampled_from([b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"rsa-sha2-256", b"rsa-sha2-512", b"ssh-rsa"])
    | st.none(),
    tail=st.binary(max_size=200),
    framed=st.booleans(),
)
def test_a_garbage_signature_under_the_right_key_never_raises(
    which: int, algorithm: bytes | None, tail: bytes, framed: bool
) -> None:
    private = KEYS[which]
    name = algorithm if algorithm is not None else private.sig_algorithms[0]
    body = len(tail).to_bytes(4, "big") + tail if framed else tail
    made = len(name).to_bytes(4, "big") + name + body
    text = armour(Signature(private.public_data, DECISION_NAMESPACE, "sha512", made))
    assert verify(MESSAGE, text, DECISION_NAMESPACE, [parse_key(private.export_public_key().decode())]) is None


@given(message=st.binary(), namespace=st.text(min_size=1).filter(lambda s: s.isprintable()))
def test_what_is_signed_verifies_and_nothing_beside_it(message: bytes, namespace: str) -> None:
    private = KEYS[0]
    key = parse_key(private.export_public_key().decode())
    made = private.sign(signed_data(message, namespace), b"ssh-ed25519")
    text = armour(Signature(private.public_data, namespace, "sha512", made))
    assert verify(message, text, namespace, [key]) == key
    assert verify(message + b"\0", text, namespace, [key]) is None
    assert verify(message, text, namespace + "x", [key]) is None
