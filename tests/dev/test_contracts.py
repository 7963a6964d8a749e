"""The import contracts in pyproject.toml, broken on purpose in a copy: each must notice, and the copy itself passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, LINT, "--no-cache"]
    return subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "200"}, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The packages and their contracts, to be spoilt."""
    for name in ("bastion", "recorder", "tui"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_all_are_kept(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout


BREACHES = {
    "a file without a place": ("bastion/novel.py", "", "bastion.novel"),
    "a file without a place in control": ("bastion/control/novel.py", "", "bastion.control.novel"),
    "a file without a place in recorder": ("recorder/novel.py", "", "recorder.novel"),
    "a file without a place in tui": ("tui/novel.py", "", "tui.novel"),
    "upwards": ("bastion/policy/novel.py", "import bastion.gate.gate", "bastion.policy.novel -> bastion.gate.gate"),
    "a client that needs the daemon": (
        "bastion/control/client.py",
        "import bastion.broker",
        "bastion.control.client -> bastion.broker",
    ),
    "recorder knows approval": ("recorder/entry.py", "import bastion.model", "recorder.entry -> bastion.model"),
    "tui reaches past the protocol": ("tui/words.py", "import bastion.desk", "tui.words -> bastion.desk"),
    "a clock in policy": ("bastion/policy/novel.py", "import time", "bastion.policy.novel -> time"),
    "a loop in the gate": ("bastion/gate/novel.py", "import asyncio", "bastion.gate.novel -> asyncio"),
    "a widget library in the view": ("tui/view.py", "import textual", "tui.view -> textual"),
    "files in a format": ("recorder/merkle.py", "import os", "recorder.merkle -> os"),
}


@pytest.mark.parametrize(("path", "line", "named"), BREACHES.values(), ids=BREACHES)
def test_breach_is_named(tree: Path, path: str, line: str, named: str) -> None:
    file = tree / path
    file.write_text((file.read_text() if file.exists() else "") + f"\n{line}\n")
    done = lint(tree)
    assert done.returncode == 1
    assert named in done.stdout
