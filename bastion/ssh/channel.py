"""Session channels with the channel table in front (P3).

asyncssh's own server channel says yes to any environment variable, refuses a command that is not UTF-8 without a word,
and answers X11 and agent requests itself. So each request (RFC 4254 section 6) goes through the table here, at the
lowest place where all of them pass; what has no row is refused. The overridden methods are asyncssh's internal ones:
the version is capped, and tests/e2e drives every row with real clients.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any, Protocol, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST
from asyncssh.packet import SSHPacket, String

from bastion.control.wire import SUBSYSTEM
from bastion.gate.channels import ENVIRONMENT_COUNT, Treatment, admits, look_up, terminal_name
from bastion.ssh import algorithms
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.streams import Streams

if TYPE_CHECKING:
    Channel = asyncssh.SSHServerChannel[bytes]
else:
    Channel = asyncssh.SSHServerChannel


def renamed(packet: SSHPacket, rest: SSHPacket) -> SSHPacket:
    """The same request under a name that nothing implements: asyncssh answers it in order, with a failure."""
    return SSHPacket(String(b"refused-by-the-table") + rest.get_remaining_payload())


def terminal_asked(packet: SSHPacket) -> Terminal:
    """What a pty-req asks for (RFC 4254 section 6.2). The client's modes are left out: the terminal that there is, the
    target's or the console's, keeps its own. Raises PacketDecodeError."""
    name, columns, rows = packet.get_string(), packet.get_uint32(), packet.get_uint32()
    packet.get_uint32(), packet.get_uint32()
    packet.get_string()
    packet.check_end()
    return Terminal(terminal_name(name), columns, rows)


EXPLAINED = frozenset({"subsystem"})
"""Refused requests that are answered with success, only so that the reason can be said on stderr, where people look:
after a plain failure OpenSSH's client ends at once with words of its own. Nothing runs on such a channel."""


SFTP = "sftp"
"""The one subsystem that targets have here (draft-ietf-secsh-filexfer-02 section 2)."""


class Agent(Protocol):
    """What a session of an agent's channel is told."""

    environment: dict[str, str]

    def exec_received(self, command: bytes, terminal: Terminal | None) -> Agent:
        """RFC 4254 section 6.5, with the terminal that was asked for before (6.2); returns who is told of the rest."""

    def shell_received(self, terminal: Terminal | None) -> Agent:
        """The same for a shell; returns who is told of the rest."""

    def sftp_received(self) -> Agent | None:
        """The same for the subsystem sftp; None where there is none."""

    def window_changed(self, columns: int, rows: int) -> None:
        """RFC 4254 section 6.7."""

    def refused(self, what: str, reason: str) -> None:
        """The table refused a request; without a reason it is only noted."""

    def not_open(self, what: str, reason: str) -> None:
        """The table refused what would have made this channel something; it has to be ended with the reason."""

    def left(self) -> None:
        """The agent closed the channel."""


class AgentChannel(Streams[bytes], Channel):
    """An agent's session channel: exec, once, as bytes; the rest as the table says."""

    agent: Agent
    """Set before the channel is handed to asyncssh."""
    terminal: Terminal | None = None
    """What `pty-req` asked for."""

    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """The client names how much it takes at once; not too little (lean.py)."""
        if inspect.isawaitable(session):
            super().process_open(send_chan, send_window, send_pktsize, session)
            return
        self._send_chan, self._send_window, self._send_pktsize = send_chan, send_window, send_pktsize
        with contextlib.suppress(StopIteration):  # asyncssh makes a task of it; with a session at hand nothing waits
            self._finish_open_request(session).send(None)

    def _process_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Every channel request passes here first."""
        peek = SSHPacket(packet.get_remaining_payload())
        name = peek.get_string().decode("ascii", "backslashreplace")
        row = look_up(f"request {name}")
        if row.treatment is Treatment.REFUSED and name not in EXPLAINED:
            self.agent.refused(name, row.reason)
            packet = renamed(packet, peek)
        super()._process_request(pkttype, pktid, packet)

    def _process_refused_by_the_table_request(self, packet: SSHPacket) -> bool:
        return False

    def _process_pty_req_request(self, packet: SSHPacket) -> bool:
        asked = terminal_asked(packet)
        if self._session_started or self.terminal is not None:
            return False
        self.terminal = asked
        return True

    def _process_window_change_request(self, packet: SSHPacket) -> bool:
        if self.terminal is None:
            return False
        columns, rows = packet.get_uint32(), packet.get_uint32()
        packet.get_uint32(), packet.get_uint32()
        packet.check_end()
        if self._session_started:
            self.agent.window_changed(columns, rows)
        return True

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        known = self.agent.environment
        if not admits(name, value) or len(known) >= ENVIRONMENT_COUNT or self._session_started:
            self.agent.refused(f"env {name.decode('utf-8', 'backslashreplace')[:64]}", "")
            return False
        known[name.decode()] = value.decode()
        return True

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        command = packet.get_string()
        packet.check_end()
        if self._session_started:
            return False
        self._session_started = True
        self.agent = self.agent.exec_received(command, self.terminal)
        self._session = cast(Any, self.agent)
        return True

    def _process_shell_request(self, packet: SSHPacket) -> bool:
        packet.check_end()
        if self._session_started:
            return False
        self._session_started = True
        self.agent = self.agent.shell_received(self.terminal)
        self._session = cast(Any, self.agent)
        return True

    def _process_subsystem_request(self, packet: SSHPacket) -> bool:
        name = packet.get_string().decode("utf-8", "backslashreplace")[:64]
        packet.check_end()
        if name == SUBSYSTEM:  # our own client asks for it, with an agent's key, and understands a plain failure
            self.agent.refused(f"subsystem {name}", "")
            return False
        if name == SFTP and not self._session_started and (agent := self.agent.sftp_received()) is not None:
            self._session_started = True
            self.agent = agent
            self._session = cast(Any, agent)
            return True
        return self._say_no("subsystem", f"subsystem {name}")

    def _say_no(self, row: str, what: str) -> bool:
        if self._session_started:
            return False
        self._session_started = True
        self.agent.not_open(what, look_up(f"request {row}").reason)
        return True

    def _report_response(self, result: bool) -> None:
        """asyncssh begins to read when it has granted an exec, whatever paused the reading meanwhile."""
        held = self._recv_paused is True
        super()._report_response(result)
        if held:
            self.pause_reading()

    def _process_close(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """A client that closes only this channel while its stdin is paused would else go unnoticed, and the channel
        stay open with what is unread."""
        self.agent.left()
        super()._process_close(pkttype, pktid, packet)
        self._discard_recv()

    _packet_handlers = {  # noqa: RUF012 -- asyncssh looks handlers up here, by packet type
        **Channel._packet_handlers,
        MSG_CHANNEL_REQUEST: _process_request,
        MSG_CHANNEL_CLOSE: _process_close,
    }

    def widen(self) -> None:
        """The command runs: let the client send as fast as the target takes it."""
        self._init_recv_window = algorithms.WINDOW
