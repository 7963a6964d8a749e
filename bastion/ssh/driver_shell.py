"""One governed shell on a target: the channels of a connection, driven. `driver.py` adds the shells inside it.

Theory of operation. `gate.driver` says what runs on the target, `gate.frames` what goes over the wire; here is who
speaks when. T carries the terminal: what the target writes, without our marks, goes to the listener; what may be typed
goes the other way. K carries frames, and no byte of an agent. O is asked about the terminal, and opened when needed.

    start  T and K open together. T says where its pipe is (Made), K is told, the shell reads its functions: Ready
    run    [flush], frame, Began, the command's output, Done
    flush  only when something was sent to the terminal since the last one (driver_flush.py)

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
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh

from bastion import ids
from bastion.gate import driver, frames
from bastion.gate import shell_events as ev
from bastion.gate.shell_effects import CONTROL_KEYS
from bastion.ssh.driver_awake import Awake
from bastion.ssh.driver_channels import Channel, DriverError, Listener, ShellOver, Terminal, open_channel
from bastion.ssh.driver_early import EARLY_LIMIT, Early
from bastion.ssh.driver_flush import Flusher, Unflushed
from bastion.ssh.driver_observer import Observer

START_SECONDS = 30.0
"""Until the shell is ready: two logins' start-up files. OpenSSH's LoginGraceTime is 120 s, for a person who types."""

STOP_SECONDS = 2.0
"""How long a target may take to close the channels."""

REPEATS = 64
"""Lines that are sent again for one command or flush because of interrupts: people press ^C a few times."""


@dataclass(slots=True)
class Running:
    """The command whose frame was sent."""

    nonce: str
    start: str
    done: set[str]
    """Nonces of `done` lines for it: the first, and those sent again."""
    streams: dict[bool, frames.Done]
    """Where Done has come, on output and on stderr: it has to on both, where there are both."""
    began: bool = False
    ended: bool = False


class OneShell:
    """See the file's header."""

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
        self._tty, self._control = Channel(self, "T"), Channel(self, "K")
        self._marks = {False: frames.Marks(), True: frames.Marks()}
        self._spoofs_told = 0
        self._early = Early()
        name = f".bastion-{secrets.token_hex(12)}"
        self._programs = programs or driver.Programs(ids.nonce(), name, terminal is not None)
        self._first, self._interrupts, self._ready_nonce = self._programs.mark, ids.nonce(), ids.nonce()
        self._made: frames.Made | None = None
        self._ready = self._over = False
        self._succeeded, self._flags = True, ""
        self._controlled = False
        self._repeats = 0
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._running: Running | None = None
        self._flusher = Flusher(self._marks[False].expect, self._to_control, self._tty.write)
        self._observer = Observer(self, self._programs, self._open)
        self._awake = Awake(lambda: not self._over and self._waits() and not self._flusher.works, self._to_control)

    # --- what the session calls ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the shell; DriverReady or DriverFailed is told. Raises nothing."""
        self._marks[False].expect("ME", self._first)
        try:
            async with asyncio.timeout(START_SECONDS):
                opened = await asyncio.gather(
                    self._open(self._tty, self._programs.shell()),
                    self._open(self._control, self._programs.control()),
                    return_exceptions=True,
                )
                for result in opened:
                    if isinstance(result, BaseException):
                        raise result
                await asyncio.shield(self._settled)
        except asyncssh.ChannelOpenError as error:
            self._fail(f"the target opens no second channel: {error.reason}; a governed shell needs MaxSessions 3")
        except TimeoutError:
            self._fail(f"the target's shell was not ready within {START_SECONDS:g} s{self._early.words()}")
        except (asyncssh.Error, OSError) as error:
            self._fail(f"the target opens no shell: {error}")

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
        if not self._ready or not self._waits():
            raise DriverError("the shell does not wait for a command")

    def _waits(self) -> bool:
        """No command runs, nor will one without another word."""
        return self._running is None

    async def _start_command(self, nonce: str, command: bytes) -> None:
        start, done = ids.nonce(), ids.nonce()
        kind = self._made.kind if self._made is not None else ""
        frame = frames.run(command, start, done, kind=kind, succeeded=self._succeeded, flags=self._flags)
        self._running = running = Running(nonce, start, {done}, {})
        self._repeats = 0
        if not await self.flush() or self._running is not running:  # or its shell ended: it is not the outer one's
            return
        self._marks[False].expect("BL", start)
        self._expect_done(done)
        self._control.write(frame)

    def send(self, data: bytes) -> None:
        """Type into the running command. Raises ShellOver if none runs any more."""
        if self._running is None or not self._running.began or self._running.ended:
            raise ShellOver("no command runs")
        self._flusher.dirty = True
        self._tty.write(data)

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
        if self._tty.channel is not None:
            self._tty.channel.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._tty.channel is not None:
            self._tty.channel.resume_reading()

    async def flush(self) -> bool:
        """Drop what was typed and not read. Ends the shell if that cannot be had; False when it has ended."""
        if self._terminal is not None:
            try:
                await self._flusher.flush(lambda: not self._over)
            except Unflushed as error:
                self._fail(str(error))
        return not self._over

    async def observe(self) -> ev.TtyChanged | None:
        """How the terminal is now; None where the target does not tell."""
        return await self._observer.observe(self._made) if self._made is not None and not self._over else None

    def end(self, reason: str) -> None:
        """End the shell and what it runs; DriverFailed is told with this reason."""
        self._fail(reason)

    async def close(self) -> None:
        """End it, and wait until its channels are closed, STOP_SECONDS at most: sshd closes one without a terminal only
        when its program has ended. The connection should be closed then."""
        self._fail("closed")
        channels = [s.channel for s in (self._tty, self._control, self._observer.channel) if s.channel is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(channel.wait_closed() for channel in channels))

    # --- channels -----------------------------------------------------------------------------------------------------

    async def _open(self, channel: Channel, asked: tuple[bytes, bytes]) -> None:
        terminal, environment = (self._terminal, self._environment) if channel.role == "T" else (None, ())
        await open_channel(self._connection, channel, asked, terminal=terminal, environment=environment)
        if self._over:
            channel.close()

    def received(self, channel: Channel, data: bytes, *, error: bool) -> None:
        """driver_channels.Owner"""
        if self._over:
            return
        if channel is self._tty:
            for item in self._marks[error].feed(data):
                if isinstance(item, bytes):
                    self._output(item, error=error)
                elif not self._over:
                    self._marked(item, error=error)
            spoofed = self._marks[False].spoofed + self._marks[True].spoofed
            if spoofed >= max(1, 2 * self._spoofs_told) and not self._over:  # a flood of them is told a few times
                self._spoofs_told = spoofed
                self._listener.tell(ev.SpoofSeen(spoofed))
        elif channel.role == "K":
            self._control_said(data)
        elif channel is self._observer.channel and not error:
            self._observer.said(data)

    def closed(self, channel: Channel) -> None:
        """driver_channels.Owner"""
        if self._over:
            return
        if channel is self._tty:
            for error, marks in self._marks.items():
                if rest := marks.close():
                    self._output(rest, error=error)
            if self._ready:
                self._fail("the shell on the target ended", channel.status)
            else:
                self._fail(f"the target starts no governed shell{self._early.words()}", channel.status)
        elif channel.role == "K":
            if self._tty.channel is not None and self._ready:
                self._fail("the control channel on the target ended, so the shell cannot be trusted any more")
            elif not self._ready:
                self._fail(f"the target starts no control channel{self._early.words()}")
        elif channel is self._observer.channel:
            self._observer.closed()

    def writable(self, yes: bool) -> None:
        """driver_channels.Owner"""
        self._listener.writable(yes)

    def _fail(self, reason: str, status: int | None = None) -> None:
        """Over, for this reason: the first one counts."""
        if self._over:
            return
        self._over = True
        self._awake.stop()
        for channel in (*self._controls(), self._observer.channel, self._tty):
            channel.close()
        if not self._settled.done():
            self._settled.set_result(None)
        self._flusher.stop()
        self._listener.tell(ev.DriverFailed(reason, status))

    def _controls(self) -> list[Channel]:
        """Control channels, the innermost shell's first."""
        return [self._control]

    def _to_control(self, data: bytes) -> None:
        """To the shell that commands go to."""
        self._control.write(data)

    # --- output and marks ---------------------------------------------------------------------------------------------

    def _output(self, data: bytes, *, error: bool) -> None:
        if self._ready:
            self._listener.output("stderr" if error else "output", data)
            return
        if not self._early.add(data, error=error):
            self._fail(f"the target's start-up files print more than {EARLY_LIMIT} bytes")

    def _marked(self, mark: frames.Mark, *, error: bool) -> None:  # noqa: PLR0912 -- one row a mark
        running = self._running
        match mark:
            case frames.Impossible(reason):
                self._fail(reason)
            case frames.Made() if self._made is None:
                self._made = mark
                self._control.write(driver.place(mark.place, mark.pid, terminal=self._terminal is not None))
            case frames.Ready(_, _, cwd):
                self._become_ready(cwd)
            case frames.Began(start) if running is not None and running.start == start:
                running.began = True
                self._awake.stop()
                self._listener.tell(ev.CommandBegan(running.nonce))
            case frames.Done(done) if running is not None and done in running.done:
                self._done(running, mark, error=error)
            case frames.Done():
                pass  # a line that was sent again, and was not needed
            case frames.Flushed(report, clean):
                self._flusher.flushed(report, clean)
            case frames.Flushing(asked) if self._flusher.flushing(asked):
                pass
            case frames.Interrupted(whose):
                self._interrupted(whose)
            case frames.Impatient(whose, seconds):
                if whose == self._interrupts:
                    self._awake.keep(seconds)
            case frames.Lost():
                self._fail("the shell was interrupted while it took a command, which did not run")
            case _:
                self._fail(f"the target's driver answered out of turn: {type(mark).__name__.lower()}")

    def _become_ready(self, cwd: str) -> None:
        self._ready = True
        for error, text in self._early.lines(whole=self._terminal is not None):
            self._listener.output("stderr" if error else "output", text)
        if not self._settled.done():
            self._settled.set_result(None)
        kind = self._made.kind if self._made is not None else ""
        self._listener.tell(ev.DriverReady(cwd, kind))

    def _control_said(self, data: bytes) -> None:
        number = self._early.control(data, self._first)
        if number is None or self._controlled or self._made is None:
            return
        self._controlled = True
        self._marks[False].expect("IK", self._interrupts)
        self._marks[False].expect("R", self._ready_nonce)
        kind = self._made.kind
        text = driver.functions(kind, control=number, interrupts=self._interrupts, ready=self._ready_nonce)
        if self._terminal is None:
            self._tty.write(driver.GO)
        self._control.write(text)

    def _done(self, running: Running, mark: frames.Done, *, error: bool) -> None:
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
        status, cwd = running.streams[False].status, running.streams[False].cwd
        self._succeeded, self._flags = status == 0, running.streams[False].flags
        self._listener.tell(ev.CommandDone(running.nonce, status, cwd))

    def _expect_done(self, nonce: str) -> None:
        self._marks[False].expect("D", nonce)
        if self._terminal is None:
            self._marks[True].expect("D", nonce)

    def _interrupted(self, whose: str) -> None:
        """The shell is back at its input, and the line that reports may be lost: send it again."""
        if not self._may_repeat():
            return
        if self._flusher.works:
            self._flusher.ask()
        elif self._running is not None:
            self._finish_again(self._control, self._running)

    def _may_repeat(self) -> bool:
        self._repeats += 1
        return self._repeats <= REPEATS

    def _finish_again(self, control: Channel, running: Running) -> None:
        done = ids.nonce()
        running.done.add(done)
        self._expect_done(done)
        control.write(frames.finish(done))
