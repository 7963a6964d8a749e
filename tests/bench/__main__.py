"""`./dev bench`: what the bastion costs, against what people would use instead, in one run on this machine.

Prints a table, and writes the same with every single run as JSON. tests/bench/README.md says what is measured and how,
where the time goes, and what stands in the way of more.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import (  # noqa: E402 -- found only now
    approved,
    cut,
    decisions,
    echo,
    load,
    record,
    recordings,
    shell,
    transfers,
)
from tests.bench.ways import Ways  # noqa: E402
from tests.support.house import House  # noqa: E402

PARTS = (
    "decisions",
    "transfers",
    "defaults",
    "open",
    "shell",
    "echo",
    "recordings",
    "held",
    "storm",
    "crowd",
    "record",
    "approved",
    "cut",
)


async def allow(house: House, commands: Sequence[str]) -> None:
    """Whitelist the measured commands, as an approver does."""
    ana = await house.remote("ana")
    for command in commands:
        await house.whitelist(ana, command.encode())
    await ana.close()


def compared(work: Path, mib: int, runs: int, bulk_runs: int, *, defaults: bool) -> list[dict[str, object]]:
    """Round trips and transfers by all ways; printed."""
    work.mkdir()
    ways = Ways(work, defaults)
    rows: list[dict[str, object]] = []
    with ways.running():
        for name, why in ways.absent.items():
            click.echo(f"{name}: absent, {why}")
        taken = transfers.measures(work, mib)
        asyncio.run(allow(ways.house, transfers.commands(taken)))
        for measure in taken:
            results = transfers.take(ways, measure, bulk_runs if measure.bytes else runs)
            rows.append(transfers.row(measure, results) | {"ciphers": "defaults" if defaults else "aes128-gcm"})
        click.echo(f"\nciphers: {'each its default' if defaults else 'aes128-gcm for all'}")
        transfers.show(rows, [way.name for way in ways.found])
    return rows


@click.command(help=__doc__)
@click.option("--mib", default=256, show_default=True, help="Size of a bulk transfer.")
@click.option("--runs", default=15, show_default=True, help="Counted runs of the round trip.")
@click.option("--bulk-runs", default=3, show_default=True, help="Counted runs of each transfer.")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Only this part; may be repeated.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), default=Path("build/bench.json"), show_default=True)
@click.option("--levels", default="100,1000", show_default=True, help="How many sessions are held, rising.")
@click.option("--recording-mb", default=100, show_default=True, help="Size of the recording that is sought in.")
@click.option("--recording-seconds", default=30, show_default=True, help="How long sessions are recorded for storage.")
def main(
    mib: int,
    runs: int,
    bulk_runs: int,
    only: tuple[str, ...],
    as_json: Path,
    levels: str,
    recording_mb: int,
    recording_seconds: int,
) -> None:
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="bastion-bench-") as name:
        work = Path(name)
        for part in only or PARTS:
            click.echo(f"{part} ...", err=True)
            match part:
                case "decisions":
                    rows.append(decide())
                case "transfers":
                    rows += compared(work / part, mib, runs, bulk_runs, defaults=False)
                case "defaults":
                    rows += compared(work / part, mib, runs, bulk_runs, defaults=True)
                case "open":
                    rows.append(load.opened(work, runs * 20))
                case "held":
                    rows += load.held(work, tuple(int(level) for level in levels.split(",")))
                case "storm":
                    rows.append(load.storm(work, 200, 5))
                case "crowd":
                    rows += load.crowd(work, (1, 4, 16), 5)
                case "record":
                    rows += record.table(work / part, 5)
                case "approved":
                    rows += approved.table(work / part, runs)
                case "cut":
                    rows += cut.table(work, runs)
                case "shell":
                    rows += shell.table(work, runs)
                case "recordings":
                    rows += recordings.table(work / part, recording_mb, 1000, recording_seconds)
                case "echo":
                    rows += echo.table(work / part, runs * 20)
    click.echo("\nmedians; MB/s: more is better, ms: less; one machine, loopback, new connections")
    as_json.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    as_json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def decide() -> dict[str, object]:
    """The figures of a decision; printed."""
    found = decisions.measure()
    cells = ", ".join(f"{name} {found[name]:.2f} ms (goal {goal} ms)" for name, goal in decisions.GOALS.items())
    click.echo(f"decision, 500 rules, 10,000 whitelist entries: {cells}")
    return {"name": "decision", "unit": "ms", "found": found, "goals": decisions.GOALS}


if __name__ == "__main__":
    main()
