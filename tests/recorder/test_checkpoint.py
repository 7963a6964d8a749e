from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import checkpoint
from recorder.errors import NoteError
from recorder.keys import LedgerKey, public_bytes

ROOT = bytes(range(32))
ORIGIN = "bastion.example/9c41ab12"
PUBLISHED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
)
"""The example in C2SP tlog-checkpoint."""


def test_the_form_of_the_specification() -> None:
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    text = checkpoint.body("example.com/behind-the-sofa", 20852163, root)
    assert PUBLISHED.encode().startswith(text + b"\n")


def test_sealed_and_read_back(key: LedgerKey) -> None:
    made = key.seal(ORIGIN, 212, ROOT)
    read = checkpoint.parse(made.note, key.public, made.sshsig)
    assert read == made
    assert read.anchor == f"212:{ROOT.hex()}"
    assert checkpoint.parse_anchor(read.anchor) == (212, ROOT)
    lines = made.note.split("\n")
    assert lines[:4] == [ORIGIN, "212", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith(f"— {ORIGIN} ")


def test_stock_ssh_keygen_checks_it(key: LedgerKey, tmp_path: Path) -> None:
    made = key.seal(ORIGIN, 212, ROOT)
    (tmp_path / "sig").write_text(made.sshsig)
    (tmp_path / "signers").write_text(f'{ORIGIN} namespaces="{checkpoint.NAMESPACE}" {key.line}\n')

    def run(data: bytes, namespace: str = checkpoint.NAMESPACE) -> int:
        command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", ORIGIN, "-n", namespace]
        command += ["-s", str(tmp_path / "sig")]
        return subprocess.run(command, input=data, capture_output=True, check=False).returncode

    assert run(made.text) == 0
    assert run(made.text.replace(b"212", b"213")) != 0
    assert run(made.text, "file") != 0


def test_another_key_or_a_changed_text_is_refused(key: LedgerKey) -> None:
    made = key.seal(ORIGIN, 212, ROOT)
    for note, public in (
        (made.note, LedgerKey.generate().public),
        (made.note.replace("\n212\n", "\n213\n"), key.public),
        (made.note.replace("9c41ab12", "9c41ab13", 1), key.public),
        (made.note.replace("9c41ab12", "9c41ab13"), key.public),
        (made.note.replace("\n212\n", "\n0212\n"), key.public),
        (made.note[:-1], key.public),
        (made.note.replace("\n\n", "\n"), key.public),
        (made.note.replace("\n\n", "\nextension\n\n"), key.public),
        (PUBLISHED, key.public),
    ):
        with pytest.raises(NoteError):
            checkpoint.parse(note, public)


def test_cosignatures_of_others_are_ignored(key: LedgerKey) -> None:
    made = key.seal(ORIGIN, 212, ROOT)
    note = made.note + "— witness.example AAAAAAECAwQ=\n"
    assert checkpoint.parse(note, key.public).size == 212


@given(st.text(max_size=400))
def test_garbage_raises_one_type(text: str) -> None:
    public = LedgerKey.generate().public
    with pytest.raises(NoteError):
        checkpoint.parse(text, public)
    with pytest.raises(NoteError):
        checkpoint.parse_anchor(text + "x")


def test_note_limit(key: LedgerKey) -> None:
    made = key.seal(ORIGIN, 1, ROOT)
    line = "— witness.example AAAAAAECAwQ=\n"
    note = made.note + line * ((checkpoint.NOTE_LIMIT - len(made.note)) // len(line))
    assert checkpoint.parse(note, key.public).size == 1
    with pytest.raises(NoteError, match="4 KiB"):
        checkpoint.parse(note + line, key.public)


def test_verifier_key() -> None:
    """The vkey of signed-note: name+id+base64(0x01 || key)."""
    public = public_bytes("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB")
    name, number, blob = checkpoint.verifier_key(ORIGIN, public).split("+", 2)
    assert name == ORIGIN
    assert number == checkpoint.key_id(ORIGIN, public).hex()
    assert base64.b64decode(blob) == b"\x01" + b"\x01" * 32
