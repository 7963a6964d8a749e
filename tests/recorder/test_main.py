"""`python -m recorder`, as an auditor runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.keys import LedgerKey
from recorder.verify import verify
from tests.recorder.stories import Story

Tell = Callable[[Callable[[Story], object]], Path]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recorder", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verify(told: Tell, key: LedgerKey, tmp_path: Path) -> None:
    store = told(Story.everything)
    anchor = verify(store).head
    done = run("verify", store, "--head", anchor)
    assert done.returncode == 0
    assert done.stdout.startswith("OK: ")
    (tmp_path / "log.pub").write_text(key.line + "\n")
    report = json.loads(run("verify", store, "--key", tmp_path / "log.pub", "--json").stdout)
    assert (report["verdict"], report["good"], report["head"], report["notes"]) == ("OK", True, anchor, [])
    behind = run("verify", store, "--head", f"999:{'0' * 64}")
    assert (behind.returncode, behind.stdout.startswith("ROLLBACK at entry 17: ")) == (1, True)


@pytest.mark.parametrize(
    "words", [["verify", "/nowhere"], ["verify", "/tmp", "--head", "x"], ["head", "/"], ["verify"], ["nothing"]]
)
def test_broken_input_is_one_line_and_status_2(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_head_list_cast_export(told: Tell, tmp_path: Path) -> None:
    store = told(Story.everything)
    assert run("head", store).stdout.split()[-1] == verify(store).head
    lines = run("list", store, "--session", "s-1", "--type", "request.decided").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["request.decided"] * 4
    assert [line.split()[2] for line in lines] == ["ana", "ana", "ben", "bastion"]
    entry = json.loads(run("list", store, "--limit", 1, "--json").stdout)
    assert entry["type"] == "store.created"
    assert json.loads(run("cast", store, "s-2").stdout.splitlines()[0])["version"] == 3
    assert run("cast", store, "s-2", "--format", "txt").stdout == "red\n"
    assert run("cast", store, "s-7").returncode == 2
    assert run("export", store, tmp_path / "out").returncode == 0
    assert run("verify", tmp_path / "out").returncode == 0
