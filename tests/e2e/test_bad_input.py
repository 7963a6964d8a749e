"""Bad input gets one clear line and a status that is not 0, and loses nothing."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import NotAllowed
from bastion.model import COMMAND_LIMIT, Choice
from tests.support.house import ROOT, House
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e


async def test_unknown_target(house: House) -> None:
    outcome = await house.run("web-9", "true")
    assert (outcome.status, outcome.stderr) == (126, "bastion: refused: unknown target web-9; targets: web-1\n")


async def test_unknown_login(house: House) -> None:
    outcome = await house.run("mallory%web-1", "true")
    assert outcome.status == 126
    assert "mallory is no login of web-1" in outcome.stderr


async def test_a_lookalike_destination_is_made_visible(house: House) -> None:
    """Cyrillic е for e. Control characters in a user name do not get past asyncssh's SASLprep (RFC 4013)."""
    outcome = await house.run("w\u0435b-1", "true")
    assert outcome.status == 126
    assert "w⟨U+0435 CYRILLIC SMALL LETTER IE⟩b-1" in outcome.stderr


async def test_unknown_key(house: House) -> None:
    outcome = await house.run("web-1", "true", who="stranger")
    assert outcome.status == 255
    assert "is not known here" in outcome.stderr
    assert "Permission denied" in outcome.stderr


async def test_an_approvers_key_reaches_no_target(house: House) -> None:
    outcome = await house.run("web-1", "true", who="ana")
    assert outcome.status == 126
    assert "never reaches a target" in outcome.stderr


async def test_an_agents_key_reaches_no_control(house: House) -> None:
    with pytest.raises(NotAllowed, match="an identity with a role"):
        await house.remote("agent-7")
    outcome = await house.run("bastion", "-s", wire.SUBSYSTEM, options=())
    assert outcome.status != 0


async def test_a_command_at_the_limit_and_one_byte_more(house: House, ana: Client) -> None:
    """OpenSSH's own client joins its words into one command; asyncssh sends one of any size."""
    async with connect(house) as connection:
        fits = b"true #".ljust(COMMAND_LIMIT, b"x")
        process = await connection.create_process(fits, encoding=None)  # type: ignore[arg-type]
        decided = await house.decide(ana, command=fits)
        assert len(decided.command) == COMMAND_LIMIT
        assert (await process.wait()).exit_status == 0
        result = await connection.run(fits + b"x", encoding=None)  # type: ignore[arg-type]
        assert result.exit_status == 126
        assert result.stderr == b"bastion: refused: a command has at most 131,071 bytes, this one 131,072\n"


async def test_a_command_of_a_megabyte(house: House) -> None:
    async with connect(house) as connection:
        result = await connection.run(b"x" * (1 << 20), encoding=None)  # type: ignore[arg-type]
        assert result.exit_status == 126
        assert b"1,048,576" in bytes(result.stderr or b"")


async def test_nul_is_refused_and_kept(house: House) -> None:
    async with connect(house) as connection:
        result = await connection.run(b"echo a\0b", encoding=None)  # type: ignore[arg-type]
    assert result.exit_status == 126
    assert b"NUL" in bytes(result.stderr or b"")
    with house.recorded() as reader:
        last = list(reader.entries(types=("request.proposed",)))[-1]
        assert b"echo a" in reader.payload(last, "content") or last.body["verdict"] == "deny"


async def test_a_command_that_is_not_utf8(house: House, ana: Client) -> None:
    async with connect(house) as connection:
        process = await connection.create_process(b"printf '\xff\xfe'", encoding=None)  # type: ignore[arg-type]
        process.stdin.write_eof()  # what does not parse may read code, so its stdin is read first
        info = await house.held(ana, b"printf '\xff\xfe'")
        await ana.vote(info, Choice.APPROVE, "")
        assert (await process.wait()).stdout == b"\xff\xfe"


def connect(house: House, destination: str = "web-1"):  # type: ignore[no-untyped-def]  # asyncssh's context manager has no public type
    return asyncssh.connect(
        "127.0.0.1",
        house.port,
        username=destination,
        client_keys=[str(house.work / "agent-7")],
        known_hosts=str(house.work / "known_hosts"),
        config=None,
    )


# --- targets that do not answer -----------------------------------------------------------------------------------


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[tuple[House, Sshd]]:
    """A bastion and a target of the test's own, not started."""
    sshd = Sshd(tmp_path / "target")
    house = House(tmp_path / "house")
    yield house, sshd
    house.stop()
    sshd.stop()


async def run_approved(house: House, command: str) -> tuple[int, str]:
    root = await house.local()
    ssh = await house.ssh("web-1", command)
    await house.decide(root)
    outcome = await house.finish(ssh)
    await root.close()
    return outcome.status, outcome.stderr


async def test_a_target_that_is_down(lone: tuple[House, Sshd]) -> None:
    house, sshd = lone
    house.add_target("web-1", sshd)
    house.start()
    status, said = await run_approved(house, "true")
    assert status == 125
    assert "bastion: error: target web-1 does not answer: " in said


