"""Where a daemon is and how to get a byte stream to it: the local unix socket, or SSH with an approver's own key.

Theory of operation. `dial` returns a Link: two stream halves, and the key that logged in. Over SSH every candidate key
is offered one at a time through `public_key_auth_requested`, so that the last one offered is the one that got in: it
signs the decisions of this connection.

The host key is checked, always. It is pinned (`--host-key`, or `host_key` in client.toml), or it stands in
~/.ssh/known_hosts; an unknown key is refused with its fingerprint and what to type once it has been compared. Nothing
of ~/.ssh/config is read: a `UserKnownHostsFile none` there would switch the check off.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.stream import SSHClientStreamSession, SSHReader, SSHWriter

from bastion.control.lines import ByteReader, ByteWriter
from bastion.control.signers import Signer
from bastion.control.wire import SUBSYSTEM
from bastion.errors import HostKeyMismatch, NotAllowed, Unreachable, UsageError
from bastion.oserrors import in_words
from bastion.publickey import parse_key

CONNECT_SECONDS = 10.0
"""For the TCP connection, and again for the login; the same as for a target."""

KEEPALIVE_SECONDS = 15.0
"""Between probes of an idle connection; after three without answer it counts as lost (ServerAliveCountMax is 3)."""

USER = "bastion"
"""The user name that means the bastion itself."""

HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256")
"""Kinds of host key that are accepted: those that can be pinned, so no certificates."""

CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
"""AES-GCM first: three times as fast as chacha20 here."""


@dataclass(slots=True)
class Link:
    """A byte stream to a daemon."""

    reader: ByteReader
    writer: ByteWriter
    signer: Signer | None
    """The key that logged in; None on the local socket, where nothing logs in."""
    hang_up: Callable[[], Awaitable[None]]
    """Close everything below the stream."""


@dataclass(frozen=True, slots=True)
class Local:
    """The daemon of this host."""

    path: Path
    """Its unix socket: `control.sock` in the state directory."""

    def __str__(self) -> str:
        return str(self.path)

    async def dial(self) -> Link:
        """Raises Unreachable when nobody listens, NotAllowed when the socket is another user's."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.path))
        except PermissionError:
            raise NotAllowed(
                f"{self.path} belongs to another user", "run this as the daemon's user, or use --bastion HOST:PORT"
            ) from None
        except OSError as error:
            raise Unreachable(f"no daemon on {self.path}: {error.strerror}", "start it with `bastion serve`") from None

        async def hang_up() -> None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        return Link(reader, writer, None, hang_up)


