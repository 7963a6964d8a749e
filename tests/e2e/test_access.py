"""Production takes a grant: asked for, decided, ended on time, with live sessions cut; freezes; revoked approvers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.admin import administering
from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import BastionError, NotAllowed
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.support.house import House
from tests.support.ports import until
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

CUT_SECONDS = 0.5
"""From the end of a grant to the agent's being told that its session is over. The goal is 0.1, on a machine that is not
busy with other tests."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    """A bastion whose production takes grants, and a staging that does not."""
    made = House(tmp_path_factory.mktemp("access"), grants=True)
    made.add_target("web-1", sshd)
    made.add_target("web-2", sshd)
    made.add_target("stage-1", sshd, env="staging")
    made.start()
    yield made
    made.stop()
    report = verify(made.config.store)
    assert report.verdict is Verdict.OK, report.problems


@pytest.fixture
async def root(house: House) -> AsyncIterator[Client]:
    client = await house.local("ana")
    yield client
    await client.close()


async def grant(root: Client, identity: str = "agent-7", target: str = "web-1", seconds: int = 60) -> wire.GrantInfo:
    return await root.call(
        wire.AddGrant, wire.GrantInfo, identity=identity, target=target, lasting=seconds, reason="test"
    )


async def revoke(root: Client, info: wire.GrantInfo) -> None:
    await root.call(wire.RevokeGrant, wire.GrantInfo, grant=info.id, reason="done")


async def session_of(root: Client, command: bytes) -> wire.SessionInfo:
    async with asyncio.timeout(20):
        while True:
            requests = await root.call(wire.ListRequests, list[wire.RequestInfo])
            for info in requests:
                if info.command == command and info.status == "running":
                    return await root.call(wire.ShowSession, wire.SessionInfo, session=info.session)
            await asyncio.sleep(0.01)


async def told(agent: asyncio.subprocess.Process, words: bytes) -> float:
    """When the agent was told of it: by then no byte of the command's goes either way any more."""
    assert agent.stderr is not None
    async with asyncio.timeout(20):
        while words not in await agent.stderr.readline():
            assert not agent.stderr.at_eof()
    return time.time()


async def test_production_without_a_grant_is_refused_with_the_line_to_type(house: House) -> None:
    outcome = await house.run("web-1", "id")
    assert outcome.status == 126
    assert "ssh bastion@bastion 'request-access web-1 --for 30m --reason" in outcome.stderr
    assert outcome.stdout == b""


async def test_nor_a_shell(house: House) -> None:
    """A shell's driver would be on the target before the first command."""
    outcome = await house.run("web-1", stdin=b"id\n")
    assert outcome.status == 125
    assert "request-access web-1" in outcome.stderr
    assert outcome.stdout == b""


async def test_a_grant_opens_one_target_to_one_identity(house: House, root: Client) -> None:
    info = await grant(root)
    await house.whitelist(root, b"echo open")
    assert (await house.run("web-1", "echo open")).stdout == b"open\n"
    assert (await house.run("web-2", "echo open")).status == 126
    assert (await house.run("web-1", "echo open", who="agent-8")).status == 126
    await revoke(root, info)
    assert (await house.run("web-1", "echo open")).status == 126


async def test_staging_needs_none(house: House, root: Client) -> None:
    await house.whitelist(root, b"echo free", target="stage-1")
    assert (await house.run("stage-1", "echo free")).stdout == b"free\n"


@pytest.mark.parametrize("how", ["expiry", "revocation"])
async def test_a_live_session_is_cut_at_the_end(house: House, root: Client, how: str) -> None:
    command = f"while echo tick; do sleep 0.02; done # {how}"
    info = await grant(root, seconds=2 if how == "expiry" else 60)
    await house.whitelist(root, command.encode())
    agent = await house.ssh("web-1", command)
    await session_of(root, command.encode())
    began = time.time()
    if how == "revocation":
        await revoke(root, info)
    late = await told(agent, b"the grant") - (info.expires / 1e6 if how == "expiry" else began)
    assert late < CUT_SECONDS, late
    assert (await house.finish(agent)).status == 125
    assert info.id not in [each.id for each in await root.call(wire.ListGrants, list[wire.GrantInfo])]


