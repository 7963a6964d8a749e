"""Commands that run a script of the target: its content is shown, bound, and compared where it runs. Promise P2."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import ROOT, House
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "it's here").mkdir()
    path = tmp_path / "it's here" / "deploy.sh"
    path.write_text("#!/bin/sh\necho ran with $1\n")
    path.chmod(0o755)
    return path


def line(script: Path) -> str:
    quoted = str(script).replace("'", "'\\''")
    return f"'{quoted}' now"


async def test_shown_and_run(house: House, ana: Client, script: Path) -> None:
    for command in (line(script), f"bash {line(script)}"):
        process = await house.ssh("web-1", command, stdin=b"")
        assert process.stdin is not None
        process.stdin.close()
        held = await house.held(ana, command.encode())
        assert (held.script, held.script_code) == (str(script), script.read_bytes())
        await house.decide(ana, command=command.encode())
        outcome = await house.finish(process)
        assert (outcome.status, outcome.stdout) == (0, b"ran with now\n"), outcome.stderr


async def test_behind_cd_in_a_shell_and_by_make(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("echo ran\n")
    (tmp_path / "Makefile").write_text("include other.mk\nall:\n\t@echo ran\n")
    (tmp_path / "other.mk").write_text("")
    for command, name in (
        (f"cd {tmp_path} && sh x", "x"), (f"sh -c 'sh {tmp_path}/x && sleep 0'", "x"),
        (f"make -C {tmp_path} -s", "Makefile"),
    ):  # fmt: skip
        process = await house.ssh("web-1", command, stdin=b"")
        assert process.stdin is not None
        process.stdin.close()
        held = await house.held(ana, command.encode())
        assert (held.script, held.script_code) == (str(tmp_path / name), (tmp_path / name).read_bytes())
        assert ("includes other.mk, which is not shown" in " ".join(held.reasons)) is (name == "Makefile")
        await house.decide(ana, command=command.encode())
        outcome = await house.finish(process)
        assert outcome.stdout.startswith(b"ran\n"), outcome.stderr


async def test_nothing_but_files_is_opened(house: House, ana: Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    other = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(other, b"for somebody else")
    for name in ("pipe", "link"):
        process = await house.ssh("web-1", f"bash {tmp_path}/{name}", stdin=b"")
        assert process.stdin is not None
        process.stdin.close()
        held = await house.held(ana, f"bash {tmp_path}/{name}".encode())
        assert (held.script, held.script_code) == ("", b"")
        await house.decide(ana, Choice.DENY, "no", command=held.command)
        await house.finish(process)
    assert os.read(other, 100) == b"for somebody else"
    os.close(other)


async def test_changed_while_held(house: House, ana: Client, script: Path) -> None:
    process = await house.ssh("web-1", line(script), stdin=b"")
    assert process.stdin is not None
    process.stdin.close()
    await house.held(ana, line(script).encode())
    script.write_text("#!/bin/sh\necho something else\n")
    await house.decide(ana, command=line(script).encode())
    outcome = await house.finish(process)
    assert (outcome.status, outcome.stdout) == (125, b"")
    assert "does not hold what was approved; it does not run" in outcome.stderr


async def run(house: House, script: Path) -> tuple[int, bytes]:
    outcome = await house.run("web-1", line(script), stdin=b"")
    return outcome.status, outcome.stdout


async def test_remembered_for_that_content_only(house: House, ana: Client, script: Path) -> None:
    proposal = await ana.propose(command=line(script).encode(), identity="agent-7", target="web-1", login=LOGIN)
    assert proposal.refused == ""
    assert proposal.code
    await ana.remember(proposal)
    assert await run(house, script) == (0, b"ran with now\n")
    before = script.read_bytes()
    script.write_text("#!/bin/sh\necho something else\n")
    waiting = await house.ssh("web-1", line(script), stdin=b"")
    assert waiting.stdin is not None
    waiting.stdin.close()
    held = await house.held(ana, line(script).encode())
    assert held.script_code == script.read_bytes()
    await house.decide(ana, Choice.DENY, "changed", command=line(script).encode())
    assert (await house.finish(waiting)).status == 126
    script.write_bytes(before)
    assert await run(house, script) == (0, b"ran with now\n")


async def test_what_cannot_be_read_is_not_bound(house: House, ana: Client, script: Path) -> None:
    script.write_bytes(b"#!/bin/sh\n" + b"#" * (1 << 20))
    process = await house.ssh("web-1", line(script), stdin=b"")
    assert process.stdin is not None
    process.stdin.close()
    held = await house.held(ana, line(script).encode())
    assert (held.script, held.script_code) == ("", b"")
    await house.decide(ana, Choice.DENY, "no", command=line(script).encode())
    await house.finish(process)
    proposal = await ana.propose(command=line(script).encode(), identity="agent-7", target="web-1", login=LOGIN)
    assert "not remembered" in proposal.refused


async def test_the_ledger_agrees(house: House) -> None:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "verify"]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_no_target_is_asked_for_what_is_denied(tmp_path: Path, sshd: Sshd, script: Path) -> None:
    house = House(tmp_path / "house", 'policy "p" {\n  version 1\n  deny path "**/deploy.sh"\n}\n')
    house.add_target("web-1", sshd)
    house.start()
    try:
        before = (sshd.work / "log").read_text().count("Accepted")
        outcome = await house.run("web-1", line(script), stdin=b"")
        assert outcome.status == 126, outcome.stderr
        assert (sshd.work / "log").read_text().count("Accepted") == before
    finally:
        house.stop()
