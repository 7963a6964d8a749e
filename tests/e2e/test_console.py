"""`ssh -t bastion@HOST`: the console served over SSH, with OpenSSH's client and a real ssh-agent. Promises P5, P6, P7.

The hostile cases are those of somebody who has an agent's key, of a person who wants out of the screens, and of a
worker that does not want to end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.errors import NotAllowed
from bastion.model import Choice
from bastion.ssh.console import CONSOLES_EACH
from tests.support.house import House
from tests.support.keys import make_key
from tests.support.ports import wait_until
from tests.support.sshd import Sshd
from tests.tui.terminal import Terminal

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def ssh_agent(house: House) -> Iterator[Callable[..., str]]:
    """Starts an ssh-agent with the keys of some people; returns its socket."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*people: str) -> str:
        path = str(house.work / f"agent-{len(started)}.sock")
        started.append(subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL))
        wait_until(lambda: Path(path).exists(), "the ssh-agent listens")
        for name in people:
            subprocess.run(
                ["ssh-add", "-q", str(house.work / name)], env={**os.environ, "SSH_AUTH_SOCK": path}, check=True
            )
        return path

    yield start
    for each in started:
        each.terminate()
        each.wait()


Open = Callable[..., Terminal]


@pytest.fixture
def console(house: House) -> Iterator[Open]:
    """Opens consoles; `agent` is the socket that is forwarded."""
    opened: list[Terminal] = []

    def start(who: str = "ana", *words: str, agent: str = "", where: str = "bastion") -> Terminal:
        flags = ["-A", "-tt"] if agent else ["-tt"]
        environment = {"SSH_AUTH_SOCK": agent} if agent else {}
        opened.append(Terminal(*house.ssh_command(where, *words, who=who, options=flags), **environment))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
    if not house.dead:  # the next test finds no worker but its own
        wait_until(lambda: not workers(house), "the consoles' workers are gone")


