"""Connections to targets: dial with a pinned host key, pool, start one command.

Theory of operation. A *link* is one SSH connection to one target as one login with the bastion's own key. Commands of
all agents share links: the credential is the bastion's, and every command is a process of its own on the target. A link
carries at most SESSIONS_PER_LINK channels at once (sshd's MaxSessions is 10 by default); beyond that, another is made.

The pinned host key is the only one accepted: there is no trust on first use, and no known_hosts file or ssh
configuration of the account that runs the daemon is read.

A command is sent at most once. What fails before the exec request went out may be tried on a fresh link (a pooled link
may have died unnoticed); what fails after it is reported, never repeated.

Not protected: an administrator of the target can read and change what runs there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh

from bastion.directory import CERTIFIED
from bastion.errors import BastionError, HostKeyMismatch, Unreachable
from bastion.model import Request, Target
from bastion.ssh import algorithms
from bastion.ssh.lean import lean
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
    _waiters: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(
        self,
        target: Target,
        request: Request,
        command: bytes,
        session: Callable[[], asyncssh.SSHClientSession[bytes]],
        *,
        wanted: Callable[[], str],
    ) -> asyncssh.SSHClientChannel[bytes]:
        """Run `command`, the request's as the ledger holds it, on `target`. `wanted`, asked when the link stands, says
        why it shall not run any more, or "".

        Raises Unreachable, HostKeyMismatch, NotStarted or NotConfirmed, each with a sentence for the agent.
        """
        if target.credential == CERTIFIED:
            return await self._start_certified(target, request, session, wanted)
        login, environment = request.login, request.environment
        for fresh in (False, True):
            link = await self._link(target, login, fresh=fresh)
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
                        f"target {target.name} did not say whether it started the command: {_why(error)}; it may run"
                    ) from None
                if sent:
                    raise NotStarted(f"target {target.name} did not start the command: {_why(error)}") from None
                if fresh:
                    raise NotStarted(f"target {target.name} opens no channel: {_why(error)}") from None
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
                        done = await _answer(connection, FORCED)
                    finally:
                        connection.abort()
                else:
                    link = await self._link(target, login, fresh=False)
                    try:
                        done = await _answer(link.connection, question)
                    finally:
                        self._release(target, login, link)
        except (BastionError, asyncssh.Error, OSError, TimeoutError):
            return b""
        said = done.stdout if isinstance(done.stdout, bytes) else b""
        return said if done.exit_status == 0 and len(said) <= limit else b""

    async def dial(self, target: Target, login: str, certify: Certify | None = None) -> asyncssh.SSHClientConnection:
        """A connection of its own, for what cannot share one. Raises as `dial`."""
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
    ) -> asyncssh.SSHClientChannel[bytes]:
        """The command stands in the certificate; the key is used for this one connection and dropped."""
        login = request.login
        connection = await self.dial(target, login, self.minting.for_request(request.id, request.digest))
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
                    f"target {target.name} did not say whether it started the command: {_why(error)}; it may run"
                ) from None
            raise NotStarted(f"target {target.name} did not start the command: {_why(error)}") from None
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
            self._release_when_closed(target, login, link, channel), name=f"upstream {target.name}"
        )
        self._waiters.add(waiter)  # the event loop itself keeps only weak references
        waiter.add_done_callback(self._waiters.discard)
        return channel

    async def _release_when_closed(
        self, target: Target, login: str, link: Link, channel: asyncssh.SSHClientChannel[bytes]
    ) -> None:
        await channel.wait_closed()
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

    async def _link(self, target: Target, login: str, *, fresh: bool) -> Link:
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
                    connection = await self.dial(target, login)
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
        for route in [route for route in self._links if route[0] == target]:
            for link in self._links.pop(route):
                link.connection.abort()

    async def close(self) -> None:
        """Close everything."""
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


async def _answer(connection: asyncssh.SSHClientConnection, question: bytes) -> asyncssh.SSHCompletedProcess:
    return await connection.run(
        cast(Any, question), encoding=None, check=False, stdin=asyncssh.DEVNULL, stderr=asyncssh.DEVNULL
    )


def read_credential(target: Target) -> asyncssh.SSHKey:
    """The bastion's key for a target. Raises Unreachable if it is missing, damaged or readable by others."""
    if target.credential == CERTIFIED:
        raise Unreachable(f"target {target.name} takes a certificate for each command, and this is none")
    path = Path(target.credential.removeprefix("key:"))
    hint = "the admin of the bastion has to mend it"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
                raise Unreachable(f"the credential of target {target.name} is readable by others", hint)
            data = os.read(descriptor, 1 << 16)
        finally:
            os.close(descriptor)
        return asyncssh.import_private_key(data)
    except OSError as error:
        raise Unreachable(f"the credential of target {target.name} cannot be read: {error.strerror}", hint) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise Unreachable(f"the credential of target {target.name} is no usable private key", hint) from None


