"""How long a key takes to its echo: a real ssh client on a pseudo-terminal, one key at a time, at the prompt.

    native    ssh to the target's sshd, an interactive bash there
    bastion   ssh to the bastion, the governed shell, whose line is edited there

Each alone, and beside a neighbour that pulls bytes as fast as it can through the same door (the same sshd, the same
bastion): what a daemon of one thread could make slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from tests.support.client import Client
from tests.support.governed import plain_home
from tests.support.house import House
from tests.support.sshd import LOGIN

FLOOD = "cat /dev/zero"
KEY = b"x"
GAP_SECONDS = 0.005
"""Between an echo and the next key; nobody types faster than one in 30 ms."""
PROMPT = rb"[$#] (?:\x1b\[[^a-zA-Z]*[a-zA-Z])*\Z"
ENOUGH = 40
"""Keys in a line before it is taken back, so that it never wraps."""


async def one(client: Client) -> float:
    """Seconds from a key to the first byte that comes back."""
    before = len(client.output)
    begun = time.perf_counter()
    os.write(client._master, KEY)
    while len(client.output) == before:
        client._news.clear()
        async with asyncio.timeout(20):
            await client._news.wait()
    return time.perf_counter() - begun


@asynccontextmanager
async def at_prompt(command: Sequence[str]) -> AsyncIterator[Client]:
    client = await Client.start(command, terminal=True)
    try:
        await client.sees(PROMPT)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def neighbour(command: Sequence[str]) -> AsyncIterator[None]:
    """Somebody who downloads for as long as this lasts."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readexactly(1 << 20)  # it flows
    draining = asyncio.create_task(_drain(process.stdout))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await draining


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 20):
        pass


async def measure(
    shells: dict[str, Sequence[str]], bulk: dict[str, Sequence[str]], keys: int
) -> dict[str, list[float]]:
    """Seconds of every key, by `WAY` and `WAY, bulk`."""
    taken: dict[str, list[float]] = {}
    for name, command in shells.items():
        async with at_prompt(command) as client:
            taken[name] = await _keys(client, keys)
            async with neighbour(bulk[name]):
                taken[f"{name}, bulk"] = await _keys(client, keys)
    return taken


async def _keys(client: Client, count: int) -> list[float]:
    found: list[float] = []
    for number in range(count + 10):
        seconds = await one(client)
        if number >= 10:
            found.append(seconds)
        await asyncio.sleep(GAP_SECONDS)
        if number % ENOUGH == ENOUGH - 1:
            os.write(client._master, b"\x15")  # ^U
            await asyncio.sleep(0.05)
    os.write(client._master, b"\x15")
    await asyncio.sleep(0.05)
    return found


def ends(work: Path) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """A shell on a terminal, and a transfer without an end, by way."""
    config = ["ssh", "-F", str(work / "ssh_config")]
    shells = {"native": [*config, "-tt", "native", "exec bash --norc -i"], "bastion": [*config, "-tt", "bastion"]}
    return shells, {name: [*config, name, FLOOD] for name in shells}


async def allow(house: House) -> None:
    ana = await house.remote("ana")
    await house.whitelist(ana, FLOOD.encode())
    await ana.close()


def table(work: Path, keys: int) -> list[dict[str, object]]:
    """Measure and print; the rows for JSON."""
    work.mkdir()
    target, house = plain_home(work / "target"), House(work / "house")
    house.add_target("web-1", target)
    places = {
        "native": (target.port, target.host_key, LOGIN, target.credential),
        "bastion": (house.port, house.host_key, "web-1", house.work / "agent-7"),
    }
    known = work / "known_hosts"
    known.write_text("".join(f"[127.0.0.1]:{port} {key.strip()}\n" for port, key, _, _ in places.values()))
    (work / "ssh_config").write_text(
        f"Host *\n HostName 127.0.0.1\n UserKnownHostsFile {known}\n StrictHostKeyChecking yes\n BatchMode yes\n"
        f" IdentitiesOnly yes\n LogLevel ERROR\n"
        + "".join(
            f"Host {name}\n Port {port}\n User {login}\n IdentityFile {key}\n"
            for name, (port, _, login, key) in places.items()
        )
    )
    try:
        target.start()
        house.start()
        asyncio.run(allow(house))
        taken = asyncio.run(measure(*ends(work), keys))
    finally:
        house.stop()
        target.stop()
    click.echo(f"\n{'echo of a key, ms':24}{'p50':>10}{'p99':>10}")
    rows: list[dict[str, object]] = []
    for name, seconds in taken.items():
        marks = statistics.quantiles(seconds, n=100)
        shown = {"p50": marks[49] * 1000, "p99": marks[98] * 1000}
        click.echo(f"{name:24}{shown['p50']:>10.2f}{shown['p99']:>10.2f}")
        rows.append({"name": f"echo {name}", "unit": "ms", **shown})
    return rows
