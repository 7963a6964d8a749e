"""`./dev soak`: many agents at once, for a long time, who do everything that agents do; then the books are checked.

    python -m tests.soak --minutes 30 --sessions 200

Fails when a session or a command is left open in the ledger, when an agent was told another end than the ledger says,
when the record does not verify, when the daemon's log tells of an exception, or when its memory grows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import click

from tests.soak.soak import Soak


@click.command(help=__doc__)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--sessions", default=200, show_default=True, help="Agents at once, each on a connection of its own.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write the figures there, too.")
def main(minutes: float, sessions: int, as_json: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="bastion-soak-") as work:
        soak = Soak(Path(work), sessions)
        report = asyncio.run(soak.run(minutes * 60, say=lambda line: click.echo(line, err=True)))
    click.echo(json.dumps(report.figures, indent=1))
    if as_json:
        as_json.write_text(json.dumps(report.figures, indent=1) + "\n")
    for fault in report.faults:
        click.echo(f"soak: {fault}", err=True)
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
