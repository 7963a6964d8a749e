"""Keys that sign: files with modes and passphrases, and a real ssh-agent."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from bastion.control.signers import KEY_FILE_LIMIT, find, open_file, read_private
from bastion.control.signing import verify
from bastion.errors import NotFound, Unreachable, UsageError
from bastion.model import PublicKey
from bastion.publickey import parse_key

SPACE = "decision@agent-bastion"


def make(path: Path, kind: str = "ed25519", *options: str) -> PublicKey:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-f", path], check=True)
    return parse_key(path.with_name(path.name + ".pub").read_text())


def seal(path: Path, passphrase: str) -> None:
    """Give the key a passphrase, in PKCS#8: OpenSSH's own form takes bcrypt, which need not be installed."""
    key = asyncssh.import_private_key(path.read_bytes())
    path.write_bytes(key.export_private_key("pkcs8-pem", passphrase=passphrase))


def env(agent: str) -> dict[str, str]:
    return {**os.environ, "SSH_AUTH_SOCK": agent}


def add(agent: str, path: Path) -> None:
    subprocess.run(["ssh-add", "-q", path], env=env(agent), check=True, capture_output=True)


def empty(agent: str) -> None:
    subprocess.run(["ssh-add", "-q", "-D"], env=env(agent), check=True, capture_output=True)


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa",), ("rsa", "-b", "2048")])
async def test_a_key_file_signs(tmp_path: Path, kind: tuple[str, ...]) -> None:
    key = make(tmp_path / "id", *kind)
    (signer,) = await find(str(tmp_path / "id"))
    assert signer.key == key
    assert verify(b"words", await signer.sign(b"words", SPACE), SPACE, [key]) == key


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa",), ("rsa", "-b", "2048")])
async def test_an_agent_signs(tmp_path: Path, agent: str, kind: tuple[str, ...]) -> None:
    key = make(tmp_path / "id", *kind)
    add(agent, tmp_path / "id")
    (tmp_path / "id").unlink()
    for wanted in (key.fingerprint, str(tmp_path / "id.pub")):
        (signer,) = await find(wanted, agent=agent)
        assert signer.key == key
        assert verify(b"words", await signer.sign(b"words", SPACE), SPACE, [key]) == key


async def test_an_agent_that_lost_the_key_says_so(tmp_path: Path, agent: str) -> None:
    make(tmp_path / "id")
    add(agent, tmp_path / "id")
    (signer,) = await find(str(tmp_path / "id.pub"), agent=agent)
    empty(agent)
    with pytest.raises(Unreachable, match="did not sign"):
        await signer.sign(b"words", SPACE)


async def test_without_a_wish_the_agent_comes_first_and_then_the_usual_files(tmp_path: Path, agent: str) -> None:
    in_agent = make(tmp_path / "other")
    both = make(tmp_path / ".ssh" / "id_rsa", "rsa", "-b", "2048")
    in_file = make(tmp_path / ".ssh" / "id_ecdsa", "ecdsa")
    add(agent, tmp_path / "other")
    add(agent, tmp_path / ".ssh" / "id_rsa")
    found = await find(None, agent=agent, home=tmp_path)
    assert [each.key for each in found] == [in_agent, both, in_file]


async def test_no_key_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no key"):
        await find(None, agent=str(tmp_path / "nobody"), home=tmp_path)
    with pytest.raises(NotFound, match="does not hold SHA256:x"):
        await find("SHA256:x")


