"""A policy in a running bastion: real commands flow, wait and are denied; a broken policy changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.admin import administering
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import ROOT, House
from tests.support.keys import make_key
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

POLICY = """policy "e2e" {
  version 1
  group boss "ben"
  group second "ana"
  group oncall "hana"
  break_glass oncall
  allow low, reversible
  deny account
  approvals 1
  never writes "/etc/**"
  delete {
    approvals 2
    timeout 2m
  }
  restart {
    require_approval true
    approvals 1 from boss
  }
  stop {
    require_approval true
    approvals 1 from boss
    escalate after 1s to second
  }
  high { timeout 30s }
  rate 100 per 1m
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Sshd]]:
    """A bastion with the policy above, and one target."""
    work = tmp_path_factory.mktemp("policy")
    target = Sshd(work / "target")
    house = House(work, policy=POLICY)
    house.add_target("web-1", target)
    with administering(house.config, "local:0") as admin:
        admin.add_identity("hana", "human", [], make_key(work / "hana"))
    try:
        target.start()
        house.start()
        yield house, target
    finally:
        house.stop()
        target.stop()


def entries(house: House, kind: str) -> list[dict[str, object]]:
    """Of that type, as the ledger has them."""
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "list", "--json"]
    done = subprocess.run([*command, "--limit", "5000"], cwd=ROOT, capture_output=True, check=True)
    return [row for row in json.loads(done.stdout) if row["type"] == kind]


