"""The counts behind the figures of `./dev bench`: they are the same on every machine, and times are not.

What is asserted is a little above what was counted: the empty packets that asyncssh sends by itself would double the
calls of a transfer.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import asyncssh
import pytest

from bastion.control import wire
from bastion.control.client import Client
from tests.support.house import House
from tests.support.tracing import can_trace, counted

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")]

COMMANDS = 10
MIB = 8
WRITES = 6
"""Of a command without output, each a system call. To the agent: its channel, its start, and its end (three packets).
To the target: the channel, the command, and the channel's close."""
WAKES = 2
"""A thread wakes the loop, by a write too: what is started is durable, and what has ended."""
START_SYNCS, END_SYNCS = 2, 3
"""Of a command that runs at once: what is proposed and allowed is durable before the target hears of it (database and
head); its recording, its end and the session's (pack, database and head) may go with the start of the next one."""
FOLD_SYNCS = 3
"""Of tidying the store, after sixteen commits or more: the WAL, the database, and the WAL's new beginning."""


async def connection(house: House) -> asyncssh.SSHClientConnection:
    known = f"[127.0.0.1]:{house.port} {house.host_key}\n".encode()
    return await asyncssh.connect(
        "127.0.0.1",
        house.port,
        username="web-1",
        client_keys=[str(house.work / "agent-7")],
        known_hosts=known,
        config=None,
        encryption_algs=["aes128-gcm@openssh.com"],
    )


async def test_syncs_of_a_whitelisted_command(house: House, ana: Client, tmp_path: Path) -> None:
    await house.whitelist(ana, b"echo out")
    async with await connection(house) as agent:
        await agent.run("echo out", check=True)
        await ana.call(wire.LedgerHead, str)
        async with counted(house.pid, tmp_path / "trace") as calls:
            for _ in range(COMMANDS):
                assert (await agent.run("echo out", check=True)).stdout == "out\n"
            await ana.call(wire.LedgerHead, str)  # what agents have heard of is durable before that is answered
    syncs = calls["fdatasync"] + calls["fsync"]
    most = (START_SYNCS + END_SYNCS) * COMMANDS + FOLD_SYNCS
    assert START_SYNCS * COMMANDS + END_SYNCS <= syncs <= most, calls


async def test_writes_of_a_whitelisted_command(house: House, ana: Client, tmp_path: Path) -> None:
    await house.whitelist(ana, b"true")
    async with await connection(house) as agent:
        await agent.run("true", check=True)
        async with counted(house.pid, tmp_path / "trace") as calls:
            for _ in range(COMMANDS):
                await agent.run("true", check=True)
    assert calls["write"] <= (WRITES + WAKES + 1) * COMMANDS, calls  # a target may take what it gets in two pieces
    assert calls["sendto"] <= 2 * COMMANDS, calls
    assert calls["poll"] <= COMMANDS, calls


async def test_calls_of_a_transfer(house: House, ana: Client, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(os.urandom(MIB << 20))
    command = f"cat {data}"
    await house.whitelist(ana, command.encode())
    async with await connection(house) as agent:
        await agent.run(command, encoding=None, check=True)
        async with counted(house.pid, tmp_path / "trace") as calls:
            got = (await agent.run(command, encoding=None, check=True)).stdout
    assert isinstance(got, bytes)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data.read_bytes()).digest()
    # what one read gives, 250 KiB, goes out in one call, or less where the target gets less of the processor; beside
    # that, windows and the ledger
    assert 4 * MIB <= calls["write"] + calls["sendto"] <= 24 * MIB, calls
    # a frame's salt, and one for a score of packets; frames are smaller, too
    assert calls["getrandom"] <= 40 * MIB, calls
