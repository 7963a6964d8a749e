from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import checkpoint, cosignature
from recorder.cosignature import Witness
from recorder.errors import NoteError
from tests.recorder.stories import ledger_key

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors/c2sp/witness.json").read_text())
KEY = ledger_key(3)
W1 = Witness("witness.example/w1", KEY.public)
HEAD = ledger_key().seal("bastion.example/9c41ab12", 7, bytes(32))


def test_the_forms_of_the_specifications() -> None:
    head, marks = checkpoint.read(PUBLISHED["checkpoint"])
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert cosignature.message(head.text, PUBLISHED["cosignature_time"]).decode() == PUBLISHED["cosigned_message"]
    (name, raw) = marks[1]
    assert (name, len(raw)) == ("witness.example.com/w1", 76)
    assert int.from_bytes(raw[4:12], "big") == PUBLISHED["cosignature_time"]


def test_a_cosignature() -> None:
    line = cosignature.cosign(W1, KEY.sign, HEAD.text, 1679315147)
    assert cosignature.verify("— other.example AAAA\n" + line, HEAD, W1) == (line, 1679315147)
    assert checkpoint.parse(HEAD.note + line, ledger_key().public).size == 7
    parsed = cosignature.parse_verifier_key(W1.verifier_key)
    assert parsed == W1
    assert W1.verifier_key.startswith(f"witness.example/w1+{W1.key_id.hex()}+B")  # 0x04


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace("w1", "w2"),
        lambda line: line[:40] + ("A" if line[40] != "A" else "B") + line[41:],
        lambda line: line.replace("—", "-"),
        lambda line: line[:-10] + "\n",
        lambda line: "",
    ],
)
def test_what_is_no_cosignature(change: object) -> None:
    line = cosignature.cosign(W1, KEY.sign, HEAD.text, 5)
    with pytest.raises(NoteError):
        cosignature.verify(change(line), HEAD, W1)  # type: ignore[operator]


def test_over_another_head_or_by_the_log_itself() -> None:
    line = cosignature.cosign(W1, KEY.sign, HEAD.text, 5)
    other = ledger_key().seal(HEAD.origin, 8, bytes(32))
    with pytest.raises(NoteError):
        cosignature.verify(line, other, W1)
    plain = HEAD.note.rpartition("\n\n")[2]
    with pytest.raises(NoteError):
        cosignature.verify(plain, HEAD, Witness(HEAD.origin, ledger_key().public))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a+b+c",
        W1.verifier_key[:-4],
        W1.verifier_key.replace("w1", "w3"),
        checkpoint.verifier_key("h/1", KEY.public),
    ],
)
def test_what_is_no_verifier_key(text: str) -> None:
    with pytest.raises(NoteError):
        cosignature.parse_verifier_key(text)


@given(st.text(max_size=200))
def test_garbage_raises_one_type(text: str) -> None:
    with pytest.raises(NoteError):
        cosignature.verify(text, HEAD, W1)
    with pytest.raises(NoteError):
        cosignature.parse_verifier_key(text)
