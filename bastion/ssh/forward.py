"""One forward: a `direct-tcpip` channel (RFC 4254 section 7.2) to a destination that policy names, held, recorded, cut.

Theory of operation. The channel stays unopened while its request is held: the client's connection waits, and gets the
reason in the channel's failure when it comes to nothing. Once approved, the start is written; then the *target's* sshd
is asked to connect, over a connection of its own to that target, and only then the agent's channel is opened. Bytes
flow in the callbacks, recorded on the way, as with a command (pump.Upstream).

    proposed -> held -> approved -> started -> (bytes) -> finished

A forward is one request, one session, one connection to the target; nothing of it is shared, and an approval whose
client has gone is void: there is nothing to come back to. It is cut when its time is over, when its session is, and,
looked at every RECHECK_SECONDS, when policy, a freeze or a missing grant would not let it start now.

Not protected: what goes through it. It is recorded as bytes; nobody judges it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import asyncssh

from bastion.covering import visible_line
from bastion.errors import BastionError
from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import notices
from bastion.model import (
    Assessment,
    Decision,
    Effect,
    EffectKind,
    Request,
    RequestKind,
    State,
    StdinMode,
    Target,
    Tier,
    Verdict,
)
from bastion.names import CERTIFIED
from bastion.policy.forwards import Destination, command
from bastion.ssh import algorithms
from bastion.ssh.dealings import Dealings
from bastion.ssh.pump import Side, Upstream
from bastion.ssh.upstream import NotStarted, Pool
from recorder.errors import RecorderError
from recorder.recording import Recording, Summary

log = logging.getLogger(__name__)

RECHECK_SECONDS = 1.0
"""Between two looks at whether it may still stand: policies can freeze by the clock, which tells nobody."""

TcpChannel = asyncssh.SSHTCPChannel[bytes]


class _Refused(Exception):
    """It comes to nothing; the message is for the agent."""


class Tunnel(Upstream):
    """The target's end. Ends are passed on one by one (RFC 4254 section 5.3), and there is nothing to signal."""

    def __init__(self, agent: TcpChannel, reading: Side, recording: Recording, forward: Forward) -> None:
        # a TCP channel is no SSHServerChannel, but has what Upstream calls
        super().__init__(agent, reading, recording, ended=forward.far_end_closed, seen=forward.seen)  # type: ignore[arg-type]

    def session_started(self) -> None:
        """It is connected; what it sends first (a greeting, say) waits until the agent's channel is open."""
        if self.channel is not None and self.reading.paused:
            self.channel.pause_reading()

    def eof_received(self) -> bool:
        """The far end sends no more; the agent may."""
        if self._agent is not None and not self._agent.is_closing():
            self._agent.write_eof()
        return True

    def stop(self, *, hard: bool) -> None:
        """Close it."""
        if self.channel is not None and not self._stopped:
            self._stopped = True
            self.channel.abort() if hard else self.channel.close()


