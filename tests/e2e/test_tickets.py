"""An approval is good for one run: of who waits, of who comes back, of two who come at once. Promises P2, P7."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House

pytestmark = pytest.mark.e2e


async def held_by(client: Client, command: str) -> list[wire.RequestInfo]:
    infos = await client.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    return [info for info in infos if info.command == command.encode()]


async def several(client: Client, command: str, number: int) -> list[wire.RequestInfo]:
    """The held requests for this command, once there are so many."""
    async with asyncio.timeout(20):
        while len(found := await held_by(client, command)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def left_and_approved(house: House, ana: Client, command: str) -> wire.RequestInfo:
    """A request whose client was killed, and that was approved after that."""
    process = await house.ssh("web-1", command)
    info = await house.held(ana, command.encode())
    process.kill()
    await process.wait()
    async with asyncio.timeout(20):
        while (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return await ana.vote(info, Choice.APPROVE, "")


async def test_two_identical_clients_wait_each_for_their_own(house: House, ana: Client, tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/canary"
    clients = [await house.ssh("web-1", command) for _ in range(2)]
    first, second = await several(ana, command, 2)
    assert first.digest != second.digest
    await ana.vote(first, Choice.APPROVE, "")
    done, waiting = await asyncio.wait(
        [asyncio.create_task(each.wait()) for each in clients], return_when="FIRST_COMPLETED"
    )
    assert [task.result() for task in done] == [0]
    assert (tmp_path / "canary").read_text() == "x\n"
    assert [info.id for info in await held_by(ana, command)] == [second.id]
    await ana.vote(second, Choice.DENY, "once is enough")
    assert [await task for task in waiting] == [126]
    assert (tmp_path / "canary").read_text() == "x\n"
    for each in clients:
        await house.finish(each)


async def test_nothing_runs_while_nobody_is_there(house: House, ana: Client, tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/canary"
    info = await left_and_approved(house, ana, command)
    other = f"echo sentinel > {tmp_path}/sentinel"
    process = await house.ssh("web-1", other)  # by the time that this has run, that would have
    await house.decide(ana, command=other.encode())
    assert (await house.finish(process)).status == 0
    assert not (tmp_path / "canary").exists()
    outcome = await house.run("web-1", command)
    assert (outcome.status, f"used now: {info.id}" in outcome.stderr) == (0, True)
    assert (tmp_path / "canary").read_text() == "x\n"


async def test_an_approval_that_waits_is_used_by_one_of_two(house: House, ana: Client, tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/canary"
    await left_and_approved(house, ana, command)
    clients = [await house.ssh("web-1", command) for _ in range(2)]
    (held,) = await several(ana, command, 1)
    await ana.vote(held, Choice.DENY, "once is enough")
    outcomes = [await house.finish(each) for each in clients]
    assert sorted(outcome.status for outcome in outcomes) == [0, 126]
    assert (tmp_path / "canary").read_text() == "x\n"


async def test_it_is_for_that_identity_command_target_login_and_stdin_only(
    house: House, ana: Client, tmp_path: Path
) -> None:
    command = f"cat > {tmp_path}/canary"
    await left_and_approved(house, ana, command)
    others = (
        ("web-1", command, "agent-8", ()),
        ("web-1", f"{command} ", "agent-7", ()),
        ("nobody%web-1", command, "agent-7", ()),
        ("web-1", command, "agent-7", ("-o", "SetEnv=LC_ALL=C")),
    )
    for destination, line, who, options in others:
        process = await house.ssh(destination, line, who=who, options=options)
        await house.decide(ana, Choice.DENY, "another one", command=line.encode())
        assert (await house.finish(process)).status == 126
    assert not (tmp_path / "canary").exists()


async def test_code_on_stdin_is_part_of_it(house: House, ana: Client, tmp_path: Path) -> None:
    process = await house.ssh("web-1", "sh", stdin=b"")
    assert process.stdin is not None
    process.stdin.write(f"echo x >> {tmp_path}/canary\n".encode())
    process.stdin.close()
    info = await house.held(ana, b"sh")
    process.kill()
    await process.wait()
    async with asyncio.timeout(20):
        while (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await ana.vote(info, Choice.APPROVE, "")
    other = await house.ssh("web-1", "sh", stdin=b"")
    assert other.stdin is not None
    other.stdin.write(f"echo y >> {tmp_path}/canary\n".encode())
    other.stdin.close()
    await house.decide(ana, Choice.DENY, "other code", command=b"sh")
    await other.wait()
    assert not (tmp_path / "canary").exists()
    outcome = await house.run("web-1", "sh", stdin=f"echo x >> {tmp_path}/canary\n".encode())
    assert outcome.status == 0, outcome.stderr
    assert (tmp_path / "canary").read_text() == "x\n"
