"""How the daemon bears many at once. The clients are processes of their own, so that their work is not counted.

held      sessions that wait for a person: memory of each, and processor time while nobody does anything
storm     logins offered at a fixed rate for some seconds: how many got through, how long they took
open      a whitelisted command on a connection that is open already, against the same command at the target's sshd
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

from bastion.errors import BastionError
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
    ana = await house.remote("ana")
    await house.whitelist(ana, b"true")
    await ana.close()
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
    taken: dict[str, list[float]] = {"direct": [], "bastion": []}
    for number in range(runs + 5):
        for name, connection in (("direct", plain), ("bastion", ours)):
            begun = time.perf_counter()
            done = await connection.run("true", check=True)
            if done.exit_status != 0:
                raise BastionError("true failed")
            if number >= 5:
                taken[name].append((time.perf_counter() - begun) * 1000)
    for connection in (plain, ours):
        connection.close()
        await connection.wait_closed()
    return taken


def opened(work: Path, runs: int) -> dict[str, object]:
    """A whitelisted command on an open connection: what the bastion adds, its commits to the ledger included."""
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
    row: dict[str, object] = {
        "name": "added to a whitelisted command on an open connection",
        "unit": "ms",
        "p50": statistics.median(added),
        "p99": added[len(added) * 99 // 100],
        "median": {name: statistics.median(values) for name, values in taken.items()},
    }
    click.echo(f"open connection: adds p50 {row['p50']:.1f} ms (goal 3), p99 {row['p99']:.1f} ms (goal 10)")
    return row


if __name__ == "__main__":
    _mode, _port, _key, _known, *_numbers = sys.argv[1:]
    _work = _hold if _mode == "hold" else _storm
    asyncio.run(_work(int(_port), _key, Path(_known).read_text(), *map(int, _numbers)))