class Forward(asyncssh.SSHTCPSession[bytes]):
    """One; see the file's header. `opened` is what asyncssh waits for before it answers the client."""

    def __init__(self, dealings: Dealings, where: Destination, seconds: int, channel: TcpChannel) -> None:
        self._with, self._services = dealings, dealings.services
        self._where, self._seconds, self._channel = where, seconds, channel
        self._reading = Side()
        self._tunnel: Tunnel | None = None
        self._recording: Recording | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._decision: Decision | None = None
        self._failed = self._far_closed = False
        self._ready: asyncio.Future[Forward] = asyncio.get_running_loop().create_future()
        self._services.spawn(self._run(), f"session {dealings.id}")

    async def opened(self) -> Forward:
        """Once the far end is connected. Raises ChannelOpenError with the reason when that will not be."""
        return await self._ready

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: TcpChannel) -> None:
        """The agent's channel is open."""
        self._reading.channel = chan
        chan.set_write_buffer_limits(high=1 << 20, low=1 << 18)

    def session_started(self) -> None:
        """From here on bytes flow, in both directions."""
        if self._tunnel is not None:
            self._tunnel.reading.resume("opening")

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """From the agent."""
        if self._tunnel is not None:
            self._tunnel.send(data)

    def eof_received(self) -> bool:
        """The agent sends no more; the far end may."""
        if self._tunnel is not None:
            self._tunnel.send_eof()
        return True

    def pause_writing(self) -> None:
        """The agent reads slower than the far end writes."""
        if self._tunnel is not None:
            self._tunnel.agent_full()

    def resume_writing(self) -> None:
        """The agent caught up."""
        if self._tunnel is not None:
            self._tunnel.agent_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The agent's channel is closed."""
        self.left()

    # --- what others call -----------------------------------------------------------------------------------------

    def left(self) -> None:
        """The agent is gone."""
        self._with.gone = True
        self._reading.channel = None
        if self._tunnel is not None:
            self._tunnel.agent_left()
        self._with.moved.set()

    def cut(self, reason: str, keeps: bool = False) -> None:
        """A person or the daemon ends it."""
        self._with.cut = self._with.cut or reason
        self._with.moved.set()

    def far_end_closed(self, _event: ev.UpstreamEnded) -> None:
        """Everything that came from there was handed on."""
        self._far_closed = True
        self._with.moved.set()

    def seen(self, kind: str, data: bytes) -> None:
        """Bytes went by: for those who watch."""
        self._with.seen(kind, data)

    # --- the task -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._services.sessions.open(self._with.info, self.cut, forward=True)
        request: Request | None = None
        why = "internal error of the bastion; its log says more"
        try:
            request = await self._propose()
            authorization = await self._approval(request)
            await self._start(authorization)
            why = await self._last(request)
        except _Refused as refusal:
            why = str(refusal)
        except (BastionError, RecorderError) as error:
            why = f"error: {visible_line(str(error), 400)}"
        except Exception:
            log.exception("session %s", self._with.id)
        finally:
            await self._end(request, why)

    async def _propose(self) -> Request:
        """The request, held and durable. Raises _Refused, BastionError."""
        services = self._services
        now = services.clock.wall()
        asked = self._ask(now)
        judgement = services.judge(asked, now)
        request = judgement.settle(asked)
        await self._with.record_proposed(request, judgement, started=False)
        if judgement.verdict is not Verdict.HOLD:  # no rule and no entry of the whitelist lets a forward through
            raise _Refused(f"refused: {judgement.reason}")
        self._with.hold(request, self._decided, lambda _request: None)  # nobody edits a forward (gate/editing.py)
        return request

    def _ask(self, now: int) -> Request:
        services, info, target = self._services, self._with.info, self._with.target
        what = f"opens a connection from {target.name} to {self._where}; what goes through it is not seen beforehand"
        return Request(
            id=services.new_request(),
            kind=RequestKind.FORWARD,
            identity=info.identity,
            key=info.key,
            session=info.id,
            target=target.name,
            env=target.env,
            host_keys=target.host_keys,
            login=info.login,
            command=command(self._where, self._seconds),
            environment=(),
            stdin=StdinMode.STREAM,
            stdin_code=b"",
            reason="",
            rollback="",
            task="",
            assessment=Assessment(
                None,
                Tier.UNRATED,
                (what,),
                effects=(Effect(EffectKind.NETWORK, str(self._where)),),
                verbs=("connect",),
            ),
            approvals=services.approvals,
            created=now,
            expires=now + services.broker.timeout * 1_000_000,
        )

    def _decided(self, decision: Decision, _seconds: float) -> None:
        self._decision = decision
        self._with.moved.set()

    async def _approval(self, request: Request) -> do.Authorization:
        """Once it was decided. Raises _Refused when it was not approved, or nobody wants it any more."""
        while self._decision is None:
            if reason := self._with.unwanted():
                await self._services.broker.withdraw(request.id, reason)
                raise _Refused(reason)
            await self._moved(RECHECK_SECONDS)
        decision = self._decision
        match decision.state:
            case State.APPROVED:
                return do.Authorization(request, decision)
            case State.DENIED:
                raise _Refused(_words(notices.denied(request, ", ".join(decision.by), decision.reason)))
            case State.EXPIRED:
                raise _Refused(_words(notices.expired(request, request.seconds)))
            case _:
                raise _Refused(_words(notices.withdrawn(request, decision.reason)))

    async def _start(self, authorization: do.Authorization) -> None:
        """Write that it starts, then connect. Raises BastionError."""
        request, services = authorization.request, self._services
        if reason := self._with.unwanted():
            raise _Refused(reason)
        await self._with.records.started(request, await self._with.use_approval(request))
        self._recording = services.record(self._with.id, self._recorder_moved)
        self._recording.write("marker", f"{request.id} {visible_line(request.command, 200)}".encode())
        tunnel = Tunnel(self._channel, self._reading, self._recording, self)
        tunnel.reading.pause("opening")
        self._connection = await connect(
            services.pool, self._with.target, request, self._where, tunnel, self._with.unwanted
        )
        self._tunnel = tunnel
        services.broker.ran(request.id, "running")
        self._ready.set_result(self)

    async def _last(self, request: Request) -> str:
        """Until it ends; why it did."""
        loop = asyncio.get_running_loop()
        over = loop.time() + self._seconds
        while True:
            if self._failed:
                return "the recording failed"
            if self._far_closed:
                return "closed by the far end"
            if self._with.gone:
                return "closed by the agent"
            if loop.time() >= over:
                return f"its time of {self._seconds} s is over"
            if reason := self._with.unwanted() or self._with.closed() or self._services.overruled(request):
                return reason
            await self._moved(min(RECHECK_SECONDS, over - loop.time()))

    async def _moved(self, seconds: float) -> None:
        self._with.moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._with.moved.wait()

    async def _end(self, request: Request | None, why: str) -> None:
        """Close both ends, write how it ended."""
        if not self._ready.done():
            error = asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, f"bastion: {why}")
            self._ready.set_exception(error)
            self._ready.exception()  # the client may be gone, and nobody wait for it
        elif not self._with.gone:
            # what the far end sent last is still to be delivered; when it is cut, nothing is
            self._channel.close() if self._far_closed else self._channel.abort()
        if self._tunnel is not None:
            self._tunnel.stop(hard=not self._with.gone)
        if self._connection is not None:
            self._connection.abort() if not self._with.gone else self._connection.close()
        self._with.end = why
        try:
            await self._finish(request, why)
        except (BastionError, RecorderError) as error:
            log.error("session %s: %s", self._with.id, error)
        finally:
            self._with.close()

    async def _finish(self, request: Request | None, why: str) -> None:
        recording, self._recording = self._recording, None
        summary: Summary | None = None
        if recording is not None:
            summary = await asyncio.wrap_future(recording.finish())
            self._services.sessions.change(self._with.id, output_bytes=summary.bytes["output"])
        if request is not None and self._with.records.unfinished:
            ended = await self._with.records.finished(request, summary, None, "", why)
            self._services.broker.ran(request.id, ended)

    def _recorder_moved(self) -> None:
        """Called from the recorder's thread: it caught up, or it failed."""
        self._ready.get_loop().call_soon_threadsafe(self._after_recorder)

    def _after_recorder(self) -> None:
        if self._recording is not None and self._recording.failed is not None:
            self._failed = True
            self._with.moved.set()
        if self._tunnel is not None:
            self._tunnel.recorder_caught_up()