async def test_sessions_on_other_targets_go_on(house: House, root: Client) -> None:
    first, second = await grant(root), await grant(root, target="web-2")
    for target in ("web-1", "web-2"):
        await house.whitelist(root, f"sleep 3; echo {target}".encode(), target=target)
    agents = [await house.ssh(target, f"sleep 3; echo {target}") for target in ("web-1", "web-2")]
    for target in ("web-1", "web-2"):
        await session_of(root, f"sleep 3; echo {target}".encode())
    await revoke(root, first)
    assert (await house.finish(agents[0])).status == 125
    assert (await house.finish(agents[1])).stdout == b"web-2\n"
    await revoke(root, second)


async def test_a_held_request_goes_with_its_grant(house: House, root: Client) -> None:
    info = await grant(root)
    agent = await house.ssh("web-1", "echo held-then-gone")
    await house.held(root, b"echo held-then-gone")
    await revoke(root, info)
    assert (await house.finish(agent)).status == 125
    info = await grant(root)
    left = await house.run("web-1", "echo left", options=["-o", "SetEnv=BASTION_WAIT=no"])
    assert left.status == 75
    await revoke(root, info)
    rows = await root.call(wire.ListRequests, list[wire.RequestInfo])
    assert [row.state for row in rows if row.command == b"echo left"] == ["withdrawn"]


async def test_an_approval_left_behind_does_not_outlive_the_grant(house: House, root: Client, tmp_path: Path) -> None:
    info = await grant(root)
    marker = tmp_path / "marker"
    left = await house.run("web-1", f"touch {marker}", options=["-o", "SetEnv=BASTION_WAIT=no"])
    assert left.status == 75
    (held,) = await root.call(wire.ListRequests, list[wire.RequestInfo], state="held")
    await root.vote(held, Choice.APPROVE, "")
    await revoke(root, info)
    assert (await house.run("web-1", f"touch {marker}")).status == 126
    info = await grant(root)
    again = await house.ssh("web-1", f"touch {marker}")
    assert (await house.held(root, f"touch {marker}".encode())).id != held.id
    await house.decide(root, Choice.DENY, "no")
    assert (await house.finish(again)).status == 126
    assert not marker.exists()
    await revoke(root, info)


# --- asking --------------------------------------------------------------------------------------------------------


async def test_asking_for_access(house: House, root: Client) -> None:
    agent = await house.ssh("bastion", "request-access web-1 --for 2m --reason 'deploy it'")
    held = await house.held(root)
    assert (held.kind, held.command, held.reason, held.target) == (
        "grant",
        b"request-access web-1 --for 120s",
        "deploy it",
        "web-1",
    )
    await root.vote(held, Choice.APPROVE, "")
    outcome = await house.finish(agent)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout.startswith(b"web-1 until ")
    (info,) = await root.call(wire.ListGrants, list[wire.GrantInfo])
    assert (info.identity, info.target, info.by, info.request, info.in_force) == (
        "agent-7", "web-1", "ana", held.id, True,
    )  # fmt: skip
    assert abs((info.expires - info.added) / 1e6 - 120) < 0.001
    agent = await house.ssh("web-1", "echo in")
    await house.decide(root)
    assert (await house.finish(agent)).stdout == b"in\n"
    await revoke(root, info)


async def test_a_denied_one_grants_nothing(house: House, root: Client) -> None:
    agent = await house.ssh("bastion", "request-access web-1 --for 2m --reason x")
    await root.vote(await house.held(root), Choice.DENY, "not now")
    outcome = await house.finish(agent)
    assert outcome.status == 126
    assert "not now" in outcome.stderr
    assert await root.call(wire.ListGrants, list[wire.GrantInfo]) == []


