"""requirements.lock: hash-pinned, complete, and silent about where it came from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

BLOCK = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)(?: ;[^\\\n]+)?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)
COMMENT = re.compile(r"(?:    #[^\n]*\n)+")


def blocks() -> dict[str, str]:
    """Name to version; fails on a line that is neither a pin with its hashes nor a comment."""
    found, at = {}, 0
    while at < len(LOCK):
        match = BLOCK.match(LOCK, at) or COMMENT.match(LOCK, at)
        assert match, f"not a pin with hashes: {LOCK[at : at + 80]!r}"
        if match.re is BLOCK:
            found[canonicalize_name(match["name"])] = match["version"]
        at = match.end()
    return found


def test_every_line_is_a_pin_with_hashes_or_a_comment() -> None:
    assert len(blocks()) > 20


def test_names_no_index() -> None:
    assert not re.search(r"https?:|--(?:extra-)?index|--find-links|file:|@ ", LOCK)


@pytest.mark.parametrize("line", [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]])
def test_holds_what_pyproject_asks_for(line: str) -> None:
    """A dependency that was added or moved without `./dev lock`."""
    wanted = Requirement(line)
    assert wanted.specifier.contains(blocks()[canonicalize_name(wanted.name)])
