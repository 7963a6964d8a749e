"""How fast somebody is cut off: from the call that ends a session, or revokes an identity, to the last byte that the
agent gets of its running command, and to the end of its channel. Both calls write their entry to the ledger first."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import asyncssh
import click

from bastion.control import wire
from bastion.control.client import Client
from tests.support.governed import plain_home
from tests.support.house import House
from tests.support.keys import make_key

TALKS = "while :; do echo x; sleep 0.005; done"
"""A command that says something every 5 ms, which is so the least that can be told of the last byte."""
HEARD = 5
"""Words of it that come before it is cut."""


async def _talking(house: House, who: str) -> tuple[asyncssh.SSHClientConnection, asyncssh.SSHClientProcess[bytes]]:
    connection = await asyncssh.connect(
        "127.0.0.1",
        house.port,
        username="web-1",
        client_keys=[str(house.work / who)],
        known_hosts=f"[127.0.0.1]:{house.port} {house.host_key}\n".encode(),
        config=None,
    )
    process = await connection.create_process(TALKS, encoding=None)
    for _ in range(HEARD):
        await process.stdout.readline()
    return connection, process


async def _cut(process: asyncssh.SSHClientProcess[bytes], call: asyncio.Task[object]) -> tuple[float, float]:
    """Milliseconds from now to the last byte, and to the end."""
    begun = last = time.perf_counter()
    while await process.stdout.read(4096):
        last = time.perf_counter()
    await process.wait_closed()
    ended = time.perf_counter()
    await call
    return (last - begun) * 1000, (ended - begun) * 1000


async def _measure(house: House, runs: int) -> dict[str, list[tuple[float, float]]]:
    root = await house.local()
    found: dict[str, list[tuple[float, float]]] = {"kill": [], "revoke": []}
    await house.whitelist(root, TALKS.encode())
    for number in range(runs):
        connection, process = await _talking(house, "agent-7")
        (session,) = [each for each in await _sessions(root) if each.state == "open"]
        call = root.call(wire.KillSession, wire.SessionInfo, session=session.id, reason="measured")
        found["kill"].append(await _cut(process, asyncio.create_task(call)))
        connection.abort()

        who = f"agent-{100 + number}"
        key = make_key(house.work / who)
        await root.call(wire.AddIdentity, wire.IdentityInfo, name=who, kind="agent", roles=[], key=key)
        await house.whitelist(root, TALKS.encode(), identity=who)
        connection, process = await _talking(house, who)
        call_ = root.call(wire.RevokeIdentity, wire.IdentityInfo, name=who, reason="measured")
        found["revoke"].append(await _cut(process, asyncio.create_task(call_)))
        connection.abort()
    await root.close()
    return found


async def _sessions(root: Client) -> list[wire.SessionInfo]:
    return await root.call(wire.ListSessions, list[wire.SessionInfo])


def table(work: Path, runs: int) -> list[dict[str, object]]:
    """Measured and printed."""
    target = plain_home(work / "cut-target")
    house = House(work / "cut-house")
    house.add_target("web-1", target)
    target.start()
    house.start()
    try:
        found = asyncio.run(_measure(house, runs))
    finally:
        house.stop()
        target.stop()
    rows: list[dict[str, object]] = []
    for name, times in found.items():
        last, ended = zip(*times, strict=True)
        row = {
            "name": f"{name} to cut",
            "unit": "ms",
            "last_byte": {"p50": statistics.median(last), "most": max(last)},
            "end": {"p50": statistics.median(ended), "most": max(ended)},
        }
        rows.append(row)
        click.echo(
            f"{name}: the agent's last byte after p50 {statistics.median(last):.0f} ms, at most {max(last):.0f}; its "
            f"channel's end after {statistics.median(ended):.0f} ms, at most {max(ended):.0f} (goal 100)"
        )
    return rows
