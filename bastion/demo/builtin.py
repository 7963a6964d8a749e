"""The built-in target, where no sshd works: `python -m bastion.demo.builtin PORT HOST_KEY AUTHORIZED HOME`.

An SSH server on loopback that lets in one key and runs each command for real, through files/enter.sh in the scratch
world, as the account that runs the demo. No terminal, no forwards, no subsystem. Each command leads a process group
of its own. When its channel goes before it has ended, the group is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import asyncssh

PIECE = 64 << 10
"""Bytes handed on at once: what a pipe holds (pipe(7))."""


class Door(asyncssh.SSHServer):
    """Lets one key in, whoever it says it is."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self._key = key

    def begin_auth(self, username: str) -> bool:
        """By key only."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is the one."""
        return key.public_data == self._key.public_data


async def run(home: Path, channel: asyncssh.SSHServerProcess[bytes]) -> None:
    """One session channel, from its command to its exit status."""
    enter = home / "lib" / "enter.sh"
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", enter, home),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        env={**os.environ, "SSH_ORIGINAL_COMMAND": channel.command or ""},
    )
    tasks = {
        asyncio.create_task(relay(channel, process), name="command"),
        asyncio.create_task(channel.wait_closed(), name="channel"),
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.wait()
        channel.close()


async def relay(channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
    """Hand on stdin, output and, after the last byte of it, the exit status."""
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - they are pipes
    feed = asyncio.create_task(_feed(channel.stdin, process.stdin), name="stdin")
    try:
        await asyncio.gather(_drain(process.stdout, channel.stdout), _drain(process.stderr, channel.stderr))
        status = await process.wait()
        if status < 0:
            channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            channel.exit(status)
        await channel.wait_closed()
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


async def _feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a command need not read its stdin
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _drain(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(PIECE):
        sink.write(data)
        await sink.drain()


async def serve(port: int, host_key: Path, authorized: Path, home: Path) -> None:
    """Serve until SIGTERM. Raises OSError."""
    key = asyncssh.read_public_key(authorized)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    acceptor = await asyncssh.create_server(
        lambda: Door(key),
        "127.0.0.1",
        port,
        server_host_keys=[asyncssh.read_private_key(host_key)],
        process_factory=lambda channel: run(home, channel),
        encoding=None,
        config=None,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
    )
    await stop.wait()
    acceptor.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *map(Path, sys.argv[2:5])))