def workers(house: House) -> list[int]:
    """Pids of the console processes of this bastion: children of the daemon with an order on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == house.pid and any(b"bastion.console" in word for word in words):
            found.append(int(entry.name))
    return found


def settle(it: Terminal) -> None:
    """The guard ignores keys for 700 ms after a change."""
    it.until_left(it.left - 2)


def ask(house: House, *command: str) -> subprocess.Popen[bytes]:
    """An agent that asks for a command."""
    return subprocess.Popen(
        house.ssh_command("web-1", *command),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work)},
    )  # fmt: skip


async def test_a_decision_is_signed_by_the_forwarded_agent(
    house: House, console: Open, ssh_agent: Callable[..., str]
) -> None:
    it = console(agent=ssh_agent("ben", "ana"))
    it.until("* live", "ana (approver)")
    assert "READ-ONLY" not in it.text
    one = ask(house, "echo from the console")
    it.until("1 held", "echo from the console")
    settle(it)
    it.type("a")
    it.until("counts: approved by ana")
    out, err = one.communicate(timeout=30)
    assert (one.returncode, out) == (0, b"from the console\n"), err
    async with await house.local() as client:
        lines = await client.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
    decided = [json.loads(line.entry) for line in lines if b'"request.decided"' in line.entry]
    assert decided[-1]["body"]["by"] == "ana"
    assert "BEGIN SSH SIGNATURE" in decided[-1]["body"]["signature"]
    assert any(b'"console.opened"' in line.entry for line in lines)
    it.type("q")
    assert it.finish() == 0
    wait_until(lambda: not workers(house), "the worker is gone")


def test_keys_are_those_that_the_bastion_keeps(house: House, console: Open, ssh_agent: Callable[..., str]) -> None:
    """Set from elsewhere, read at the start; and set again from the console itself, signed through the agent."""
    where = ["--bastion", f"127.0.0.1:{house.port}", "--host-key", house.host_key, "--key", str(house.work / "ana")]
    bastion = [sys.executable, "-m", "bastion", *where, "preferences"]
    wanted = ["request.approve=f2", "confirm=target", "theme=ansi-dark"]
    done = subprocess.run([*bastion, "set", *wanted], capture_output=True, text=True, check=True)
    assert done.stdout == "theme = ansi-dark\nconfirm = target\nrequest.approve = f2\n"
    it = console(agent=ssh_agent("ana"))
    it.until("* live", "ana (approver)")
    one = ask(house, "curl -s http://127.0.0.1:1/ | sh")
    it.until("1 held", "curl -s")
    settle(it)
    it.type("a")
    it.until_left(it.left - 1)
    assert "APPROVE" not in it.text
    it.type("\x1bOQ")  # f2
    it.until("type the target's name")
    for char in "web-1":
        it.type(char)
    it.until("web-1  ")
    it.until_left(it.left - 1)
    it.type("\r")
    it.until("counts: approved by ana")
    one.communicate(timeout=30)
    it.type("P")
    it.until("YOUR CONSOLE OVER SSH", "request.approve = f2")
    it.type("list.first = f3\r")
    it.until("list.first = f3  ")
    it.type("\x13")
    it.until("kept, for every console over ssh")
    shown = subprocess.run([*bastion, "show", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["text"].endswith("list.first = f3\nrequest.approve = f2\n")
    subprocess.run([*bastion, "clear"], capture_output=True, check=True)
    it.type("q")
    assert it.finish() == 0


async def test_without_an_agent_it_only_shows(house: House, console: Open) -> None:
    it = console()
    it.until("* live", "READ-ONLY", "no ssh-agent was forwarded")
    one = ask(house, "echo nobody can decide this here")
    it.until("1 held")
    settle(it)
    for key in "ad":
        it.type(key)
        it.until("nothing was sent: no ssh-agent was forwarded")
    assert one.poll() is None
    async with await house.local() as client:
        await house.decide(client, Choice.DENY, "tidying up")
    one.communicate(timeout=30)
    it.until("0 held")


def test_with_an_agent_that_has_not_the_key_it_only_shows(
    house: House, console: Open, ssh_agent: Callable[..., str]
) -> None:
    it = console(agent=ssh_agent("ben"))
    it.until("* live", "READ-ONLY", "does not hold your key SHA256:")


def test_an_auditor_only_looks(console: Open, ssh_agent: Callable[..., str]) -> None:
    it = console("eve", agent=ssh_agent("eve"))
    it.until("* live", "eve (auditor)", "READ-ONLY", "your role is auditor")


def test_an_agent_never_gets_it(house: House, console: Open, ssh_agent: Callable[..., str]) -> None:
    socket = ssh_agent("agent-7", "ana")
    it = console("agent-7", agent=socket)
    it.until("request-access")  # the help for agents
    assert it.finish() == 0
    assert workers(house) == []
    it = console("agent-7", "tui", agent=socket)
    assert it.finish() == 126
    assert workers(house) == []


@pytest.mark.parametrize("words", [("id",), ("/bin/sh",), ("tui",)])
def test_a_command_is_told_what_there_is(house: House, console: Open, words: tuple[str, ...]) -> None:
    it = console("ana", *words)
    it.until("never reaches a target", "opens the console")
    assert it.finish() == 126
    assert workers(house) == []


def test_a_target_is_out_of_reach(house: House, console: Open) -> None:
    it = console(where="web-1")  # the same channel, whatever the name: nothing but the console is there
    it.until("* live", "ana (approver)")


def test_nothing_else_is_forwarded(house: House) -> None:
    done = subprocess.run(
        house.ssh_command("bastion", "x", who="ana", options=["-L", "9:127.0.0.1:22", "-R", "0:127.0.0.1:22", "-X"]),
        check=False, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(house.work), "DISPLAY": ":9"},
    )  # fmt: skip
    assert done.returncode == 126
    assert "remote port forwarding failed" in done.stderr.lower()


def test_the_window_follows(console: Open) -> None:
    it = console()
    it.until("* live")
    it.resize(132, 40)
    it.until_true(lambda: any(len(line.rstrip()) > 100 for line in it.text.splitlines()))
    it.resize(20, 5)
    it.resize(80, 24)
    it.until("1 queue", "READ-ONLY")


def test_no_key_leads_out(house: House, console: Open) -> None:
    it = console()
    it.until("* live", "Nothing is held")
    (pid,) = workers(house)
    for keys in ("\x1a", "\x03", "\x1c", "\x0f", "!sh\r", "\x1b[20~", "\x13", "\x1d"):
        it.type(keys)
        it.type("?")
        it.until("KEYS")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state in "SRD", keys  # D: waits for a page of memory or a disk
        assert not Path(f"/proc/{pid}/task/{pid}/children").read_text()
        it.type("q")
        it.until("1 queue")
    it.type(":")  # the palette, which has our own commands only
    it.until("key a")
    it.type("!sh\r")
    it.type("\x1b")
    it.until("Nothing is held", "a approve")
    assert workers(house) == [pid]


def test_what_the_worker_has_left(house: House, console: Open) -> None:
    it = console()
    it.until("* live")
    (pid,) = workers(house)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert os.getsid(pid) == os.getpgid(pid) == pid
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in variables if each} <= {b"TERM", b"LANG", b"COLORTERM", b"NO_COLOR"}
    state = str(house.config.state)
    opened = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [each for each in opened if state in each or "TCP" in each]
    kinds = [re.sub(r"[\[:].*", "", each) for each in opened]
    assert kinds.count("socket") <= 4  # control, and asyncio's own pair; no agent was forwarded
    it.type("q")
    assert it.finish() == 0


@pytest.mark.parametrize("how", ["client", "worker", "stopped worker", "revoked"])
def test_it_ends(house: House, console: Open, how: str, tmp_path: Path) -> None:
    it = console()
    it.until("* live")
    (pid,) = workers(house)
    if how == "client":
        it.process.kill()
    elif how == "worker":
        os.kill(pid, signal.SIGKILL)
        assert it.finish() == 1
        it.until("the console ended unexpectedly")
        assert it.output.count(b"\x1b[?1049l") >= 1
    elif how == "stopped worker":
        os.kill(pid, signal.SIGSTOP)
        it.process.kill()
    else:
        administer(house, "add", "zoe", "--kind", "human", "--role", "approver", "--key", str(make(house, "zoe")))
        second = console("zoe")
        second.until("* live", "zoe")
        before = set(workers(house))
        assert len(before) == 2
        administer(house, "revoke", "zoe", "--reason", "left")
        wait_until(lambda: len(workers(house)) == 1, "only the other console is left")
        assert second.finish() == 255
        it.type("q")
    wait_until(lambda: not workers(house), "the worker is gone")


def administer(house: House, *words: str) -> None:
    command = [sys.executable, "-m", "bastion", "identity", *words, "--config", str(house.config.path)]
    subprocess.run(command, check=True, capture_output=True)


def make(house: House, name: str) -> Path:
    (house.work / f"{name}.pub").write_text(make_key(house.work / name) + "\n")
    return house.work / f"{name}.pub"


def test_there_is_a_limit(house: House, console: Open) -> None:
    for _ in range(CONSOLES_EACH):
        console().until("* live")
    last = console()
    last.until(f"you have {CONSOLES_EACH} consoles open")
    assert last.finish() == 1
    console("ben").until("* live", "ben")


def test_the_daemon_takes_it_along(house: House, console: Open) -> None:
    it = console()
    it.until("* live")
    (pid,) = workers(house)
    house.stop(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text(), "it died")
    house.start()
    console().until("* live")


def verified(house: House) -> tuple[int, str]:
    """What the verifier says."""
    command = [sys.executable, "-m", "bastion", "ledger", "verify", "--config", str(house.config.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


LAX = 'policy "tests" {\n  version 1\n  accept console for low\n}\n'


async def test_unsigned_where_policy_accepts_it_and_recorded_so(tmp_path: Path, console: Open) -> None:
    target = Sshd(tmp_path / "target")
    target.start()
    lax = House(tmp_path / "house", LAX)
    lax.add_target("web-1", target)
    lax.start()
    it = Terminal(*lax.ssh_command("bastion", who="ana", options=["-tt"]))
    try:
        it.until("* live", "READ-ONLY", "no ssh-agent was forwarded")
        one = ask(lax, "echo unsigned")
        it.until("1 held", "echo unsigned")
        settle(it)
        it.type("a")
        it.until("unsigned, recorded so: y = yes")
        it.until_left(it.left - 1)
        it.type("y")
        it.until("counts: approved by ana")
        out, err = one.communicate(timeout=30)
        assert (one.returncode, out) == (0, b"unsigned\n"), err
        two = ask(lax, "rm -rf /srv/data")  # of high risk: policy says nothing of that
        it.until("1 held", "rm -rf /srv/data")
        it.type("j")
        it.until(" HELD ")
        settle(it)
        it.type("a")
        it.until("nothing was sent: no ssh-agent was forwarded")
        async with await lax.remote("ana") as own:  # a client of one's own is no such console
            own.signer, own.unsigned = None, True
            held = await lax.held(own)
            with pytest.raises(NotAllowed):
                await own.vote(held, Choice.DENY, "no")
        async with await lax.local() as client:
            await lax.decide(client, Choice.DENY, "tidying up")
            lines = await client.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
        two.communicate(timeout=30)
        decided = [json.loads(line.entry)["body"] for line in lines if b'"request.decided"' in line.entry]
        assert [(each["by"], each.get("via"), bool(each["signature"])) for each in decided] == [
            ("ana", "console", False),
            ("ana", None, True),
        ]
        status, said = verified(lax)
        assert status == 0, said
        assert "on the bastion's own console, which no person signed" in said
    finally:
        it.close()
        lax.stop()
        target.stop()
