"""From an approval to the first byte of the command's output at the agent, by credential; the time that a person sees.

Each command is held on a target of its own name, so that no connection of an earlier one is there. The client is in
this process, and the vote is one call on a control connection that is open. The target is at hand, or far away: then
round trips count, which a busy machine hides otherwise.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path

import asyncssh
import click

from bastion.admin import administering
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.relay import Relay
from tests.support.sshd import LOGIN, Sshd

SETTLE_SECONDS = 0.3
"""Between the word that it is held and the vote: nobody reads faster."""

FAR_SECONDS = 0.05
"""Each way to a target far away: a round trip of 100 ms."""


def table(work: Path, runs: int) -> list[dict[str, object]]:
    """A row a credential, in ms; printed."""
    return asyncio.run(_table(work, runs))


async def _table(work: Path, runs: int) -> list[dict[str, object]]:
    house = House(work / "house")
    # sshd reads the authority's file as root, and wants nobody else to be able to write it
    place = Path("/run/sshd") if os.geteuid() == 0 else work
    place.mkdir(mode=0o755, exist_ok=True)
    ca = place / f"bastion-bench-ca-{os.getpid()}"
    ca.write_bytes(house.config.upstream_ca.with_suffix(".pub").read_bytes())
    target = Sshd(work / "target", extra=f"TrustedUserCAKeys {ca}\nMaxStartups 100")
    target.start()
    rows: list[dict[str, object]] = []
    far = Relay(target.port, FAR_SECONDS)
    await far.__aenter__()
    try:
        with administering(house.config, "local:0") as admin:
            for kind, credential, port in (
                ("key", f"key:{target.credential}", target.port),
                ("ca", "ca", target.port),
                ("far-key", f"key:{target.credential}", far.port),
                ("far-ca", "ca", far.port),
            ):
                for run in range(runs + 1):
                    address = f"127.0.0.1:{port}"
                    admin.add_target(f"{kind}-{run}", address, [LOGIN], "test", [target.host_key], credential)
        house.start()
        ana = await house.remote("ana")
        for kind in ("key", "ca", "far-key", "far-ca"):
            settle = SETTLE_SECONDS + (20 * FAR_SECONDS if kind.startswith("far") else 0)
            took = [await _once(house, ana, f"{kind}-{run}", settle) for run in range(runs + 1)][
                1:
            ]  # the first starts the mint
            row: dict[str, object] = {
                "name": f"approval to first byte, {kind}", "unit": "ms", "p50": statistics.median(took) * 1e3,
                "least": min(took) * 1e3, "most": max(took) * 1e3,
            }  # fmt: skip
            click.echo(f"{row['name']}: p50 {row['p50']:.0f} ms, least {row['least']:.0f}, most {row['most']:.0f}")
            rows.append(row)
        await ana.close()
    finally:
        house.stop()
        target.stop()
        await far.__aexit__()
        ca.unlink()
    return rows


async def _once(house: House, ana: Client, target: str, settle: float) -> float:
    known = f"[127.0.0.1]:{house.port} {house.host_key}\n".encode()
    key = str(house.work / "agent-7")
    async with asyncssh.connect(
        "127.0.0.1", house.port, username=target, client_keys=[key], known_hosts=known, config=None
    ) as connection:
        process = await connection.create_process("echo first", encoding=None)
        info = await house.held(ana, b"echo first")
        await asyncio.sleep(settle)
        begun = time.perf_counter()
        voted = asyncio.ensure_future(ana.vote(info, Choice.APPROVE, "fine"))
        await process.stdout.readexactly(1)
        took = time.perf_counter() - begun
        await voted
        await process.wait()
    return took
