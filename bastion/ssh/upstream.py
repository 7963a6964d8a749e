"""The pool of connections to targets: find or make one, start one command on it.

Theory of operation. A *link* is one SSH connection to one target as one login with the bastion's own key. Commands of
all agents share links: the credential is the bastion's, and every command is a process of its own on the target. A link
carries at most SESSIONS_PER_LINK channels at once (sshd's MaxSessions is 10 by default); beyond that, another is made.

Where one has to be made, dialling.py does that, or early.py did while somebody decided.

A command is sent at most once. What fails before the exec request went out may be tried on a fresh link (a pooled link
may have died unnoticed); what fails after it is reported, never repeated.

Not protected: an administrator of the target can read and change what runs there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import asyncssh

from bastion.errors import BastionError, Unreachable
from bastion.model import Request, Target
from bastion.names import CERTIFIED
from bastion.ssh import algorithms
from bastion.ssh.dialling import dial, own_key, why
from bastion.ssh.early import Earlies, Silent
from bastion.ssh.minting import Certify, Minting

SESSIONS_PER_LINK = 8
ASK_SECONDS = 10
"""For a question to a target: the agent waits for it before its request is proposed."""
IDLE_SECONDS = 300
"""A link without a command is closed after this long."""


class NotStarted(Unreachable):
    """The command did not reach the target, or the target refused it."""


class NotConfirmed(Unreachable):
    """The command was sent, and the target did not say what became of it."""


@dataclass(slots=True, eq=False)
class Link:
    """One connection to a target."""

    connection: asyncssh.SSHClientConnection
    busy: int = 0
    full: bool = False
    """The target refused a channel: no more of them while others run."""
    spent: bool = False
    """The target left something unanswered: no more channels, and closed when what runs on it has ended. asyncssh keeps
    a channel whose opening was given up for as long as the connection lives, and so does the target."""
    closing: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether another command can be started on it."""
        return not (self.full or self.spent) and self.busy < SESSIONS_PER_LINK and not self.connection.is_closed()


FORCED = b"the command of the certificate"
"""What is asked of a target that gets a certificate: its sshd runs what stands in there, whatever is asked."""

Route = tuple[str, str, int, str, tuple[str, ...], str]


