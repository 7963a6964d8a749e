"""docs/architecture.md is a map: every place on it is there, and every promise is on it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_every_place_is_there() -> None:
    named = set(re.findall(r"`((?:bastion|recorder|tui|tests)/[^`\s]+)`", TEXT))
    assert len(named) > 50
    assert [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_promise_is_on_it() -> None:
    promised = re.findall(r"^\| (P\d+) \|", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"^\| (P\d+) \|", TEXT, re.MULTILINE) == [each for each in promised if each != "P10"]
    assert "SECURITY.md" in TEXT  # the tenth: to say what is not protected
