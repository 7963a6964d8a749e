"""A real bastion: made by the code of `bastion init`, served by the real command in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastion.admin import administering
from bastion.config import Config, load
from bastion.control import signers, wire
from bastion.control.client import Client
from bastion.control.endpoints import Local, Remote
from bastion.errors import BastionError
from bastion.init import init
from bastion.model import Choice
from recorder.reader import Reader
from tests.support.keys import make_key
from tests.support.ports import PATIENCE, free_port, wait_until
from tests.support.sshd import LOGIN, Sshd

ROOT = Path(__file__).resolve().parents[2]


HOLD = 'policy "tests" {\n  version 1\n}\n'
"""A policy that holds whatever nobody whitelisted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an agent's ssh ended."""

    status: int
    stdout: bytes
    stderr: str


class House:
    """A bastion with agents agent-7 and agent-8, approvers ana and ben, an auditor eve, and targets."""

    def __init__(self, work: Path, policy: str = HOLD, *, grants: bool = False) -> None:
        """`grants`: targets in production take one, as they do unless bastion.toml says otherwise."""
        self.work = work
        self.port = free_port()
        made = init(work / "bastion", listen=f"127.0.0.1:{self.port}", host="bastion.example", policy=policy)
        self.config: Config = made.config
        self.host_key = made.host_key_line
        if not grants:
            self.configure("\n[access]\ngrants = []\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.log = work / "bastion.log"
        with administering(self.config, "local:0") as admin:
            for name in ("agent-7", "agent-8"):
                admin.add_identity(name, "agent", [], make_key(work / name))
            for name in ("ana", "ben"):
                admin.add_identity(name, "human", ["approver"], make_key(work / name))
            admin.add_identity("eve", "human", ["auditor"], make_key(work / "eve"))
        make_key(work / "stranger")
        (work / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")

    def add_target(self, name: str, sshd: Sshd, *, port: int = 0, env: str = "production") -> None:
        """Register a target; the daemon must not run."""
        with administering(self.config, "local:0") as admin:
            admin.add_target(
                name,
                f"127.0.0.1:{port or sshd.port}",
                [LOGIN, "nobody"],
                env,
                [sshd.host_key],
                f"key:{sshd.credential}",
            )

    def configure(self, text: str) -> None:
        """Append lines to bastion.toml."""
        with self.config.path.open("a") as file:
            file.write(text)
        self.config = load(self.config.path)

    # --- the daemon -------------------------------------------------------------------------------------------------

    def start(self, *, program: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        """Serve, and wait until it does."""
        begin = program or (sys.executable, "-m", "bastion")
        command = [*begin, "--config", str(self.config.path), "serve"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )
        try:
            wait_until(lambda: self._up() or self.dead, "the bastion serves")
        except AssertionError:
            self._process.kill()  # nobody stops what did not start
            self._process.wait()
            raise
        assert not self.dead, self.log.read_text()

    def _up(self) -> bool:
        from tests.support.ports import listening

        return self.config.socket.exists() and listening(self.port)

    @property
    def pid(self) -> int:
        """Of the daemon."""
        assert self._process is not None
        return self._process.pid

    @property
    def dead(self) -> bool:
        """Whether the daemon has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon; returns its status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status

    @contextlib.contextmanager
    def recorded(self) -> Iterator[Reader]:
        """The record, with the end of each command of whose end an agent has heard."""
        if self._process is not None and not self.dead:
            asking = threading.Thread(target=asyncio.run, args=(self._settle(),))  # a loop may run here
            asking.start()
            asking.join()
        with Reader.open(self.config.store) as reader:
            yield reader

    async def _settle(self) -> None:
        with contextlib.suppress(BastionError):  # it may be about to end by itself
            client = await self.local()
            await client.call(wire.LedgerHead, str)
            await client.close()

    # --- people -------------------------------------------------------------------------------------------------------

    async def local(self, who: str = "ana") -> Client:
        """The host's administrator, with an approver's key to sign with."""
        return await Client.open(Local(self.config.socket), signer=signers.open_file(self.work / who))

    async def remote(self, who: str = "ana") -> Client:
        """Somebody over SSH."""
        return await Client.open(Remote("127.0.0.1", self.port, [signers.open_file(self.work / who)], self.host_key))

    async def held(self, client: Client, command: bytes | None = None) -> wire.RequestInfo:
        """The held request with that command, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for info in await client.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
                    if info.attached if command is None else info.command == command:
                        return info
                await asyncio.sleep(0.02)

    async def decide(
        self, client: Client, choice: Choice = Choice.APPROVE, reason: str = "fine", command: bytes | None = None
    ) -> wire.RequestInfo:
        """Vote on the held request."""
        return await client.vote(await self.held(client, command), choice, reason)

    async def whitelist(
        self, client: Client, command: bytes, *, identity: str = "agent-7", target: str = "web-1"
    ) -> None:
        """Let an exact command through."""
        await client.whitelist(command, identity, target, LOGIN, None)

    # --- agents -------------------------------------------------------------------------------------------------------

    def ssh_command(
        self, destination: str, *words: str, who: str = "agent-7", options: Sequence[str] = ()
    ) -> list[str]:
        """An ordinary ssh client's command line."""
        fixed = (
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.work / 'known_hosts'}",
            "ConnectTimeout=20",
        )
        flags = [word for option in fixed for word in ("-o", option)]
        key = ["-i", str(self.work / who), "-p", str(self.port)]
        return ["ssh", "-F", "none", *flags, *key, *options, f"{destination}@127.0.0.1", *words]

    async def ssh(
        self,
        destination: str,
        *words: str,
        who: str = "agent-7",
        options: Sequence[str] = (),
        stdin: bytes | None = None,
    ) -> asyncio.subprocess.Process:
        """Start an agent's ssh; stdin is a pipe if given bytes (written and closed by `finish`), else /dev/null."""
        return await asyncio.create_subprocess_exec(
            *self.ssh_command(destination, *words, who=who, options=options),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.work)},
        )

    async def finish(self, process: asyncio.subprocess.Process, stdin: bytes | None = None) -> Outcome:
        """Wait for an agent's ssh."""
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate(stdin)
        assert process.returncode is not None
        return Outcome(process.returncode, stdout, stderr.decode())

    async def run(self, destination: str, *words: str, stdin: bytes | None = None, **more: object) -> Outcome:
        """Start and wait."""
        process = await self.ssh(destination, *words, stdin=stdin, **more)  # type: ignore[arg-type]
        return await self.finish(process, stdin)


def make_house(work: Path, sshd: Sshd, policy: str = HOLD) -> House:
    """A bastion that knows the target; not started."""
    house = House(work, policy)
    house.add_target("web-1", sshd)
    return house
