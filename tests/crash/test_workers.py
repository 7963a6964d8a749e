"""The daemon's own processes, and the target, die in the middle of work: the signer, without which nothing can be
written; the renderer, without which only looking is slower; sshd with all of its sessions."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from recorder.entry import Entry
from recorder.verify import Verdict, verify
from tests.crash.at_work import AtWork
from tests.support.client import Client as Program
from tests.support.house import House
from tests.support.ports import until, wait_until
from tests.support.sshd import Sshd, descendants

pytestmark = pytest.mark.e2e

STOPPED = 1
"""The daemon's status when it had to stop: systemd starts it again (deploy/bastion.service)."""


def worker(house: House, module: bytes) -> int:
    """Process id of the daemon's child that runs this module; 0 where there is none."""
    for pid in descendants(house.pid):
        if module in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def entries(house: House, *types: str) -> list[Entry]:
    with house.recorded() as reader:
        return list(reader.entries(types=types))


async def test_the_signer_is_killed(house: House, tmp_path: Path) -> None:
    """Nothing can be signed any more: what runs is ended, nothing new runs, the daemon stops and says why; and started
    again, it goes on by itself."""
    work = await AtWork.begin(house, tmp_path)
    signed = len(entries(house))

    os.kill(worker(house, b"recorder.signer"), signal.SIGKILL)
    outcome = await house.run("web-1", work.command)
    assert outcome.status not in (0, 126)
    assert "bastion: " in outcome.stderr
    ended = await house.finish(work.running)
    assert ended.status == 125
    assert "the ledger cannot be written: the signer" in ended.stderr
    wait_until(lambda: house.dead, "a bastion that cannot sign stops")
    assert house.stop() == STOPPED
    assert work.marker.read_text() == "x\n"
    assert len(entries(house)) == signed

    house.start()
    assert (await house.run("web-1", work.command)).status == 0
    house.stop()
    assert verify(house.config.store).verdict is Verdict.OK
    assert len(entries(house, "command.started")) == len(entries(house, "command.finished")) == 3


async def test_the_signer_is_killed_in_a_crowd(house: House, tmp_path: Path) -> None:
    """While twenty commands come in: each that ran has its entry, and each entry an end, if only that none was seen."""
    house.start()
    root = await house.local()
    commands = [f"echo {number} >> {tmp_path}/ran" for number in range(20)]
    for command in commands:
        await house.whitelist(root, command.encode())
    asked = [asyncio.create_task(house.run("web-1", command)) for command in commands]
    await until(lambda: any(task.done() for task in asked), "the first is through")
    os.kill(worker(house, b"recorder.signer"), signal.SIGKILL)
    outcomes = await asyncio.gather(*asked)
    wait_until(lambda: house.dead, "a bastion that cannot sign stops")
    house.stop()
    house.start()
    house.stop()
    assert verify(house.config.store).verdict is Verdict.OK
    ran = (tmp_path / "ran").read_text().split()
    ends = {entry.request: entry.body["status"] for entry in entries(house, "command.finished")}
    started = {entry.request for entry in entries(house, "command.started")}
    assert len(set(ran)) == len(ran) <= len(started)
    assert set(ends) == started
    seen = [request for request, status in ends.items() if status == 0]
    assert len(seen) <= len(ran)
    assert sum(outcome.status == 0 for outcome in outcomes) <= len(ran)


async def test_the_renderer_is_killed(house: House) -> None:
    """In the middle of a recorded shell: the shell goes on, its recording is whole, and the renderer comes again."""
    house.start()
    root = await house.local()
    shell = await Program.start(house.ssh_command("web-1", options=("-tt",)), terminal=True)
    try:
        await shell.sees(rb"\$ \Z")
        (session,) = await root.call(wire.ListSessions, list[wire.SessionInfo])
        await root.call(wire.ReadTimeline, wire.TimelineInfo, session=session.id)  # somebody looks: it starts
        await until(lambda: worker(house, b"recorder.indexer"), "it renders")
        first = worker(house, b"recorder.indexer")
        os.kill(first, signal.SIGKILL)
        await typed(house, root, shell, "echo on", rb"on\r\n")
        await until(lambda: worker(house, b"recorder.indexer") not in (0, first), "another one renders")
        await typed(house, root, shell, "exit 3", b"")
        assert await shell.ends() == 3
    finally:
        await shell.close()
    async with asyncio.timeout(30):
        while True:
            seen = await root.call(wire.ReadTimeline, wire.TimelineInfo, session=session.id)
            if seen.chunks and seen.rendered == seen.chunks:
                break
            await asyncio.sleep(0.05)
    assert not seen.stopped
    await root.close()
    assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK


async def typed(house: House, root: Client, shell: Program, line: str, seen: bytes) -> None:
    shell.send(line.encode() + b"\r")
    await house.decide(root, command=line.encode())
    await shell.sees(seen)


async def test_the_target_is_killed(house: House, tmp_path: Path) -> None:
    """sshd and all of its sessions, while a command runs, one is held, and a shell waits: everybody is told, each
    command has its end, and when the target is back, it goes on by itself."""
    sshd = Sshd(tmp_path / "mortal")
    sshd.start()
    house.add_target("mortal", sshd)
    house.start()
    root = await house.local()
    shell = await Program.start(house.ssh_command("mortal", options=("-tt",)), terminal=True)
    try:
        await shell.sees(rb"\$ \Z")
        running = await house.ssh("mortal", "echo began; sleep 600")
        await house.decide(root)
        assert running.stdout is not None
        assert await running.stdout.readline() == b"began\n"
        held = await house.ssh("mortal", "echo held")
        await house.held(root, b"echo held")

        sshd.stop()
        outcome = await house.finish(running)
        assert outcome.status not in (0, 126)
        assert "bastion: " in outcome.stderr
        assert await shell.ends() != 0
        await house.decide(root, command=b"echo held")
        outcome = await house.finish(held)
        assert outcome.status == 125
        assert "mortal does not answer" in outcome.stderr

        sshd.start()
        again = await house.ssh("mortal", "echo again")
        await house.decide(root, command=b"echo again")
        assert (await house.finish(again)).stdout == b"again\n"
    finally:
        await shell.close()
        sshd.stop()
    await root.close()
    assert house.stop() == 0
    assert verify(house.config.store).verdict is Verdict.OK
    started = sorted(entry.request for entry in entries(house, "command.started"))
    assert started == sorted(entry.request for entry in entries(house, "command.finished"))
