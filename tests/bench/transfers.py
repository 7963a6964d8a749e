"""Round trips and transfers by every way, taken in turn (A B C A B C …), so that a slow moment of the machine hits all.

The first run of each is not counted, and is checked instead: what came is what was sent, byte for byte.
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.bench.ways import Way, Ways

SECONDS = 600
"""For one run; a way that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured."""

    name: str
    unit: str
    remote: str
    """The command on the target."""
    source: Path | None = None
    """Fed to stdin; None: /dev/null."""
    bytes: int = 0
    """Transferred; 0: the time itself is the figure."""
    check: str = ""
    """A command whose output is looked at, in the run that does not count; empty: `remote` itself."""
    expected: str = ""
    """SHA-256 of that output; empty: nothing is looked at."""

    def figure(self, seconds: float) -> float:
        """Milliseconds, or MB/s."""
        return self.bytes / seconds / 1e6 if self.bytes else seconds * 1000


@dataclass(slots=True)
class Result:
    """What was measured of one way."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    failed: str = ""


def measures(work: Path, mib: int) -> tuple[Measure, Measure, Measure]:
    """The round trip, and a file of random bytes both ways."""
    data = work / "data"
    digest = hashlib.sha256()
    with data.open("wb") as file, Path("/dev/urandom").open("rb") as source:
        for _ in range(mib):
            block = source.read(1 << 20)
            digest.update(block)
            file.write(block)
    size = mib << 20
    said = hashlib.sha256(f"{digest.hexdigest()}  -\n".encode()).hexdigest()
    return (
        Measure("round trip of `true`", "ms", "true"),
        Measure("download", "MB/s", f"cat {data}", None, size, expected=digest.hexdigest()),
        Measure(
            "upload", "MB/s", f"head -c {size} >/dev/null", data, size, f"head -c {size} | sha256sum", expected=said
        ),
    )


def commands(all_measures: Sequence[Measure]) -> list[str]:
    """All that runs on the target."""
    return [command for each in all_measures for command in (each.remote, each.check) if command]


def _run(way: Way, remote: str, source: Path | None, output: int) -> None:
    with (source or Path("/dev/null")).open("rb") as stdin:
        subprocess.run(way.ssh(remote), stdin=stdin, stdout=output, stderr=subprocess.PIPE, check=True, timeout=SECONDS)


def _check(way: Way, measure: Measure) -> None:
    """The run that does not count. Raises ValueError when something else came than was sent."""
    with tempfile.TemporaryFile() as output:
        _run(way, measure.check or measure.remote, measure.source, output.fileno())
        output.seek(0)
        if measure.expected and hashlib.file_digest(output, "sha256").hexdigest() != measure.expected:
            raise ValueError("other bytes came than were sent")


def take(ways: Ways, measure: Measure, runs: int) -> dict[str, Result]:
    """By way."""
    results = {way.name: Result() for way in ways.found}
    for number in range(runs + 1):
        for way in ways.found:
            result = results[way.name]
            if result.failed:
                continue
            cpu, written = way.cpu(), way.written()
            begun = time.perf_counter()
            try:
                if number == 0:
                    _check(way, measure)
                    continue
                _run(way, measure.remote, measure.source, subprocess.DEVNULL)
                ended = time.perf_counter()
            except subprocess.CalledProcessError as error:
                result.failed = error.stderr.decode(errors="replace").strip().rpartition("\n")[2][:100]
                result.failed = result.failed or f"exit status {error.returncode}"
            except (subprocess.TimeoutExpired, ValueError) as error:
                result.failed = str(error)[:100]
            else:
                result.seconds.append(ended - begun)
                result.cpu.append(way.cpu() - cpu)
                result.written.append(way.written() - written)
        click.echo(f"  {measure.name}: {number}/{runs}", err=True)
    return results


def row(measure: Measure, results: dict[str, Result]) -> dict[str, object]:
    """Medians and ratios, for JSON. `ratio`: the bastion's figure over another's."""
    figures = {
        name: measure.figure(statistics.median(result.seconds)) for name, result in results.items() if result.seconds
    }
    own = figures.get("bastion")
    gib = measure.bytes / (1 << 30)
    return {
        "name": measure.name,
        "unit": measure.unit,
        "bytes": measure.bytes,
        "median": figures,
        "ratio": {name: own / value for name, value in figures.items() if own is not None and name != "bastion"},
        "cpu_seconds_per_gib": {
            name: statistics.median(result.cpu) / gib for name, result in results.items() if result.cpu and gib
        },
        "written_per_byte": {
            name: statistics.median(result.written) / measure.bytes
            for name, result in results.items()
            if result.written and measure.bytes
        },
        "seconds": {name: result.seconds for name, result in results.items()},
        "failed": {name: result.failed for name, result in results.items() if result.failed},
    }


def show(rows: Sequence[dict[str, object]], names: Sequence[str]) -> None:
    """The table."""
    click.echo(f"{'':26}" + "".join(f"{name:>10}" for name in names))
    for each in rows:
        for title, key in (("", "median"), (" bastion is, x", "ratio")):
            values = each[key]
            assert isinstance(values, dict)
            label = f"{each['name']}, {each['unit']}" if key == "median" else title
            digits = 1 if key == "median" else 2
            cells = "".join(f"{values[name]:>10.{digits}f}" if name in values else f"{'-':>10}" for name in names)
            click.echo(f"{label:26}{cells}")
        for title, key in ((" CPU s/GiB", "cpu_seconds_per_gib"), (" written/byte", "written_per_byte")):
            values = each[key]
            assert isinstance(values, dict)
            if values:
                cells = "".join(f"{values[name]:>10.2f}" if values.get(name) else f"{'-':>10}" for name in names)
                click.echo(f"{title:26}{cells}")
        failed = each["failed"]
        assert isinstance(failed, dict)
        for name, why in failed.items():
            click.echo(f"  {name}: {why}")
