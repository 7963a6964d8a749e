"""How the daemon bears many at once. The clients are processes of their own, so that their work is not counted.

held      sessions that wait for a person: memory of each, and processor time while nobody does anything
storm     logins offered at a fixed rate for some seconds: how many got through, how long they took
open      a whitelisted command on a connection that is open already, against the same command at the target's sshd
crowd     agents that each run one whitelisted command right after the other: commands a second, and whose processor
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import click

from tests.support.governed import plain_home
from tests.support.house import House
from tests.support.sshd import LOGIN, Sshd

ROOT = Path(__file__).resolve().parents[2]
LIMITS = "\n[limits]\nconnections = 10000\nheld_requests = 10000\nkeepalive_seconds = 3600\n"
TICKS = os.sysconf("SC_CLK_TCK")
IDLE = 5
"""Seconds of watching a daemon at which nobody does anything."""
AT_ONCE = 16
"""Handshakes of one client process at a time."""
BETWEEN = 0.02
"""Seconds between two measured commands: what the bastion still writes of one must not slow the other down."""
ROW = 20
"""Commands right after one another."""


def memory(pid: int) -> int:
    """Bytes that a process has for itself (PSS, proc(5))."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise ValueError("smaps_rollup without Pss")


def processor(pid: int) -> float:
    """Seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# --- the clients: `python -m tests.bench.load MODE PORT KEY HOST_KEY ...` ---------------------------------------------


async def _connect(port: int, key: str, known: str) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        "127.0.0.1",
        port,
        username="web-1",
        client_keys=[key],
        known_hosts=(known.encode()),
        config=None,
        encryption_algs=["aes128-gcm@openssh.com"],
        kex_algs=["curve25519-sha256"],
        login_timeout=120,
        connect_timeout=120,
    )


async def _hold(port: int, key: str, known: str, count: int) -> None:
    """Opens that many connections with a held command each; says so; waits for the end of stdin."""
    gate = asyncio.Semaphore(AT_ONCE)
    kept: list[Any] = []

    async def one(number: int) -> None:
        async with gate:
            connection = await _connect(port, key, known)
            process = await connection.create_process(f"touch /nonexistent/{number}", encoding=None)
            await process.stderr.readuntil(b"\n")
            kept.append((connection, process))

    await asyncio.gather(*(one(number) for number in range(count)))
    click.echo(f"held {count}")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _storm(port: int, key: str, known: str, rate: int, seconds: int) -> None:
    """Offers logins; prints how long each took, and what failed."""
    took: list[float] = []
    failed: dict[str, int] = {}

    async def one() -> None:
        begun = time.perf_counter()
        try:
            connection = await _connect(port, key, known)
        except (OSError, asyncssh.Error) as error:
            name = type(error).__name__
            failed[name] = failed.get(name, 0) + 1
        else:
            took.append(time.perf_counter() - begun)
            connection.abort()

    tasks = []
    begun = time.perf_counter()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    click.echo(json.dumps({"took": took, "failed": failed, "seconds": time.perf_counter() - begun}))


async def _crowd(port: int, key: str, known: str, agents: int, seconds: int) -> None:
    """That many connections, `true` on each again and again; prints how long each command took."""
    connections = [await _connect(port, key, known) for _ in range(agents)]
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one(connection: asyncssh.SSHClientConnection) -> None:
        while (begun := time.perf_counter()) < end:
            await connection.run("true", check=True)
            took.append(time.perf_counter() - begun)

    click.echo("begun")
    await asyncio.gather(*(one(connection) for connection in connections))
    for connection in connections:
        connection.abort()
    click.echo(json.dumps(took))


# --- what they are used for -------------------------------------------------------------------------------------------


def _client(house: House, who: str, mode: str, *numbers: int) -> subprocess.Popen[bytes]:
    known = house.work / "load_known"
    known.write_text(f"[127.0.0.1]:{house.port} {house.host_key}\n")
    words = [mode, str(house.port), str(house.work / who), str(known), *map(str, numbers)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def held(work: Path, levels: tuple[int, ...]) -> list[dict[str, object]]:
    """Memory of each held session, and processor time of all of them together while they wait."""
    target = plain_home(work / "held-target")
    house = House(work / "held-house")
    house.add_target("web-1", target)
    house.configure(LIMITS)
    house.start()
    rows: list[dict[str, object]] = []
    clients: list[subprocess.Popen[bytes]] = []
    try:
        before, there = memory(house.pid), 0
        for level in levels:
            more = level - there
            half = more // 2
            for who, count in (("agent-7", half), ("agent-8", more - half)):  # one agent has half of the places
                client = _client(house, who, "hold", count)
                clients.append(client)
                assert client.stdout is not None
                assert client.stdout.readline() == f"held {count}\n".encode()
            there = level
            cpu = processor(house.pid)
            time.sleep(IDLE)
            row = {
                "name": "held sessions",
                "count": level,
                "kib_each": (memory(house.pid) - before) / level / 1024,
                "cpu_percent_idle": (processor(house.pid) - cpu) / IDLE * 100,
            }
            rows.append(row)
            click.echo(f"held sessions: {level}: {row['kib_each']:.0f} KiB each, idle {row['cpu_percent_idle']:.1f} %")
    finally:
        for client in clients:
            client.communicate()
        house.stop()
    return rows


def storm(work: Path, rate: int, seconds: int) -> dict[str, object]:
    """Logins at a fixed rate."""
    target = plain_home(work / "storm-target")
    house = House(work / "storm-house")
    house.add_target("web-1", target)
    house.configure(LIMITS)
    house.start()
    try:
        cpu = processor(house.pid)
        output, _ = _client(house, "agent-7", "storm", rate, seconds).communicate(timeout=600)
        spent = processor(house.pid) - cpu
    finally:
        house.stop()
    said = json.loads(output)
    took = sorted(said["took"])
    row: dict[str, object] = {
        "name": "connection storm",
        "offered_per_second": rate,
        "logins": len(took),
        "failed": said["failed"],
        "logins_per_second": len(took) / said["seconds"],
        "cpu_ms_each": spent / max(1, len(took)) * 1000,
    }
    if took:
        row |= {"p50_ms": took[len(took) // 2] * 1000, "p99_ms": took[len(took) * 99 // 100] * 1000}
        click.echo(
            f"storm: {rate}/s offered for {seconds} s: {len(took)} logged in ({row['logins_per_second']:.0f}/s), "
            f"{sum(said['failed'].values())} failed; p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms; "
            f"{row['cpu_ms_each']:.1f} ms of processor time each"
        )
    return row


async def _open(house: House, target: Sshd, runs: int) -> dict[str, list[float]]:
    await _allow(house)
    known = f"[127.0.0.1]:{house.port} {house.host_key}\n"
    ours = await _connect(house.port, str(house.work / "agent-7"), known)
    plain = await asyncssh.connect(
        "127.0.0.1",
        target.port,
        username=LOGIN,
        client_keys=[str(target.credential)],
        known_hosts=None,
        config=None,
        encryption_algs=["aes128-gcm@openssh.com"],
    )
    taken: dict[str, list[float]] = {each: [] for each in ("direct", "bastion", "direct in a row", "bastion in a row")}

    async def timed(connection: asyncssh.SSHClientConnection, name: str) -> None:
        begun = time.perf_counter()
        await connection.run("true", check=True)
        taken[name].append((time.perf_counter() - begun) * 1000)

    for connection in (plain, ours):
        for _ in range(5):
            await connection.run("true", check=True)
    for _ in range(runs):
        for name, connection in (("direct", plain), ("bastion", ours)):
            await asyncio.sleep(BETWEEN)
            await timed(connection, name)
    for _ in range(max(1, runs // ROW)):
        for name, connection in (("direct in a row", plain), ("bastion in a row", ours)):
            await asyncio.sleep(BETWEEN)
            for _ in range(ROW):
                await timed(connection, name)
    for connection in (plain, ours):
        connection.close()
        await connection.wait_closed()
    return taken


def opened(work: Path, runs: int) -> dict[str, object]:
    """A whitelisted command on an open connection: what the bastion adds, its commit to the ledger included."""
    target = plain_home(work / "open-target")  # or a start-up file of the machine takes most of the time
    house = House(work / "open-house")
    house.add_target("web-1", target)
    target.start()
    house.start()
    try:
        taken = asyncio.run(_open(house, target, runs))
    finally:
        house.stop()
        target.stop()
    added = sorted(ours - plain for ours, plain in zip(taken["bastion"], taken["direct"], strict=True))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    row: dict[str, object] = {
        "name": "added to a whitelisted command on an open connection",
        "unit": "ms",
        "p50": statistics.median(added),
        "p99": added[len(added) * 99 // 100],
        "in_a_row": middle["bastion in a row"] - middle["direct in a row"],
        "median": middle,
    }
    click.echo(
        f"open connection: adds p50 {row['p50']:.1f} ms (goal 3), p99 {row['p99']:.1f} ms (goal 10); "
        f"to one right after another {row['in_a_row']:.1f} ms"
    )
    return row


def crowd(work: Path, levels: tuple[int, ...], seconds: int) -> list[dict[str, object]]:
    """Commands a second of agents that never pause, and what the daemon and the machine spend on them."""
    target = plain_home(work / "crowd-target")
    house = House(work / "crowd-house")
    house.add_target("web-1", target)
    house.configure(LIMITS)
    target.start()
    house.start()
    rows: list[dict[str, object]] = []
    try:
        asyncio.run(_allow(house))
        for agents in levels:
            client = _client(house, "agent-7", "crowd", agents, seconds)
            assert client.stdout is not None
            assert client.stdout.readline() == b"begun\n"
            cpu, idle = processor(house.pid), _idle()
            begun = time.perf_counter()
            took = sorted(json.loads(client.stdout.readline()))
            wall = time.perf_counter() - begun
            spent, free = processor(house.pid) - cpu, _idle() - idle
            client.communicate()
            row = {
                "name": "crowd",
                "agents": agents,
                "commands_per_second": len(took) / wall,
                "p50_ms": took[len(took) // 2] * 1000,
                "p99_ms": took[len(took) * 99 // 100] * 1000,
                "daemon_cores": spent / wall,
                "cpu_ms_each": spent / len(took) * 1000,
                "idle_cores": free / wall,
            }
            rows.append(row)
            click.echo(
                f"crowd: {agents} agents: {row['commands_per_second']:.0f} commands/s, p50 {row['p50_ms']:.0f} ms, p99 "
                f"{row['p99_ms']:.0f} ms; the daemon takes {row['cpu_ms_each']:.1f} ms of processor time each and "
                f"{row['daemon_cores']:.2f} cores, {row['idle_cores']:.2f} of {os.cpu_count()} are idle"
            )
    finally:
        house.stop()
        target.stop()
    return rows


async def _allow(house: House) -> None:
    ana = await house.remote("ana")
    await house.whitelist(ana, b"true")
    await ana.close()


def _idle() -> float:
    """Seconds in which a core of the machine had nothing to do, of all cores together (proc(5))."""
    return int(Path("/proc/stat").read_text().split(maxsplit=5)[4]) / TICKS


WORK = {"hold": _hold, "storm": _storm, "crowd": _crowd}

if __name__ == "__main__":
    _mode, _port, _key, _known, *_numbers = sys.argv[1:]
    asyncio.run(WORK[_mode](int(_port), _key, Path(_known).read_text(), *map(int, _numbers)))
