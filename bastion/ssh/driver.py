"""The governed shell on a target: the channels of one connection, driven. The only I/O of the shell's driver.

Theory of operation. `gate.driver` says what runs on the target, `gate.frames` what goes over the wire; here is who
speaks when. T carries the terminal: what the target writes, without our marks, goes to the listener; what may be typed
goes the other way. K carries frames, and no byte of an agent. O is asked about the terminal, and opened when needed.

    start  T and K open together. T says where its pipe is (Made), K is told, the shell reads its functions: Ready
    run    [flush], frame, Began, the command's output, Done
    flush  only when something was sent to the terminal since the last one: the driver puts the terminal into raw mode
           and says so (Flushing), we send a line of random digits, it drops all input up to that line (Flushed)

Nothing is sent to the terminal but between Began and Done of a command, and by a flush. A command is over when its own
mark says so, or when the channel ends: never by the clock. ^C that comes as a command ends can throw the shell out of
the line that reports it; the shell says so (Interrupted), and the line is sent again: one too many does nothing.

What is not in the protocol ends the shell. Ending closes K, whose program hangs up the shell and then kills it, and
closes T, which hangs up what runs in it.

Seconds here are limits on waiting for the target to answer at all; what they end is the shell.

Not protected: see `gate.frames` and SECURITY.md. A command that was approved can end or wedge its own shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import asyncssh

from bastion.errors import BastionError
from bastion.gate import driver, frames
from bastion.gate import shell_events as ev
from bastion.gate.nested import Nesting
from bastion.gate.shell_effects import CONTROL_KEYS
from bastion.policy.visible import visible_line
from bastion.ssh import algorithms

START_SECONDS = 30.0
"""Until the shell is ready: two logins' start-up files. OpenSSH's LoginGraceTime is 120 s, for a person who types."""

FLUSH_SECONDS = 30.0
"""Until a flush ends. It takes milliseconds, unless somebody on the target keeps the terminal."""

TOKEN_SECONDS = 1.0
"""Until the line that ends a flush is sent again: another process may have read it off the terminal."""

AWAKE_SECONDS = 600.0
"""Between two empty lines for a shell with TMOUT, at most; usually a third of it."""

STATE = ("PATH", "traps", "aliases", "functions")
"""What `state` tells, in this order."""

STATE_SECONDS = 5.0
"""Until the shell says what changes the meaning of commands. It takes a few milliseconds."""

OBSERVE_SECONDS = 10.0
"""Until the observer answers. It takes about 30 ms."""

EARLY_LIMIT = 1 << 16
"""Bytes that the target's start-up files may print."""

STOP_SECONDS = 2.0
"""How long a target may take to close the channels."""

OBSERVED_LIMIT = 4096
"""Bytes of the observer's answers that are kept; one has less than a hundred."""

REPEATS = 64
"""Lines that are sent again for one command or flush because of interrupts: people press ^C a few times."""

SAID_WIDTH = 300
"""Characters of what the target said instead of starting, in the reason."""


class DriverError(BastionError):
    """Asked of a driver what it cannot do now: a mistake of the caller."""


class ShellOver(DriverError):
    """The shell that it was for has ended in this moment; the event that says so is on its way."""


class Listener(Protocol):
    """Who is told. Calls come from the event loop, and must not raise."""

    def tell(self, event: ev.FromDriver) -> None:
        """Something happened. DriverFailed is the last."""

    def output(self, kind: str, data: bytes) -> None:
        """`output` or `stderr` of the target, without our marks; between Began and Done it is the command's, at other
        times that of background jobs and start-up files."""

    def writable(self, yes: bool) -> None:
        """The target takes more input, or it does not for now."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the agent asked for with `pty-req` (RFC 4254 section 6.2)."""

    name: str
    columns: int
    rows: int


class _Session(asyncssh.SSHClientSession[bytes]):
    """One channel; what comes goes to the driver."""

    def __init__(self, owner: Driver, role: str) -> None:
        self.owner, self.role = owner, role
        self.status: int | None = None
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.owner._received(self.role, data, error=datatype is not None)

    def eof_received(self) -> bool:
        return True

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def pause_writing(self) -> None:
        if self.role == "T":
            self.owner._listener.writable(False)

    def resume_writing(self) -> None:
        if self.role == "T":
            self.owner._listener.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.channel = None
        self.owner._closed(self.role, self.status)