async def test_it_outlives_its_client_and_is_taken_up_again(house: House, root: Client) -> None:
    line = "request-access web-1 --for 3m --reason x"
    outcome = await house.run("bastion", line, options=["-o", "SetEnv=BASTION_WAIT=no"])
    assert outcome.status == 75
    agent = await house.ssh("bastion", line)
    held = await house.held(root)
    assert len(await root.call(wire.ListRequests, list[wire.RequestInfo], state="held")) == 1
    agent.terminate()
    await agent.wait()
    async with asyncio.timeout(20):
        while (await root.call(wire.ShowRequest, wire.RequestInfo, request=held.id)).attached:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await root.vote(held, Choice.APPROVE, "")
    (info,) = await root.call(wire.ListGrants, list[wire.GrantInfo])
    assert info.request == held.id
    await revoke(root, info)
    second = await house.ssh("bastion", line)  # an approval is used by its grant: the same line asks anew
    assert (await house.held(root)).id != held.id
    await root.vote(await house.held(root), Choice.DENY, "once is enough")
    assert (await house.finish(second)).status == 126


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("id", "no such command"),
        ("sh", "no such command"),
        ("targets; id", "no such command"),
        ("targets extra", "takes no words"),
        ("request-access", "wanted"),
        ("request-access web-1 --for 30m", "wanted"),
        ("request-access web-1 --for 30m --reason ''", "printable"),
        ("request-access web-1 --for 0s --reason x", "a time is"),
        ("request-access web-1 --for 30m --for 1d --reason x", "once"),
        ("request-access web-1 web-2 --for 30m --reason x", "not understood"),
        ("request-access web-1 --for 7d --reason x", "at most"),
        ("request-access nowhere --for 30m --reason x", "unknown target"),
        ("request-access web-1 --for 30m --reason `id`\x1b[2J", "control"),
        ("grant add agent-7 web-1 --for 30m", "no such command"),
        ("scp -t /tmp", "no such command"),
    ],
)
async def test_nothing_else_is_said_to_the_bastion(house: House, line: str, words: str) -> None:
    outcome = await house.run("bastion", line)
    assert outcome.status == 126
    assert words in outcome.stderr
    assert "\x1b" not in outcome.stderr


async def test_looking_things_up(house: House, root: Client) -> None:
    info = await grant(root)
    as_json = ["-o", "SetEnv=BASTION_OUTPUT=json"]
    targets = json.loads((await house.run("bastion", "targets", options=as_json)).stdout)
    assert [(row["name"], row["env"], row["grant"][:5]) for row in targets] == [
        ("web-1", "production", "until"),
        ("web-2", "production", "neede"),
        ("stage-1", "staging", "not n"),
    ]
    who = json.loads((await house.run("bastion", "whoami", options=as_json)).stdout)
    assert (who["identity"], who["kind"], who["key"][:7]) == ("agent-7", "agent", "SHA256:")
    assert (await house.run("bastion", "whoami")).stdout.startswith(b"agent-7  agent  SHA256:")
    assert (await house.run("web-1", "echo mine", options=["-o", "SetEnv=BASTION_WAIT=no"])).status == 75
    mine = json.loads((await house.run("bastion", "requests", options=as_json)).stdout)
    assert [(row["state"], row["kind"]) for row in mine if row["command"] == "echo mine"] == [("held", "exec")]
    assert b"echo mine" not in (await house.run("bastion", "requests", who="agent-8")).stdout
    assert b"request-access" in (await house.run("bastion", "help")).stdout
    assert b"request-access" in (await house.run("bastion")).stdout
    await revoke(root, info)


async def test_an_agent_grants_nothing_itself(house: House) -> None:
    with pytest.raises(BastionError):
        async with await house.remote("agent-7") as client:
            await grant(client)


async def test_an_approver_from_elsewhere_grants_nothing_by_decree(house: House) -> None:
    async with await house.remote("ana") as client:
        with pytest.raises(NotAllowed):
            await grant(client)


# --- freezes -------------------------------------------------------------------------------------------------------