class _Certified(asyncssh.SSHClient):
    """Has a certificate made when the target asks who is there: by then the connection says from where it comes."""

    def __init__(self, certify: Certify | None) -> None:
        self._certify = certify
        self._connection: asyncssh.SSHClientConnection | None = None
        self.failure: BastionError | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The target answered."""
        self._connection = conn

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """Once; None when there is no other key to try."""
        certify, self._certify = self._certify, None
        if certify is None or self._connection is None:
            return None
        name = self._connection.get_extra_info("sockname")
        try:
            return await certify(str(name[0]) if name else "")
        except BastionError as error:
            self.failure = error
            return None


async def dial(
    target: Target, login: str, *, seconds: float, keepalive: float, certify: Certify | None = None
) -> asyncssh.SSHClientConnection:
    """A connection to `target`, its host key checked against the pinned ones; with what `certify` makes instead of the
    target's credential. Raises Unreachable, HostKeyMismatch."""
    if not target.host_keys:
        raise HostKeyMismatch(f"target {target.name} has no pinned host key")
    own = read_credential(target) if certify is None else None
    certified = _Certified(certify)
    pinned = [asyncssh.import_public_key(line) for line in target.host_keys]
    try:
        async with asyncio.timeout(seconds):
            connection = await asyncssh.connect(
                target.host,
                target.port,
                client_factory=lambda: certified,
                username=login,
                client_keys=[own] if own is not None else None,
                known_hosts=(pinned, [], []),
                config=None,
                agent_path=None,
                agent_forwarding=False,
                password=None,
                preferred_auth="publickey",
                gss_host=None,
                encryption_algs=algorithms.ENCRYPTION,
                mac_algs=algorithms.MAC,
                compression_algs=["none"],
                keepalive_interval=keepalive,
                connect_timeout=seconds,
                login_timeout=seconds,
                client_version="agent-bastion",
            )
            lean(connection)
            return connection
    except asyncssh.HostKeyNotVerifiable:
        raise HostKeyMismatch(
            f"target {target.name} shows another host key than the pinned one", "nothing was sent; tell the admin"
        ) from None
    except asyncssh.PermissionDenied:
        if certified.failure is not None:
            raise certified.failure from None
        if certify is not None:
            hint = "what it trusts (`bastion user-ca`), or `source_address` where it sees the bastion elsewhere"
            raise Unreachable(f"target {target.name} refuses the bastion's certificate for {login}", hint) from None
        raise Unreachable(f"target {target.name} refuses the bastion's key for {login}") from None
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise Unreachable(f"target {target.name} does not answer: {_why(error, seconds)}") from None
    except ValueError as error:  # asyncssh, where this process' uid has no account
        raise Unreachable(f"cannot connect to target {target.name}: {error}", "set LOGNAME for the daemon") from None


def _why(error: Exception, seconds: float = 10) -> str:
    match error:
        case BastionError():
            return error.message
        case TimeoutError():
            return f"no answer within {seconds:g} s"
        case asyncssh.Error():
            return error.reason
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or type(error).__name__
