"""The main job on real parts: OpenSSH's ssh, the bastion's daemon, OpenSSH's sshd."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import Conflict, NotAllowed
from bastion.model import Choice
from tests.support.house import House
from tests.support.keys import make_key

pytestmark = pytest.mark.e2e


async def test_an_approved_command_runs_byte_for_byte(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "printf 'out\\n'; printf 'err\\n' >&2; exit 7")
    decided = await house.decide(ana)
    assert decided.state == "approved"
    outcome = await house.finish(ssh)
    assert (outcome.status, outcome.stdout) == (7, b"out\n")
    lines = outcome.stderr.splitlines()
    assert re.fullmatch(r"bastion: held r-[0-9a-f]{8}  risk .*\(1 approval, 60 s\)", lines[0])
    assert re.fullmatch(r"bastion: approved by ana after \d+ s", lines[1])
    assert lines[2:] == ["err"]


async def test_nothing_happens_before_approval_and_nothing_after_denial(
    house: House, ana: Client, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    ssh = await house.ssh("web-1", f"touch {marker}")
    info = await house.held(ana)
    assert not marker.exists()
    await ana.vote(info, Choice.DENY, "not on a Friday")
    outcome = await house.finish(ssh)
    assert outcome.status == 126
    assert "bastion: denied by ana: not on a Friday" in outcome.stderr
    assert outcome.stdout == b""
    assert not marker.exists()


async def test_all_bytes_of_a_command_arrive(house: House, ana: Client) -> None:
    everything = bytes(range(1, 256)).replace(b"'", b"")
    command = b"printf %s '" + everything + b"' | od -An -v -tx1"
    ssh = await house.ssh("web-1", os.fsdecode(command))
    info = await house.held(ana)
    assert info.command == command
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(ssh)
    assert bytes.fromhex(outcome.stdout.decode().replace("\n", "").replace(" ", "")) == everything


async def test_stdin_streams_to_an_approved_command(house: House, ana: Client) -> None:
    data = os.urandom(3_000_000)
    ssh = await house.ssh("web-1", "sha256sum", stdin=b"")
    await house.decide(ana)
    outcome = await house.finish(ssh, data)
    assert outcome.status == 0
    assert outcome.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_code_on_stdin_is_shown_hashed_and_run_as_approved(house: House, ana: Client, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = f"touch {marker}\necho done\n".encode()
    ssh = await house.ssh("web-1", "bash -s", stdin=b"")
    sending = asyncio.create_task(house.finish(ssh, code))
    info = await house.held(ana)
    assert (info.stdin, info.stdin_code) == ("bundled", code)
    assert not marker.exists()
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await sending
    assert (outcome.status, outcome.stdout) == (0, b"done\n")
    assert marker.exists()


async def test_more_code_than_the_limit_is_refused(house: House) -> None:
    outcome = await house.run("web-1", "bash -s", stdin=b"#" * ((1 << 20) + 1))
    assert outcome.status == 126
    assert "1,048,576 bytes" in outcome.stderr


async def test_a_signal_that_ends_the_command_is_relayed(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "kill -TERM $$")
    await house.decide(ana)
    outcome = await house.finish(ssh)
    assert outcome.status in (255, 128 + signal.SIGTERM)  # ssh(1): 255 if the remote command died by a signal


async def test_a_vote_over_ssh_must_be_the_callers_own(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "true")
    info = await house.held(ana)
    ben = await house.remote("ben")
    eve = await house.remote("eve")
    signed = await _signed_vote(house, info, "ana")
    with pytest.raises(NotAllowed, match="signature of ana"):
        await ben.call(wire.CastVote, wire.RequestInfo, **signed)
    with pytest.raises(NotAllowed, match="eve may not"):
        await eve.call(wire.CastVote, wire.RequestInfo, **signed)
    assert (await house.held(ana)).votes == []
    decided = await ana.call(wire.CastVote, wire.RequestInfo, **signed)
    assert decided.state == "approved"
    with pytest.raises(Conflict, match="approved already"):
        await ana.call(wire.CastVote, wire.RequestInfo, **signed)
    await house.finish(ssh)
    for client in (ben, eve):
        await client.close()


async def _signed_vote(house: House, info: wire.RequestInfo, who: str) -> dict[str, object]:
    """The arguments of a vote that `who` signs, without sending it."""
    from bastion.control import signers, statements

    with house.recorded() as reader:
        origin = reader.entry(1).origin
    statement = statements.encode(
        statements.VoteStatement(
            origin=origin,
            proposal=info.proposal,
            request=info.id,
            digest=info.digest,
            choice=Choice.APPROVE,
            reason="",
            expires=info.expires,
            checkpoint="0" * 64,
        )
    )
    signature = await signers.open_file(house.work / who).sign(statement, wire.DECISION_NAMESPACE)
    return {"request": info.id, "statement": statement, "signature": signature}


async def test_the_local_socket_cannot_decide_without_an_approvers_signature(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "true")
    info = await house.held(ana)
    root = await house.local("agent-7")
    with pytest.raises(NotAllowed, match="not an approver's"):
        await root.vote(info, Choice.APPROVE, "")
    await root.close()
    await ana.vote(info, Choice.DENY, "no")
    assert (await house.finish(ssh)).status == 126


async def test_a_client_that_leaves_finds_its_request_again(house: House, ana: Client, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    command = f"echo ran >> {marker}"
    ssh = await house.ssh("web-1", command)
    info = await house.held(ana, command.encode())
    ssh.terminate()
    await ssh.wait()
    await until_detached(ana, info.id)
    await ana.vote(await house.held(ana, command.encode()), Choice.APPROVE, "go on")
    assert not marker.exists()
    assert (await house.run("web-1", command, who="agent-8", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 75
    other = await house.held(ana, command.encode())
    await ana.vote(other, Choice.DENY, "not yours")
    outcome = await house.run("web-1", command)
    assert outcome.status == 0
    assert f"bastion: approved by ana before, used now: {info.id}" in outcome.stderr
    assert marker.read_text() == "ran\n"
    again = await house.ssh("web-1", command)
    assert (await house.held(ana, command.encode())).id != info.id
    await house.decide(ana, Choice.DENY, "once is enough", command.encode())
    assert (await house.finish(again)).status == 126
    assert marker.read_text() == "ran\n"


async def until_detached(client: Client, request: str) -> None:
    async with asyncio.timeout(20):
        while (await client.call(wire.ShowRequest, wire.RequestInfo, request=request)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_not_waiting_exits_75_and_running_it_again_attaches(house: House, ana: Client) -> None:
    outcome = await house.run("web-1", "echo later", options=("-o", "SetEnv=BASTION_WAIT=no"))
    assert outcome.status == 75
    info = await house.held(ana, b"echo later")
    ssh = await house.ssh("web-1", "echo later")
    assert ssh.stderr is not None
    assert info.id.encode() in await ssh.stderr.readline()
    await ana.vote(await house.held(ana, b"echo later"), Choice.APPROVE, "")
    assert (await house.finish(ssh)).stdout == b"later\n"


async def test_whitelisted_exactly_and_for_nobody_else(house: House, ana: Client) -> None:
    await house.whitelist(ana, b"echo free")
    outcome = await house.run("web-1", "echo free")
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, b"free\n", "")
    for command, who in (("echo free ", "agent-7"), ("echo free; id", "agent-7"), ("echo free", "agent-8")):
        outcome = await house.run("web-1", command, who=who, options=("-o", "SetEnv=BASTION_WAIT=no"))
        assert outcome.status == 75, command
    for info in await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
        await ana.vote(info, Choice.DENY, "no")


async def test_intent_reaches_the_approver(house: House, ana: Client) -> None:
    ssh = await house.ssh(
        "web-1", "true", options=("-o", 'SetEnv=BASTION_REASON="disk is full" BASTION_ROLLBACK=none BASTION_TASK=T-1')
    )
    info = await house.held(ana)
    assert (info.reason, info.rollback, info.task) == ("disk is full", "none", "T-1")
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)


async def test_json_notices(house: House, ana: Client) -> None:
    import json

    ssh = await house.ssh("web-1", "true", options=("-o", "SetEnv=BASTION_OUTPUT=json"))
    info = await house.held(ana)
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(ssh)
    held, approved = (json.loads(line) for line in outcome.stderr.splitlines())
    assert (held["bastion"], held["request"], held["seconds"]) == ("held", info.id, 60)
    assert (approved["bastion"], approved["by"]) == ("approved", ["ana"])


async def test_output_is_watched_live(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "head -n 1; echo seen", stdin=b"")
    info = await house.decide(ana)
    await ana.call(wire.WatchSession, wire.SessionInfo, session=info.session)
    finishing = asyncio.create_task(house.finish(ssh, b"hello\n"))
    seen = b""
    async with asyncio.timeout(20):
        async for push in ana.pushes():
            if isinstance(push, wire.SessionOutput) and push.frame.kind == "output":
                seen += push.frame.data
            if b"hello\nseen\n" in seen:
                break
    assert (await finishing).stdout == b"hello\nseen\n"


async def test_the_recording_holds_what_went_by(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "cat; echo err >&2", stdin=b"")
    info = await house.decide(ana)
    await house.finish(ssh, b"in and out")
    streams: dict[str, bytes] = {}
    for frame in await ana.call(wire.ReadRecording, list[wire.FrameInfo], session=info.session):
        streams[frame.kind] = streams.get(frame.kind, b"") + frame.data
    assert streams["output"] == b"in and out"
    assert streams["input"] == b"in and out"
    assert streams["stderr"] == b"err\n"
    shown = await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)
    assert shown.status == "exit 0"
    session = await ana.call(wire.ShowSession, wire.SessionInfo, session=info.session)
    assert session.output_bytes == len(b"in and outerr\n")


async def test_the_ledger_has_the_chain_from_proposal_to_end(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "exit 4")
    info = await house.decide(ana)
    await house.finish(ssh)
    with house.recorded() as reader:
        chain = {entry.type: entry for entry in reader.entries(request=info.id)}
    assert list(chain) == ["request.proposed", "request.decided", "command.started", "command.finished"]
    assert chain["request.decided"].cause == chain["request.proposed"].leaf
    assert chain["command.started"].cause == chain["request.decided"].leaf
    assert chain["command.finished"].cause == chain["command.started"].leaf
    assert chain["command.finished"].body["status"] == 4


async def test_a_slow_agent_gets_every_byte_and_the_right_status(house: House, ana: Client, tmp_path: Path) -> None:
    data = os.urandom(24_000_000)
    source = tmp_path / "data"
    source.write_bytes(data)
    ssh = await house.ssh("web-1", f"cat {source}; exit 9")
    await house.decide(ana)
    assert ssh.stdout is not None
    digest, size = hashlib.sha256(), 0
    while chunk := await ssh.stdout.read(1 << 16):
        digest.update(chunk)
        size += len(chunk)
        if size % 10 == 0:
            await asyncio.sleep(0.001)
    assert await ssh.wait() == 9
    assert size == len(data)
    assert digest.digest() == hashlib.sha256(data).digest()


async def test_revoking_cuts_at_once(house: House, ana: Client) -> None:
    root = await house.local()
    key = make_key(house.work / "shortlived")
    await root.call(wire.AddIdentity, wire.IdentityInfo, name="shortlived", kind="agent", roles=[], key=key)
    ssh = await house.ssh("web-1", "echo begun; exec sleep 1000", who="shortlived")
    await house.decide(ana)
    assert ssh.stdout is not None
    assert await ssh.stdout.readline() == b"begun\n"
    begun = asyncio.get_running_loop().time()
    await root.call(wire.RevokeIdentity, wire.IdentityInfo, name="shortlived", reason="gone rogue")
    outcome = await house.finish(ssh)
    assert asyncio.get_running_loop().time() - begun < 2
    assert outcome.status != 0
    outcome = await house.run("web-1", "true", who="shortlived")
    assert outcome.status == 255
    assert "was revoked" in outcome.stderr
    await root.close()
