"""Other clients of SFTP, and targets that take certificates. Promises P1, P2, P5."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from bastion.config import load
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.e2e import test_jump as jumps
from tests.e2e.test_certificates import register, trusting
from tests.support import peers
from tests.support.house import House, Outcome
from tests.support.sftp import READS_FLOW, far, scp
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), READS_FLOW)
    made.add_target("web-1", sshd)
    certified = trusting(tmp_path_factory.mktemp("certified"), made)
    register(made, "web-2", certified)
    made.config = load(made.config.path)
    made.start()
    yield made
    made.stop()
    certified.stop()


async def approve_all(house: House, ana: Client, work: asyncio.Future[object]) -> list[wire.RequestInfo]:
    """Approve all that is held until the work is done."""
    held: list[wire.RequestInfo] = []
    while not work.done():
        for info in await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
            held.append(info)
            await ana.vote(info, Choice.APPROVE, "fine")
        await asyncio.sleep(0.02)
    return held


async def test_asyncssh_puts_and_gets(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_bytes(os.urandom(300_000))
    (tmp_path / "tree" / "sub" / "b").write_text("b")

    async def work() -> None:
        async with (
            asyncssh.connect(
                "127.0.0.1", house.port, username="web-1", client_keys=[str(house.work / "agent-7")],
                known_hosts=str(house.work / "known_hosts"), config=None, agent_path=None,
            ) as connection,
            connection.start_sftp_client() as agent,
        ):  # fmt: skip
            await agent.put(tmp_path / "tree", tmp_path / "there", recurse=True, preserve=True)
            await agent.get(tmp_path / "there", tmp_path / "back", recurse=True)
            async with agent.open(tmp_path / "there" / "sub" / "b", "r+") as file:
                assert await file.read() == "b"
                await file.write("c", offset=1)
            async with agent.open(tmp_path / "there" / "sub" / "b", "a") as file:
                await file.write("d")

    task = asyncio.ensure_future(work())
    held = await approve_all(house, ana, task)
    await task
    assert len(held) >= 4
    assert (tmp_path / "back" / "a").read_bytes() == (tmp_path / "tree" / "a").read_bytes()
    assert (tmp_path / "there" / "sub" / "b").read_text() == "bcd"


PARAMIKO = """
import sys, paramiko
port, known, key, here, there, back = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", int(port), "web-1", key_filename=key, allow_agent=False, look_for_keys=False, timeout=20)
sftp = client.open_sftp()
try:
    sftp.put(here, there)
except OSError as error:
    sys.exit(f"refused: {error}")
sftp.get(there, back)
"""


@pytest.mark.peers
@pytest.mark.skipif(not peers.installed(), reason="paramiko is not installed: `./dev bypass mitm` does that")
@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.DENY])
async def test_paramiko_puts_and_gets(house: House, ana: Client, tmp_path: Path, choice: Choice) -> None:
    (tmp_path / "here").write_bytes(b"x" * 200_000)
    words = [str(house.port), house.work / "known_hosts", house.work / "agent-7"]
    words += [tmp_path / name for name in ("here", "there", "back")]
    process = await asyncio.create_subprocess_exec(
        str(peers.PYTHON), "-c", PARAMIKO, *map(str, words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await house.decide(ana, choice, "says ana")
    done: Outcome = await house.finish(process)
    if choice is Choice.APPROVE:
        assert done.status == 0, done.stderr
        assert (tmp_path / "back").read_bytes() == b"x" * 200_000
    else:
        assert "refused: " in done.stderr
        assert "says ana" in done.stderr
        assert not (tmp_path / "there").exists()


async def test_a_target_with_certificates(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    process = await scp(house, tmp_path / "mine", far(tmp_path / "there").replace("web-1", "web-2"))
    held = await house.held(ana)
    assert held.target == "web-2"
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert (tmp_path / "there").read_text() == "mine"
    back = await house.finish(await scp(house, far(tmp_path / "there").replace("web-1", "web-2"), tmp_path / "back"))
    assert back.status == 0, back.stderr
    assert (tmp_path / "back").read_text() == "mine"


async def test_scp_through_a_jump(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    config = jumps.configuration(house, jumps.trusting(house))
    process = await asyncio.create_subprocess_exec(
        "scp", "-F", str(config), str(tmp_path / "mine"), f"web-1:{tmp_path}/there",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work)},
    )  # fmt: skip
    held = await house.held(ana)
    assert held.command.startswith(f"sftp: 1 change: write {tmp_path}/there\n".encode())
    assert not (tmp_path / "there").exists()
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert (tmp_path / "there").read_text() == "mine"


async def test_the_agent_says_why(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    intent = "SetEnv=BASTION_REASON=new-limits BASTION_TASK=T-1 BASTION_ROLLBACK=restore"
    process = await scp(house, "-o", intent, tmp_path / "mine", far(tmp_path / "there"))
    held = await house.held(ana)
    assert (held.reason, held.task, held.rollback) == ("new-limits", "T-1", "restore")
    await ana.vote(held, Choice.DENY, "no")
    assert (await house.finish(process)).status != 0