@dataclass(slots=True)
class _Running:
    """The command whose frame was sent."""

    nonce: str
    start: str
    done: set[str]
    """Nonces of `done` lines for it: the first, and those sent again."""
    streams: dict[bool, frames.Done]
    """Where Done has come, on output and on stderr: it has to on both, where there are both."""
    began: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Outer:
    """A shell in which another one runs: what is its own, and the command that started the other."""

    control: _Session
    made: frames.Made | None
    running: _Running | None
    interrupts: str


@dataclass(slots=True)
class _Inner:
    """An inner shell that is being started."""

    control: _Session
    nonce: str
    """Of its bootstrap's mark and its control program's line."""
    interrupts: str
    ready: str
    said: bytearray
    inside: str
    """What reaches its container; empty where it runs on the target itself."""
    where: asyncio.Future[tuple[str, int]]
    """Directory of its pipe, process id of its control program."""
    made: frames.Made | None = None


@dataclass(slots=True)
class _Flush:
    """A flush under way."""

    result: asyncio.Future[bool]
    reports: set[str]
    """Nonces of its reports: the first, and those asked for again."""
    repeated: bool = False
    """A token was sent twice, so one may be left over."""


class Driver:
    """One governed shell; see the file's header."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        listener: Listener,
        *,
        terminal: Terminal | None,
        environment: Sequence[tuple[str, str]] = (),
        programs: driver.Programs | None = None,
    ) -> None:
        self._connection, self._listener = connection, listener
        self._terminal, self._environment = terminal, environment
        self._loop = asyncio.get_running_loop()
        self._tty, self._control, self._observer = _Session(self, "T"), _Session(self, "K"), _Session(self, "O")
        self._marks = {False: frames.Marks(), True: frames.Marks()}
        self._spoofs_told = 0
        self._early = {False: bytearray(), True: bytearray()}
        self._said = bytearray()
        name = f".bastion-{secrets.token_hex(12)}"
        self._programs = programs or driver.Programs(_nonce(), name, terminal is not None)
        self._first, self._interrupts, self._ready_nonce = self._programs.mark, _nonce(), _nonce()
        self._made: frames.Made | None = None
        self._ready = self._over = self._paused = self._dirty = False
        self._succeeded, self._flags = True, ""
        self._controlled = False
        self._repeats = 0
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._running: _Running | None = None
        self._outer: list[_Outer] = []
        self._inner: _Inner | None = None
        self._flush: _Flush | None = None
        self._tokens: dict[str, str] = {}
        self._told: asyncio.Future[tuple[str, ...]] | None = None
        self._observing = asyncio.Lock()
        self._observed: asyncio.Future[list[str]] | None = None
        self._observed_text = bytearray()
        self._asked = 0
        self._awake: asyncio.TimerHandle | None = None

    # --- what the session calls -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the shell; DriverReady or DriverFailed is told. Raises nothing."""
        self._marks[False].expect("ME", self._first)
        try:
            async with asyncio.timeout(START_SECONDS):
                opened = await asyncio.gather(
                    self._open(self._tty, self._programs.shell(), terminal=self._terminal),
                    self._open(self._control, self._programs.control(), terminal=None),
                    return_exceptions=True,
                )
                for result in opened:
                    if isinstance(result, BaseException):
                        raise result
                await asyncio.shield(self._settled)
        except asyncssh.ChannelOpenError as error:
            self._fail(f"the target opens no second channel: {error.reason}; a governed shell needs MaxSessions 3")
        except TimeoutError:
            self._fail(f"the target's shell was not ready within {START_SECONDS:g} s{self._words()}")
        except (asyncssh.Error, OSError) as error:
            self._fail(f"the target opens no shell: {error}")

    @property
    def depth(self) -> int:
        """Shells round the one that commands go to."""
        return len(self._outer)

    async def run(self, nonce: str, command: bytes) -> None:
        """Have the shell run the command; CommandBegan and CommandDone follow with this nonce. Where the shell ends
        before it has the command, which then does not run, only the CommandDone of the one round it follows.

        Raises ShellOver when the shell is gone, DriverError if a command runs, FrameError for what is none. What was
        typed before is dropped first.
        """
        self._check_waiting()
        await self._start_command(nonce, command)

    def _check_waiting(self) -> None:
        if self._over:
            raise ShellOver("the shell has ended")
        if not self._ready or self._running is not None or self._inner is not None:
            raise DriverError("the shell does not wait for a command")

    async def _start_command(self, nonce: str, command: bytes) -> None:
        start, done = _nonce(), _nonce()
        kind = self._made.kind if self._made is not None else ""
        frame = frames.run(command, start, done, kind=kind, succeeded=self._succeeded, flags=self._flags)
        self._running = running = _Running(nonce, start, {done}, {})
        self._repeats = 0
        if not await self.flush() or self._running is not running:  # or its shell ended: it is not the outer one's
            return
        self._marks[False].expect("BL", start)
        self._expect_done(done)
        self._write(self._control, frame)

    async def nest(self, nonce: str, how: Nesting, command: bytes | None = None) -> None:
        """Start a governed shell inside this one, as `run` would start the shell itself: CommandBegan with this nonce;
        then DriverReady when the inner shell waits for commands, which go there from now on; CommandDone with this
        nonce when it has ended, and commands go here again. Where no inner shell comes up (a wrong password), just
        CommandDone. Where the inner shell's control channel cannot be had, `command` runs as it is; without one, that
        is the end of the shell. Raises DriverError as `run` does, without a terminal, and, without `command`, where the
        credential has no program for what has to run inside a container."""
        if self._terminal is None:
            raise DriverError("a shell without a terminal has none inside")
        self._check_waiting()
        try:
            self._programs.inner(how.inside, _nonce(), ".bastion-0")
        except ValueError as error:
            if command is None:
                raise DriverError(str(error)) from None
            await self._start_command(nonce, command)
            return
        session = _Session(self, "N")
        inner = _Inner(session, _nonce(), _nonce(), _nonce(), bytearray(), how.inside, self._loop.create_future())
        self._inner = inner
        name = f".bastion-{secrets.token_hex(12)}"
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._open(session, self._programs.inner(how.inside, inner.nonce, name), terminal=None)
                self._write(session, driver.NESTED.encode() + b"\n")
                where, _ = await inner.where
        except (TimeoutError, asyncssh.Error, OSError) as error:
            self._drop(session)
            if self._inner is not inner or self._over:
                return
            if command is not None:
                self._inner = None
                await self._start_command(nonce, command)
                return
            said = visible_line(bytes(inner.said).strip(), SAID_WIDTH)
            self._fail(f"no control channel for a shell in the shell: {said or error or 'no answer'}")
            return
        if self._inner is not inner or self._over:  # the shell in which it was to run has ended meanwhile
            self._drop(session)
            return
        self._marks[False].expect("M", inner.nonce)
        await self._start_command(nonce, how.command(driver.nested(inner.nonce, where, how.shell)))

    def send(self, data: bytes) -> None:
        """Type into the running command. Raises ShellOver if none runs any more."""
        if self._running is None or not self._running.began or self._running.ended:
            raise ShellOver("no command runs")
        self._dirty = True
        self._write(self._tty, data)

    def send_eof(self) -> None:
        """End the input of a shell without a terminal."""
        if self._tty.channel is not None and self._terminal is None:
            self._tty.channel.write_eof()

    def control(self, key: str) -> None:
        """One of the four keys for the running command; when none runs any more, nothing."""
        if self._running is not None and self._running.began:
            self.send(CONTROL_KEYS[key])

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size."""
        if self._tty.channel is not None and self._terminal is not None:
            self._tty.channel.change_terminal_size(columns, rows)

    def pause(self) -> None:
        """Read no more output for now."""
        self._paused = True
        if self._tty.channel is not None:
            self._tty.channel.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._tty.channel is not None:
            self._tty.channel.resume_reading()

    async def flush(self) -> bool:
        """Drop what was typed and not read. Ends the shell if that cannot be had; False when it has ended."""
        while self._dirty and not self._over and self._terminal is not None:
            self._flush = _Flush(self._loop.create_future(), set())
            self._send_flush(self._flush)
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    clean = await self._flush.result
            except TimeoutError:
                self._fail("the terminal's input cannot be emptied: something on the target keeps it")
                break
            if clean and not self._flush.repeated:
                self._dirty = False
            self._flush = None
            if not clean and not self._over:
                self._fail("the terminal's input cannot be emptied: the target has no working stty")
        return not self._over

    async def state(self) -> tuple[tuple[str, str], ...]:
        """What in the shell changes the meaning of commands, as (name, text): PATH, traps, aliases, functions; what
        there is none of is left out. Empty where a command runs, and where the shell is not bash. It is what the shell
        says: a command that was approved can have taught it to lie."""
        bash = self._made is not None and self._made.kind == "bash"
        if not bash or not self._ready or self._over or self._running is not None or self._inner is not None:
            return ()
        nonce, self._told = _nonce(), self._loop.create_future()
        self._marks[False].expect("A", nonce)
        self._write(self._control, frames.ask(nonce))
        try:
            async with asyncio.timeout(STATE_SECONDS):
                parts = await self._told
        except TimeoutError:
            return (("shell", "does not say what its words mean"),)
        functions = "\n".join(name for name in parts[3].split("\n") if name[:4] != "__b_") if len(parts) > 3 else ""
        shown = [*zip(STATE, [*parts[:3], functions], strict=False)]
        if len(parts) < 5 or parts[-1] == "cut":
            shown.append(("shell", "has more aliases, traps or functions than are shown"))
        return tuple((name, text) for name, text in shown if text)

    async def observe(self) -> ev.TtyChanged | None:
        """How the terminal is now; None where the target does not tell."""
        if self._made is None or not self._made.tty or self._over:
            return None
        async with self._observing:
            try:
                async with asyncio.timeout(OBSERVE_SECONDS):
                    if self._observer.channel is None:
                        self._observer = _Session(self, "O")
                        asked = self._programs.observer(self._made.tty, self._made.pid)
                        await self._open(self._observer, asked, terminal=None)
                    self._asked += 1
                    self._observed = self._loop.create_future()
                    self._write(self._observer, b"%d\n" % self._asked)
                    echo, canonical, owner = await self._observed
            except (TimeoutError, asyncssh.Error, OSError):
                return None
            finally:
                self._observed = None
        return ev.TtyChanged(echo == "1", canonical == "1", owner) if echo else None

    def end(self, reason: str) -> None:
        """End the shell and what it runs; DriverFailed is told with this reason."""
        self._fail(reason)

    async def close(self) -> None:
        """End it, and wait until its channels are closed, STOP_SECONDS at most: sshd closes one without a terminal only
        when its program has ended. The connection should be closed then."""
        self._fail("closed")
        channels = [s.channel for s in (self._tty, self._control, self._observer) if s.channel is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(channel.wait_closed() for channel in channels))

    # --- channels ---------------------------------------------------------------------------------------------------

    async def _open(self, session: _Session, asked: tuple[bytes, bytes], *, terminal: Terminal | None) -> None:
        command, first = asked
        await self._connection.create_session(
            lambda: session,
            cast(Any, command),  # bytes go out as they are; asyncssh's annotation knows only text
            env=dict(self._environment) if session.role == "T" else {},
            send_env=None,
            request_pty="force" if terminal is not None else False,
            term_type=terminal.name if terminal is not None else None,
            term_size=(terminal.columns, terminal.rows) if terminal is not None else (0, 0),
            encoding=None,
            window=algorithms.WINDOW,
            max_pktsize=algorithms.PACKET,
        )
        if first:
            self._write(session, first)
        if self._over and session.channel is not None:
            session.channel.close()

    def _write(self, session: _Session, data: bytes) -> None:
        if session.channel is not None and not session.channel.is_closing():
            session.channel.write(data)

    def _received(self, role: str, data: bytes, *, error: bool) -> None:
        if self._over:
            return
        if role == "T":
            for item in self._marks[error].feed(data):
                if isinstance(item, bytes):
                    self._output(item, error=error)
                elif not self._over:
                    self._marked(item, error=error)
            spoofed = self._marks[False].spoofed + self._marks[True].spoofed
            if spoofed >= max(1, 2 * self._spoofs_told) and not self._over:  # a flood of them is told a few times
                self._spoofs_told = spoofed
                self._listener.tell(ev.SpoofSeen(spoofed))
        elif role == "N":
            self._inner_said(data, error=error)
        elif role == "K":
            self._said += data[: EARLY_LIMIT - len(self._said)]
            self._control_said()
        elif not error:
            self._observed_said(data)

    def _closed(self, role: str, status: int | None) -> None:
        if self._over:
            return
        if role == "T":
            for error, marks in self._marks.items():
                if rest := marks.close():
                    self._output(rest, error=error)
            if self._ready:
                self._fail("the shell on the target ended", status)
            else:
                self._fail(f"the target starts no governed shell{self._words()}", status)
        elif role == "N":
            self._inner_closed()
        elif role == "K":
            if self._tty.channel is not None and self._ready:
                self._fail("the control channel on the target ended, so the shell cannot be trusted any more")
            elif not self._ready:
                self._fail(f"the target starts no control channel{self._words()}")
        elif self._observed is not None and not self._observed.done():
            self._observed.set_exception(OSError("the observer ended"))

    def _fail(self, reason: str, status: int | None = None) -> None:
        """Over, for this reason: the first one counts."""
        if self._over:
            return
        self._over = True
        self._calm()
        controls = [outer.control for outer in self._outer]
        if self._inner is not None:
            controls.append(self._inner.control)
            if not self._inner.where.done():
                self._inner.where.set_exception(OSError("the shell ended"))
        for session in (self._control, *reversed(controls), self._observer, self._tty):
            if session.channel is not None:
                session.channel.close()
        if not self._settled.done():
            self._settled.set_result(None)
        if self._flush is not None and not self._flush.result.done():
            self._flush.result.set_result(False)
        if self._told is not None and not self._told.done():
            self._told.set_result(())
        self._listener.tell(ev.DriverFailed(reason, status))

    def _words(self) -> str:
        """What the target said instead, for people."""
        said = bytes(self._early[False] + self._early[True] + self._said).replace(b"\r", b"").strip()
        return f": {visible_line(said, SAID_WIDTH)}" if said else ""

    # --- output and marks -------------------------------------------------------------------------------------------

    def _output(self, data: bytes, *, error: bool) -> None:
        if self._ready:
            self._listener.output("stderr" if error else "output", data)
            return
        self._early[error] += data
        if len(self._early[error]) > EARLY_LIMIT:
            del self._early[error][EARLY_LIMIT:]
            self._fail(f"the target's start-up files print more than {EARLY_LIMIT} bytes")

    def _marked(self, mark: frames.Mark, *, error: bool) -> None:  # noqa: PLR0912 -- one row a mark
        if isinstance(mark, frames.Done):
            self._leave(mark.nonce)
        running, flush = self._running, self._flush
        match mark:
            case frames.Impossible(reason):
                self._fail(reason)
            case frames.Made() if self._made is None:
                self._made = mark
                self._write(self._control, driver.place(mark.place, mark.pid, terminal=self._terminal is not None))
            case frames.Made(nonce) if self._inner is not None and nonce == self._inner.nonce:
                self._inner_made(self._inner, mark)
            case frames.Ready(nonce, _, cwd) if self._inner is not None and nonce == self._inner.ready:
                self._enter(self._inner, cwd)
            case frames.Ready(_, _, cwd):
                self._become_ready(cwd)
            case frames.Began(nonce) if running is not None and running.start == nonce:
                running.began = True
                self._calm()
                self._listener.tell(ev.CommandBegan(running.nonce))
            case frames.Done(nonce) if running is not None and nonce in running.done:
                self._done(running, mark, error=error)
            case frames.Done():
                pass  # a line that was sent again, and was not needed
            case frames.Flushed(nonce, clean):
                if flush is not None and nonce in flush.reports and not flush.result.done():
                    flush.result.set_result(clean)
            case frames.Flushing(nonce) if nonce in self._tokens:
                self._send_token(nonce)
            case frames.Told(_, parts):
                if self._told is not None and not self._told.done():
                    self._told.set_result(parts)
            case frames.Interrupted(nonce):
                self._interrupted(nonce)
            case frames.Impatient(nonce, seconds):
                self._be_patient(nonce, seconds)
            case frames.Lost():
                self._fail("the shell was interrupted while it took a command, which did not run")
            case _:
                self._fail(f"the target's driver answered out of turn: {type(mark).__name__.lower()}")

    def _become_ready(self, cwd: str) -> None:
        """What the start-up files printed goes out now; without the unfinished line at the end, which is the prompt."""
        self._ready = True
        for error, early in self._early.items():
            text = bytes(early)
            if self._terminal is not None:
                text = text[: text.rfind(b"\n") + 1]
            if text:
                self._listener.output("stderr" if error else "output", text)
        if not self._settled.done():
            self._settled.set_result(None)
        kind = self._made.kind if self._made is not None else ""
        self._listener.tell(ev.DriverReady(cwd, kind))

    def _done(self, running: _Running, mark: frames.Done, *, error: bool) -> None:
        """On both streams, where there are two: what was printed before it has been delivered then."""
        if running.ended:
            return
        if not running.began:
            self._fail("the shell did not take a command, which did not run")
            return
        running.streams[error] = mark
        if len(running.streams) < (1 if self._terminal is not None else 2):
            return
        running.ended = True
        self._running = None
        if self._inner is not None:  # it never came up
            self._abandon(self._inner)
        status, cwd = running.streams[False].status, running.streams[False].cwd
        self._succeeded, self._flags = status == 0, running.streams[False].flags
        self._listener.tell(ev.CommandDone(running.nonce, status, cwd))

    def _interrupted(self, nonce: str) -> None:
        """The shell is back at its input, and the line that reports may be lost: send it again. An outer shell is at
        its input when the inner one has ended."""
        if self._repeats >= REPEATS:
            return
        self._repeats += 1
        for outer in self._outer:
            if outer.interrupts == nonce and outer.running is not None:
                done = _nonce()
                outer.running.done.add(done)
                self._expect_done(done)
                self._write(outer.control, frames.finish(done))
                return
        if self._flush is not None:
            self._send_flush(self._flush)
        elif self._running is not None:
            done = _nonce()
            self._running.done.add(done)
            self._expect_done(done)
            self._write(self._control, frames.finish(done))

    def _be_patient(self, nonce: str, seconds: int) -> None:
        """The shell has TMOUT: while it waits for a command, it gets an empty line in time. One shell in which another
        runs is waiting for that, and reads nothing. What comes too late, the shell ends itself: nothing else hangs on
        this clock."""
        if nonce == self._interrupts and seconds:
            self._calm()
            self._awake = self._loop.call_later(min(AWAKE_SECONDS, seconds / 3), self._stay_awake, seconds)

    def _stay_awake(self, seconds: int) -> None:
        if not self._over and self._running is None and self._flush is None and self._inner is None:
            self._write(self._control, b"\n")
            self._be_patient(self._interrupts, seconds)

    def _calm(self) -> None:
        """A command begins: what the shell says of TMOUT behind it counts."""
        if self._awake is not None:
            self._awake.cancel()
            self._awake = None

    def _expect_done(self, nonce: str) -> None:
        self._marks[False].expect("D", nonce)
        if self._terminal is None:
            self._marks[True].expect("D", nonce)

    def _send_flush(self, flush: _Flush) -> None:
        mark, token, report = _nonce(), _nonce(), _nonce()
        self._marks[False].expect("F", mark)
        self._marks[False].expect("W", report)
        self._tokens[mark] = token
        flush.reports.add(report)
        self._write(self._control, frames.flush(mark, token, report))

    def _send_token(self, nonce: str) -> None:
        token = self._tokens.pop(nonce)
        self._write(self._tty, token.encode() + b"\n")
        flush = self._flush
        if flush is not None:
            self._loop.call_later(TOKEN_SECONDS, self._send_token_again, flush, token)

    def _send_token_again(self, flush: _Flush, token: str) -> None:
        if not flush.result.done() and not self._over:
            flush.repeated = True
            self._write(self._tty, token.encode() + b"\n")
            self._loop.call_later(TOKEN_SECONDS, self._send_token_again, flush, token)

    def _control_said(self) -> None:
        """The control program's one line: it has opened the pipe, and this is its process id."""
        match = re.search(rb"^K;(\d{39});(\d{1,10})$", bytes(self._said), re.MULTILINE)
        if match is None or self._controlled or self._made is None or match[1].decode() != self._first:
            return
        self._controlled = True
        self._marks[False].expect("IK", self._interrupts)
        self._marks[False].expect("R", self._ready_nonce)
        kind, number = self._made.kind, int(match[2])
        text = driver.functions(kind, control=number, interrupts=self._interrupts, ready=self._ready_nonce)
        if self._terminal is None:
            self._write(self._tty, driver.GO)
        self._write(self._control, text)

    # --- a shell in the shell ---------------------------------------------------------------------------------------

    def _inner_said(self, data: bytes, *, error: bool) -> None:
        inner = self._inner
        if inner is None or inner.where.done():
            return
        inner.said += data[: OBSERVED_LIMIT - len(inner.said)]
        match = re.search(rb"^P;(\d{39});(/[a-z/]+/\.bastion-[0-9a-f]+);(\d{1,10})$", bytes(inner.said), re.MULTILINE)
        if match is not None and not error and match[1].decode() == inner.nonce:
            inner.where.set_result((match[2].decode(), int(match[3])))

    def _inner_closed(self) -> None:
        """A control channel of an inner shell has ended: rightly, if that was over."""
        if self._inner is not None and self._inner.control.channel is None:
            if not self._inner.where.done():
                self._inner.where.set_exception(OSError("the control program ended"))
            elif self._inner.made is not None:
                self._fail("the control channel of the inner shell ended before it was ready")
        elif self._control.role == "N" and self._control.channel is None:
            self._fail("the control channel of the inner shell ended, so the shell cannot be trusted any more")

    def _inner_made(self, inner: _Inner, made: frames.Made) -> None:
        """Its bootstrap has opened the pipe: the shell reads its functions."""
        # a terminal in a container is none that the observer could look at: that name is another's out here
        inner.made = replace(made, tty="") if inner.inside else made
        self._marks[False].expect("IK", inner.interrupts)
        self._marks[False].expect("R", inner.ready)
        _, number = inner.where.result()
        self._write(inner.control, driver.GO)
        text = driver.functions(made.kind, control=number, interrupts=inner.interrupts, ready=inner.ready)
        self._write(inner.control, text)

    def _enter(self, inner: _Inner, cwd: str) -> None:
        """Commands go to the inner shell from now on."""
        self._outer.append(_Outer(self._control, self._made, self._running, self._interrupts))
        self._control, self._made, self._interrupts = inner.control, inner.made, inner.interrupts
        self._inner = self._running = None
        self._succeeded, self._flags = True, ""
        self._renew_observer()
        self._listener.tell(ev.DriverReady(cwd, self._made.kind if self._made is not None else ""))

    def _leave(self, nonce: str) -> None:
        """The end of a command of an outer shell is the end of all shells in it, and of what ran there."""
        depth = next((n for n, outer in enumerate(self._outer) if outer.running and nonce in outer.running.done), None)
        if depth is None:
            return
        outer = self._outer[depth]
        left = [self._control, *(each.control for each in self._outer[depth + 1 :])]
        del self._outer[depth:]
        self._control, self._made, self._interrupts = outer.control, outer.made, outer.interrupts
        self._running = outer.running
        if self._flush is not None and not self._flush.result.done():
            self._flush.result.set_result(True)
        for session in left:
            self._drop(session)
        self._renew_observer()

    def _abandon(self, inner: _Inner) -> None:
        """It does not come up any more."""
        self._inner = None
        if not inner.where.done():
            inner.where.set_exception(OSError("the shell ended"))
            inner.where.exception()  # seen, should nobody wait for it yet
        self._drop(inner.control)

    def _drop(self, session: _Session) -> None:
        if session.channel is not None:
            session.channel.write_eof()
            session.channel.close()

    def _renew_observer(self) -> None:
        """The inner shell may have a terminal of its own (`sudo` with use_pty)."""
        self._drop(self._observer)
        self._observer = _Session(self, "O")

    def _observed_said(self, data: bytes) -> None:
        self._observed_text = (self._observed_text + data)[-OBSERVED_LIMIT:]
        for match in re.finditer(rb"^O;(\d+);([01]?);([01]);([a-z]*)\n", bytes(self._observed_text), re.MULTILINE):
            waits = self._observed
            if int(match[1]) == self._asked and waits is not None and not waits.done():
                waits.set_result([field.decode() for field in match.groups()[1:]])
                self._observed_text.clear()


def _nonce() -> str:
    return frames.nonce_of(secrets.randbits(128))