async def test_a_public_key_without_its_agent_is_said(tmp_path: Path) -> None:
    make(tmp_path / "id")
    with pytest.raises(NotFound, match="does not hold"):
        await find(str(tmp_path / "id.pub"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    make(tmp_path / "id")
    (tmp_path / "id").chmod(mode)
    with pytest.raises(UsageError, match="readable for others"):
        open_file(tmp_path / "id")
    (tmp_path / "id").chmod(0o400)
    open_file(tmp_path / "id")


def test_what_is_no_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        open_file(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no file"):
        open_file(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="no file"):  # and does not wait for a writer
        open_file(tmp_path / "pipe")
    (tmp_path / "junk").write_bytes(b"\xff\0junk")
    (tmp_path / "junk").chmod(0o600)
    with pytest.raises(UsageError, match="no private key"):
        open_file(tmp_path / "junk")


def test_the_limit_of_a_key_file_is_at_its_number(tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.touch(0o600)
    path.write_bytes(b"x" * KEY_FILE_LIMIT)
    assert len(read_private(path)) == KEY_FILE_LIMIT
    path.write_bytes(b"x" * (KEY_FILE_LIMIT + 1))
    with pytest.raises(UsageError, match="longer"):
        read_private(path)


async def test_a_passphrase_is_asked_for_only_when_it_is_needed(tmp_path: Path) -> None:
    key = make(tmp_path / "id")
    seal(tmp_path / "id", "right")
    asked: list[str] = []
    answers = ["wrong", "right"]

    def prompt(what: str) -> str:
        asked.append(what)
        return answers.pop(0)

    (signer,) = await find(str(tmp_path / "id"), prompt=prompt)
    assert signer.key == key
    assert not asked
    assert verify(b"words", await signer.sign(b"words", SPACE), SPACE, [key]) == key
    assert asked == [f"Passphrase for {tmp_path / 'id'}: "] * 2
    await signer.sign(b"more", SPACE)
    assert len(asked) == 2


async def test_three_wrong_passphrases_are_enough(tmp_path: Path) -> None:
    make(tmp_path / "id")
    seal(tmp_path / "id", "right")
    asked: list[str] = []

    def prompt(what: str) -> str:
        asked.append(what)
        return "wrong"

    (signer,) = await find(str(tmp_path / "id"), prompt=prompt)
    with pytest.raises(UsageError, match="no passphrase given opens"):
        await signer.sign(b"words", SPACE)
    assert len(asked) == 3


async def test_a_passphrase_with_nobody_to_ask_is_said(tmp_path: Path) -> None:
    make(tmp_path / "id")
    seal(tmp_path / "id", "right")
    (signer,) = await find(str(tmp_path / "id"))
    with pytest.raises(UsageError, match="has a passphrase"):
        await signer.sign(b"words", SPACE)


async def test_an_agent_spares_the_passphrase(tmp_path: Path, agent: str) -> None:
    key = make(tmp_path / "id")
    add(agent, tmp_path / "id")
    seal(tmp_path / "id", "right")
    (signer,) = await find(str(tmp_path / "id"), agent=agent)
    assert verify(b"words", await signer.sign(b"words", SPACE), SPACE, [key]) == key


async def test_a_sealed_key_without_its_public_half_asks_at_once(tmp_path: Path) -> None:
    key = make(tmp_path / "id")
    seal(tmp_path / "id", "right")
    (tmp_path / "id.pub").unlink()
    (signer,) = await find(str(tmp_path / "id"), prompt=lambda _: "right")
    assert signer.key == key


def seal_openssh(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "right", "-f", path], check=True, capture_output=True)


async def test_an_openssh_key_with_a_passphrase(tmp_path: Path) -> None:
    """It takes the package bcrypt, which need not be there; the public half stands in the file in the clear."""
    key = make(tmp_path / "id")
    seal_openssh(tmp_path / "id")
    (tmp_path / "id.pub").unlink()
    signer = open_file(tmp_path / "id", lambda _: "right")
    assert signer.key == key
    assert signer.sealed
    if importlib.util.find_spec("bcrypt"):
        assert verify(b"words", await signer.sign(b"words", SPACE), SPACE, [key]) == key
    else:
        with pytest.raises(UsageError, match="bcrypt"):
            await signer.sign(b"words", SPACE)


@pytest.mark.parametrize("size", [0, 1, 40, 80, 200])
def test_a_damaged_openssh_key_is_refused(tmp_path: Path, size: int) -> None:
    make(tmp_path / "id")
    seal_openssh(tmp_path / "id")
    lines = (tmp_path / "id").read_text().splitlines()
    body = "".join(lines[1:-1])[:size]
    (tmp_path / "id").write_text(f"{lines[0]}\n{body}\n{lines[-1]}\n")
    with pytest.raises(UsageError):
        open_file(tmp_path / "id")
