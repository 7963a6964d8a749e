"""docs/evidence.md is what a stranger does: its commands are run, one after another, in one shell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.bastion.cli.conftest import ROOT, Shell

TEXT = (ROOT / "docs" / "evidence.md").read_text("utf-8")


def test_every_command_works(tmp_path: Path) -> None:
    from bastion.init import init

    work = tmp_path / "work"
    init(work, host="bastion.example")
    shell = Shell(work)
    shell.key("ana")
    for name in ("ana", "ben"):
        shell.key(name + "-key")
        done = shell("identity", "add", name, "--kind", "human", "--role", "approver", "--key", f"{name}-key.pub")
        assert done.status == 0, done.err
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("bastion", "-m bastion"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    blocks = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    env = {**shell.env, "PATH": f"{programs}:{shell.env['PATH']}"}
    done = subprocess.run(
        ["sh", "-euc", "\n".join(blocks)], cwd=work, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert len(re.findall(r"^ok: 3 entries", done.stdout, re.MULTILINE)) == 3
    assert "OK: 3 entries" in done.stdout
    assert done.stdout.count("Good ") == 2
    assert re.search(r"^watching bastion\.example/[0-9a-f]{8}, 1 key$", done.stdout, re.MULTILINE)


def test_every_verdict_is_explained() -> None:
    from recorder.report import Verdict

    for verdict in Verdict:
        assert f"| `{verdict}` |" in TEXT