async def test_a_target_that_does_not_answer_is_an_error_within_ten_seconds(lone: tuple[House, Sshd]) -> None:
    import socket

    house, sshd = lone
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        house.add_target("web-1", sshd, port=silent.getsockname()[1])
        house.start()
        begun = time.monotonic()
        status, said = await run_approved(house, "true")
        assert status == 125
        assert "no answer within" in said
        assert time.monotonic() - begun < 19  # less than two dials


async def test_a_target_with_another_host_key(lone: tuple[House, Sshd], tmp_path: Path) -> None:
    house, sshd = lone
    house.add_target("web-1", sshd)
    sshd.new_host_key()
    house.start()
    marker = tmp_path / "marker"
    status, said = await run_approved(house, f"touch {marker}")
    assert status == 125
    assert "another host key than the pinned one" in said
    assert not marker.exists()
    root = await house.local()
    (row,) = [
        each
        for each in await root.call(wire.CheckTarget, list[wire.CheckInfo], name="web-1")
        if each.name == f"login {LOGIN}"
    ]
    assert not row.ok
    await root.close()


async def test_a_credential_that_others_can_read(lone: tuple[House, Sshd]) -> None:
    house, sshd = lone
    house.add_target("web-1", sshd)
    sshd.start()
    house.start()
    sshd.credential.chmod(0o640)
    status, said = await run_approved(house, "true")
    assert status == 125
    assert "readable by others" in said


async def test_a_target_that_dies_and_comes_back(lone: tuple[House, Sshd]) -> None:
    house, sshd = lone
    house.add_target("web-1", sshd)
    sshd.start()
    house.start()
    assert (await run_approved(house, "true"))[0] == 0
    sshd.stop()
    status, said = await run_approved(house, "true")
    assert status == 125
    assert "does not answer" in said
    sshd.start()
    assert (await run_approved(house, "true"))[0] == 0


# --- the daemon itself ------------------------------------------------------------------------------------------------


def serve(house: House) -> subprocess.CompletedProcess[str]:
    import sys

    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "serve"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_two_daemons_on_one_store(house: House) -> None:
    result = serve(house)
    assert result.returncode == 2
    assert result.stderr.startswith("bastion: ")
    assert len(result.stderr.splitlines()) == 1
    assert not house.dead


def test_the_address_is_taken(lone: tuple[House, Sshd], house: House) -> None:
    other, _ = lone
    text = other.config.path.read_text().replace(f":{other.port}", f":{house.port}")
    other.config.path.write_text(text)
    result = serve(other)
    assert result.returncode == 2
    assert re.search(r"cannot listen on \S+: address already in use \(another program has that port", result.stderr)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_directory_that_cannot_be_written(lone: tuple[House, Sshd]) -> None:
    house, _ = lone
    house.config.store.chmod(0o500)
    result = serve(house)
    house.config.store.chmod(0o700)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


async def test_a_clock_that_jumps_back_revives_nothing(lone: tuple[House, Sshd]) -> None:
    """A whitelist entry that expired stays so, for a daemon that starts while the clock is a year behind."""
    house, sshd = lone
    house.add_target("web-1", sshd)
    sshd.start()
    house.start()
    root = await house.local()
    await root.whitelist(b"echo brief", "agent-7", "web-1", LOGIN, time.time_ns() // 1000 + 1_500_000)
    assert (await house.run("web-1", "echo brief")).status == 0
    await asyncio_sleep_until_expired(root)
    await root.close()
    house.stop()
    house.start(program=program_with_clock_back())
    outcome = await house.run("web-1", "echo brief", options=("-o", "SetEnv=BASTION_WAIT=no"))
    assert outcome.status == 75
    house.stop()


async def asyncio_sleep_until_expired(root: Client) -> None:
    import asyncio

    async with asyncio.timeout(20):
        while await root.call(wire.ListWhitelist, list[wire.WhitelistInfo]):  # noqa: ASYNC110 -- the clock has no event
            await asyncio.sleep(0.05)
    # something must be written after the expiry, so that the ledger knows the time
    await root.call(wire.ListSessions, list[wire.SessionInfo])


def program_with_clock_back() -> tuple[str, str, str]:
    import sys

    code = (
        "import time; real = time.time_ns; time.time_ns = lambda: real() - 365 * 86400 * 10**9; "
        "from bastion.cli import main; main()"
    )
    return sys.executable, "-c", code


async def test_a_role_that_may_not(house: House) -> None:
    eve = await house.remote("eve")
    with pytest.raises(NotAllowed, match="own host only"):
        await eve.call(wire.RevokeIdentity, wire.IdentityInfo, name="agent-7", reason="x")
    with pytest.raises(NotAllowed, match="role approver"):
        await eve.call(wire.KillSession, wire.SessionInfo, session="s-1")
    await eve.close()


def test_a_damaged_ledger_is_not_served(lone: tuple[House, Sshd]) -> None:
    import sqlite3

    house, _ = lone
    database = house.config.store / "ledger.sqlite3"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE entries SET bytes = CAST(replace(bytes, 'agent-7', 'agent-9') AS BLOB) WHERE seq = 1"
        )
    connection.close()
    result = serve(house)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
