"""One channel of an agent's transfers: from the request that opens it to its exit status, whatever it speaks.

Theory of operation. The session is on record before the target is asked for anything, and so is the request to look at
names, with which every channel begins: it is judged like any other, and where policy holds it the client waits for its
first answer. Then the protocol's own worker (`session.py` says which) serves the client from `files.py`, on a channel
of the target's SFTP server; what it collected is held at its end.

The agent is told on stderr what it is told about commands, also while something is held: OpenSSH's clients pass it on.
Clients that never read it must not be stopped by it, so it has a limit.

A list of what was done is the session's recording; contents are not recorded: the ledger has their hashes.

No callback may raise, as in `ssh/session.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Protocol

import asyncssh
from asyncssh.stream import SSHReader, SSHWriter

from bastion.errors import BastionError, Unreachable
from bastion.gate import effects as do
from bastion.gate import notices
from bastion.model import Request
from bastion.sftp import names
from bastion.sftp.asking import Asking, Broken, Left, Refusal
from bastion.sftp.changes import LOOK
from bastion.sftp.clients import Client
from bastion.sftp.deaf import Deaf
from bastion.sftp.far import Far, served
from bastion.sftp.files import Files
from bastion.sftp.leftovers import Place
from bastion.sftp.settling import Settling
from bastion.sftp.staging import Area, Staging
from bastion.ssh.dealings import Dealings
from bastion.ssh.pump import UNSENT, UNSENT_SECONDS, unsent
from recorder.errors import RecorderError
from recorder.recording import HIGH_WATER, Recording

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""What files that are being written get to be finished or removed, when a session is cut."""

LOOK_AGAIN_SECONDS = 0.05
"""Between two looks whether changes are still being made, when a session ends."""

SAID_LIMIT = 256 << 10
"""Bytes of notices to a client that is not OpenSSH's. Others seldom read stderr, and stop when their window (2 MiB in
asyncssh and paramiko) is full of it."""

NOTICE_BYTES = 512
"""Of a notice beside its text, as JSON."""

CLOSE_SECONDS = 5
"""What a target gets to close the channel of its SFTP server."""

INTERNAL = "internal error of the bastion; its log says more"


class Worker(Protocol):
    """Serves one client in its protocol."""

    trouble: str
    """Why the client's bytes could not be followed any further; then nothing that was collected is done."""
    status: int
    """Exit status when all that was acknowledged was done: not 0 where the client was told of something else."""

    async def run(self) -> None:
        """Until the client has no more to say. Raises asyncssh.SFTPError, BastionError, Left, Broken."""

    async def stop(self) -> None:
        """Nothing stays open."""