async def freeze(client: Client, scope: str, name: str, mode: str = "refuse", *, cut: bool = False) -> wire.FreezeInfo:
    return await client.call(
        wire.SetFreeze, wire.FreezeInfo, scope=scope, name=name, mode=mode, reason="incident 4", cut=cut
    )


@pytest.mark.parametrize(("scope", "name"), [("target", "stage-1"), ("env", "staging"), ("all", "")])
async def test_a_freeze_refuses_everything_new(house: House, root: Client, scope: str, name: str) -> None:
    await house.whitelist(root, b"echo frozen", target="stage-1")
    async with await house.remote("ben") as ben:
        frozen = await freeze(ben, scope, name)
        outcome = await house.run("stage-1", "echo frozen")
        assert outcome.status == 126
        assert "incident 4" in outcome.stderr
        await ben.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen.id, reason="over")
    assert (await house.run("stage-1", "echo frozen")).stdout == b"frozen\n"


async def test_a_freeze_that_holds(house: House, root: Client) -> None:
    await house.whitelist(root, b"echo cold", target="stage-1")
    frozen = await freeze(root, "env", "staging", "hold")
    agent = await house.ssh("stage-1", "echo cold")
    await house.decide(root)
    assert (await house.finish(agent)).stdout == b"cold\n"
    await root.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen.id, reason="over")


async def test_what_was_approved_before_does_not_start_in_a_freeze(house: House, root: Client, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    agent = await house.ssh("stage-1", f"touch {marker}")
    held = await house.held(root)
    frozen = await freeze(root, "all", "")
    await root.vote(held, Choice.APPROVE, "")
    assert (await house.finish(agent)).status == 125
    assert not marker.exists()
    await root.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen.id, reason="over")


async def test_a_freeze_that_cuts(house: House, root: Client) -> None:
    await house.whitelist(root, b"sleep 60; echo cut", target="stage-1")
    agent = await house.ssh("stage-1", "sleep 60; echo cut")
    await session_of(root, b"sleep 60; echo cut")
    began = time.time()
    frozen = await freeze(root, "target", "stage-1", cut=True)
    late = await told(agent, b"incident 4") - began
    assert (await house.finish(agent)).status == 125
    assert late < CUT_SECONDS, late
    await root.call(wire.LiftFreeze, wire.FreezeInfo, freeze=frozen.id, reason="over")


async def test_whoever_watches_is_told_at_once(house: House, root: Client) -> None:
    """Freezes, thaws and revocations: pushed, in their order, to a console that asks for nothing."""
    async with await house.remote("ben") as ben:
        pushes: list[wire.Push] = []

        async def read() -> None:
            async for push in ben.pushes():
                pushes.append(push)

        def frozen() -> list[list[str]]:
            return [[each.name for each in push.freezes] for push in pushes if isinstance(push, wire.FreezesChanged)]

        def alerts() -> list[tuple[str, str]]:
            return [(push.kind, push.text) for push in pushes if isinstance(push, wire.Alert)]

        await ben.call(wire.Subscribe, type(None))
        reading = asyncio.create_task(read(), name="pushes")
        await until(lambda: frozen() == [[]], "nothing is frozen, it says first")
        began = time.monotonic()
        made = await freeze(root, "target", "stage-1")
        await until(lambda: frozen()[-1] == ["stage-1"], "it is told")
        await root.call(wire.LiftFreeze, wire.FreezeInfo, freeze=made.id[:5], reason="over")
        await until(lambda: len(frozen()) == 3, "and that it is over")
        assert time.monotonic() - began < 9  # it is pushed
        assert frozen() == [[], ["stage-1"], []]
        given = await grant(root)
        await revoke(root, given)
        await until(lambda: ("grant.revoked", f"grant {given.id} was revoked: done") in alerts(), "it is told")
        assert [kind for kind, _ in alerts()] == ["freeze.set", "freeze.lifted", "grant.revoked"]
        assert ("freeze.lifted", f"freeze {made.id} is lifted: over") in alerts()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


