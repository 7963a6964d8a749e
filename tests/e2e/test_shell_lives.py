"""How long shells live: several on one connection, the limit of time, and an agent that leaves while something runs and
policy lets that go on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bastion.control import wire
from bastion.model import Choice
from tests.bypass.adapters.ours import Ours
from tests.support.client import Client
from tests.support.ports import until
from tests.support.shell import Shell, shell

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

LONGEST = 10
"""Seconds: the least that the configuration takes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours('[shells]\non_disconnect = "leave"\n') as made:
        yield made


async def approve(ours: Ours, command: str) -> wire.RequestInfo:
    return await ours.ana.vote(await ours.house.held(ours.ana, command.encode()), Choice.APPROVE, "fine")


async def becomes(ours: Ours, request: str, true: Callable[[wire.RequestInfo], bool]) -> wire.RequestInfo:
    async with asyncio.timeout(20):
        while True:
            info = await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=request)
            if true(info):
                return info
            await asyncio.sleep(0.02)


async def end_of(ours: Ours, session: str) -> str:
    async with asyncio.timeout(20):
        while True:
            info = await ours.ana.call(wire.ShowSession, wire.SessionInfo, session=session)
            if info.closed:
                return info.end
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("where", ["shell", "command"])
async def test_what_runs_goes_on_where_policy_says_so(ours: Ours, where: str, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    command = f"echo be''gun; until [ -e {go} ]; do sleep 0.05; done; echo end > {done}; (exit 3)"
    client = await Client.start(ours.ssh(*([command] if where == "command" else []), options=("-tt",)), terminal=True)
    try:
        if where == "shell":
            await client.sees(rb"\$ ")
            client.send(command.encode() + b"\r")
        info = await approve(ours, command)
        await client.sees(rb"begun\r\n")
        client.signal(signal.SIGKILL)
        await until(lambda: client.status is not None, "the client is gone")
        await asyncio.sleep(0.2)  # it is not ended meanwhile: that is what is seen below
        assert not done.exists()
        go.touch()
        ended = await becomes(ours, info.id, lambda now: now.status != "running")
        assert (ended.status, done.read_text()) == ("exit 3", "end\n")
        assert await end_of(ours, info.session) == "the agent had left"
    finally:
        await client.close()


async def test_several_on_one_connection_of_openssh(ours: Ours) -> None:
    """ControlMaster: each is a session of its own, and no approval is shared."""
    control = ("-o", f"ControlPath={ours.work}/m", "-o", "ControlMaster=auto", "-o", "ControlPersist=30")
    async with shell(ours, options=control) as first, shell(ours, options=control) as second:
        await first.line("cd /usr; X=first")
        await second.line("cd /srv; X=second")
        for one in (first, second):
            one.type("echo $X-$PWD\r")
        async with asyncio.timeout(20):
            while len(held := [item for item in await ours.held() if item.command == b"echo $X-$PWD"]) < 2:  # noqa: ASYNC110 -- asks the daemon
                await asyncio.sleep(0.02)
        command = await Client.start(ours.ssh("echo third; tty", options=("-tt", *control)), terminal=True)
        try:
            infos = [await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=item.id) for item in held]
            of_first = next(info for info in infos if info.cwd == "/usr")
            await ours.ana.vote(of_first, Choice.APPROVE, "fine")
            await first.sees(r"first-/usr\r\n")
            assert b"second-/srv" not in second.client.output
            assert [item.command for item in await ours.held()].count(b"echo $X-$PWD") == 1
            third = await approve(ours, "echo third; tty")
            await command.sees(rb"third\r\n/dev/pts/")
            assert len({*(info.session for info in infos), third.session}) == 3
            assert await command.ends() == 0
            await second.approve("echo $X-$PWD")
            await second.sees(r"second-/srv\r\n")
        finally:
            await command.close()
        await end(first)
        await second.line("echo still he''re", r"still here\r\n")
        await end(second)
    master = await Client.start(ours.ssh(options=(*control, "-O", "exit")), terminal=False)
    await master.ends()
    await master.close()


async def end(one: Shell) -> None:
    await one.prompted()
    one.type("\x04")
    assert await one.client.ends() == 0


async def test_the_limit_of_time(tmp_path: Path) -> None:
    async with Ours(f'[shells]\nlongest = "{LONGEST}s"\n') as ours:
        begun = time.monotonic()
        pid = tmp_path / "pid"
        lasting = f"echo $$ > {pid}; exec sleep 60"
        command = await Client.start(ours.ssh(lasting, options=("-tt",)), terminal=True)
        try:
            info = await approve(ours, lasting)
            async with shell(ours) as idle, shell(ours) as busy:
                await busy.line("sleep 61")
                await idle.sees(r"bastion: ended: a shell lasts at most 10 s here")
                await busy.sees(r"bastion: ended: a shell lasts at most 10 s here")
                await command.sees(rb"bastion: ended: a command with a terminal lasts at most 10 s here")
                assert time.monotonic() - begun >= LONGEST
                assert [await one.ends() for one in (idle.client, busy.client, command)] == [125, 125, 125]
            await until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), "it is ended")
            assert "lasts at most" in (await becomes(ours, info.id, lambda now: now.status != "running")).status
        finally:
            await command.close()