class TransferSession(Deaf, ABC):
    """One channel; see the file's header."""

    def __init__(self, dealings: Dealings, staging: Staging, place: Place) -> None:
        super().__init__(None)
        assert dealings.channel is not None  # noqa: S101 -- its AgentSession had it
        self._with, self._services = dealings, dealings.services
        self.id, self.environment = dealings.id, dealings.environment
        self._channel = dealings.channel
        self._agent = str(self._channel.get_extra_info("client_version", ""))
        self._asking = Asking(dealings, self._say)
        self._said = 0
        self._place = place
        self._area: Area = staging.area(self.id, dealings.info.identity)
        self._recording: Recording | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._settling: Settling | None = None
        self._task: asyncio.Task[None] | None = None
        self.connection_made(self._channel)
        self._services.spawn(self._run(), f"session {self.id}")

    # --- what the channel calls -----------------------------------------------------------------------------------

    def resume_writing(self) -> None:
        """The agent caught up."""
        self._with.moved.set()
        super().resume_writing()

    def left(self) -> None:
        """The agent closed the channel, or its connection is gone."""
        if not self._with.gone:
            self._with.gone = True
            self._with.moved.set()
            self._end("the agent left", keeps=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()
        super().connection_lost(None)

    def refused(self, what: str, reason: str) -> None:
        """The channel table refused a request on this channel."""
        self._with.refused(what, "")

    # --- what others call -----------------------------------------------------------------------------------------

    def cut(self, reason: str, keeps: bool = False) -> None:
        """A person or the daemon ends this session."""
        if not self._with.cut:
            self._with.cut = reason
            self._with.moved.set()
            self._end(reason, keeps=keeps)

    def _end(self, reason: str, *, keeps: bool) -> None:
        """Nothing more: what waits for a person, and what waits for the target, ends now. Approved changes that are
        being made are made to their end when only the agent left; when the session is cut, those files are whole or not
        there, and no further one is begun."""
        self._asking.end(reason, keeps=keeps)
        if not self._applying:
            self._leave_target()
        elif self._with.cut and self._loop is not None:
            self._loop.call_later(STOP_SECONDS, self._leave_target)
        self._end_task()

    def _leave_target(self) -> None:
        if self._client is not None:
            self._client.exit()

    @property
    def _applying(self) -> bool:
        return self._settling is not None and self._settling.applying

    def _end_task(self) -> None:
        """Once nothing is being made or written down any more, so that the ledger has all of it, once."""
        if (self._applying or self._asking.busy) and self._loop is not None:
            self._loop.call_later(LOOK_AGAIN_SECONDS, self._end_task)
        elif self._task is not None:
            self._task.cancel()

    # --- the task -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._services.sessions.open(self._with.info, self.cut)
        effect = do.Exit(notices.EXIT_BASTION, why=INTERNAL)
        try:
            self._with.say_refusals()
            effect = await self._serve()
        except Left as error:
            effect = do.Exit(notices.EXIT_BASTION, why=str(error))
        except Broken:
            effect = self._failed(self._asking.trouble or BastionError(INTERNAL))
        except (BastionError, RecorderError, asyncssh.Error, OSError) as error:
            effect = self._failed(error)
        except Exception:  # a fault of ours ends this session, with a word to its agent, and no other
            log.exception("session %s", self.id)
            self._with.say(notices.failed(INTERNAL))
        finally:
            await self._close(effect)

    def _failed(self, error: Exception) -> do.Exit:
        reason = _words(error)
        if not self._with.unwanted():
            self._with.say(notices.failed(reason))
        return do.Exit(notices.EXIT_BASTION, why=reason)

    async def _serve(self) -> do.Exit:
        if reason := self._with.unwanted() or self._with.closed():
            self._with.say(notices.refused(reason))
            return do.Exit(notices.EXIT_DENIED, why=reason)
        if (refusal := await self._turned_away()) is not None:
            return do.Exit(refusal.status, why=refusal.reason)
        answer = await self._asking.ask([LOOK])
        if isinstance(answer, Refusal):
            return do.Exit(answer.status, why=f"looking was refused: {answer.reason}")
        self._recording = self._services.record(self.id, self._recorder_moved)
        look = answer.request
        try:
            effect = await self._connected(look)
        except asyncssh.ChannelOpenError:  # that connection is full; the pool knows now, and gives another
            effect = await self._connected(look)
        await self._asking.finished(look, status=0)
        return effect

    async def _turned_away(self) -> Refusal | None:
        """Why this client is not served at all, on record."""
        return None

    async def _connected(self, look: Request) -> do.Exit:
        async with self._target(look) as far:
            return await self._transfer(far)

    @contextlib.asynccontextmanager
    async def _target(self, look: Request) -> AsyncIterator[Far]:
        """The target's SFTP server, for as long as the channel lasts.

        Raises Unreachable, and ChannelOpenError where the connection has no room.
        """
        target, pool = self._with.target, self._services.pool
        async with pool.lend(target, self._with.login, pool.minting.for_request(look.id, look.digest)) as link:
            if reason := self._with.unwanted():
                raise Left(reason)
            try:
                async with asyncio.timeout(pool.connect_seconds):
                    self._client = client = await served(link)
                    far = Far(client)
                    await far.begin()
            except asyncssh.ChannelOpenError:
                raise
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise Unreachable(f"target {target.name} serves no SFTP: {_words(error)}") from None
            try:
                yield far
            finally:
                client.exit()
                with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await client.wait_closed()

    async def _transfer(self, far: Far) -> do.Exit:
        reader, writer = SSHReader[bytes](self, self._channel), SSHWriter[bytes](self, self._channel)
        for path in await self._place.clear(far):
            self._note(f"removed {names.shown(path)}, which the bastion had left there")
        self._settling = settling = Settling(
            far,
            self._asking,
            self._place,
            client=self._known(),
            version=self._agent,
            limit=self._area.staging.file_limit,
            stored=self._services.stored,
            stopped=lambda: self._with.cut,
            note=self._note,
        )
        files = Files(far, self._asking, settling, self._area, self._pace)
        worker = self._worker(files, reader, writer)
        self._channel.widen()
        self._task = asyncio.get_running_loop().create_task(worker.run(), name=f"transfer {self.id}")
        try:
            if reason := self._with.unwanted():
                raise Left(reason)
            await self._task
            if reason := self._with.unwanted():
                raise Left(reason)
            if not worker.trouble:
                await settling.flush()
        except asyncssh.SFTPError as error:
            if not settling.refusals:
                raise Unreachable(error.reason) from None
        except asyncio.CancelledError:
            if self._asking.trouble is not None:
                raise Broken from None
            if not self._with.unwanted():
                raise
            raise Left(self._with.unwanted()) from None
        finally:
            self._task = None
            await worker.stop()
            settling.batch.drop()
            await files.over()
        return self._outcome(settling, worker)

    def _known(self) -> Client | None:
        """Which client it is, where that does not show in what it asks for."""
        return None

    @abstractmethod
    def _worker(self, files: Files, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> Worker:
        """Who serves it."""

    def _outcome(self, settling: Settling, worker: Worker) -> do.Exit:
        """0 if all that was acknowledged was done."""
        if worker.trouble:
            self._with.say(notices.failed(worker.trouble))
            return do.Exit(notices.EXIT_BASTION, why=worker.trouble)
        if settling.refusals:
            last = settling.refusals[-1]
            if last.status == notices.EXIT_BASTION:
                self._with.say(notices.failed(last.reason))
            return do.Exit(last.status, why=last.reason)
        return do.Exit(worker.status, why="")

    async def _close(self, effect: do.Exit) -> None:
        self._area.close()
        try:
            if self._recording is not None:
                await asyncio.wrap_future(self._recording.finish())
            await self._asking.abandon(f"it did not end by itself: {effect.why}")
        except (BastionError, RecorderError, Broken) as error:
            log.error("session %s: %s", self.id, self._asking.trouble or error)
        if self._with.cut:
            self._with.say(notices.cut(self._with.cut))
        await self._with.exit(effect)
        self._channel.pause_reading()
        self._with.close()

    # --- on the way -------------------------------------------------------------------------------------------------

    def _say(self, notice: notices.Notice) -> None:
        """On stderr, as far as the client can be expected to take it."""
        self._said += len(notice.text) + NOTICE_BYTES
        if "OpenSSH" in self._agent or self._said <= SAID_LIMIT:
            self._with.say(notice)

    def _note(self, words: str) -> None:
        """One line of the session's list."""
        line = words.encode() + b"\n"
        if self._recording is not None:
            self._recording.write("output", line)
        self._with.seen("output", line)

    def _recorder_moved(self) -> None:
        """Called from the recorder's thread: it caught up, or it failed."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._after_recorder)

    def _after_recorder(self) -> None:
        if self._recording is not None and self._recording.failed is not None:
            self.cut("the recording failed, so the session ends")

    async def _pace(self) -> None:
        """Wait until the agent and the network have taken what they were sent, and the recorder what it was told."""
        channel = self._channel
        while not channel.is_closing() and not self._with.gone:
            if self._write_paused:
                await self.drain(None)
            elif unsent(channel) > UNSENT or (self._recording is not None and self._recording.backlog > HIGH_WATER):
                await asyncio.sleep(UNSENT_SECONDS)
            else:
                return


def _words(error: Exception) -> str:
    match error:
        case asyncssh.Error():
            return error.reason
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or type(error).__name__
