"""The corpus, read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("corpus.toml")

SHORT = 200
"""Bytes that still stand on a screen as a whole, whatever their marks."""


@dataclass(frozen=True, slots=True)
class Case:
    """One command that tries to look like another."""

    name: str
    data: bytes
    twin: bytes

    @property
    def short(self) -> bool:
        return len(self.data) <= SHORT


def _case(row: dict[str, Any]) -> Case:
    data = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()
    data = data * row.get("repeat", 1) + row.get("tail", "").encode()
    return Case(row["name"], data, row["twin"].encode())


CASES = [_case(row) for row in tomllib.loads(FILE.read_text("utf-8"))["case"]]
SHORT_CASES = [case for case in CASES if case.short]
CONSOLE_CASES = SHORT_CASES[::5]
"""For what takes a second a case: some of every family."""
