"""The project's own labelled commands: what is unsafe is never low, what only reads mostly is.

`cases/*.jsonl` hold one command a line with its label, written from man pages and tldr pages before the classifier was
asked: `read-only` (calling it low is right), `must-not-be-low` and `state-changing` (calling it low is a hole),
`destructive` (never low, and should be high).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bastion.model import Tier
from bastion.policy.risk import assess

FILES = sorted((Path(__file__).parent / "cases").glob("*.jsonl"))
UNSAFE = ("must-not-be-low", "state-changing", "destructive")
ALLOWED = 0.9
"""Share of read-only commands that must be low, at least."""
HIGH = 0.9
"""Share of destructive commands that must be high, at least."""


def cases(file: Path, *labels: str) -> list[str]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row["command"] for row in rows if row["label"] in labels]


def tiers(commands: list[str]) -> dict[str, Tier]:
    return {command: assess(command.encode()).tier for command in commands}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_unsafe_is_low(file: Path) -> None:
    found = tiers(cases(file, *UNSAFE))
    assert found
    assert [command for command, tier in found.items() if tier is Tier.LOW] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_only_reads_is_mostly_low(file: Path) -> None:
    found = tiers(cases(file, "read-only"))
    asked = [command for command, tier in found.items() if tier is not Tier.LOW]
    assert len(asked) <= (1 - ALLOWED) * len(found), asked


def test_what_destroys_is_mostly_high() -> None:
    found = tiers([command for file in FILES for command in cases(file, "destructive")])
    softer = [command for command, tier in found.items() if tier is not Tier.HIGH]
    assert len(softer) <= (1 - HIGH) * len(found), softer
