"""An approver writes another command in the place of a held one: what was signed runs, the agent gets its outcome."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import Conflict, NotAllowed, UsageError
from bastion.model import Choice
from tests.support.house import ROOT, House
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

HOUSE_POLICY = """policy "tests" {
  version 1
  group boss "ben"
  deny command "shutdown **"
  escalate after 50s to boss
}
"""


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    client = await house.remote("ana")
    yield client
    await client.close()


@pytest.fixture
async def ben(house: House) -> AsyncIterator[Client]:
    client = await house.remote("ben")
    yield client
    await client.close()


def bastion(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


async def entries(client: Client, request: str) -> list[dict[str, object]]:
    import msgspec

    lines = await client.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
    found = [msgspec.json.decode(line.entry) for line in lines]
    return [each for each in found if each["request"] == request]


async def test_the_edited_command_runs_and_the_agent_is_told(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "mkdir -p /tmp/x; echo asked")
    info = await house.held(ana, b"mkdir -p /tmp/x; echo asked")
    made = await ana.edit(info, b"echo edited", "no need for a directory")
    assert (made.author, made.edits, made.command, made.identity) == ("ana", info.id, b"echo edited", "agent-7")
    assert (made.state, made.votes, made.attached) == ("held", [], True)
    assert made.digest != info.digest
    assert made.expires <= info.expires
    assert (await ana.vote(made, Choice.APPROVE, "")).state == "approved"
    outcome = await house.finish(ssh)
    assert (outcome.status, outcome.stdout) == (0, b"edited\n")
    assert f"bastion: edited {made.id}  by ana, in place of {info.id}: echo edited" in outcome.stderr
    old = await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    assert (old.state, old.edited) == ("withdrawn", made.id)
    first, second = await entries(ana, info.id), await entries(ana, made.id)
    assert [each["type"] for each in first] == ["request.proposed", "request.edited", "request.decided"]
    assert [each["type"] for each in second] == [
        "request.proposed", "request.decided", "command.started", "command.finished",
    ]  # fmt: skip
    assert second[0]["actor"] == "ana"
    done = await asyncio.to_thread(bastion, house, "ledger", "verify")
    assert done.returncode == 0, done.stdout


async def test_a_vote_for_the_old_one_counts_no_more(house: House, ana: Client, ben: Client) -> None:
    ssh = await house.ssh("web-1", "echo one")
    info = await house.held(ana, b"echo one")
    made = await ana.edit(info, b"echo two")
    with pytest.raises(Conflict, match="withdrawn"):
        await ben.vote(info, Choice.APPROVE, "")
    with pytest.raises(Conflict, match="withdrawn"):
        await ben.edit(info, b"echo three")
    again = await ben.edit(made, b"echo three")
    assert (again.author, again.edits, again.answers) == ("ben", made.id, made.answers)
    await ben.vote(again, Choice.DENY, "none of it")
    outcome = await house.finish(ssh)
    assert (outcome.status, outcome.stdout) == (126, b"")
    assert "denied by ben: none of it" in outcome.stderr


async def test_what_is_riskier_takes_somebody_else(house: House, ana: Client, ben: Client, tmp_path: Path) -> None:
    (tmp_path / "canary").touch()
    ssh = await house.ssh("web-1", "true")
    info = await house.held(ana, b"true")
    assert info.approvals == 1
    made = await ana.edit(info, f"rm -rf {tmp_path}/canary".encode())
    assert made.approvals == 2
    after = await ana.vote(made, Choice.APPROVE, "")
    assert after.state == "held"
    with pytest.raises(NotAllowed, match="voted on this request already"):
        await ana.vote(made, Choice.APPROVE, "")
    assert (tmp_path / "canary").exists()
    assert (await ben.vote(made, Choice.APPROVE, "")).state == "approved"
    assert (await house.finish(ssh)).status == 0
    assert not (tmp_path / "canary").exists()


async def test_policy_judges_the_new_one(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "echo as asked")
    info = await house.held(ana, b"echo as asked")
    tried = await ana.call(wire.TryEdit, wire.RequestInfo, request=info.id, command=b"shutdown now")
    assert (tried.state, tried.proposal) == ("refused", "")
    with pytest.raises(NotAllowed, match="policy denies"):
        await ana.edit(info, b"shutdown now")
    for command, words in ((info.command, "nothing was changed"), (b" ", "empty"), (b"a\0b", "NUL")):
        with pytest.raises(UsageError, match=words):
            await ana.edit(info, command)
    with pytest.raises(UsageError, match="131,071"):
        await ana.edit(info, b"#" * 131_072)
    assert (await ana.vote(info, Choice.APPROVE, "")).state == "approved"  # it was held all the time
    assert (await house.finish(ssh)).stdout == b"as asked\n"


async def test_stdin_that_nobody_saw_is_no_code(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "cat", stdin=b"")
    assert ssh.stdin is not None
    ssh.stdin.write(b"echo unseen\n")
    info = await house.held(ana, b"cat")
    assert info.stdin == "stream"
    made = await ana.edit(info, b"sh; echo done")
    assert (made.stdin, made.stdin_code, made.approvals) == ("bundled", b"", 2)
    await ana.vote(made, Choice.APPROVE, "")
    ben = await house.remote("ben")
    await ben.vote(made, Choice.APPROVE, "")
    await ben.close()
    outcome = await house.finish(ssh, b"echo unseen, too\n")
    assert (outcome.status, outcome.stdout) == (0, b"done\n")


async def test_no_file_of_the_target_is_read_for_an_edit(house: House, ana: Client, tmp_path: Path) -> None:
    (tmp_path / "own.sh").write_text("echo own $1\n")
    (tmp_path / "secret").write_text("not for approvers\n")
    ssh = await house.ssh("web-1", f"bash {tmp_path}/own.sh one")
    info = await house.held(ana, f"bash {tmp_path}/own.sh one".encode())
    assert info.script_code == b"echo own $1\n"
    command = f"bash {tmp_path}/secret".encode()
    tried = await ana.call(wire.TryEdit, wire.RequestInfo, request=info.id, command=command)
    assert (tried.script, tried.script_code) == ("", b"")
    made = await ana.edit(info, f"bash {tmp_path}/own.sh two".encode())
    assert (made.script, made.script_code) == (info.script, info.script_code)
    await ana.vote(made, Choice.APPROVE, "")
    if made.approvals > 1:
        ben = await house.remote("ben")
        await ben.vote(made, Choice.APPROVE, "")
        await ben.close()
    assert (await house.finish(ssh)).stdout == b"own two\n"


async def test_the_signature_is_the_authors(house: House, ana: Client, ben: Client) -> None:
    ssh = await house.ssh("web-1", "echo mine")
    info = await house.held(ana, b"echo mine")
    ben.signer, hers = ana.signer, ben.signer
    with pytest.raises(NotAllowed, match="signature of ana"):
        await ben.edit(info, b"echo theirs")
    ben.signer = hers
    eve = await house.remote("eve")
    with pytest.raises(NotAllowed):
        await eve.edit(info, b"echo eves")
    await eve.close()
    statement = b'{"v":1}'
    with pytest.raises(UsageError):
        await ana.call(
            wire.EditRequest, wire.RequestInfo, request=info.id, command=b"x", statement=statement, signature=""
        )
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)


async def test_the_agent_that_left_gets_the_outcome_when_it_asks_again(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "echo original")
    info = await house.held(ana, b"echo original")
    ssh.kill()
    await ssh.wait()
    async with asyncio.timeout(10):
        while (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    made = await ana.edit(info, b"echo edited while away")
    assert not made.attached
    await ana.vote(made, Choice.APPROVE, "")
    outcome = await house.run("web-1", "echo original")
    assert (outcome.status, outcome.stdout) == (0, b"edited while away\n")
    assert f"edited {made.id}  by ana" in outcome.stderr
    once = await house.ssh("web-1", "echo original")  # and only once
    assert (await house.held(ana, b"echo original")).id != info.id
    await house.decide(ana, Choice.DENY, "enough", b"echo original")
    assert (await house.finish(once)).status == 126


async def test_an_edited_request_survives_a_restart(tmp_path: Path, sshd: Sshd) -> None:
    house = House(tmp_path, HOUSE_POLICY)
    house.add_target("web-1", sshd)
    house.start()
    try:
        ana = await house.remote("ana")
        ssh = await house.ssh("web-1", "echo before")
        made = await ana.edit(await house.held(ana, b"echo before"), b"echo after")
        await ana.close()
        await asyncio.to_thread(house.stop, signal.SIGKILL)
        await asyncio.to_thread(house.start)
        await house.finish(ssh)
        ana = await house.remote("ana")
        (back,) = await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
        assert (back.id, back.digest, back.author) == (made.id, made.digest, "ana")
        again = await house.ssh("web-1", "echo before")
        assert (await house.held(ana)).id == made.id
        await ana.vote(back, Choice.APPROVE, "")
        assert (await house.finish(again)).stdout == b"after\n"
        await ana.close()
        done = await asyncio.to_thread(bastion, house, "ledger", "verify")
        assert done.returncode == 0, done.stdout
    finally:
        house.stop()


async def test_interrupted_after_the_edit_it_is_withdrawn(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "echo a")
    made = await ana.edit(await house.held(ana, b"echo a"), b"echo b")
    ssh.kill()
    await ssh.wait()
    async with asyncio.timeout(10):
        while (info := await ana.call(wire.ShowRequest, wire.RequestInfo, request=made.id)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert info.state == "held"
    await ana.vote(made, Choice.DENY, "gone")


async def test_the_command_line_edits_escalates_and_snoozes(house: House, ana: Client) -> None:
    key = ("--key", str(house.work / "ana"))
    ssh = await house.ssh("web-1", "echo slow")
    info = await house.held(ana, b"echo slow")
    done = await asyncio.to_thread(bastion, house, "request", "snooze", info.id, "--for", "30s")
    assert done.returncode == 0, done.stderr
    shown = await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    assert [by for by, _ in shown.snoozed] == ["local:0"]
    late = await asyncio.to_thread(bastion, house, "request", "snooze", info.id, "--for", "10m")
    assert (late.returncode, "denied before that" in late.stderr) == (2, True)
    back = await asyncio.to_thread(bastion, house, "request", "snooze", info.id, "--off", "--json")
    assert '"snoozed": []' in back.stdout
    handed = await asyncio.to_thread(bastion, house, "request", "escalate", info.id, "--reason", "I am off")
    assert (handed.returncode, handed.stdout) == (0, f"escalated {info.id} to boss\n")
    tried = await asyncio.to_thread(bastion, house, "request", "edit", info.id, "--try", "--command", "echo q", *key)
    assert "echo q" in tried.stdout
    assert (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).state == "held"
    edited = await asyncio.to_thread(bastion, house, "request", "edit", info.id, "--command", "echo quick", *key)
    assert edited.returncode == 0, edited.stderr
    assert edited.stdout.splitlines()[-1].startswith(f"edited {info.id}: approved r-")
    assert (await house.finish(ssh)).stdout == b"quick\n"
