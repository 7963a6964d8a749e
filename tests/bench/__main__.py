"""`./dev bench`: what the bastion costs, against what people would use instead, in one run.

Three ways to the same OpenSSH target on loopback, taken in turn (A B C A B C …), so that a slow moment of the machine
hits all of them; medians, and ratios of them. Every way uses the same ssh client, the same cipher and a new connection
for each measurement; the bastion records, writes its ledger with fsync, and checks its whitelist.

    direct    ssh to the target's sshd
    jump      ssh -J through a second OpenSSH sshd, which records nothing
    bastion   ssh to the bastion, command whitelisted
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import decisions, shell  # noqa: E402 -- found only now
from tests.support.house import House  # noqa: E402
from tests.support.sshd import LOGIN, Sshd  # noqa: E402

CIPHER = "aes128-gcm@openssh.com"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the target."""

    name: str
    command: Callable[[str], list[str]]
    """ssh's command line for a command on the target."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured."""

    name: str
    unit: str
    remote: str
    """The command on the target."""
    source: Path | None
    """Fed to stdin; None: /dev/null."""
    bytes: int
    """Transferred; 0: the time itself is the figure."""


def ways(work: Path, house: House, target: Sshd, jump: Sshd) -> list[Way]:
    """The three ways."""
    known = work / "known_hosts"
    known.write_text(
        "".join(f"[127.0.0.1]:{sshd.port} {sshd.host_key.strip()}\n" for sshd in (target, jump))
        + f"[127.0.0.1]:{house.port} {house.host_key}\n"
    )
    config = work / "ssh_config"
    config.write_text(
        f"Host *\n HostName 127.0.0.1\n UserKnownHostsFile {known}\n StrictHostKeyChecking yes\n IdentitiesOnly yes\n"
        f" BatchMode yes\n Ciphers {CIPHER}\n LogLevel ERROR\n"
        f"Host direct inner\n Port {target.port}\n User {LOGIN}\n IdentityFile {target.credential}\n"
        f"Host inner\n ProxyJump hop\n"
        f"Host hop\n Port {jump.port}\n User {LOGIN}\n IdentityFile {jump.credential}\n"
        f"Host bastion\n Port {house.port}\n User web-1\n IdentityFile {house.work / 'agent-7'}\n"
    )

    def way(name: str, host: str) -> Way:
        return Way(name, lambda remote: ["ssh", "-F", str(config), host, remote])

    return [way("direct", "direct"), way("jump", "inner"), way("bastion", "bastion")]


def once(way: Way, measure: Measure) -> float:
    """Seconds for one run. Raises CalledProcessError if it did not work."""
    source = measure.source.open("rb") if measure.source else subprocess.DEVNULL
    begun = time.perf_counter()
    subprocess.run(way.command(measure.remote), stdin=source, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def measure_all(all_ways: Sequence[Way], measure: Measure, runs: int) -> dict[str, list[float]]:
    """Seconds of every run, by way; one run of each first, not counted."""
    taken: dict[str, list[float]] = {way.name: [] for way in all_ways}
    for number in range(runs + 1):
        for way in all_ways:
            seconds = once(way, measure)
            if number:
                taken[way.name].append(seconds)
        click.echo(f"  {measure.name}: {number}/{runs}", err=True)
    return taken


def figure(measure: Measure, seconds: float) -> float:
    """Milliseconds, or MB/s."""
    return measure.bytes / seconds / 1e6 if measure.bytes else seconds * 1000


async def allow(house: House, commands: Sequence[str]) -> None:
    """Whitelist the measured commands, as an approver does."""
    ana = await house.remote("ana")
    for command in commands:
        await house.whitelist(ana, command.encode())
    await ana.close()


@click.command(help=__doc__)
@click.option("--mib", default=256, show_default=True, help="Size of a bulk transfer.")
@click.option("--runs", default=15, show_default=True, help="Counted runs of the round trip.")
@click.option("--bulk-runs", default=3, show_default=True, help="Counted runs of each transfer.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write the figures there, too.")
@click.option("--decisions-only", is_flag=True, help="Only risk, policy and whitelist, without sshd.")
def main(mib: int, runs: int, bulk_runs: int, as_json: Path | None, decisions_only: bool) -> None:
    decide()
    if decisions_only:
        return
    with tempfile.TemporaryDirectory(prefix="bastion-bench-") as name:
        work = Path(name)
        data = work / "data"
        with data.open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
        measures = [
            (Measure("round trip of `true`", "ms", "true", None, 0), runs),
            (Measure("download", "MB/s", f"cat {data}", None, mib << 20), bulk_runs),
            (Measure("upload", "MB/s", "cat >/dev/null", data, mib << 20), bulk_runs),
        ]
        target, jump = Sshd(work / "target", extra="MaxStartups 100"), Sshd(work / "jump", extra="MaxStartups 100")
        house = House(work / "house")
        house.add_target("web-1", target)
        try:
            target.start()
            jump.start()
            house.start()
            asyncio.run(allow(house, [measure.remote for measure, _ in measures]))
            all_ways = ways(work, house, target, jump)
            results = {measure: measure_all(all_ways, measure, count) for measure, count in measures}
        finally:
            house.stop()
            jump.stop()
            target.stop()
        rows = shell.table(work, runs)
    report(results, rows, as_json)


def decide() -> None:
    """The figures of a decision."""
    found = decisions.measure()
    cells = ", ".join(f"{name} {found[name]:.2f} ms (goal {goal} ms)" for name, goal in decisions.GOALS.items())
    click.echo(f"decision, 500 rules, 10,000 whitelist entries: {cells}")


def report(
    results: dict[Measure, dict[str, list[float]]], more: Sequence[dict[str, object]], as_json: Path | None
) -> None:
    """The table, and the same as JSON with the rows that were printed before."""
    rows: list[dict[str, object]] = []
    click.echo(f"{'':24}{'direct':>10}{'jump':>10}{'bastion':>10}   bastion is")
    for measure, taken in results.items():
        medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
        shown = {name: figure(measure, seconds) for name, seconds in medians.items()}
        # For times and for rates alike: how many times the other's time the bastion takes, or rate it reaches.
        ratio = {other: shown["bastion"] / shown[other] for other in ("direct", "jump")}
        cells = "".join(f"{shown[name]:>10.1f}" for name in ("direct", "jump", "bastion"))
        click.echo(
            f"{measure.name + ', ' + measure.unit:24}{cells}   {ratio['direct']:.2f}x direct, {ratio['jump']:.2f}x jump"
        )
        rows.append({"name": measure.name, "unit": measure.unit, "median": shown, "ratio": ratio, "seconds": taken})
    click.echo("medians; round trip: less is better, transfer: more is better; one machine, loopback, new connections")
    if as_json:
        as_json.write_text(json.dumps([*rows, *more], indent=1) + "\n")


if __name__ == "__main__":
    main()
