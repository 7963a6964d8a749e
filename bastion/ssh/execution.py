"""One approved command on its target: started once, fed, signalled, stopped, and recorded to its end.

The bytes themselves go through `pump.Upstream`, without passing here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bastion.covering import visible_line
from bastion.errors import BastionError
from bastion.gate import events as ev
from bastion.model import Request, StdinMode, Target, script_hash
from bastion.overwriting import Covers
from bastion.policy.running_files import pinned
from bastion.policy.transfers import recognise
from bastion.ssh.channel import AgentChannel
from bastion.ssh.pump import Side, Upstream
from bastion.ssh.services import Services
from bastion.ssh.upstream import NotConfirmed
from recorder.recording import Also, Recording, Summary

MARKER_WIDTH = 200
"""Characters of a command in the marker that players show."""

STOP_SECONDS = 2.0
"""How long a target may take to close the channel of a command that was stopped."""


class Stdin:
    """What the agent sent before its command took it, and the pausing of its channel meanwhile."""

    def __init__(self) -> None:
        self.reading = Side()
        self.early: deque[bytes] = deque()
        self.ended = False

    def hold(self) -> None:
        """Take no more for now; what is under way is kept, at most a channel window of it."""
        self.reading.pause("held")

    def flow(self) -> None:
        """Take it again."""
        self.reading.resume("held")


class Intake(Protocol):
    """What takes the stdin of a running command."""

    def send(self, data: bytes) -> None:
        """Some of it."""

    def send_eof(self) -> None:
        """There is no more."""


class Nowhere:
    """Nothing does."""

    def send(self, data: bytes) -> None:
        """Dropped."""

    def send_eof(self) -> None:
        """Of no interest."""


class Execution:
    """One command. `tell` gets UpstreamEnded; `failed` is called when the recording has failed."""

    def __init__(
        self,
        services: Services,
        session: str,
        *,
        tell: Callable[[ev.Event], None],
        seen: Callable[[str, bytes], None],
        failed: Callable[[], None],
    ) -> None:
        self._services, self._session = services, session
        self._tell, self._seen, self._failed = tell, seen, failed
        self._loop = asyncio.get_running_loop()
        self._recording: Recording | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self.upstream: Upstream | None = None
        """Set while bytes can flow."""
        self.intake: Intake = Nowhere()
        """What takes the agent's stdin."""

    async def start(
        self,
        request: Request,
        target: Target,
        channel: AgentChannel,
        stdin: Stdin,
        wanted: Callable[[], str],
        gated: Callable[[Request, Upstream], Intake],
    ) -> ev.Event:
        """Send the command as the ledger holds it; UpstreamOpened or UpstreamFailed. `gated` makes what takes stdin
        that is judged by itself. Raises StoreError."""
        stored = self._services.stored(request.id, request.digest)
        command = pinned(stored, request.script, script_hash(request.script_code))
        self._recording = self._services.record(self._session, self._recorder_moved)
        self._recording.write("marker", f"{request.id} {visible_line(stored, MARKER_WIDTH)}".encode())
        masked = self._services.masked(request)
        covers = Covers(protocol=recognise(request.command) is not None) if masked else None
        upstream = Upstream(channel, stdin.reading, self._recording, ended=self._tell, seen=self._seen, covers=covers)
        try:
            await self._services.pool.start(
                target, request, command, lambda: upstream, wanted=wanted, held=self._session
            )
        except BastionError as error:
            upstream.stop(hard=True)
            return ev.UpstreamFailed(str(error), sent=isinstance(error, NotConfirmed))
        self.upstream = upstream
        self.intake = gated(request, upstream) if request.stdin is StdinMode.GATED else upstream
        self._feed(upstream, request, channel, stdin)
        return ev.UpstreamOpened()

    def _feed(self, upstream: Upstream, request: Request, channel: AgentChannel, stdin: Stdin) -> None:
        """Code that was read and approved goes as it was approved; data goes as it comes from now on."""
        if request.stdin is StdinMode.BUNDLED:
            upstream.send(request.stdin_code)
            upstream.send_eof()
            return
        channel.widen()
        while stdin.early:
            self.intake.send(stdin.early.popleft())
        if stdin.ended:
            self.intake.send_eof()
        stdin.flow()

    def signal(self, name: str) -> None:
        """Signal it."""
        if self.upstream is not None:
            self.upstream.signal(name)

    def stop(self, *, hard: bool) -> None:
        """End it. A target that does not say that it ended is not waited for: OpenSSH's sshd passes signals on for each
        login but root's (it needs its privilege separation for that), and closes the channel only when the command has
        ended."""
        if self.upstream is not None and self._stopping is None:
            self.upstream.stop(hard=hard)
            unconfirmed = ev.UpstreamEnded(None, confirmed=False)
            self._stopping = self._loop.call_later(STOP_SECONDS, self._tell, unconfirmed)

    def finish(self, also: Also) -> asyncio.Future[Summary] | None:
        """End the recording: what was recorded, once all of it is durable, and in the same commit what `also` makes of
        it. Its place in the ledger is fixed before this returns. None without a recording, and when asked again: then
        `also` is not asked.

        The future raises RecorderError when it cannot be made durable.
        """
        if self._stopping is not None:
            self._stopping.cancel()
        if self.upstream is not None:
            if self.upstream.channel is not None:
                self._services.pool.give_up(self.upstream.channel)
            self.upstream.forget()
        recording, self._recording = self._recording, None
        return None if recording is None else asyncio.wrap_future(recording.finish(also))

    def _recorder_moved(self) -> None:
        """Called from the recorder's thread: it caught up, or it failed."""
        self._loop.call_soon_threadsafe(self._after_recorder)

    def _after_recorder(self) -> None:
        if self._recording is not None and self._recording.failed is not None:
            self._failed()
        if self.upstream is not None:
            self.upstream.recorder_caught_up()
