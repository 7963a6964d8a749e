"""Clients that send too much, too early, too late, or go away in the middle: the daemon's memory stays bounded, and
nobody else's commands suffer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String, UInt32

from bastion.control.client import Client
from bastion.model import Choice
from bastion.ssh.algorithms import PACKET_LEAST
from tests.support.house import House, Outcome
from tests.support.raw import Session, channel_of, connect

pytestmark = pytest.mark.e2e

MEMORY = 48 << 20
"""Bytes that the daemon may grow by; without a bound, each flood here takes hundreds of megabytes."""

SECONDS = 2.0
"""How long a flood lasts."""


def memory(house: House) -> int:
    return int(Path(f"/proc/{house.pid}/statm").read_text().split()[1]) * 4096


async def piped(house: House, source: str, command: str) -> asyncio.subprocess.Process:
    """`source | ssh web-1@bastion command`; its status is ssh's."""
    line = f"{source} | exec {shlex.join(house.ssh_command('web-1', command))}"
    return await asyncio.create_subprocess_exec("sh", "-c", line, stdin=-3, stdout=-1, stderr=-1)


async def pour(channel: Any, data: bytes = bytes(32768), seconds: float = SECONDS) -> int:
    """Send stdin as fast as the other end takes it, for a while."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        while channel.get_write_buffer_size() < 1 << 20:
            channel.write(data)
            sent += len(data)
        await asyncio.sleep(0)
    return sent


async def test_stdin_of_a_held_command_waits_with_the_client(house: House, ana: Client) -> None:
    before = memory(house)
    ssh = await piped(house, "head -c 300000000 /dev/zero", "wc -c")
    info = await house.held(ana, b"wc -c")
    await asyncio.sleep(SECONDS)
    assert memory(house) - before < MEMORY
    await ana.vote(info, Choice.APPROVE, "")
    stdout, _ = await ssh.communicate()
    assert (ssh.returncode, stdout) == (0, b"300000000\n")


async def test_stdin_beyond_the_limit_for_code_is_not_kept(house: House) -> None:
    """A client that takes none of what it is told keeps its channel open; what it sends must not pile up."""
    before = memory(house)
    async with connect(house) as connection:
        channel = await channel_of(connection, window=0)
        await channel._make_request(b"exec", String(b"sh"))
        await pour(channel)
        assert memory(house) - before < MEMORY


async def test_stdin_of_a_refused_channel_is_not_kept(house: House) -> None:
    before = memory(house)
    async with connect(house) as connection:
        channel = await channel_of(connection, window=0)
        await channel._make_request(b"subsystem", String(b"sftp"))
        await pour(channel)
        assert memory(house) - before < MEMORY


@pytest.mark.parametrize(
    ("data", "terminal", "window"),
    [
        (b"\0", False, 0),
        (b"\0", False, 1 << 30),
        (b"\0", True, 1 << 30),
        (b"'\n", False, 1 << 30),
        (b"#\n", False, 0),
        (b"#\r", True, 0),
    ],
)
async def test_what_is_typed_into_a_shell_is_not_kept(house: House, data: bytes, terminal: bool, window: int) -> None:
    """An item that never ends; neither does it matter whether the agent reads what it is told."""
    before = memory(house)
    async with connect(house) as connection:
        channel = await channel_of(connection, window=window)
        if terminal:
            size = b"".join(each.to_bytes(4, "big") for each in (80, 24, 0, 0))
            assert await channel._make_request(b"pty-req", String("xterm"), size, String(b""))
        await channel._make_request(b"shell")
        with contextlib.suppress(BrokenPipeError):  # it was told of the limit, and the channel closed
            await pour(channel, data * (32768 // len(data)), seconds=1)
        assert memory(house) - before < MEMORY


async def test_signals_before_a_command_are_not_kept(house: House) -> None:
    async with connect(house) as connection:
        channel = await channel_of(connection, window=1 << 20)
        grown = []
        for _ in range(4):  # the first round finds the heap as earlier floods left it
            before = memory(house)
            for _ in range(50):
                for _ in range(500):
                    channel._send_request(b"signal", String("USR1"))
                assert not await channel._make_request(b"unknown@example.org")  # the flood was read
            grown.append(memory(house) - before)
        assert sum(grown[1:]) < 4 << 20, grown


async def test_stdin_after_the_end_of_the_command_does_no_harm(house: House, ana: Client) -> None:
    """`yes | ssh … true` ends with the command's status, each time, and so do the connection's other channels."""
    await house.whitelist(ana, b"true")
    for _ in range(8):
        ssh = await piped(house, "yes", "true")
        _, stderr = await ssh.communicate()
        assert (ssh.returncode, stderr) == (0, b"")


async def test_channels_closed_while_their_stdin_waits_are_counted_off(house: House) -> None:
    async with connect(house) as connection:
        for number in range(40):
            channel, _ = await connection.create_session(Session, f"cat > {number}", encoding=None)
            channel.write(b"unread")
            channel.abort()
            await channel.wait_closed()


async def test_who_goes_away_in_the_middle_of_stdin_takes_nobody_along(house: House, ana: Client) -> None:
    """The commands of all agents share a connection to the target."""
    slow = b"sleep 2; cat > /dev/null; sleep 1"
    await house.whitelist(ana, slow)
    await house.whitelist(ana, b"sleep 6; echo other", identity="agent-8")
    other = await house.ssh("web-1", "sleep 6; echo other", who="agent-8")
    async with connect(house) as connection:
        channel, _ = await connection.create_session(Session, slow.decode(), encoding=None)
        channel.write(bytes(6 << 20))
        channel.write_eof()
        await asyncio.sleep(1)
        connection.abort()
    outcome: Outcome = await house.finish(other)
    assert (outcome.status, outcome.stdout) == (0, b"other\n"), outcome.stderr


@pytest.mark.parametrize("trick", ["reads nothing", "exchanges keys for ever"])
async def test_output_that_nobody_takes_waits_on_the_target(house: House, ana: Client, trick: str) -> None:
    """With a window of 4 GiB, back-pressure is the socket's alone."""
    command = f"head -c 1000000000 /dev/zero # {trick}"
    await house.whitelist(ana, command.encode())
    before = memory(house)
    async with connect(house) as connection:
        channel = await channel_of(connection, window=0xFFFFFFFF)
        channel._send_request(b"exec", String(command))
        if trick != "reads nothing":
            connection._send_kexinit()
        connection._transport.pause_reading()
        await asyncio.sleep(2 * SECONDS)
        assert memory(house) - before < MEMORY
        connection.abort()