# --- revoked approvers: last, since nobody can be put back ------------------------------------------------------------


async def test_a_revoked_approvers_word_counts_no_more(house: House, root: Client, tmp_path: Path) -> None:
    """Votes on held requests, approvals that nobody used, whitelist entries: all of them at once."""
    ben = await house.local("ben")
    await ben.whitelist(b"echo bens", "agent-7", "stage-1", LOGIN, None)
    assert (await house.run("stage-1", "echo bens")).stdout == b"bens\n"
    marker = tmp_path / "marker"
    left = await house.run("stage-1", f"touch {marker}", options=["-o", "SetEnv=BASTION_WAIT=no"])
    assert left.status == 75
    held = next(
        row
        for row in await root.call(wire.ListRequests, list[wire.RequestInfo], state="held")
        if row.command == f"touch {marker}".encode()
    )
    await ben.vote(held, Choice.APPROVE, "")
    await ben.close()
    await root.call(wire.RevokeIdentity, wire.IdentityInfo, name="ben", reason="left")
    assert (await root.call(wire.ShowRequest, wire.RequestInfo, request=held.id)).state == "withdrawn"
    for command in (f"touch {marker}", "echo bens"):
        agent = await house.ssh("stage-1", command)
        await house.decide(root, Choice.DENY, "no", command.encode())
        assert (await house.finish(agent)).status == 126
    assert not marker.exists()
    listed = await root.call(wire.ListWhitelist, list[wire.WhitelistInfo], every=True)
    assert [row.in_force for row in listed if row.by == "ben"] == [False]


async def test_what_was_left_at_a_removed_target_is_withdrawn(house: House, root: Client) -> None:
    info = await grant(root, target="web-2")
    left = await house.run("web-2", "echo orphan", options=["-o", "SetEnv=BASTION_WAIT=no"])
    assert left.status == 75
    await root.call(wire.RemoveTarget, wire.TargetInfo, name="web-2")
    rows = await root.call(wire.ListRequests, list[wire.RequestInfo])
    assert [row.state for row in rows if row.command == b"echo orphan"] == ["withdrawn"]
    assert info.id not in [each.id for each in await root.call(wire.ListGrants, list[wire.GrantInfo])]


async def test_grants_and_their_ends_outlive_the_daemon(house: House, root: Client) -> None:
    await house.whitelist(root, b"echo open")
    await grant(root, seconds=600)
    short = await grant(root, "agent-8", seconds=1)
    await root.close()
    house.stop()
    wait = short.expires / 1e6 - time.time()
    await asyncio.sleep(max(0.0, wait))
    house.start()
    async with await house.local("ana") as again:
        async with asyncio.timeout(10):
            while (await again.call(wire.ListGrants, list[wire.GrantInfo]))[1:]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await house.run("web-1", "echo open", who="agent-8")).status == 126
        assert (await house.run("web-1", "echo open")).stdout == b"open\n"


async def test_a_revocation_while_no_daemon_runs_counts_too(house: House, tmp_path: Path) -> None:
    """What is restored at the next start does not lean on who was revoked in between."""
    marker = tmp_path / "marker"
    command = f"touch {marker}"
    assert (await house.run("stage-1", command, options=["-o", "SetEnv=BASTION_WAIT=no"])).status == 75
    async with await house.local("ana") as client:
        rows = await client.call(wire.ListRequests, list[wire.RequestInfo], state="held")
        (held,) = [row for row in rows if row.command == command.encode()]
        await client.vote(held, Choice.APPROVE, "")
    house.stop()
    with administering(house.config, "local:0") as admin:
        admin.perform(wire.RevokeIdentity(id=0, name="ana", reason="left"))
    house.start()
    async with await house.local("ana") as client:
        assert (await client.call(wire.ShowRequest, wire.RequestInfo, request=held.id)).state == "withdrawn"
    assert (await house.run("stage-1", command, options=["-o", "SetEnv=BASTION_WAIT=no"])).status == 75
    assert not marker.exists()
