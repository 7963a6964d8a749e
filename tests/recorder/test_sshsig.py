from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import sshsig
from recorder.keys import LedgerKey

MESSAGE = b"approve r-1"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_signatures_of_stock_ssh_keygen(kind: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key)], check=True)
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", "decision@agent-bastion"]
    armour = subprocess.run(command, input=MESSAGE, check=True, capture_output=True).stdout.decode()
    blob = sshsig.key_blob((tmp_path / "key.pub").read_text())
    assert sshsig.verify(armour, MESSAGE, "decision@agent-bastion") == blob
    with pytest.raises(sshsig.SignatureError, match="wrong"):
        sshsig.verify(armour, MESSAGE + b"!", "decision@agent-bastion")
    with pytest.raises(sshsig.SignatureError, match="namespace"):
        sshsig.verify(armour, MESSAGE, "git")


def test_sha256_signatures() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    armour = asyncssh.create_sshsig(key, MESSAGE, namespace="n", hash_name="sha256").decode()
    assert sshsig.verify(armour, MESSAGE, "n") == key.public_data


def test_ours_are_those_of_asyncssh(key: LedgerKey) -> None:
    armour = key.sshsig(hashlib.sha512(MESSAGE).digest(), "n")
    assert sshsig.verify(armour, MESSAGE, "n") == sshsig.ed25519_blob(key.public)
    signers = f"x {key.line}".encode()
    assert asyncssh.validate_sshsig(MESSAGE, armour.encode(), "x", signers)


@given(st.data())
def test_changed_armour_is_refused(data: st.DataObject) -> None:
    key = LedgerKey.generate()
    armour = key.sshsig(hashlib.sha512(MESSAGE).digest(), "n")
    at = data.draw(st.integers(0, len(armour.strip()) - 1))
    new = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    if new == armour[at]:
        return
    with pytest.raises(sshsig.SignatureError):
        sshsig.verify(armour[:at] + new + armour[at + 1 :], MESSAGE, "n")


@given(st.text(max_size=200), st.binary(max_size=200))
def test_garbage_raises_one_type(text: str, data: bytes) -> None:
    import base64

    for armour in (text, f"{sshsig.BEGIN}\n{base64.b64encode(data).decode()}\n{sshsig.END}\n"):
        with pytest.raises(sshsig.SignatureError):
            sshsig.verify(armour, MESSAGE, "n")
    with pytest.raises(sshsig.SignatureError):
        sshsig.key_blob(text)


@given(st.binary(max_size=120))
def test_garbage_behind_the_magic(data: bytes) -> None:
    import base64

    raw = sshsig.MAGIC + (1).to_bytes(4, "big") + data
    with pytest.raises(sshsig.SignatureError):
        sshsig.verify(f"{sshsig.BEGIN}\n{base64.b64encode(raw).decode()}\n{sshsig.END}\n", MESSAGE, "n")


def test_a_certificate_or_dsa_key_is_no_key() -> None:
    ca, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    cert = ca.generate_user_certificate(user, "x", principals=["x"])
    with pytest.raises(sshsig.SignatureError):
        sshsig.key_blob(cert.export_certificate().decode())


def test_armour_limit(key: LedgerKey) -> None:
    armour = key.sshsig(hashlib.sha512(MESSAGE).digest(), "n")
    padded = armour + "\n" * (sshsig.SIGNATURE_LIMIT - len(armour))
    assert sshsig.verify(padded, MESSAGE, "n")
    with pytest.raises(sshsig.SignatureError, match="long"):
        sshsig.verify(padded + "\n", MESSAGE, "n")