@dataclass(frozen=True, slots=True)
class Remote:
    """A bastion over SSH."""

    host: str
    port: int
    signers: Sequence[Signer] = field(repr=False)
    """Keys to offer, in order (signers.find)."""
    host_key: str = ""
    """The pinned `algorithm base64`; empty: known_hosts decides."""
    known_hosts: Path = field(default_factory=lambda: Path("~/.ssh/known_hosts").expanduser())

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def dial(self) -> Link:
        """Raises HostKeyMismatch, Unreachable, NotAllowed (no key got in), UsageError."""
        guard = _Guard(list(self.signers))
        try:
            connection, _ = await asyncssh.create_connection(
                lambda: guard,
                self.host,
                self.port,
                username=USER,
                config=None,
                known_hosts=self._trusted(),
                server_host_key_algs=HOST_KEYS,
                client_keys=None,
                agent_path=None,
                preferred_auth=("publickey",),
                encryption_algs=CIPHERS,
                compression_algs=("none",),
                connect_timeout=CONNECT_SECONDS,
                login_timeout=CONNECT_SECONDS + guard.patience,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=3,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._distrust(guard, str(error)) from None
        except asyncssh.PermissionDenied:
            if guard.failure is not None:
                raise guard.failure from None
            raise NotAllowed(
                f"{self} accepts none of your keys ({_names(self.signers)})",
                "have the bastion's administrator add one: bastion identity add NAME --kind human --role approver",
            ) from None
        except (OSError, asyncssh.Error) as error:
            why = in_words(error)
            hint = "does it run, and is the address right?" if isinstance(error, OSError) else ""
            raise Unreachable(f"cannot reach the bastion at {self}: {why}", hint) from None
        session = _Session()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.create_session(lambda: session, subsystem=SUBSYSTEM, encoding=None)
        except (OSError, asyncssh.Error) as error:
            connection.abort()
            if isinstance(error, asyncssh.ChannelOpenError):
                raise NotAllowed(
                    f"{self} does not let this key use its control side", "it takes an identity with a role"
                ) from None
            raise Unreachable(f"{self} did not open the control channel") from None

        async def hang_up() -> None:
            connection.close()
            with contextlib.suppress(OSError, asyncssh.Error):
                await connection.wait_closed()

        return Link(*session.streams(), guard.current, hang_up)

    def _trusted(self) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]] | bytes:
        """For asyncssh's `known_hosts`; never None, which would trust anybody, and never empty by accident."""
        if self.host_key:
            return [asyncssh.import_public_key(parse_key(self.host_key).line)], [], []
        try:
            return self.known_hosts.read_bytes() or b"#"
        except FileNotFoundError:
            return b"#"
        except OSError as error:
            raise UsageError(f"cannot read {self.known_hosts}: {error.strerror}") from None

    def _distrust(self, guard: _Guard, why: str) -> Unreachable:
        if guard.shown is None:
            return HostKeyMismatch(f"the host key of {self} is not accepted: {why}")
        print_ = guard.shown.get_fingerprint()
        if self.host_key:
            return HostKeyMismatch(
                f"{self} shows host key {print_}, not the pinned {parse_key(self.host_key).fingerprint}",
                "somebody may be in between; if the bastion's key was changed on purpose, pin the new one",
            )
        line = " ".join(guard.shown.export_public_key().decode().split()[:2])
        return HostKeyMismatch(
            f"{self} shows host key {print_}, which is not known here",
            f"compare it with what `bastion init` printed there, then use --host-key '{line}' or pin it in client.toml",
        )


@dataclass(slots=True)
class Inherited:
    """A stream that was there when this process began (bastion/console.py); it can be used once."""

    descriptor: int
    used: bool = False

    def __str__(self) -> str:
        return "the bastion"

    async def dial(self) -> Link:
        """Raises UsageError the second time: there is no way back."""
        if self.used:
            raise UsageError("the bastion ended this console", "leave it, and connect again")
        self.used = True
        reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=self.descriptor))

        async def hang_up() -> None:
            writer.close()

        return Link(reader, writer, None, hang_up)


Endpoint = Local | Remote | Inherited


class _Session(SSHClientStreamSession[bytes]):
    """asyncssh's stream session, but awake from the start.

    asyncssh takes in nothing before the subsystem request is answered, not even the close of the channel; a server that
    says why on stderr and closes instead of answering (this bastion does, for an agent's key) would be waited for.
    """

    _own: SSHChannel[bytes]

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        """The channel is open; the subsystem is asked for next."""
        super().connection_made(chan)
        self._own = chan
        chan.resume_reading()

    def streams(self) -> tuple[SSHReader[bytes], SSHWriter[bytes]]:
        """Both halves."""
        return SSHReader(self, self._own), SSHWriter(self, self._own)


class _Guard(asyncssh.SSHClient):
    """Offers the keys one at a time, and remembers which host key was shown."""

    def __init__(self, signers: list[Signer]) -> None:
        self._left = signers
        self.patience = 300.0 if signers else 0.0
        """Seconds on top for a person: a passphrase, a touch."""
        self.current: Signer | None = None
        self.shown: asyncssh.SSHKey | None = None
        self.failure: UsageError | Unreachable | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is not trusted: noted, and refused."""
        self.shown = key
        return False

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """The next key; None when all were refused."""
        while self._left:
            self.current = self._left.pop(0)
            try:
                return await self.current.key_pair()
            except (UsageError, Unreachable) as error:
                self.failure = error  # a wrong passphrase: the next key may do
        self.current = None
        return None


def _names(signers: Sequence[Signer]) -> str:
    return ", ".join(signer.key.fingerprint for signer in signers) or "none offered"
