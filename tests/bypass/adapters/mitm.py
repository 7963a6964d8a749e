"""ssh-mitm: a bastion that intercepts. It logs in to the target with a key of its own, passes on what the agent does
and records it. It holds nothing, so what an attack does behind it is what it does on plain ssh: seeing is not deciding.

It runs from an environment of its own (tests/support/peers.py), which a run that names it makes.
"""

from __future__ import annotations

import os
import subprocess
import sys

import asyncssh

from tests.bypass.adapters.naive import Naive
from tests.bypass.vector import Channel
from tests.support import peers
from tests.support.keys import make_key
from tests.support.ports import free_port, listening, wait_until
from tests.support.sshd import LOGIN


def make() -> Mitm | None:
    """Installed if need be; None, with the reason on stderr, where that is impossible."""
    if why := peers.install():
        print(why, file=sys.stderr)
        return None
    return Mitm()


class Mitm(Naive):
    """ssh-mitm 6 in front of the target that plain ssh has."""

    name = "ssh-mitm"
    offers = frozenset({Channel.SHELL, Channel.PIPE, Channel.EXEC, Channel.AUTOMATIC})

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._home = self.work.parent / "mitm"
        self._home.mkdir()
        self._agent = self._home / "agent"
        make_key(self._agent)
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Mitm:
        await super().__aenter__()
        self._start()
        try:
            wait_until(lambda: self._dead or listening(self.port), "ssh-mitm listens")
            assert not self._dead, (self._home / "log").read_text(errors="replace")[-2000:]
        except AssertionError:
            await self.__aexit__()
            raise
        return self

    def _start(self) -> None:
        host_key = make_key(self._home / "host_key")
        self._known.write_text(f"[127.0.0.1]:{self.port} {host_key}")
        command = peers.mitm_command(
            self.port, self._home / "host_key", self._sshd.port, LOGIN, self._sshd.credential, self._home
        )
        with (self._home / "log").open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
                cwd=self._home,
            )

    async def __aexit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        await super().__aexit__(*exc)

    @property
    def _dead(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def ssh(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        fixed = ("BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={self._known}")
        flags = [word for option in fixed for word in ("-o", option)]
        key = ["-i", str(self._agent), "-p", str(self.port)]
        return ["ssh", "-F", "none", *flags, *key, *options, f"{LOGIN}@127.0.0.1", *words]

    async def connect(self) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1",
            self.port,
            username=LOGIN,
            client_keys=[str(self._agent)],
            known_hosts=str(self._known),
            config=None,
        )
