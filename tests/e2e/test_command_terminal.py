"""`ssh -t TARGET@bastion COMMAND`: an exec as any other until it runs, and a command of a governed shell then."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from asyncssh.packet import String, UInt32

from bastion.control import wire
from bastion.model import Choice
from tests.bypass.adapters.ours import Ours
from tests.bypass.test_floods import channel_of
from tests.support.client import Client
from tests.support.house import ROOT
from tests.support.ports import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

POLICY = 'policy "reads" {\n  version 1\n  allow low\n}\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours() as made:
        yield made


@asynccontextmanager
async def running(ours: Ours, command: str, *, flag: str = "-tt", terminal: bool = True) -> AsyncIterator[Client]:
    client = await Client.start(ours.ssh(command, options=(flag,)), terminal=terminal)
    try:
        yield client
    finally:
        await client.close()


async def held(ours: Ours, command: str) -> wire.RequestInfo:
    return await ours.house.held(ours.ana, command.encode())


async def approve(ours: Ours, command: str, mode: str = "", seconds: int = 0) -> wire.RequestInfo:
    return await ours.ana.vote(await held(ours, command), Choice.APPROVE, "fine", mode, seconds)


async def shown(ours: Ours, request: str) -> wire.RequestInfo:
    return await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=request)


async def becomes(ours: Ours, request: str, true: Callable[[wire.RequestInfo], bool]) -> None:
    async with asyncio.timeout(20):
        while not true(await shown(ours, request)):  # noqa: ASYNC110 -- the daemon is another process
            await asyncio.sleep(0.02)


async def test_it_is_held_as_the_exec_that_it_is(ours: Ours) -> None:
    marker = ours.work / "marker"
    command = f"touch {marker}; tty; stty size; echo $TERM; exit 3"
    async with running(ours, command) as client:
        info = await held(ours, command)
        assert (info.kind, info.terminal, info.mode, info.sequence) == ("exec", "xterm-256color", "line", 0)
        assert not marker.exists()
        listed = await asyncio.to_thread(bastion, ours, "request", "show", info.id)
        assert re.search(r"terminal +xterm-256color", listed)
        assert "each line typed into it is held" in listed
        client.send(b"touch " + bytes(marker) + b"\r")  # what is typed meanwhile goes nowhere
        await approve(ours, command)
        await client.sees(rb"/dev/pts/\d+\r\n30 100\r\nxterm-256color\r\n")
        assert await client.ends() == 3
        assert marker.exists()
        assert (await shown(ours, info.id)).status == "exit 3"


async def test_stdout_is_the_commands_alone(ours: Ours) -> None:
    async with running(ours, "echo on''ly", terminal=False) as client:
        await approve(ours, "echo on''ly")
        assert await client.ends() == 0
        assert bytes(client.output) == b"only\r\n"
        assert b"bastion: held r-" in client.errors
        assert b"bastion: approved by ana" in client.errors


async def test_a_line_typed_into_it_is_held(ours: Ours) -> None:
    async with running(ours, "cat; echo en''d") as client:
        info = await approve(ours, "cat; echo en''d")
        await until(lambda: b"approved" in client.output, "it runs")
        client.send(b"some input\r")
        item = await held(ours, "some input\n")
        assert (item.kind, item.parent) == ("stdin", info.id)
        assert b"some input\r\nsome input" not in client.output
        await approve(ours, "some input\n")
        await client.sees(rb"some input\r\nsome input\r\n")
        client.send(b"denied\r")
        await ours.ana.vote(await held(ours, "denied\n"), Choice.DENY, "no")
        await client.sees(rb"denied by ana: no")
        client.send(b"\x04")
        await client.sees(rb"end\r\n")
        assert await client.ends() == 0


@pytest.mark.parametrize(("key", "status"), [(b"\x03", 130), (b"\x1c", 131)], ids=["^C", "quit"])
async def test_control_keys_reach_it(ours: Ours, key: bytes, status: int) -> None:
    command = "sh -c 'trap \"exit 130\" INT; trap \"exit 131\" QUIT; echo be''gun; while :; do sleep 0.05; done'"
    async with running(ours, command) as client:
        await approve(ours, command)
        await client.sees(rb"begun\r\n")
        client.send(key)
        assert await client.ends() == status


async def test_end_of_input_and_of_a_signal(ours: Ours) -> None:
    async with running(ours, "cat; kill -9 $$", terminal=False) as client:
        info = await approve(ours, "cat; kill -9 $$")
        client.end_input()
        assert await client.ends() == 255  # what OpenSSH's client makes of a signal
        assert (await shown(ours, info.id)).status == "signal KILL"


async def test_every_key_passes_where_a_person_says_so(ours: Ours, tmp_path: Path) -> None:
    if shutil.which("vim") is None:
        pytest.skip("needs vim")
    command = f"vim -N -u NONE {tmp_path}/new"
    async with running(ours, command) as client:
        info = await held(ours, command)
        assert info.mode == "raw"
        await approve(ours, command, "raw", 120)
        await client.sees(rb"\[New")
        client.send(b"ihello\x1b:wq\r")
        assert await client.ends() == 0
    assert (tmp_path / "new").read_text() == "hello\n"


async def test_top_is_looked_at_and_left(ours: Ours) -> None:
    if shutil.which("top") is None:
        pytest.skip("needs top")
    async with running(ours, "top") as client:
        assert (await held(ours, "top")).mode == "view"
        await approve(ours, "top")
        await client.sees(rb"load average")
        client.send(b"kW")  # refused: they kill, and write
        client.send(b"q")
        assert await client.ends() == 0


async def test_in_batch_mode_it_needs_no_keys(ours: Ours) -> None:
    async with running(ours, "top -b -n1") as client:
        await approve(ours, "top -b -n1")
        await client.sees(rb"load average")
        assert await client.ends() == 0


async def test_the_window_follows(ours: Ours) -> None:
    command = "sh -c 'trap \"stty size\" WINCH; echo be''gun; while :; do sleep 0.05; done'"
    async with running(ours, command) as client:
        await held(ours, command)
        client.resize(90, 25)
        await approve(ours, command)
        await client.sees(rb"begun\r\n")
        client.resize(77, 33)
        await client.sees(rb"33 77\r\n")
        client.send(b"\x03")
        assert await client.ends() != 0


async def test_a_held_one_outlives_its_client(ours: Ours) -> None:
    command = "echo survived; tty"
    async with running(ours, command) as client:
        info = await held(ours, command)
    await until(lambda: client.status is not None, "the client is gone")
    await becomes(ours, info.id, lambda now: not now.attached)
    async with running(ours, command) as again:
        await again.sees(rb"attached to the request held before")
        await approve(ours, command)
        await again.sees(rb"survived\r\n/dev/pts")
        assert await again.ends() == 0
    async with running(ours, command, flag="-T", terminal=False):  # without a terminal it is another request
        assert (await held(ours, command)).id != info.id
        await ours.deny(next(item for item in await ours.held() if item.command == command.encode()))


async def test_taken_back(ours: Ours) -> None:
    async with running(ours, "echo taken back") as client:
        info = await held(ours, "echo taken back")
        client.send(b"\x03")
        assert await client.ends() == 130
        assert (await shown(ours, info.id)).state == "withdrawn"


async def test_denied(ours: Ours) -> None:
    async with running(ours, "echo denied") as client:
        await ours.ana.vote(await held(ours, "echo denied"), Choice.DENY, "not today")
        assert await client.ends() == 126
        assert "not today" in client.text


async def test_who_leaves_leaves_nothing_running(ours: Ours) -> None:
    pid = ours.work / "pid"
    command = f"echo $$ > {pid}; exec sleep 60"
    async with running(ours, command) as client:
        info = await approve(ours, command)
        await until(lambda: pid.exists() and pid.read_text().strip(), "it runs")
        number = int(pid.read_text())
        client.signal(signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{number}").exists(), "it is ended")
    await becomes(ours, info.id, lambda now: "the agent left" in now.status)


async def test_much_output_is_whole(ours: Ours) -> None:
    command = "stty raw -echo; head -c 8388608 /dev/zero | tr '\\0' x"
    async with running(ours, command, terminal=False) as client:
        await approve(ours, command)
        assert await client.ends() == 0
        assert client.output.count(b"x") == 8_388_608


async def test_a_script_is_shown_and_pinned(ours: Ours, tmp_path: Path) -> None:
    script = tmp_path / "deploy.sh"
    script.write_text("echo deployed\n")
    command = f"sh {script}"
    async with running(ours, command) as client:
        assert (await held(ours, command)).script_code == b"echo deployed\n"
        script.write_text("echo changed\n")
        await approve(ours, command)
        await client.sees(b"does not hold what was approved")
        assert await client.ends() == 125


async def test_a_target_that_gives_no_terminals(ours: Ours) -> None:
    """It says so, nothing ran, and the record says so too."""
    ours._sshd.stop()
    ours._sshd._extra += "\nPermitTTY no"
    ours._sshd.start()
    try:
        async with running(ours, "echo no terminal") as client:
            info = await approve(ours, "echo no terminal")
            await client.sees(rb"bastion: error: not started")
            assert await client.ends() == 125
            assert "not started" in (await shown(ours, info.id)).status
    finally:
        ours._sshd.stop()
        ours._sshd._extra = ours._sshd._extra.removesuffix("\nPermitTTY no")
        ours._sshd.start()


@pytest.mark.parametrize("name", ["dbclient", "plink"])
async def test_other_clients(ours: Ours, tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.fail(f"{name} is missing: `./dev test` installs it")
    house, words = ours.house, "stty size; read x; echo got-$x; exit 4"
    key, converted = str(house.work / "agent-7"), str(tmp_path / "key")
    if name == "dbclient":
        await program("dropbearconvert", "openssh", "dropbear", key, converted)
        command = ["dbclient", "-y", "-y", "-t", "-i", converted, "-p", str(house.port), "web-1@127.0.0.1", words]
    else:
        await program("puttygen", key, "-O", "private", "-o", converted)
        shown = await program("ssh-keygen", "-lf", str(house.config.state / "host_key.pub"))
        command = ["plink", "-batch", "-ssh", "-t", "-hostkey", shown.split()[1], "-i", converted]
        command += ["-P", str(house.port), "web-1@127.0.0.1", words]
    client = await Client.start(command, terminal=True)
    try:
        await approve(ours, words)
        await client.sees(rb"30 100\r\n")
        client.send(b"typed\r")
        await approve(ours, "typed\n")
        await client.sees(rb"got-typed\r\n")
        assert await client.ends() == 4
    finally:
        await client.close()


async def program(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-1)
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr
    return stdout.decode()


MOST = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("name", "size", "shown"),
    [
        (b"xterm", (0, 0), b"24 80\r\nxterm\r\n"),
        (b"xterm", (MOST, MOST), b"10000 10000\r\nxterm\r\n"),
        (b"", (80, 24), b"24 80\r\ndumb\r\n"),
        (b"x\x1b]0;title\x07", (80, 24), b"24 80\r\ndumb\r\n"),
        (b"../../etc/passwd", (80, 24), b"24 80\r\ndumb\r\n"),
        (b"x" * 1000, (80, 24), b"24 80\r\ndumb\r\n"),
    ],
)
async def test_odd_terminals(ours: Ours, name: bytes, size: tuple[int, int], shown: bytes) -> None:
    """What a client may say of its terminal; its modes are not the target's affair."""
    modes = b"\x35\x00\x00\x00\x00" + b"\xff" * 64  # ECHO off, then nothing that there is
    async with await ours.connect() as connection:
        channel = await channel_of(connection, window=1 << 20)
        sizes = (UInt32(size[0]), UInt32(size[1]), UInt32(0), UInt32(MOST))
        assert not await channel._make_request(b"window-change", *sizes)  # there is none yet
        assert await channel._make_request(b"pty-req", String(name), *sizes, String(modes))
        assert not await channel._make_request(b"pty-req", String(b"vt100"), *sizes, String(b""))
        assert await channel._make_request(b"exec", String(b"stty size; echo $TERM; stty -a | grep -o ' echo '"))
        assert not await channel._make_request(b"exec", String(b"id"))
        assert not await channel._make_request(b"shell")
        assert not await channel._make_request(b"pty-req", String(b"vt100"), *sizes, String(b""))
        for _ in range(2000):
            channel._send_request(b"window-change", *sizes)
        info = await ours.house.held(ours.ana)
        assert info.command.startswith(b"stty size")
        await ours.ana.vote(info, Choice.APPROVE, "fine")
        said = bytearray()
        channel._session.data_received = lambda data, kind: said.extend(data) if kind is None else None
        channel.resume_reading()
        await until(lambda: b" echo " in said, "it has run")
        assert bytes(said).startswith(shown)


def bastion(ours: Ours, *words: str) -> str:
    command = [sys.executable, "-m", "bastion", "--config", str(ours.house.config.path), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_ledger_agrees(ours: Ours) -> None:
    assert await asyncio.to_thread(bastion, ours, "ledger", "verify")


async def test_what_policy_allows_runs_but_keys_take_a_person(tmp_path: Path) -> None:
    async with Ours(policy=POLICY) as ours:
        async with running(ours, "ls -d /srv; tty") as client:
            await client.sees(rb"/srv\r\n/dev/pts/")
            assert await client.ends() == 0
        async with running(ours, "less /etc/passwd") as client:
            info = await held(ours, "less /etc/passwd")
            assert info.mode == "view"
            client.send(b"\x03")
            assert await client.ends() == 130
        assert await asyncio.to_thread(bastion, ours, "ledger", "verify")
