"""Which session serves an agent's transfer: SFTP, scp's old protocol, or an upload by rsync; each a channel of its own.

Theory of operation. What asks for a transfer as a command has been asked about as a command by policies of before: one
that names the program, or words of it, to deny them, is minded here. No other statement is: what the transfer does is
judged by itself, path by path.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import asyncssh
from asyncssh.stream import SSHReader, SSHWriter

from bastion.policy import copies, syncing
from bastion.policy.syncing import Sync
from bastion.sftp.asking import Refusal
from bastion.sftp.channel import TransferSession, Worker
from bastion.sftp.clients import Client
from bastion.sftp.files import Files
from bastion.sftp.handler import Handler
from bastion.sftp.leftovers import Leftovers, Place
from bastion.sftp.sink import Sink
from bastion.sftp.source import Source
from bastion.sftp.staging import Staging
from bastion.sftp.stream import Stream
from bastion.sftp.syncing import NO_RSYNC, Slots, Syncing, program
from bastion.ssh.dealings import Dealings


@dataclass(frozen=True, slots=True)
class Transfers:
    """Makes the sessions of transfers; the daemon has one, and the SSH side calls it."""

    staging: Staging
    leftovers: Leftovers
    slots: Slots = field(default_factory=Slots)

    def __call__(self, dealings: Dealings, command: bytes | None) -> TransferSession | None:
        """The one for this command (None: for the subsystem sftp); None where the command is no transfer of these."""
        place = Place(self.leftovers, dealings.target.name, dealings.login)
        if command is None:
            return SftpSession(dealings, self.staging, place)
        if (copy := copies.scp(command)) is not None:
            return ScpSession(dealings, self.staging, place, command, copy)
        if dealings.environment.get(syncing.STREAM, "") == "stream":
            return None
        sync = syncing.rsync(command)
        return None if sync is None else RsyncSession(dealings, self.staging, place, command, sync, self.slots)


class SftpSession(TransferSession):
    """The subsystem sftp."""

    def _worker(self, files: Files, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> Worker:
        return Handler(files, reader, writer)


class CommandSession(TransferSession):
    """What asks for a transfer by a command."""

    def __init__(
        self,
        dealings: Dealings,
        staging: Staging,
        place: Place,
        command: bytes,
        call: copies.Scp | Sync | copies.Refused,
    ) -> None:
        self._command, self._call = command, call
        super().__init__(dealings, staging, place)

    async def _turned_away(self) -> Refusal | None:
        reason = self._call.reason if isinstance(self._call, copies.Refused) else self._missing()
        return await self._asking.turned_away(self._command, reason)

    def _missing(self) -> str:
        """What this needs here and has not."""
        return ""


class ScpSession(CommandSession):
    """`scp -t` and `scp -f`."""

    def _known(self) -> Client:
        """OpenSSH's scp looks at the exit status of its ssh; others only at the answer behind each file."""
        return Client.COLLECTED if "OpenSSH" in self._agent else Client.WAITING

    def _worker(self, files: Files, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> Worker:
        assert isinstance(self._call, copies.Scp)  # noqa: S101 -- others were turned away
        stream = Stream(reader.read)
        if self._call.sends:
            return Source(files, self._call, stream, writer)
        return Sink(files, self._call, stream, writer, self._area.staging.file_limit)


class RsyncSession(CommandSession):
    """`rsync --server` without `--sender`."""

    def __init__(
        self,
        dealings: Dealings,
        staging: Staging,
        place: Place,
        command: bytes,
        call: Sync | copies.Refused,
        slots: Slots,
    ) -> None:
        self._slots = slots
        super().__init__(dealings, staging, place, command, call)

    def _missing(self) -> str:
        return "" if program() else f"{NO_RSYNC}: {syncing.INSTEAD}"

    def _known(self) -> Client:
        """rsync ends with the exit status of its ssh, whichever that is."""
        return Client.COLLECTED

    def _worker(self, files: Files, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> Worker:
        assert isinstance(self._call, Sync)  # noqa: S101 -- others were turned away
        slot = functools.partial(self._slots.one, self._with.info.identity)
        return Syncing(files, self._asking, self._call, reader, writer, self._tell, slot)

    def _tell(self, words: bytes) -> None:
        """rsync's own, on stderr."""
        if words and not self._with.gone and not self._channel.is_closing():
            self._channel.write(words, asyncssh.EXTENDED_DATA_STDERR)
