"""No bastion at all: the agent has the target's own key. The control: what an attack does where nobody holds anything.
A vector that harms nobody here shows nothing anywhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import asyncssh

from tests.bypass.adapter import Item
from tests.bypass.vector import Channel
from tests.support.sshd import LOGIN, Sshd


class Naive:
    """Plain ssh."""

    name = "plain ssh"
    offers = frozenset({Channel.SHELL, Channel.PIPE, Channel.EXEC, Channel.AUTOMATIC})
    refuses = frozenset[Channel]()
    abilities = frozenset({"raw"})
    holds = False

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bypass-")
        base = Path(self._directory.name)
        self.work = base / "target"
        self.work.mkdir()
        self._sshd = Sshd(base / "sshd", extra="SetEnv HISTFILE=/dev/null\nAcceptEnv *")
        self._known = base / "known_hosts"
        self._known.write_text(f"[127.0.0.1]:{self._sshd.port} {self._sshd.host_key}")

    async def __aenter__(self) -> Naive:
        self._sshd.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._sshd.stop()
        self._directory.cleanup()

    def ssh(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        fixed = ("BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={self._known}")
        flags = [word for option in fixed for word in ("-o", option)]
        key = ["-i", str(self._sshd.credential), "-p", str(self._sshd.port)]
        return ["ssh", "-F", "none", *flags, *key, *options, f"{LOGIN}@127.0.0.1", *words]

    async def connect(self) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1",
            self._sshd.port,
            username=LOGIN,
            client_keys=[str(self._sshd.credential)],
            known_hosts=str(self._known),
            config=None,
        )

    async def held(self) -> list[Item]:
        return []

    async def approve(self, item: Item, mode: str = "") -> bool:
        raise AssertionError("nothing is ever held here")

    async def deny(self, item: Item) -> bool:
        raise AssertionError("nothing is ever held here")

    async def allow(self, command: bytes) -> None:
        """Everything is."""

    async def cut(self) -> None:
        """Nobody could."""
