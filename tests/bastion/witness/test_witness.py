"""A witness, in its own process over real HTTP, and the protocol check by check."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import Conflict, NotFound, StoreError, Unreachable, UsageError
from bastion.witness.client import Behind, WitnessClient
from bastion.witness.request import BODY_LIMIT, BodyError, decode, encode
from bastion.witness.server import Answer, Desk
from bastion.witness.store import WitnessStore
from recorder import cosignature
from recorder.checkpoint import Checkpoint
from recorder.entry import leaf_hash
from recorder.merkle import consistency_proof, root
from tests.recorder.stories import ledger_key

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = json.loads((ROOT / "tests/vectors/c2sp/witness.json").read_text())
ORIGIN = "bastion.example/9c41ab12"
LEAVES = [leaf_hash(str(number).encode()) for number in range(40)]
FORK = [*LEAVES[:20], *(leaf_hash(b"other") for _ in range(20))]


def head(size: int, leaves: list[bytes] = LEAVES, seed: int = 7, origin: str = ORIGIN) -> Checkpoint:
    return ledger_key(seed).seal(origin, size, root(leaves[:size]))


def prove(old: int, size: int) -> list[bytes]:
    return consistency_proof(LEAVES[:size], old) if 0 < old < size else []


# --- the form -------------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification() -> None:
    body = PUBLISHED["add_checkpoint"].encode()
    asked = decode(body)
    assert (asked.old_size, len(asked.proof)) == (20852014, 4)
    assert encode(asked.old_size, asked.proof, asked.note) == body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 1", b"old 1\n", b"old -1\n\nx", b"old 01\n\nx", b"new 1\n\nx", b"old 1\nAAAA\n\nx", b"old 1\n*\n\nx",
        b"old 1\n" + b"A" * 43 + b"=\n" * 64 + b"\nx", b"\xff", b"old 1\n\n" + b"x" * BODY_LIMIT,
    ],
)  # fmt: skip
def test_what_is_no_body(body: bytes) -> None:
    with pytest.raises(BodyError):
        decode(body)


@given(st.binary(max_size=300))
def test_garbage_raises_one_type(body: bytes) -> None:
    with contextlib.suppress(BodyError):
        decode(b"old 5\n" + body)


# --- check by check -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> WitnessStore:
    made = WitnessStore.create(tmp_path / "witness", "witness.example/w1")
    made.trust(ORIGIN, ledger_key().line)
    return made


def ask(store: WitnessStore, at: Checkpoint, old: int, proof: list[bytes] | None = None) -> Answer:
    return Desk(store, now=lambda: 1679315147.9).judge(
        encode(old, prove(old, at.size) if proof is None else proof, at.note)
    )


def test_it_cosigns_what_extends(store: WitnessStore) -> None:
    for old, size in ((0, 5), (5, 5), (5, 6), (6, 33)):
        answer = ask(store, head(size), old)
        assert answer.status == 200, answer
        assert cosignature.verify(answer.body, head(size), store.witness)[1] == 1679315147
    known = store.log(ORIGIN)
    assert known is not None
    assert (known.size, known.root) == (33, root(LEAVES[:33]))


@pytest.mark.parametrize(
    ("at", "old", "proof", "status"),
    [
        pytest.param(head(20, origin="other.example/00000000"), 10, None, 404, id="unknown origin"),
        pytest.param(head(20, seed=9), 10, None, 403, id="another key"),
        pytest.param(head(9), 10, [], 400, id="old size beyond the checkpoint"),
        pytest.param(head(20), 0, [], 409, id="starting anew"),
        pytest.param(head(20), 9, None, 409, id="from an older head"),
        pytest.param(head(9), 9, [], 409, id="a rollback"),
        pytest.param(head(10, FORK[10:]), 10, [], 409, id="the same size, another root"),
        pytest.param(head(30, FORK[1:]), 10, prove(10, 30), 422, id="a fork"),
        pytest.param(head(20), 10, [], 422, id="no proof"),
        pytest.param(head(20), 10, prove(9, 20), 422, id="another proof"),
        pytest.param(head(10), 10, [bytes(32)], 422, id="a proof of nothing"),
    ],
)
def test_what_it_does_not_cosign(
    at: Checkpoint, old: int, proof: list[bytes] | None, status: int, store: WitnessStore
) -> None:
    assert ask(store, head(10), 0).status == 200
    answer = ask(store, at, old, proof)
    assert answer.status == status, answer
    if status == 409:
        assert (answer.body, answer.kind) == ("10\n", "text/x.tlog.size")
    assert ask(store, head(20), 10).status == 200, "nothing was changed by it"


def test_a_first_head_has_no_proof(store: WitnessStore) -> None:
    assert ask(store, head(10), 0, [bytes(32)]).status == 422
    assert ask(store, head(10), 3, []).status == 409


def test_a_second_key_after_a_change(store: WitnessStore) -> None:
    assert ask(store, head(10), 0).status == 200
    assert ask(store, head(20, seed=8), 10).status == 403
    store.trust(ORIGIN, ledger_key(8).line)
    assert ask(store, head(20, seed=8), 10).status == 200


def test_a_damaged_store_signs_nothing(store: WitnessStore, tmp_path: Path) -> None:
    assert ask(store, head(10), 0).status == 200
    (path,) = (tmp_path / "witness" / "logs").glob("*.json")
    path.write_text(path.read_text()[:-20])
    assert ask(store, head(20), 10).status == 500
    with pytest.raises(StoreError):
        store.trust(ORIGIN, ledger_key(8).line)


def test_one_log_in_the_place_of_another(store: WitnessStore, tmp_path: Path) -> None:
    store.trust("other.example/00000000", ledger_key().line)
    one, other = sorted((tmp_path / "witness" / "logs").glob("*.json"))
    shutil.copy(one, other)
    with pytest.raises(StoreError):
        list(store.logs())


def test_a_disk_that_is_full_signs_nothing(store: WitnessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = ask(store, head(10), 0)
    assert (answer.status, "—" in answer.body) == (500, False)
    monkeypatch.undo()
    assert ask(store, head(10), 0).status == 200


def test_making_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        WitnessStore.create(tmp_path / "w", "two words")
    WitnessStore.create(tmp_path / "w", "w")
    with pytest.raises(Conflict):
        WitnessStore.create(tmp_path / "w", "w")
    with pytest.raises(NotFound):
        WitnessStore(tmp_path)
    assert (tmp_path / "w" / "witness_key").stat().st_mode & 0o077 == 0
    for origin in ("", "two words", "a+b", "x\x1b"):
        with pytest.raises(UsageError):
            WitnessStore(tmp_path / "w").trust(origin, ledger_key().line)
    with pytest.raises(UsageError):
        WitnessStore(tmp_path / "w").trust(ORIGIN, "ssh-rsa AAAA")


# --- over HTTP ------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    store: WitnessStore
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def served(store: WitnessStore, tmp_path: Path) -> Iterator[Served]:
    command = [
        sys.executable,
        "-m",
        "bastion",
        "witness",
        "serve",
        str(tmp_path / "witness"),
        "--listen",
        "127.0.0.1:0",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[-1])
    yield Served(store, port)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stdout.close()


def test_a_ledger_and_its_witness(served: Served, tmp_path: Path) -> None:
    client = WitnessClient(served.url, served.store.witness)
    for size in (3, 9, 9, 33):
        line = client.cosign(head(size), prove)
        assert cosignature.verify(line, head(size), served.store.witness)[0] == line
    again = WitnessClient(served.url + "/", served.store.witness)  # a daemon that was started anew
    assert again.cosign(head(34), prove)
    with pytest.raises(Behind, match="has seen 34 entries, and this ledger has 20"):
        again.cosign(head(20), prove)
    with pytest.raises(Unreachable, match="422"):
        again.cosign(head(40, FORK), lambda old, size: consistency_proof(FORK[:size], old) if old else [])
    stranger = WitnessClient(served.url, cosignature.Witness("witness.example/w1", ledger_key(5).public))
    with pytest.raises(Unreachable, match="not cosigned"):
        stranger.cosign(head(35), prove)
    second = subprocess.run(
        [sys.executable, "-m", "bastion", "witness", "serve", str(tmp_path / "witness"), "--listen", "127.0.0.1:0"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (second.returncode, "another process" in second.stderr) == (1, True)


def test_other_requests(served: Served) -> None:
    def send(method: str, path: str, body: bytes = b"") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        finally:
            connection.close()

    assert send("GET", "/add-checkpoint") == 405
    assert send("POST", "/other") == 404
    assert send("POST", "/add-checkpoint", b"x") == 400
    assert send("POST", "/add-checkpoint", b"x" * (BODY_LIMIT + 1)) == 413
    assert send("POST", "/w1/add-checkpoint", encode(0, [], head(2).note)) == 200


def test_nobody_there(tmp_path: Path) -> None:
    witness = cosignature.Witness("w", ledger_key(5).public)
    with pytest.raises(Unreachable, match="does not answer"):
        WitnessClient("http://127.0.0.1:1", witness).cosign(head(3), prove)
    for url in ("", "ftp://x", "http://", "http://x/?q"):
        with pytest.raises(UsageError):
            WitnessClient(url, witness)
