"""An approver's or auditor's session channel: the control subsystem, or the console on a terminal. Nothing else.

As for agents (channel.py), each channel request passes a list, and what is not on it is refused. A terminal, the
forwarding of the ssh-agent and a few variables are taken for the console; a shell with a terminal opens it, and whoever
asks for a command, or for a shell without a terminal, is told what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_REQUEST
from asyncssh.packet import SSHPacket

from bastion.control.wire import SUBSYSTEM
from bastion.gate import notices
from bastion.ssh.channel import renamed, terminal_asked
from bastion.ssh.console import VARIABLES, ConsoleSession
from bastion.ssh.driver_channels import Terminal

if TYPE_CHECKING:
    Channel = asyncssh.SSHServerChannel[bytes]
else:
    Channel = asyncssh.SSHServerChannel

NO_TARGETS = (
    "an approver's or auditor's key never reaches a target; ssh -A -t bastion@HOST opens the console, as does "
    "`bastion --bastion HOST:PORT tui`"
)

TAKEN = frozenset(
    {
        *(b"subsystem", b"exec", b"shell", b"keepalive@openssh.com"),
        *(b"pty-req", b"window-change", b"env", b"auth-agent-req@openssh.com"),
    }
)
"""Requests that get an answer of their own; every other one is refused."""


class ControlChannel(Channel):
    """One such channel."""

    console: ConsoleSession
    """What a shell becomes; set before the channel is handed to asyncssh."""
    spawn: Callable[[Coroutine[Any, Any, None], str], object]
    """Services.spawn"""
    terminal: Terminal | None = None
    agent = False
    """The client offers its ssh-agent."""

    def _process_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        peek = SSHPacket(packet.get_remaining_payload())
        if peek.get_string() not in TAKEN:
            packet = renamed(packet, peek)
        super()._process_request(pkttype, pktid, packet)

    def _process_refused_by_the_table_request(self, packet: SSHPacket) -> bool:
        return False

    # --- for the console --------------------------------------------------------------------------------------------

    def _process_pty_req_request(self, packet: SSHPacket) -> bool:
        asked = terminal_asked(packet)
        if self._session_started or self.terminal is not None:
            return False
        self.terminal = asked
        return True

    def _process_window_change_request(self, packet: SSHPacket) -> bool:
        columns, rows = packet.get_uint32(), packet.get_uint32()
        packet.get_uint32(), packet.get_uint32()
        packet.check_end()
        if self.terminal is None:
            return False
        self.terminal = Terminal(self.terminal.name, columns, rows)
        self.console.window_changed(columns, rows)
        return True

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        if self._session_started or value not in VARIABLES.get(name, frozenset()):
            return False
        self.console.variables[name.decode()] = value.decode()
        return True

    def _process_auth_agent_req_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:  # type: ignore[override]  # answers later
        """Not asyncssh's own, which would listen on a socket in the file system for it."""
        packet.check_end()
        if self._session_started:
            return False
        self.agent = True
        return True

    # --- what it becomes --------------------------------------------------------------------------------------------

    def _process_shell_request(self, packet: SSHPacket) -> bool:
        packet.check_end()
        if self._session_started or self.terminal is None:
            return self._explain()
        self._session_started = True
        self._session = cast(Any, self.console)
        self.console.connection_made(self)
        self.spawn(self.console.run(self.terminal, agent=self.agent), "console")
        return True

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        packet.get_string()
        packet.check_end()
        return self._explain()

    def _explain(self) -> bool:
        if not self._session_started:
            self._session_started = True
            self._loop.call_soon(self._refuse)  # after the reply, for which the channel must be open
        return True

    def _refuse(self) -> None:
        self.write(notices.line(notices.refused(NO_TARGETS), as_json=False), asyncssh.EXTENDED_DATA_STDERR)
        self.exit(notices.EXIT_DENIED)

    def _process_subsystem_request(self, packet: SSHPacket) -> bool:
        name = packet.get_string()
        packet.check_end()
        if name != SUBSYSTEM.encode() or self._session_started:
            return False
        return self._start_session(subsystem=SUBSYSTEM)

    _packet_handlers = {  # noqa: RUF012 -- asyncssh looks handlers up here, by packet type
        **Channel._packet_handlers,
        MSG_CHANNEL_REQUEST: _process_request,
    }
