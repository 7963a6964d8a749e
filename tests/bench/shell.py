"""What the governed shell's driver costs, against bash in a terminal of plain sshd: the same connection library, the
same target, taken in turn. Without the gate, the ledger and people: this is the part on the target and on the wire.

    ready      from the connection to the first command that can be sent
    builtin    `:`, and program `/bin/true`: from sending it to knowing that it ended
    output     MB/s of a file through the terminal, in raw mode
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import click

from bastion.gate import shell_events as ev
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import Terminal
from tests.support.governed import connect, plain_home
from tests.support.sshd import Sshd

SCREEN = Terminal("xterm", 100, 30)
MARK = "@@end@@"


class Listener:
    """Counts, and says when the driver has told something."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[ev.FromDriver] = asyncio.Queue()
        self.bytes = 0

    def tell(self, event: ev.FromDriver) -> None:
        self.told.put_nowait(event)

    def output(self, kind: str, data: bytes) -> None:
        self.bytes += len(data)

    def writable(self, yes: bool) -> None:
        """Nothing is typed here."""


class Governed:
    """The driver."""

    name = "governed"

    async def open(self, connection: asyncssh.SSHClientConnection) -> None:
        self.listener = Listener()
        self.driver = Driver(connection, self.listener, terminal=SCREEN)
        await self.driver.start()
        assert isinstance(await self.listener.told.get(), ev.DriverReady)

    async def run(self, command: str) -> None:
        await self.driver.run("n", command.encode())
        while not isinstance(event := await self.listener.told.get(), ev.CommandDone):
            assert isinstance(event, ev.CommandBegan), event

    async def close(self) -> None:
        await self.driver.close()


class Native:
    """An interactive bash, whose prompt says that a command has ended."""

    name = "native"

    async def open(self, connection: asyncssh.SSHClientConnection) -> None:
        command = f"PS1='{MARK[:2]}''{MARK[2:]}' exec bash --norc --noediting -i"
        self.process = await connection.create_process(command, term_type="xterm", term_size=(100, 30), encoding=None)
        await self._prompt()

    async def _prompt(self) -> None:
        last = b""
        while not last.endswith(MARK.encode()):
            data = await self.process.stdout.read(1 << 16)
            assert data, "the shell is gone"
            last = (last + data)[-len(MARK) :]

    async def run(self, command: str) -> None:
        self.process.stdin.write(command.encode() + b"\n")
        await self._prompt()

    async def close(self) -> None:
        self.process.close()
        await self.process.wait_closed()


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def measure(target: Sshd, data: Path, runs: int) -> dict[str, dict[str, float]]:
    """Medians: seconds by row and way."""
    taken: dict[str, dict[str, list[float]]] = {}

    def note(row: str, way: str, seconds: float) -> None:
        taken.setdefault(row, {}).setdefault(way, []).append(seconds)

    for _ in range(5):
        for kind in (Native, Governed):
            connection, shell = await connect(target), kind()
            note("ready, ms", shell.name, await timed(lambda s=shell, c=connection: s.open(c)))
            for command, row in ((":", "builtin, ms"), ("/bin/true", "program, ms")):
                for _ in range(runs):
                    note(row, shell.name, await timed(lambda s=shell, c=command: s.run(c)))
            await shell.run("stty raw -echo")
            note("output, MB/s", shell.name, await timed(lambda s=shell: s.run(f"cat {data}")))
            await shell.close()
            connection.close()
            await connection.wait_closed()
    return {row: {way: statistics.median(times) for way, times in ways.items()} for row, ways in taken.items()}


def table(work: Path, runs: int, mib: int = 32) -> list[dict[str, object]]:
    """Measure and print; the rows for JSON."""
    data = work / "shell-data"
    data.write_bytes(b"0123456789abcde\n" * (mib << 16))
    target = plain_home(work / "shell")
    target.start()
    try:
        medians = asyncio.run(measure(target, data, runs))
    finally:
        target.stop()
    click.echo(f"\n{'shell':24}{'native':>10}{'governed':>10}")
    rows: list[dict[str, object]] = []
    for row, ways in medians.items():
        shown = {way: (mib * 1.048576 / seconds if "MB" in row else seconds * 1000) for way, seconds in ways.items()}
        click.echo(f"{row:24}{shown['native']:>10.2f}{shown['governed']:>10.2f}")
        rows.append({"name": f"shell {row}", "median": shown})
    return rows