async def test_reads_flow_the_denied_is_denied_and_the_rest_is_held(place: tuple[House, Sshd]) -> None:
    house, _ = place
    flowed = await house.run("web-1", "echo it flows")
    assert (flowed.status, flowed.stdout) == (0, b"it flows\n")
    denied = await house.run("web-1", "sudo -n usermod -aG sudo eve")
    assert denied.status == 126
    assert "policy denies it: account" in denied.stderr
    never = await house.run("web-1", "echo x > /etc/motd")
    assert (never.status, never.stdout) == (126, b"")
    assert "never" in never.stderr
    ana = await house.local("ana")
    mark = house.work / "mark"
    mark.touch()
    waiting = await house.ssh("web-1", f"rm {mark}")
    held = await house.held(ana, f"rm {mark}".encode())
    assert (held.approvals, (held.expires - held.created) // 1_000_000) == (2, 120)
    await ana.vote(held, Choice.APPROVE, "")
    assert mark.exists()
    ben = await house.local("ben")
    await ben.vote(await house.held(ben, f"rm {mark}".encode()), Choice.APPROVE, "")
    assert (await house.finish(waiting)).status == 0
    assert not mark.exists()
    await ana.close()
    await ben.close()


async def test_only_the_group_approves(place: tuple[House, Sshd]) -> None:
    house, _ = place
    ana, ben = await house.local("ana"), await house.local("ben")
    command = "systemctl restart no-such-unit"
    waiting = await house.ssh("web-1", command)
    held = await house.held(ana, command.encode())
    assert held.approvers == ["boss"]
    with pytest.raises(Exception, match="not in group boss"):
        await ana.vote(held, Choice.APPROVE, "")
    await ben.vote(held, Choice.APPROVE, "")
    assert (await house.finish(waiting)).status != 126
    await ana.close()
    await ben.close()


BREAK = ("-o", 'SetEnv=BASTION_BREAK_GLASS="the site is down"')


async def test_a_human_breaks_the_glass_and_everybody_hears_it(place: tuple[House, Sshd]) -> None:
    house, _ = place
    ana = await house.local("ana")
    await ana.call(wire.Subscribe, type(None))
    mark = house.work / "emergency"
    mark.touch()
    agent = await house.run("web-1", f"rm {mark}", options=BREAK)
    assert (agent.status, mark.exists()) == (126, True)
    assert "lets nobody here break the glass" in agent.stderr
    done = await house.run("web-1", f"rm {mark}", who="hana", options=BREAK)
    assert (done.status, mark.exists()) == (0, False), done.stderr
    assert "hana broke the glass on web-1" in (await alerts(ana, "emergency")).text
    never = await house.run("web-1", "echo x > /etc/motd", who="hana", options=BREAK)
    assert never.status == 126
    await ana.close()
    (entry,) = [row for row in entries(house, "request.proposed") if row["body"]["emergency"]]  # type: ignore[index]
    assert entry["actor"] == "hana"


async def alerts(client: Client, kind: str) -> wire.Alert:
    """The next of that kind."""
    async with asyncio.timeout(20):
        async for push in client.pushes():
            if isinstance(push, wire.Alert) and push.kind == kind:
                return push
    raise AssertionError("the daemon closed the connection")


async def test_it_goes_to_the_next_group_in_time_and_the_ledger_says_so(place: tuple[House, Sshd]) -> None:
    house, _ = place
    ana = await house.local("ana")
    await ana.call(wire.Subscribe, type(None))
    command = "systemctl stop no-such-unit"
    waiting = await house.ssh("web-1", command)
    told = await alerts(ana, "request.escalated")
    held = await house.held(ana, command.encode())
    assert held.id in told.text
    assert (held.approvers, held.escalated) == (["boss"], ["second"])
    await ana.vote(held, Choice.APPROVE, "")
    assert (await house.finish(waiting)).status not in (124, 126)
    (entry,) = entries(house, "request.escalated")
    assert entry["body"]["group"] == "second"  # type: ignore[index]
    await ana.close()
    await asyncio.to_thread(verified, house)


def verified(house: House) -> None:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "verify"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rewrite(house: House, text: str) -> None:
    """As editors do: a new file over the old one."""
    assert house.config.policy is not None
    scratch = house.config.policy.with_name("new")
    scratch.write_text(text)
    os.replace(scratch, house.config.policy)


async def test_it_is_reloaded_and_a_broken_one_changes_nothing(place: tuple[House, Sshd]) -> None:
    house, _ = place
    ana = await house.local("ana")
    await ana.call(wire.Subscribe, type(None))
    rewrite(house, POLICY.replace("allow low", "allow *"))
    told = await alerts(ana, "policy.failed")
    assert "equals no gate" in told.text
    assert (await house.run("web-1", "echo still")).status == 0
    rewrite(house, POLICY.replace("allow low", "alow low"))
    told = await alerts(ana, "policy.failed")
    assert "policy.bastion:7:3: found `alow`" in told.text
    rewrite(house, POLICY.replace("allow low", "deny low\n  allow low"))
    await alerts(ana, "policy.loaded")
    assert (await house.run("web-1", "echo no more")).status == 126
    rewrite(house, POLICY)
    os.kill(house.pid, signal.SIGHUP)
    await alerts(ana, "policy.loaded")
    assert (await house.run("web-1", "echo again")).stdout == b"again\n"
    await ana.close()
    failed = entries(house, "policy.failed")
    assert len(failed) == 2, failed
    loaded = [row["body"]["digest"] for row in entries(house, "policy.loaded")]  # type: ignore[index]
    assert len(loaded) == 3
    assert loaded[0] == loaded[2]
    used = {row["body"]["policy"] for row in entries(house, "request.proposed")}  # type: ignore[index]
    assert used == set(loaded)


async def test_what_the_policy_forbids_meanwhile_no_approval_starts(place: tuple[House, Sshd]) -> None:
    house, _ = place
    ana = await house.local("ana")
    await ana.call(wire.Subscribe, type(None))
    mark = house.work / "meanwhile"
    command = f"tee {mark} < /dev/null"
    waiting = await house.ssh("web-1", command)
    held = await house.held(ana, command.encode())
    rewrite(house, POLICY.replace("deny account", "deny account, write"))
    await alerts(ana, "policy.loaded")
    await ana.vote(held, Choice.APPROVE, "")
    outcome = await house.finish(waiting)
    assert outcome.status == 125
    assert "may not start any more: policy denies it" in outcome.stderr
    assert not mark.exists()
    rewrite(house, POLICY)
    await alerts(ana, "policy.loaded")
    await ana.close()


async def test_the_ledger_verifies_and_history_can_be_replayed(place: tuple[House, Sshd], tmp_path: Path) -> None:
    house, _ = place
    assert (await house.run("web-1", "echo it flows")).status == 0
    assert (await house.run("web-1", "usermod -aG sudo eve")).status == 126
    await asyncio.to_thread(replay, house, tmp_path)


def replay(house: House, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path)]
    done = subprocess.run([*command, "ledger", "verify"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    other = tmp_path / "other.bastion"
    other.write_text('policy "other" {\n  version 1\n  deny low\n}\n')
    done = subprocess.run(
        [*command, "policy", "replay", str(other), "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    changed = {(each["command"], each["before"], each["after"]) for each in report["changes"]}
    assert ("echo it flows", "allow", "deny") in changed
    assert not any("usermod" in command and after == "deny" for command, _, after in changed)


def test_a_broken_one_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    house = House(tmp_path, policy='policy "x" {\n  version 2\n}\n')
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "serve"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "policy.bastion:2:11: found `2`; expected 1" in done.stderr
