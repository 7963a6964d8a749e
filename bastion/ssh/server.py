"""Listen, authenticate, and hand each channel to what may have it.

Theory of operation. The key says who, the user name says where. Keys are looked up in the directory and nowhere else:
no authorized_keys file is read, so no option of one can be believed by mistake. An identity that decides (approver,
auditor, admin) gets the control subsystem; every other identity gets targets. Neither gets the other's channels (P5).

    ssh TARGET@bastion          the target's default login
    ssh LOGIN%TARGET@bastion    another login that the target has
    ssh bastion@bastion         the bastion itself: the control subsystem, and with a terminal the console (console.py),
                                for identities with a role; for agents a few commands of its own (own.py)
    ssh -J bastion TARGET       the same through a jump that ends here; see jump.py

A connection that fails to log in costs its address a token; see limits.py. What is told before login names nothing but
the key that the client itself just offered.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import asyncssh
from asyncssh.stream import SSHServerStreamSession

from bastion.gate.channels import look_up
from bastion.model import Identity, Target
from bastion.policy.forwards import NotADestination, destination
from bastion.policy.judge import named
from bastion.policy.rules import Subject
from bastion.policy.visible import visible_line
from bastion.ssh import algorithms
from bastion.ssh.channel import AgentChannel
from bastion.ssh.console import ConsoleSession
from bastion.ssh.control_channel import ControlChannel
from bastion.ssh.dealings import Dealings
from bastion.ssh.forward import Forward
from bastion.ssh.lean import lean
from bastion.ssh.limits import LoginLimits
from bastion.ssh.own import SELF, OwnSession
from bastion.ssh.services import Services
from bastion.ssh.session import AgentSession
from bastion.ssh.turned_away import TurnedAway

C = TypeVar("C", AgentChannel, ControlChannel)

log = logging.getLogger(__name__)

CHANNELS_PER_CONNECTION = 32
"""Open session channels of one agent connection; OpenSSH's MaxSessions is 10, its ControlMaster users raise it."""

COMMAND_PACKET = (1 << 20) + (1 << 18)
"""Bytes in one packet after login. asyncssh takes 256 KiB and drops the connection at more, as OpenSSH does; a command
of a megabyte shall be refused with a sentence instead."""

UNREAD_LIMIT = 64 << 20
"""Bytes sent to one client and not taken by the network; commands stop writing at a fraction (pump.UNSENT). A client
past it asks for answers and does not read them: it is dropped."""

CONTROL_CHANNELS = 4
"""The same for an approver's connection."""

KEYS_TOLD = 6
"""Keys that a client may offer; OpenSSH's MaxAuthTries is 6."""

ServeControl = Callable[..., Awaitable[None]]
"""(reader, writer, identity, way): speaks the control protocol until the connection ends; `way` as in Caller."""

SSH_PORT = 22
"""Of a target, as a client asks a jump for it, whatever port the bastion itself uses to reach it."""


class Connections:
    """All live connections, so that a revoked identity's can be cut."""

    def __init__(self) -> None:
        self._live: set[BastionServer] = set()

    def add(self, server: BastionServer) -> None:
        """A connection logged in."""
        self._live.add(server)

    def remove(self, server: BastionServer) -> None:
        """It is gone."""
        self._live.discard(server)

    def cut(self, identity: str) -> None:
        """Close every connection of an identity; its sessions were told why before."""
        for server in [each for each in self._live if each.identity is not None and each.identity.name == identity]:
            server.abort()

    def close(self) -> None:
        """Close all of them."""
        for server in list(self._live):
            server.abort()


Jump = Callable[[Identity, str, Target], asyncssh.SSHServerConnection]
"""(identity, client's address, target): the server at the inner end of a jump, not connected yet."""


