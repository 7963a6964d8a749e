"""The agent's side of a governed shell's session: what its channel calls, and what of it is read when. The callbacks
only note what happened.

Reading is paused while the agent, the network or the recorder is behind; the agent's bytes are not read while the task
is behind with them.
"""

from __future__ import annotations

import asyncio

import asyncssh

from bastion.gate import events as ev
from bastion.gate import shell_events as sv
from bastion.gate.typeahead import TYPE_AHEAD_LIMIT
from bastion.model import Decision, Request
from bastion.ssh.dealings import Dealings, Mailbox
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.pump import Side

EVENTS_QUEUED = 256
"""Events that wait for the task; beyond that, signals and changes of the window are dropped."""

ShellEvent = sv.Event


class AgentSide(asyncssh.SSHServerSession[bytes]):
    """See the file's header."""

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        self._with, self._services, self._terminal = dealings, dealings.services, terminal
        self._loop = asyncio.get_running_loop()
        self.id, self.environment = dealings.id, dealings.environment
        self._events: Mailbox[ShellEvent] = Mailbox()
        self._reading = Side()  # from the agent
        self._reading.channel = dealings.channel
        self._output_side = Side()  # from the target
        self._unread = 0
        self._over = False

    # --- what the channel calls ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """What the agent types, or its script."""
        if self._over:
            self._reading.pause("over")
            return
        self._unread += len(data)
        if self._unread > TYPE_AHEAD_LIMIT:
            self._reading.pause("behind")
        self._events.post(sv.BytesTyped(data))

    def eof_received(self) -> bool:
        """Nothing more comes; the channel stays open for output."""
        self._events.post(sv.InputEnded())
        return True

    def window_changed(self, columns: int, rows: int) -> None:
        """RFC 4254 section 6.7."""
        if len(self._events) < EVENTS_QUEUED:
            self._events.post_newest(sv.WindowChanged(columns, rows))

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        if len(self._events) < EVENTS_QUEUED:
            self._events.post(ev.SignalReceived(signal if signal.isalnum() and len(signal) <= 16 else "?"))

    def pause_writing(self) -> None:
        """The agent reads slower than its command writes."""
        self._output_side.pause("agent")
        self._reading.pause("agent")

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._with.moved.set()
        self._output_side.resume("agent")
        self._reading.resume("agent")

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._with.gone:
            self._with.gone = True
            self._with.moved.set()
            self._reading.channel = None
            self._output_side.resume("agent")
            self._events.post(ev.AgentLeft())

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self._with.refused(what, "")

    def sftp_received(self) -> None:
        """The channel lets only one of these through."""

    def not_open(self, what: str, reason: str) -> None:
        """The channel lets only one of these through."""

    # --- what others call ---------------------------------------------------------------------------------------------

    def cut(self, reason: str, keeps: bool = False) -> None:
        """A person or the daemon ends this session."""
        if not self._with.cut:
            self._with.cut = reason
            self._with.moved.set()
            self._events.post(ev.Cut(reason))

    def _decided(self, decision: Decision, seconds: float) -> None:
        self._events.post(ev.Decided(decision, seconds))

    def _edited(self, request: Request) -> None:
        self._events.post(ev.Edited(request))

    # --- what the task does -------------------------------------------------------------------------------------------

    def _was_read(self, data: bytes, *, full: bool) -> None:
        """The task has taken it; `full`: it wants no more for now."""
        self._unread -= len(data)
        if self._unread <= TYPE_AHEAD_LIMIT // 2:
            self._reading.resume("behind")
        if full:
            self._reading.pause("full")
        else:
            self._reading.resume("full")
