"""This bastion: the real daemon, a real sshd behind it, an approver at a control connection."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import asyncssh

from bastion import host_authority
from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import BastionError, UsageError
from bastion.gate.channels import Treatment, look_up
from bastion.model import Choice, RequestKind
from bastion.policy.visible import visible
from tests.bypass.adapter import Item
from tests.bypass.vector import Channel
from tests.support.house import HOLD, House
from tests.support.sshd import LOGIN, Sshd

SHELLS = look_up("request shell").treatment is not Treatment.REFUSED
"""Whether this release gives out shells; one without them refuses every shell, which the suite sees."""

ALWAYS = frozenset(Channel) - {Channel.SHELL, Channel.PIPE}


class Ours:
    """One house for all vectors of a run."""

    name = "agent-bastion"
    offers = ALWAYS | ({Channel.SHELL, Channel.PIPE} if SHELLS else frozenset())
    refuses = frozenset(Channel) - offers
    abilities = frozenset({"raw", "view"}) if SHELLS else frozenset[str]()
    holds = True

    def __init__(self, settings: str = "", policy: str = HOLD) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bypass-")
        self.work = Path(self._directory.name) / "target"
        self.work.mkdir()
        self.house = House(Path(self._directory.name) / "house", policy)
        self._sshd = Sshd(Path(self._directory.name) / "sshd", extra="SetEnv HISTFILE=/dev/null")
        if settings:
            self.house.configure(settings)
        self._ana: Client | None = None
        self.refusal = ""
        """Why the last vote did not count."""

    async def __aenter__(self) -> Ours:
        try:
            self._sshd.start()
            self.house.add_target("web-1", self._sshd)
            self.house.start()
            self._ana = await self.house.remote("ana")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._ana is not None:
            await self._ana.close()
        self.house.stop()
        self._sshd.stop()
        self._directory.cleanup()

    @property
    def ana(self) -> Client:
        """The approver's connection."""
        assert self._ana is not None
        return self._ana

    def ssh(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        return [*self.house.ssh_command("web-1", options=options), *words]

    async def connect(self) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1",
            self.house.port,
            username="web-1",
            client_keys=[str(self.house.work / "agent-7")],
            known_hosts=str(self.house.work / "known_hosts"),
            config=None,
        )

    async def held(self) -> list[Item]:
        infos = await self.ana.call(wire.ListRequests, list[wire.RequestInfo], state="held")
        return [item(info) for info in sorted(infos, key=lambda each: each.created)]

    async def approve(self, item: Item, mode: str = "") -> bool:
        return await self._vote(item, Choice.APPROVE, mode)

    async def deny(self, item: Item) -> bool:
        return await self._vote(item, Choice.DENY, "")

    async def _vote(self, item: Item, choice: Choice, mode: str) -> bool:
        try:
            info = await self.ana.call(wire.ShowRequest, wire.RequestInfo, request=item.id)
            assert info.digest == item.digest
            await self.ana.vote(info, choice, "by the suite", mode=mode)
        except BastionError as error:
            self.refusal = str(error)
            return False
        return True

    async def allow(self, command: bytes) -> None:
        listed = await self.ana.call(wire.ListWhitelist, list[wire.WhitelistInfo])
        if any(each.command == command for each in listed):
            return
        with contextlib.suppress(UsageError):  # some commands it never remembers, which is one more answer
            await self.ana.whitelist(command, "agent-7", "web-1", LOGIN, time.time_ns() // 1000 + 3_600_000_000)

    def jump(self, *words: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        """`ssh -J` to the target; `options` of the inner client."""
        work = self.house.work
        known = work / "jump_hosts"
        config = self.house.config
        authority = host_authority.load_or_make(config.host_authority, config.host_name)
        line = host_authority.known_hosts_line(authority.public, config.host_name, "*").rstrip()
        known.write_text(f"{line}\n[127.0.0.1]:{self.house.port} {self.house.host_key}\n")
        path = work / "jump_config"
        path.write_text(
            f"Host outer\n HostName 127.0.0.1\n Port {self.house.port}\n User jump\n"
            f"Host web-*\n User {LOGIN}\n ProxyJump outer\n"
            f"Host *\n IdentityFile {work / 'agent-7'}\n IdentitiesOnly yes\n BatchMode yes\n"
            f" StrictHostKeyChecking yes\n UserKnownHostsFile {known}\n GlobalKnownHostsFile none\n"
        )
        return ["ssh", "-F", str(path), *options, "web-1", *words]

    async def cut(self) -> None:
        for session in await self.ana.call(wire.ListSessions, list[wire.SessionInfo]):
            if session.state == "open":
                try:
                    await self.ana.call(wire.KillSession, wire.SessionInfo, session=session.id, reason="end of vector")
                except BastionError:
                    continue  # it has ended meanwhile


def item(info: wire.RequestInfo) -> Item:
    """A held request as the suite sees it."""
    stdin = info.kind == RequestKind.STDIN.value
    return Item(
        info.id,
        info.command.removesuffix(b"\n") if stdin else info.command,
        info.stdin_code,
        line=not stdin,
        digest=info.digest,
        shown=visible(info.command),
        reasons=tuple(info.reasons) if info.tier != "unrated" or info.score is not None else (),
    )
