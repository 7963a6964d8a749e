"""Labelled commands that lie beside the project, judged: what is missed, and what is let through.

    python -m tests.support.corpus [--misses] [DIRECTORY]

A set is a file `commands/NAME.jsonl` of rows with `command` and `label`: `read-only`, `must-not-be-low`,
`state-changing`, `destructive` or `not-destructive`. The directory is DIRECTORY, `BASTION_CORPUS`, or `shared/corpus`
beside the repository. Nothing of it is run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bastion.model import Assessment, Tier
from bastion.policy.risk import assess

UNSAFE = frozenset(("must-not-be-low", "state-changing", "destructive"))


@dataclass(slots=True)
class Result:
    """One set, judged."""

    name: str
    count: dict[str, int] = field(default_factory=dict)
    """Rows by label."""
    misses: dict[str, list[tuple[str, Assessment]]] = field(default_factory=dict)
    """By what is wrong: `hole`, `asked`, `soft`, `harsh`."""
    seconds: list[float] = field(default_factory=list)

    def share(self, label: str, wrong: str) -> float | None:
        """Of the rows with this label, how many are right; None without rows."""
        rows = self.count.get(label, 0)
        return 1 - len(self.misses.get(wrong, ())) / rows if rows else None

    @property
    def holes(self) -> list[str]:
        """Unsafe commands that are called low."""
        return [command for command, _ in self.misses.get("hole", ())]


def directory() -> Path | None:
    """Where the labelled sets are, if they are here."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "corpus"
    given = Path(os.environ.get("BASTION_CORPUS") or beside)
    return given if (given / "commands").is_dir() else None


def judge(path: Path) -> Iterator[Result]:
    """Every set in a directory, in order of name."""
    for file in sorted((path / "commands").glob("*.jsonl")):
        result = Result(file.stem)
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            started = time.perf_counter()
            found = assess(row["command"].encode())
            result.seconds.append(time.perf_counter() - started)
            result.count[row["label"]] = result.count.get(row["label"], 0) + 1
            for wrong in _wrong(row["label"], found.tier):
                result.misses.setdefault(wrong, []).append((row["command"], found))
        yield result


def _wrong(label: str, tier: Tier) -> Iterator[str]:
    if label in UNSAFE and tier is Tier.LOW:
        yield "hole"
    if label == "read-only" and tier is not Tier.LOW:
        yield "asked"
    if label == "destructive" and tier is not Tier.HIGH:
        yield "soft"
    if label == "not-destructive" and tier is Tier.HIGH:
        yield "harsh"


def main(words: list[str]) -> int:
    """Print the table; 1 when something unsafe is low, 2 when there is nothing to judge."""
    given = [word for word in words if not word.startswith("--")]
    path = Path(given[0]) if given else directory()
    if path is None:
        print("no labelled sets here (BASTION_CORPUS names their directory)", file=sys.stderr)
        return 2
    results = list(judge(path))
    print(f"{'set':18}{'unsafe':>7}{'low':>5}{'read-only':>11}{'low':>7}{'destructive high':>18}{'other high':>12}")
    for one in results:
        unsafe = sum(rows for label, rows in one.count.items() if label in UNSAFE)
        harsh = one.share("not-destructive", "harsh")
        cells = (
            one.share("read-only", "asked"),
            one.share("destructive", "soft"),
            None if harsh is None else 1 - harsh,
        )
        shown = ["-" if cell is None else f"{100 * cell:.1f}%" for cell in cells]
        reads = one.count.get("read-only", 0)
        print(f"{one.name:18}{unsafe:7}{len(one.holes):5}{reads:11}{shown[0]:>7}{shown[1]:>18}{shown[2]:>12}")
    spent = sorted(second for one in results for second in one.seconds)
    marks = ", ".join(f"p{mark} {1000 * spent[len(spent) * mark // 100]:.2f} ms" for mark in (50, 95, 99))
    print(f"{len(spent)} commands, {marks}")
    if "--misses" in words:
        for one in results:
            for wrong, rows in one.misses.items():
                for command, found in rows:
                    print(f"{one.name} {wrong}: {command!r}: {found.score} {found.reasons[0]!r}")
    return 1 if any(one.holes for one in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
