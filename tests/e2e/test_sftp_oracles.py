"""What an agent learns by writing: nothing of a file that it may not read unasked. Promise P1.

The description of a change has what is there: its hash, and the lines that go. That is for people.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.e2e.test_sftp_attacks import client
from tests.support.house import House
from tests.support.sftp import READS_FLOW, far, scp, sftp

pytestmark = pytest.mark.e2e
HOUSE_POLICY = READS_FLOW

SECRET = "PRIVATE hunter2\n"
SHA256 = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the target whose reading is held."""
    made = tmp_path / "id_rsa"
    made.write_text(SECRET)
    return made


@pytest.mark.parametrize("doing", ["put", "rm"])
async def test_an_agents_own_list_has_no_content(
    house: House, ana: Client, tmp_path: Path, secret: Path, doing: str
) -> None:
    (tmp_path / "mine").write_text("mine\n")
    process = await sftp(house, f"put {tmp_path}/mine {secret}" if doing == "put" else f"rm {secret}")
    held = await house.held(ana)
    assert b"hunter2" in held.command  # the approver sees what goes
    assert SHA256 in held.command.decode()
    for options in ((), ("-o", "SetEnv=BASTION_OUTPUT=json")):
        listed = (await house.run("bastion", "requests", options=options)).stdout
        assert held.id.encode() in listed
        assert b"hunter2" not in listed
        assert SHA256.encode() not in listed
    command = next(each["command"] for each in json.loads(listed) if each["id"] == held.id)
    assert command == held.command.decode().splitlines()[0]
    await ana.vote(held, Choice.DENY, "no")
    assert (await house.finish(process)).status != 0


async def test_a_right_guess_is_held_as_a_wrong_one_is(house: House, ana: Client, tmp_path: Path, secret: Path) -> None:
    (tmp_path / "guess").write_text(SECRET)
    process = await scp(house, tmp_path / "guess", far(secret))
    held = await house.held(ana)
    assert f"with {len(SECRET)} bytes, sha256 {SHA256}" in held.command.decode()
    await ana.vote(held, Choice.DENY, "no")
    assert (await house.finish(process)).status != 0


async def test_a_right_guess_of_one_byte_is_held(house: House, ana: Client, secret: Path) -> None:
    async with client(house) as agent:

        async def guess() -> None:
            async with agent.open(bytes(secret), asyncssh.FXF_WRITE, encoding=None) as file:
                await file.write(SECRET[0].encode(), 0)

        task = asyncio.create_task(guess())
        held = await house.held(ana)
        await ana.vote(held, Choice.DENY, "no")
        with pytest.raises(asyncssh.SFTPError):
            await task


async def test_what_moved_is_refused_without_its_hash(house: House, ana: Client, tmp_path: Path, secret: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    process = await scp(house, tmp_path / "mine", far(secret))
    held = await house.held(ana)
    another = SECRET.replace("2", "3")
    secret.write_text(another)
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert "is not what was shown any more" in done.stderr
    assert SHA256 not in done.stderr
    assert hashlib.sha256(another.encode()).hexdigest() not in done.stderr
    assert "its content is another" in done.stderr
    assert [each.id for each in await ana.call(wire.ListRequests, list[wire.RequestInfo]) if each.state == "held"] == []