TO_A_TARGET = (String("web-1"), UInt32(22), String("127.0.0.1"), UInt32(1))


@pytest.mark.parametrize(("kind", "more"), [(b"session", ()), (b"direct-tcpip", TO_A_TARGET)])
async def test_a_packet_is_not_cut_into_single_bytes(house: House, kind: bytes, more: tuple[bytes, ...]) -> None:
    """Nor what goes through a jump."""
    async with connect(house) as connection:

        def taking(size: int) -> Any:
            loop = asyncio.get_running_loop()
            return asyncssh.SSHClientChannel(connection, loop, "strict", None, "strict", 1 << 20, size)

        with pytest.raises(asyncssh.ChannelOpenError, match="packets of at least"):
            await taking(PACKET_LEAST - 1)._open(kind, *more)
        await taking(PACKET_LEAST)._open(kind, *more)
        connection.abort()


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr"])
async def test_keys_are_exchanged_after_each_packet_of_an_upload(house: House, ana: Client, cipher: str) -> None:
    """By OpenSSH's client: with packets of 128 KiB, that is how it counts RekeyLimit 1M."""
    await house.whitelist(ana, b"cat")
    sent = os.urandom(5 << 20)
    outcome = await house.run("web-1", "cat", stdin=sent, options=("-c", cipher, "-o", "RekeyLimit=1M"))
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout == sent


async def test_one_agent_cannot_take_all_connections(house: House) -> None:
    """People get in, and so does another agent."""
    async with contextlib.AsyncExitStack() as open_ones:
        for _ in range(house.config.connections // 2):
            await open_ones.enter_async_context(connect(house))
        late = await house.run("web-1", "true")
        assert late.status == 255
        assert "too many connections of agent-7" in late.stderr
        async with connect(house, "agent-8"):
            person = await house.remote("ben")
            await person.close()


async def test_one_address_cannot_take_all_places_for_logging_in(house: House) -> None:
    opened = [
        await asyncio.open_connection("127.0.0.1", house.port, local_addr=("127.0.0.2", 0))
        for _ in range(house.config.connections)
    ]
    person = await house.remote("ben")
    await person.close()
    for _, writer in opened:
        writer.close()