class BastionServer(asyncssh.SSHServer):
    """One connection. Without `jump` it refuses to be jumped through."""

    def __init__(
        self,
        services: Services,
        limits: LoginLimits,
        connections: Connections,
        serve_control: ServeControl,
        jump: Jump | None,
    ) -> None:
        self._services, self._limits, self._connections = services, limits, connections
        self._serve_control, self._jump = serve_control, jump
        self._connection: asyncssh.SSHServerConnection | None = None
        self._address = ""
        self._client = ""
        self._offered: tuple[Identity, str] | None = None
        self._keys_refused = 0
        self._admitted = False
        self._channels = 0
        self._forwards: weakref.WeakSet[Forward] = weakref.WeakSet()
        """Whose agent may go while they are held, when no channel is open yet that could be closed."""
        self.identity: Identity | None = None
        self._key = ""
        self._where = ""

    # --- connection and login -------------------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client connected; nothing is known of it but its address."""
        self._connect(conn)
        peer = conn.get_extra_info("peername") or ("unknown", 0)
        self._address, self._client = str(peer[0]), f"{peer[0]}:{peer[1]}"
        if reason := self._limits.admit(self, self._address, self._services.clock.monotonic()):
            log.warning("turned away %s: %s", self._client, reason)
            conn.abort()
            return
        self._admitted = True

    def _connect(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        lean(conn)
        if conn._transport is not None:
            conn._transport.set_write_buffer_limits(high=UNREAD_LIMIT)
            setattr(conn, "pause_writing", self._unread)  # noqa: B010 -- asyncssh does nothing there

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; its channels are told by asyncssh."""
        if self._admitted:
            self._limits.closed(self, self._address, self._services.clock.monotonic())
        self._connections.remove(self)
        for forward in self._forwards:
            forward.left()
        self._forwards.clear()

    def _unread(self) -> None:
        log.warning("dropped %s: it does not read what it is sent", self._client)
        self.abort()

    def begin_auth(self, username: str) -> bool:
        """Everybody has to prove who they are."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether this key may log in; asyncssh checks the signature right after, in the same step."""
        fingerprint = key.get_fingerprint()
        identity = self._services.directory.identity_of(fingerprint)
        if identity is not None and not identity.revoked:
            self._offered = (identity, fingerprint)
            return True
        self._offered = None
        self._keys_refused += 1
        connection = self._connection
        if connection is not None and self._keys_refused <= KEYS_TOLD:
            state = "was revoked" if identity is not None else "is not known here"
            connection.send_auth_banner(f"bastion: key {fingerprint} {state}\n")
        if connection is not None and self._keys_refused >= KEYS_TOLD:
            connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many keys that are not accepted")
        return False

    def auth_completed(self) -> None:
        """The signature was good: from here on we know who it is."""
        connection = self._connection
        if connection is None or self._offered is None:
            return
        identity, key = self._offered
        if reason := self._limits.logged_in(self, identity.name, decides=identity.decides):
            log.warning("turned away %s of %s: %s", self._client, identity.name, reason)
            connection.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, f"bastion: {reason}")
            return
        self._logged_in(connection, identity, key)

    def _logged_in(self, connection: asyncssh.SSHServerConnection, identity: Identity, key: str) -> None:
        self.identity, self._key = identity, key
        self._where = str(connection.get_extra_info("username"))
        connection._update_recv_pktlen(COMMAND_PACKET)
        self._connections.add(self)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._connection is not None:
            self._connection.abort()

    # --- channels (P3) --------------------------------------------------------------------------------------------

    def session_requested(self) -> Any:
        """RFC 4254 section 6.1: a session channel for a target, or for control."""
        connection, identity = self._may_open()
        if identity.decides:
            return self._control_channel(connection, identity)
        channel = _make(AgentChannel, connection, algorithms.HELD_WINDOW)
        session = self._session(identity)
        channel.agent = session
        self._count(channel)
        return channel, session

    def _may_open(self) -> tuple[asyncssh.SSHServerConnection, Identity]:
        """Whether one more channel may be opened at all. Raises ChannelOpenError."""
        connection, identity = self._connection, self.identity
        if connection is None or identity is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not logged in")
        limit = CONTROL_CHANNELS if identity.decides else CHANNELS_PER_CONNECTION
        if self._channels >= limit:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"bastion: at most {limit} channels a connection"
            )
        if self._services.directory.identities[identity.name].revoked:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "bastion: identity revoked")
        return connection, identity

    def _session(self, identity: Identity) -> AgentSession | OwnSession | TurnedAway:
        """What the user name means: a target, with one of its logins; else a sentence for the agent."""
        targets = self._services.directory.targets
        login, name = self._destination()
        target = targets.get(name)
        if name == SELF and login is None:
            return OwnSession(self._services, identity, self._key, self._client, self._services.longest_grant)
        if target is None:
            known = ", ".join(sorted(targets)[:8]) or "none yet"
            reason = f"unknown target {name[:64]}; targets: {known}"
        elif login is not None and login not in target.logins:
            reason = f"{login[:64]} is no login of {name}; logins: {', '.join(target.logins)}"
        else:
            login = login or target.logins[0]
            return AgentSession(Dealings(self._services, identity, self._key, target, login, self._client))
        return TurnedAway(self._services, identity.name, f"destination {self._where[:128]}", reason)

    def _destination(self) -> tuple[str | None, str]:
        """The login, None for the default one, and the target's name; nothing of it is checked."""
        login, percent, name = self._where.rpartition("%")
        return login if percent else None, name

    def _control_channel(self, connection: asyncssh.SSHServerConnection, identity: Identity) -> Any:
        channel = _make(ControlChannel, connection, 2 << 20)
        consoles = self._services.consoles
        channel.console = ConsoleSession(consoles, connection, identity, self._key, self._client, self._serve_control)
        channel.spawn = self._services.spawn
        self._count(channel)

        async def serve(stdin: Any, stdout: Any, _stderr: Any) -> None:
            try:
                await self._serve_control(stdin, stdout, identity)
            finally:
                stdout.channel.exit(0)

        return channel, SSHServerStreamSession(serve)

    def _count(self, channel: asyncssh.SSHServerChannel[bytes] | asyncssh.SSHTCPChannel[bytes]) -> None:
        """Count a channel until it is closed."""
        self._channels += 1

        async def wait() -> None:
            await channel.wait_closed()
            self._channels -= 1

        self._services.spawn(wait(), "channel count")

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """`direct-tcpip`: a jump to a target's SSH port ends here; everything else is refused, by the table. It must
        never return True, which would be a tunnel nobody sees."""
        connection, identity = self._may_open()
        target = self._services.directory.targets.get(dest_host)
        if identity.decides:
            self._refuse_channel("direct-tcpip", _to(dest_host, dest_port))
        if self._jump is None or target is None or dest_port not in (SSH_PORT, target.port):
            return self._forward(connection, identity, dest_host, dest_port)
        channel = connection.create_tcp_channel(None, "strict", algorithms.WINDOW, algorithms.PACKET)
        self._count(channel)
        return channel, self._jump(identity, self._client, target)

    def _forward(
        self, connection: asyncssh.SSHServerConnection, identity: Identity, host: str, port: int
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], Awaitable[Forward]]:
        """From the target that the user name names to a destination that policy names, once a person approved it."""
        services = self._services
        login, name = self._destination()
        place = services.directory.targets.get(name)
        try:
            where = destination(host, port)
        except NotADestination:
            self._refuse_channel("direct-tcpip", _to(host, port))
        if place is None or (login is not None and login not in place.logins):
            self._refuse_channel("direct-tcpip", _to(host, port))
        login = login or place.logins[0]
        clauses = services.policy().concerning(Subject(identity.name, identity.kind, name, place.env, login))
        clause = named(clauses, where)
        if clause is None:
            self._refuse_channel("direct-tcpip", _to(host, port))
        channel = connection.create_tcp_channel(None, "strict", algorithms.WINDOW, algorithms.PACKET)
        self._count(channel)
        dealings = Dealings(services, identity, self._key, place, login, self._client)
        forward = Forward(dealings, where, clause.seconds, channel)
        self._forwards.add(forward)
        return channel, forward.opened()

    def unix_connection_requested(self, dest_path: str) -> Any:
        """`direct-streamlocal@openssh.com`."""
        self._refuse_channel("direct-streamlocal@openssh.com")

    def tun_requested(self, unit: int | None) -> Any:
        """`tun@openssh.com`, point to point."""
        self._refuse_channel("tun@openssh.com")

    def tap_requested(self, unit: int | None) -> Any:
        """`tun@openssh.com`, Ethernet."""
        self._refuse_channel("tun@openssh.com")

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """`tcpip-forward`."""
        return self._refuse_global("tcpip-forward")

    def unix_server_requested(self, listen_path: str) -> bool:
        """`streamlocal-forward@openssh.com`."""
        return self._refuse_global("streamlocal-forward@openssh.com")

    def _refuse_channel(self, kind: str, what: str = "") -> NoReturn:
        self._note(f"channel {kind}{what}")
        reason = look_up(f"channel {kind}").reason
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, f"bastion: {reason}")

    def _refuse_global(self, kind: str) -> bool:
        self._note(f"global {kind}")
        return False

    def _note(self, what: str) -> None:
        """Into the ledger, outside any session."""
        if self.identity is not None and self._connection is not None:
            self._services.note_refusal(self.identity.name, what)


def _to(host: str, port: int) -> str:
    return f" to {visible_line(f'{host}:{port}'.encode('utf-8', 'surrogateescape'), 128)}"


def _make(kind: type[C], connection: asyncssh.SSHServerConnection, window: int) -> C:
    """A server channel of our own kind: no terminal, no line editor, bytes."""
    return kind(
        connection, asyncio.get_running_loop(), False, False, False, 0, 0, None, "strict", window, algorithms.PACKET
    )