async def connect(
    pool: Pool, target: Target, request: Request, where: Destination, tunnel: Tunnel, wanted: Callable[[], str]
) -> asyncssh.SSHClientConnection:
    """A connection to the target, on which its sshd has connected to `where` for `tunnel`.

    Raises Unreachable, HostKeyMismatch, NotStarted.
    """
    certified = target.credential == CERTIFIED
    key = pool.minting.for_request(request.id, request.digest) if certified else None
    connection = await pool.dial(target, request.login, key)
    try:
        if reason := wanted():
            raise NotStarted(reason)
        async with asyncio.timeout(pool.connect_seconds):
            await connection.create_connection(
                lambda: tunnel,  # type: ignore[arg-type, return-value]  # a client's session, and asyncssh calls the same
                where.host,
                where.port,
                window=algorithms.WINDOW,
                max_pktsize=algorithms.PACKET,
            )
    except (asyncssh.Error, OSError, TimeoutError) as error:
        connection.abort()
        why = visible_line(str(error), 200) or f"no answer within {pool.connect_seconds:g} s"
        raise NotStarted(f"target {target.name} does not connect to {where}: {why}") from None
    except BaseException:
        connection.abort()
        raise
    return connection


def _words(notice: notices.Notice) -> str:
    """As it stands behind `bastion:` on stderr elsewhere."""
    return notices.line(notice, as_json=False).decode().removeprefix("bastion: ").rstrip("\n")
