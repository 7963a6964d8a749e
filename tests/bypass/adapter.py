"""How the suite speaks to a bastion, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncssh

from tests.bypass.vector import Channel


@dataclass(frozen=True, slots=True)
class Item:
    """Something that waits for a person."""

    id: str
    command: bytes
    """Exactly what would run, or be typed."""
    stdin: bytes = b""
    """What it will read as code, where that is known beforehand."""
    line: bool = False
    """It is a command of its own, not input of one that runs."""
    digest: str = ""
    shown: str = ""
    """As the approver sees it."""
    reasons: tuple[str, ...] = ()
    """What the approver is warned of; empty where nothing assesses it."""


class Adapter(Protocol):
    """One bastion in front of one target on this machine, both started by the adapter. An async context manager."""

    name: str
    offers: frozenset[Channel]
    """Channels that it gives to agents, and so has to govern."""
    refuses: frozenset[Channel]
    """Channels that it refuses as a whole: the attack has to be seen to be refused."""
    abilities: frozenset[str]
    holds: bool
    """Whether anything ever waits for a person."""
    work: Path
    """A directory of the target's, for canaries."""

    async def __aenter__(self) -> Adapter: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def ssh(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        """The ordinary client's command line, as the agent."""
        ...

    async def connect(self) -> asyncssh.SSHClientConnection:
        """A connection of the agent's for requests that the ordinary client never sends."""
        ...

    async def held(self) -> list[Item]:
        """What waits now, oldest first."""
        ...

    async def approve(self, item: Item, mode: str = "") -> bool:
        """Whether the approval counted."""
        ...

    async def deny(self, item: Item) -> bool:
        """Whether the denial counted."""
        ...

    async def allow(self, command: bytes) -> None:
        """From now on this command needs no person."""
        ...

    async def cut(self) -> None:
        """End all sessions of the agent."""
        ...
