"""`ssh -L` and `-W` to destinations that policy names: held, recorded, cut. Promises P1, P3, P4, P9."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from bastion.admin import administering
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.e2e import test_jump
from tests.support.house import House
from tests.support.ports import free_port, until
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

PORT, OTHER, CLOSED = free_port(), free_port(), free_port()
POLICY = """\
policy "forwards" {{
  version 1
  target "web-1" {{
    forward "127.0.0.1:{port}", "localhost:{port}", "127.0.0.1:{closed}" for 1m{more}
  }}
}}
"""


def policy(more: str = "", port: int = PORT) -> str:
    return POLICY.format(port=port, closed=CLOSED, more=f"\n    {more}" if more else "")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), policy())
    made.add_target("web-1", sshd, env="test")
    made.add_target("web-2", sshd, env="test")
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def echo() -> AsyncIterator[list[int]]:
    """Listens on PORT and OTHER, greets, and answers in upper case; the connections that it had."""
    seen: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        seen.append(writer.get_extra_info("sockname")[1])
        writer.write(b"hello\n")
        try:
            while data := await reader.read(1 << 16):
                writer.write(data.upper())
                await writer.drain()
            writer.write(b"bye\n")
            writer.close()
        except OSError:
            writer.transport.abort()

    servers = [await asyncio.start_server(serve, "127.0.0.1", port) for port in (PORT, OTHER)]
    yield seen
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


def through(destination: str) -> tuple[str, ...]:
    return ("-W", destination)


async def nothing_is_held(client: Client) -> None:
    """What an earlier client left has been taken back."""
    async with asyncio.timeout(10):
        while await client.call(wire.ListRequests, list[wire.RequestInfo], state="held"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def held(house: House, client: Client, destination: str) -> wire.RequestInfo:
    return await house.held(client, f"forward {destination} for 60s".encode())


async def test_held_then_bytes_both_ways_and_all_of_it_recorded(house: House, ana: Client, echo: list[int]) -> None:
    sent = os.urandom(3 << 20).replace(b"\xff", b"x")
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
    info = await held(house, ana, f"127.0.0.1:{PORT}")
    assert (info.kind, info.tier, info.target, info.login) == ("forward", "unrated", "web-1", LOGIN)
    assert ("network", f"127.0.0.1:{PORT}") in [tuple(effect) for effect in info.effects]
    assert "not seen" in info.reasons[0]
    assert echo == []
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(process, sent)
    assert outcome.stdout == b"hello\n" + sent.upper() + b"bye\n"
    assert outcome.status == 0, outcome.stderr
    assert echo == [PORT]
    assert await ended(house, info) == "closed by the far end"
    with house.recorded() as reader:
        entries = [entry for entry in reader.entries() if entry.request == info.id]
    assert [entry.type for entry in entries] == [
        "request.proposed", "request.decided", "command.started", "command.finished",
    ]  # fmt: skip
    body = entries[-1].body
    assert (body["stdin_bytes"], body["stdout_bytes"], body["note"]) == (
        len(sent), len(sent) + len(b"hello\nbye\n"), "closed by the far end",
    )  # fmt: skip
    assert entries[2].t < entries[3].t


async def test_a_port_of_the_agent(house: House, ana: Client, echo: list[int]) -> None:
    """`ssh -L`: each connection is a request of its own."""
    port = free_port()
    ssh = await house.ssh("web-1", options=("-N", "-L", f"{port}:LOCALHOST:{PORT}"))
    for number in range(2):
        reader, writer = await _dial(port)
        await house.decide(ana, command=f"forward localhost:{PORT} for 60s".encode())
        assert await reader.readline() == b"hello\n"
        writer.write(b"x\n")
        assert await reader.readline() == b"X\n"
        assert len(echo) == number + 1
        writer.close()
        await writer.wait_closed()
    ssh.terminate()
    await house.finish(ssh)


async def _dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)


async def test_from_inside_a_jump(house: House, ana: Client, echo: list[int]) -> None:
    """`ssh -J bastion -W … web-1`: the inner connection is one like any other."""
    config = test_jump.configuration(house, test_jump.trusting(house))
    process = await test_jump.start(config, "-W", f"127.0.0.1:{PORT}", "web-1")
    info = await held(house, ana, f"127.0.0.1:{PORT}")
    assert (info.target, info.login) == ("web-1", LOGIN)
    await ana.vote(info, Choice.APPROVE, "")
    assert (await house.finish(process)).stdout == b"hello\nbye\n"
    refused = await house.finish(await test_jump.start(config, "-W", f"127.0.0.1:{OTHER}", "web-1"))
    assert (refused.status, "a forward leads to" in refused.stderr) == (255, True)
    assert echo == [PORT]


async def test_denied_with_the_reason(house: House, ana: Client, echo: list[int]) -> None:
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
    await ana.vote(await held(house, ana, f"127.0.0.1:{PORT}"), Choice.DENY, "not this one")
    outcome = await house.finish(process, b"")
    assert outcome.status == 255
    assert "bastion: denied by ana: not this one" in outcome.stderr
    assert echo == []


@pytest.mark.parametrize(
    "destination",
    [
        "127.0.0.1:OTHER", "127.0.0.1:22", "[::1]:PORT", "127.1:PORT", "2130706433:PORT",
        "0x7f000001:PORT",
        "localhost.:PORT", "0.0.0.0:PORT", "127.0.0.01:PORT", "web-1:PORT",
    ],
)  # fmt: skip
async def test_what_policy_does_not_name_is_refused(house: House, echo: list[int], destination: str) -> None:
    filled = destination.replace("OTHER", str(OTHER)).replace("PORT", str(PORT))
    outcome = await house.run("web-1", options=through(filled), stdin=b"")
    assert outcome.status == 255
    assert "prohibited: bastion: a forward leads to" in outcome.stderr, outcome.stderr
    assert echo == []


async def test_only_from_the_target_that_policy_names(house: House, echo: list[int]) -> None:
    for destination in ("web-2", "web-9", "mallory%web-1", "bastion"):
        outcome = await house.run(destination, options=through(f"127.0.0.1:{PORT}"), stdin=b"")
        assert (outcome.status, "a forward leads to" in outcome.stderr) == (255, True)
    outcome = await house.run("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"", who="ana")
    assert outcome.status == 255
    assert echo == []


async def test_names_that_no_ordinary_client_sends(house: House, echo: list[int]) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        house.port,
        username="web-1",
        client_keys=[str(house.work / "agent-7")],
        known_hosts=None,
        config=None,
    ) as connection:
        for host in (
            "",
            "127.0.0.1\0",
            "127.0.0.1 ",
            "\x1b[31m",
            "１２７.0.0.1",
            "::ffff:127.0.0.1",
            "[127.0.0.1]",
            "*",
            "a" * 4000,
        ):
            with pytest.raises(asyncssh.ChannelOpenError, match="a forward leads to") as refused:
                await connection.open_connection(host, PORT)
            assert "\x1b" not in str(refused.value)
        for port in (0, 65536 + PORT, (1 << 32) - 1):
            with pytest.raises((asyncssh.ChannelOpenError, OSError)):
                await connection.open_connection("127.0.0.1", port)
    assert echo == []


async def test_nobody_listens_there(house: House, ana: Client) -> None:
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{CLOSED}"), stdin=b"")
    info = await held(house, ana, f"127.0.0.1:{CLOSED}")
    await ana.vote(info, Choice.APPROVE, "")
    outcome = await house.finish(process, b"")
    assert outcome.status == 255
    assert "does not connect to" in outcome.stderr
    assert "does not connect to" in await ended(house, info)


async def test_a_client_that_goes_takes_its_request_back(house: House, ana: Client, echo: list[int]) -> None:
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
    info = await held(house, ana, f"127.0.0.1:{PORT}")
    process.kill()
    await process.wait()

    async with asyncio.timeout(10):
        while (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).state != "withdrawn":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert echo == []


async def open_one(house: House, ana: Client) -> tuple[asyncio.subprocess.Process, wire.RequestInfo]:
    """An approved forward through which the greeting has come."""
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
    info = await held(house, ana, f"127.0.0.1:{PORT}")
    await ana.vote(info, Choice.APPROVE, "")
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"hello\n"
    return process, info


async def cut(house: House, process: asyncio.subprocess.Process, info: wire.RequestInfo, why: str) -> None:
    """It ends at once, and the ledger says why."""
    async with asyncio.timeout(10):
        await process.wait()

    assert why in await ended(house, info)


async def ended(house: House, info: wire.RequestInfo) -> str:
    """How the ledger says that it ended, once it does."""
    notes: list[str] = []

    def written() -> bool:
        with house.recorded() as reader:
            found = [entry for entry in reader.entries(types=("command.finished",)) if entry.request == info.id]
        notes[:] = [str(entry.body["note"]) for entry in found]
        return bool(notes)

    await until(written, "its end is written")
    return notes[0]


async def test_a_session_that_is_killed(house: House, ana: Client, echo: list[int]) -> None:
    process, info = await open_one(house, ana)
    admin = await house.local()
    await admin.call(wire.KillSession, wire.SessionInfo, session=info.session, reason="enough")
    await cut(house, process, info, "enough")
    await admin.close()


async def test_a_freeze_cuts_it_and_leaves_commands(house: House, ana: Client, echo: list[int]) -> None:
    process, info = await open_one(house, ana)
    other = await house.ssh("web-1", "sleep 300", who="agent-8")
    await house.decide(ana, command=b"sleep 300")
    admin = await house.local()
    freeze = await admin.call(
        wire.SetFreeze, wire.FreezeInfo, scope="target", name="web-1", mode="refuse", reason="an incident", cut=False
    )
    await cut(house, process, info, "an incident")
    outcome = await house.run("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
    assert "an incident" in outcome.stderr
    assert other.returncode is None
    await admin.call(wire.LiftFreeze, wire.FreezeInfo, freeze=freeze.id, reason="over")
    other.terminate()
    await house.finish(other)
    await admin.close()


async def test_a_policy_that_does_not_name_it_any_more(house: House, ana: Client, echo: list[int]) -> None:
    process, info = await open_one(house, ana)
    path = house.config.policy
    assert path is not None
    await asyncio.to_thread(_replace, path, policy(port=OTHER))
    await cut(house, process, info, "no rule of the policy names")
    await asyncio.to_thread(_replace, path, policy())
    os.kill(house.pid, signal.SIGHUP)

    async def named() -> bool:
        process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
        try:
            async with asyncio.timeout(5):
                await held(house, ana, f"127.0.0.1:{PORT}")
            return True
        except TimeoutError:
            return False
        finally:
            process.kill()
            await process.wait()

    while not await named():
        pass
    await nothing_is_held(ana)


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


async def test_its_identity_is_revoked(house: House, ana: Client, echo: list[int]) -> None:
    process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"", who="agent-8")
    info = await held(house, ana, f"127.0.0.1:{PORT}")
    await ana.vote(info, Choice.APPROVE, "")
    await until(lambda: echo == [PORT], "it is open")
    admin = await house.local()
    await admin.call(wire.RevokeIdentity, wire.IdentityInfo, name="agent-8", reason="gone")
    await cut(house, process, info, "agent-8 was revoked")
    await admin.close()


async def test_its_time_is_over(tmp_path: Path, sshd: Sshd, echo: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing shorter than a minute can be written in a policy; so the daemon's own minute is made short."""
    program = tmp_path / "serve.py"
    program.write_text(
        "import sys\nfrom bastion.policy import rules, clauses\nclauses.FORWARD_SECONDS = 1\n"
        "from bastion.cli import main\nsys.argv[0] = 'bastion'\nmain()\n"
    )
    house = House(tmp_path / "short", f'policy "short" {{\n  version 1\n  forward "127.0.0.1:{PORT}"\n}}\n')
    house.add_target("web-1", sshd, env="test")
    import sys

    house.start(program=(sys.executable, str(program)), env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])})
    try:
        ana = await house.remote("ana")
        process = await house.ssh("web-1", options=through(f"127.0.0.1:{PORT}"), stdin=b"")
        info = await house.held(ana, f"forward 127.0.0.1:{PORT} for 1s".encode())
        await ana.vote(info, Choice.APPROVE, "")
        await cut(house, process, info, "its time of 1 s is over")
        await ana.close()
    finally:
        house.stop()


async def test_a_certificate_for_one_forward(tmp_path: Path, echo: list[int]) -> None:
    """`--credential ca`: the certificate permits forwards, and runs nothing."""
    from tests.e2e.test_certificates import trusting

    house = House(tmp_path / "house", policy())
    sshd = trusting(tmp_path / "sshd", house)
    with administering(house.config, "local:0") as admin:
        admin.add_target("web-1", f"127.0.0.1:{sshd.port}", [LOGIN], "test", [sshd.host_key], "ca")
    house.start()
    try:
        ana = await house.remote("ana")
        process, _ = await open_one(house, ana)
        assert (await house.finish(process, b"abc")).stdout == b"ABCbye\n"
        await ana.close()
    finally:
        house.stop()
        sshd.stop()


async def test_the_ledger_verifies(house: House) -> None:
    """Last of this file: what it says of forwards is right, by the verifier's own rules."""
    report = await asyncio.to_thread(verify, house.config.store)
    assert report.verdict is Verdict.OK, report