@dataclass(slots=True)
class Pool:
    """All links of one daemon."""

    connect_seconds: float
    keepalive_seconds: float
    minting: Minting
    _links: dict[Route, list[Link]] = field(default_factory=dict)
    _dialling: dict[Route, asyncio.Lock] = field(default_factory=dict)
    _failed: dict[Route, tuple[float, Unreachable]] = field(default_factory=dict)
    _running: dict[asyncssh.SSHClientChannel[bytes], tuple[asyncio.Task[None], Target, str, Link]] = field(
        default_factory=dict
    )
    """Channels of commands, and who waits for their end: the event loop itself keeps only weak references."""
    _early: Earlies = field(init=False)

    def __post_init__(self) -> None:
        async def connect(target: Target, login: str, **more: Any) -> asyncssh.SSHClientConnection:
            if target.credential == CERTIFIED:
                await self.minting.wake()
            return await dial(target, login, seconds=self.connect_seconds, keepalive=self.keepalive_seconds, **more)

        self._early = Earlies(connect, self.connect_seconds)

    def expect(self, session: str, target: Target, login: str, *, own: bool = False) -> None:
        """A request of that session is held: have a connection ready, if none of the pool will do. `own`: it will take
        one of its own. Raises nothing."""
        pooled = target.credential != CERTIFIED and not own
        if not (pooled and any(link.usable for link in self._links.get(_route(target, login), ()))):
            self._early.begin(session, target, login)

    def unexpect(self, session: str) -> None:
        """Nothing will be started for it."""
        self._early.drop(session)

    async def start(
        self,
        target: Target,
        request: Request,
        command: bytes,
        session: Callable[[], asyncssh.SSHClientSession[bytes]],
        *,
        wanted: Callable[[], str],
        held: str = "",
    ) -> asyncssh.SSHClientChannel[bytes]:
        """Run `command`, the request's as the ledger holds it, on `target`. `wanted`, asked when the link stands, says
        why it shall not run any more, or "". `held`: the session that it was held in, if it was (`expect`).

        Raises Unreachable, HostKeyMismatch, NotStarted or NotConfirmed, each with a sentence for the agent.
        """
        if target.credential == CERTIFIED:
            return await self._start_certified(target, request, session, wanted, held)
        login, environment = request.login, request.environment
        for fresh in (False, True):
            link = await self._link(target, login, fresh=fresh, held=held)
            if reason := wanted():
                self._release(target, login, link)
                raise NotStarted(reason)
            sent = False

            def made() -> asyncssh.SSHClientSession[bytes]:
                nonlocal sent
                sent = True
                return session()

            try:
                return await self._open(link, target, login, command, environment, made)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                link.full = True
                refused = isinstance(error, asyncssh.ChannelOpenError) and not link.connection.is_closed()
                link.spent = link.spent or not refused
                self._release(target, login, link)
                if refused and link.busy == 0:
                    link.connection.close()
                if sent and not refused:
                    raise NotConfirmed(
                        f"target {target.name} did not say whether it started the command: {why(error)}; it may run"
                    ) from None
                if sent:
                    raise NotStarted(f"target {target.name} did not start the command: {why(error)}") from None
                if fresh:
                    raise NotStarted(f"target {target.name} opens no channel: {why(error)}") from None
            except BaseException:
                self._release(target, login, link)
                raise
        raise AssertionError("unreachable")

    async def ask(
        self,
        target: Target,
        login: str,
        question: bytes,
        limit: int,
        certify: Callable[[], Awaitable[Certify]] | None = None,
    ) -> bytes:
        """What a command of the bastion's own prints on the target; empty if it fails, takes too long, or prints more
        than `limit` bytes. A target that takes certificates is asked with the one that `certify` gets."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                if target.credential == CERTIFIED:
                    if certify is None:
                        return b""
                    connection = await self.dial(target, login, await certify())
                    try:
                        said, status = await answered(connection, FORCED, limit)
                    finally:
                        connection.abort()
                else:
                    link = await self._link(target, login, fresh=False)
                    try:
                        said, status = await answered(link.connection, question, limit)
                    finally:
                        self._release(target, login, link)
        except (BastionError, asyncssh.Error, OSError, TimeoutError):
            return b""
        return said if status == 0 else b""

    async def dial(
        self, target: Target, login: str, certify: Certify | None = None, held: str = ""
    ) -> asyncssh.SSHClientConnection:
        """A connection of its own, for what cannot share one. `held`: as for `start`. Raises as `dial`."""
        try:
            early = await self._early.take(held, target, login, certify or own_key(target))
        except Unreachable as error:
            if certify is not None or isinstance(error, Silent):  # it may have been made, and another one will not be
                raise
            early = None
        if early is not None:
            return early
        return await dial(
            target, login, seconds=self.connect_seconds, keepalive=self.keepalive_seconds, certify=certify
        )

    @contextlib.asynccontextmanager
    async def lend(self, target: Target, login: str, certify: Certify) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection for one channel that its caller opens; where the target takes certificates, one of its own with
        the certificate that `certify` makes. Raises as `dial`."""
        if target.credential == CERTIFIED:
            link = Link(await self.dial(target, login, certify), busy=1, spent=True)
            self._links.setdefault(_route(target, login), []).append(link)
        else:
            link = await self._link(target, login, fresh=False)
        try:
            yield link.connection
        except asyncssh.ChannelOpenError:
            link.full = True
            raise
        except TimeoutError:
            link.spent = True
            raise
        finally:
            self._release(target, login, link)

    async def _start_certified(
        self,
        target: Target,
        request: Request,
        session: Callable[[], asyncssh.SSHClientSession[bytes]],
        wanted: Callable[[], str],
        held: str,
    ) -> asyncssh.SSHClientChannel[bytes]:
        """The command stands in the certificate; the key is used for this one connection and dropped."""
        login = request.login
        connection = await self.dial(target, login, self.minting.for_request(request.id, request.digest), held)
        link = Link(connection, busy=1, spent=True)
        self._links.setdefault(_route(target, login), []).append(link)
        sent = False

        def made() -> asyncssh.SSHClientSession[bytes]:
            nonlocal sent
            sent = True
            return session()

        try:
            if reason := wanted():
                raise NotStarted(reason)
            return await self._open(link, target, login, FORCED, request.environment, made)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            self._release(target, login, link)
            refused = isinstance(error, asyncssh.ChannelOpenError) and not connection.is_closed()
            if sent and not refused:
                raise NotConfirmed(
                    f"target {target.name} did not say whether it started the command: {why(error)}; it may run"
                ) from None
            raise NotStarted(f"target {target.name} did not start the command: {why(error)}") from None
        except BaseException:
            self._release(target, login, link)
            raise

    async def _open(
        self,
        link: Link,
        target: Target,
        login: str,
        command: bytes,
        environment: Sequence[tuple[str, str]],
        session: Callable[[], asyncssh.SSHClientSession[bytes]],
    ) -> asyncssh.SSHClientChannel[bytes]:
        async with asyncio.timeout(self.connect_seconds):
            channel, _ = await link.connection.create_session(
                session,
                cast(Any, command),  # bytes go out as they are; asyncssh's annotation knows only text
                env=dict(environment),
                send_env=None,
                request_pty=False,
                encoding=None,
                window=algorithms.WINDOW,
                max_pktsize=algorithms.PACKET,
            )
        waiter = asyncio.get_running_loop().create_task(
            self._release_when_closed(channel), name=f"upstream {target.name}"
        )
        self._running[channel] = waiter, target, login, link
        return channel

    async def _release_when_closed(self, channel: asyncssh.SSHClientChannel[bytes]) -> None:
        await channel.wait_closed()
        if channel in self._running:
            _, target, login, link = self._running.pop(channel)
            self._release(target, login, link)

    def give_up(self, channel: asyncssh.SSHClientChannel[bytes]) -> None:
        """The target does not end what runs there, and it is not waited for: its link takes nothing more, and is closed
        when all else on it has ended. It would hold memory here, and one of the target's sessions, for as long."""
        if channel in self._running:
            waiter, target, login, link = self._running.pop(channel)
            waiter.cancel()
            link.spent = True
            self._release(target, login, link)

    def _release(self, target: Target, login: str, link: Link) -> None:
        link.busy -= 1
        if link.busy == 0 and link.spent:
            self._retire(_route(target, login), link)
        elif link.busy == 0:
            link.full = False
            link.closing = asyncio.get_running_loop().call_later(
                IDLE_SECONDS, self._retire, _route(target, login), link
            )

    def _retire(self, route: Route, link: Link) -> None:
        if link.busy == 0:
            with contextlib.suppress(KeyError, ValueError):  # dropped meanwhile, with its target
                self._links[route].remove(link)
            link.connection.close()

    async def _link(self, target: Target, login: str, *, fresh: bool, held: str = "") -> Link:
        """A link with room. One dials at a time; who waited for a dial that failed has failed with it, or the last of
        many would wait for as long as all of their dials take."""
        route, loop = _route(target, login), asyncio.get_running_loop()
        asked = loop.time()
        async with self._dialling.setdefault(route, asyncio.Lock()):
            links = self._links.setdefault(route, [])
            links[:] = [link for link in links if not link.connection.is_closed()]
            link = next((link for link in links if link.usable and not fresh), None)
            if link is None:
                at, failure = self._failed.get(route, (0.0, None))
                if failure is not None and at >= asked:
                    raise type(failure)(failure.message, failure.hint)
                try:
                    connection = await self.dial(target, login, held=held)
                except Unreachable as error:
                    self._failed[route] = loop.time(), error
                    raise
                self._failed.pop(route, None)
                link = Link(connection)
                links.append(link)
            link.busy += 1
            if link.closing is not None:
                link.closing.cancel()
                link.closing = None
            return link

    def drop(self, target: str) -> None:
        """Close all links to a target that was removed."""
        self._early.drop_target(target)
        for route in [route for route in self._links if route[0] == target]:
            for link in self._links.pop(route):
                link.connection.abort()

    async def close(self) -> None:
        """Close everything."""
        await self._early.close()
        for links in self._links.values():
            for link in links:
                if link.closing is not None:
                    link.closing.cancel()
                link.connection.abort()
        for links in self._links.values():
            for link in links:
                with contextlib.suppress(asyncssh.Error, OSError):
                    await link.connection.wait_closed()
        self._links.clear()
        await self.minting.close()


def _route(target: Target, login: str) -> Route:
    return target.name, target.host, target.port, login, target.host_keys, target.credential


async def answered(connection: asyncssh.SSHClientConnection, question: bytes, limit: int) -> tuple[bytes, int | None]:
    """What a command of the bastion's own prints, and its exit status; nothing if that is more than `limit` bytes, and
    then no more of it is taken. Raises as asyncssh does."""
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(
        cast(Any, question), encoding=None, stdin=asyncssh.DEVNULL, stderr=asyncssh.DEVNULL
    )
    try:
        await process.stdout.readexactly(limit + 1)
    except asyncio.IncompleteReadError as whole:
        await process.wait_closed()
        return whole.partial, process.exit_status
    finally:
        process.close()
    return b"", None
