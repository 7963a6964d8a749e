"""The scripted agents against a program that answers as ssh would: what they do when nobody decides, or all breaks.

The real ssh against a real bastion is tests/e2e/test_demo.py; here it is what cannot be had on command that counts.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.demo.agents import AGAIN, Runner
from bastion.demo.scenarios import AGENTS, End
from tests.support.ports import until

LOG_READER = AGENTS[3]

SSH = """\
#!/bin/sh
# ssh -F CONFIG web-1@bastion COMMAND
printf '%s\\n' "$*" >>calls
env | grep '^BASTION_' | sort >>calls
{ANSWER}
"""


class Play:
    """One agent, and what came of it."""

    def __init__(self, work: Path, answer: str) -> None:
        self.work = work
        program = work / "ssh"
        program.write_text(SSH.replace("calls", str(work / "calls")).replace("{ANSWER}", answer))
        program.chmod(0o755)
        self.runner = Runner(str(program), lambda name: work / name, {})
        self.lines: list[str] = []

    async def run(self) -> None:
        await self.runner.play(LOG_READER, self.lines.extend)

    @property
    def calls(self) -> list[str]:
        return (self.work / "calls").read_text().splitlines()

    @property
    def commands(self) -> list[str]:
        return [line.partition("web-1@bastion ")[2] for line in self.calls if line.startswith("-F ")]


READ, OBEY, COUNT = (step.command for step in LOG_READER.steps)


async def test_what_ssh_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's own configuration and intent, and nothing of whoever started the demo."""
    monkeypatch.setenv("BASTION_CONFIG", "/etc/elsewhere.toml")
    monkeypatch.setenv("BASTION_OUTPUT", "json")
    play = Play(tmp_path, "exit 0")
    await play.run()
    assert play.calls[:3] == [
        f"-F {tmp_path}/log-reader web-1@bastion {READ}",
        "BASTION_REASON=find out why card payments fail",
        "BASTION_TASK=why do card payments fail?",
    ]
    assert play.commands == [READ, OBEY, COUNT]
    assert set(play.runner.ends.values()) == {End.RAN}
    assert play.runner.failed == []


async def test_silence_is_asked_about_once_and_then_a_no(tmp_path: Path) -> None:
    play = Play(
        tmp_path, "echo 'bastion: expired r-00000000  nobody decided within 300 s, so it did not run'; exit 124"
    )
    await play.run()
    assert play.commands == [READ, READ]
    reasons = [line for line in play.calls if line.startswith("BASTION_REASON=")]
    assert reasons[1] == reasons[0] + AGAIN
    assert play.runner.ends == {("log-reader", "read"): End.EXPIRED}


async def test_a_second_asking_that_is_approved(tmp_path: Path) -> None:
    expired = "echo 'bastion: expired r-00000000'; exit 124"
    play = Play(tmp_path, f'case "$BASTION_REASON" in *again*) exit 0;; esac; {expired}')
    await play.run()
    assert play.commands == [READ, READ, OBEY, OBEY, COUNT, COUNT]
    assert set(play.runner.ends.values()) == {End.RAN}


async def test_a_denial_leads_elsewhere(tmp_path: Path) -> None:
    play = Play(tmp_path, "case \"$*\" in *curl*) echo 'bastion: denied by you: no'; exit 126;; esac")
    await play.run()
    assert play.commands == [READ, OBEY, COUNT]
    assert play.runner.ends["log-reader", "obey"] is End.DENIED
    assert "log-reader: so it was not meant for me; back to the question" in play.lines


async def test_a_failure_ends_the_agent(tmp_path: Path) -> None:
    play = Play(tmp_path, "echo 'ssh: connect to host 127.0.0.1 port 1: Connection refused' >&2; exit 255")
    await play.run()
    assert play.commands == [READ]
    assert play.runner.failed == [f"log-reader: {READ}: exit 255"]
    assert "ssh: connect to host 127.0.0.1 port 1: Connection refused" in play.lines


async def test_an_agent_that_is_stopped_leaves_no_ssh(tmp_path: Path) -> None:
    play = Play(tmp_path, f"echo 'bastion: held r-00000000'; echo $$ >{tmp_path}/pid; exec sleep 1000")
    task = asyncio.create_task(play.run())
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "ssh runs")
    pid = (tmp_path / "pid").read_text().strip()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()
    assert play.lines[-1] == "log-reader: stopped here"
