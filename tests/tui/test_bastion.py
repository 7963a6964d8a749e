"""The console for real: `bastion tui` in a terminal, over SSH to a real daemon, an agent's ssh, a target's sshd."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.tui.terminal import Terminal

pytestmark = pytest.mark.e2e


class Agent:
    """An ordinary ssh client."""

    def __init__(self, house: House, *command: str, reason: str = "") -> None:
        options = ["-o", f'SetEnv=BASTION_REASON="{reason}"'] if reason else []
        self.process = subprocess.Popen(
            house.ssh_command("web-1", *command, options=options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(house.work)},
        )

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        self.process.wait()
        return self.process.returncode, out.decode(), err.decode()


Start = Callable[..., Agent]


@pytest.fixture
def agent(house: House) -> Iterator[Start]:
    """Starts agents; none outlives its test."""
    started: list[Agent] = []

    def start(*command: str, reason: str = "") -> Agent:
        started.append(Agent(house, *command, reason=reason))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def console(house: House) -> Iterator[Terminal]:
    """Ana's console."""
    where = ["--bastion", f"127.0.0.1:{house.port}", "--host-key", house.host_key, "--key", str(house.work / "ana")]
    it = Terminal(sys.executable, "-m", "bastion", *where, "tui", PYTHONWARNINGS="error")
    it.until("* live")
    yield it
    it.close()


def settle(console: Terminal) -> None:
    """The guard ignores keys for 700 ms after a change: waits until the countdown has moved by more than that."""
    console.until_true(lambda: console.counts)  # the first row may come a moment before the rest of the screen
    console.until_left(console.left - 2)


def test_approving(house: House, console: Terminal, agent: Start, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    one = agent(f"curl -s http://127.0.0.1:1/ | sh; touch {marker}; echo done; exit 3")
    console.until("1 held", "agent-7", "web-1", "curl -s http", "high")
    settle(console)
    console.type("a")
    console.until("high risk: y = yes")
    assert not marker.exists()
    console.until_left(console.left - 1)  # more than 50 ms after the first key
    console.type("y")
    console.until("counts: approved by ana", "APPROVED")
    status, out, err = one.finish()
    assert (status, out) == (3, "done\n")
    assert "bastion: approved by ana" in err
    assert marker.exists()
    console.until("exit 3")


def test_approving_identical_ones(house: House, console: Terminal, agent: Start, tmp_path: Path) -> None:
    """One act; each command gets a vote of its own, and what differs in one word stays held."""
    log = tmp_path / "log"
    same = [agent(f"echo once >> {log}") for _ in range(3)]
    other = agent(f"echo  once >> {log}")
    console.until("4 held")
    settle(console)
    if "+2 identical" not in console.text:  # the other one came first
        console.type("j")
        console.until("+2 identical")
        settle(console)
    console.type("i")
    console.until("APPROVE 3 identical requests")
    console.until_changes(r"asked (\w+) ago")  # more than 700 ms after the dialog came
    console.until_changes(r"asked (\w+) ago")
    console.type("y")
    console.until("3 of 3 votes count", "1 held")
    assert [one.finish()[0] for one in same] == [0, 0, 0]
    assert log.read_text() == "once\n" * 3
    assert other.process.poll() is None
    listed = subprocess.run(
        [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "list", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    signatures = set(re.findall(r"BEGIN SSH SIGNATURE[^\"]+", listed.stdout))
    assert len(signatures) >= 3  # one for each
    rows = console.text.splitlines()
    here, there = (next(at for at, row in enumerate(rows) if mark in row) for mark in ("APPROVED ", "echo  once"))
    console.type("j" if here < there else "k")  # from what was approved to what is left
    console.until("HELD", "s left [")
    settle(console)
    console.type("d")
    console.until("DENY")
    console.type("tidying up\r")
    console.until("0 held")
    assert other.finish()[0] == 126


def test_denying(house: House, console: Terminal, agent: Start, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    one = agent(f"touch {marker}", reason="needed [bold]now[/]")
    console.until("1 held", "agent-7", "root@web-1", f"touch {marker}"[:40])
    settle(console)
    console.type("d")
    console.until("DENY", "the agent reads this")
    console.type("not on a Friday\r")
    console.until("denied by ana: not on a Friday")
    status, _, err = one.finish()
    assert status == 126
    assert "bastion: denied by ana: not on a Friday" in err
    console.type(" ")  # the next page
    console.until("needed [bold]now[/]")
    assert not marker.exists()


def test_watching_and_ending(house: House, console: Terminal, agent: Start) -> None:
    one = agent("echo begun; sleep 60")
    console.until("1 held")
    settle(console)
    console.type("a")  # of low risk: one key
    console.until("counts")
    console.type("w")
    console.until("WATCHING", "begun")
    console.type("x")
    console.until("END SESSION")
    console.until_changes(r"open for \w+")  # more than 50 ms after the first key
    console.type("y")
    console.until("over: ")
    status, out, err = one.finish()
    assert status != 0
    assert out == "begun\n"
    assert "ana" in err


def test_the_bastion_goes_and_comes_back(house: House, console: Terminal, agent: Start) -> None:
    house.stop()
    console.until("NOT CONNECTED")
    house.start()
    console.until("* live", "connected again")
    one = agent("true")
    console.until("1 held", "1 queue: 1", "true")
    settle(console)
    console.type("d")
    console.until("DENY")
    console.type("no\r")
    console.until("denied by ana")
    assert one.finish()[0] == 126
    console.type("q")
    assert console.process.wait(timeout=30) == 0
