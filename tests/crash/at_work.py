"""A house at work: one command has run and needs nobody, another one runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.support.house import House


@dataclass(frozen=True, slots=True)
class AtWork:
    """What goes on."""

    command: str
    """Whitelisted; each time that it runs, the marker gets a line."""
    marker: Path
    running: asyncio.subprocess.Process
    """Another one's client, which has had the first output."""

    @classmethod
    async def begin(cls, house: House, where: Path) -> AtWork:
        """Start the house, and both commands."""
        house.start()
        root, marker = await house.local(), where / "marker"
        command = f"echo x >> {marker}"
        await house.whitelist(root, command.encode())
        assert (await house.run("web-1", command)).status == 0
        running = await house.ssh("web-1", "echo began; sleep 600")
        await house.decide(root)
        assert running.stdout is not None
        assert await running.stdout.readline() == b"began\n"
        return cls(command, marker, running)
