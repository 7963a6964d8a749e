"""A governed shell on a target, and the governed shells in it: what the session drives.

Theory of operation. `driver_shell.py` is one shell. An inner one (`gate.nested`) is started as a command of the
innermost shell; it has a control channel of its own (N), behind the same prefix where it runs in a container, and takes
over from the shell round it: commands go to it until the command that started it ends, which ends all that is inside. A
frame goes into the pipe of the shell that it was made for and into no other, so what comes too late is read by nobody.

The control channel of an inner shell that dies ends, too, and either end may be seen first. So from that moment nothing
more is sent to this shell, and the line that started it has LEAVE_SECONDS to end, or the whole is over.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import asyncssh

from bastion import ids
from bastion.gate import driver, frames
from bastion.gate import shell_events as ev
from bastion.gate.nested import Nesting
from bastion.policy.visible import visible_line
from bastion.ssh.driver_channels import Channel, DriverError, Listener, ShellOver, Terminal
from bastion.ssh.driver_early import SAID_WIDTH, whole_lines
from bastion.ssh.driver_shell import START_SECONDS, OneShell, Running

INNER_SAID = 4096
"""Bytes that are kept of what a control program of an inner shell says; it has one line of a hundred."""

PROMPT_SECONDS = 0.5
"""How long an unfinished line of an inner shell that starts is kept: it is its prompt, which nobody shall see, unless
it is a question of a start-up file."""

LEAVE_SECONDS = 5.0
"""How long an inner shell without control channel may take to be gone. The end of its pipe ends it, when what it runs
has ended."""


@dataclass(frozen=True, slots=True)
class _Outer:
    """A shell in which another one runs: what is its own, and the command that started the other."""

    control: Channel
    made: frames.Made | None
    running: Running | None
    interrupts: str


@dataclass(slots=True)
class _Inner:
    """An inner shell that is being started."""

    control: Channel
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
    line: bytearray = field(default_factory=bytearray)
    """What its start-up files printed since the last whole line."""


class Driver(OneShell):
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
        super().__init__(connection, listener, terminal=terminal, environment=environment, programs=programs)
        self._outer: list[_Outer] = []
        self._inner: _Inner | None = None

    @property
    def depth(self) -> int:
        """Shells round the one that commands go to."""
        return len(self._outer)

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
            self._programs.inner(how.inside, ids.nonce(), ".bastion-0")
        except ValueError as error:
            if command is None:
                raise DriverError(str(error)) from None
            await self._start_command(nonce, command)
            return
        session = Channel(self, "N")
        inner = _Inner(
            session, ids.nonce(), ids.nonce(), ids.nonce(), bytearray(), how.inside, self._loop.create_future()
        )
        self._inner = inner
        name = f".bastion-{secrets.token_hex(12)}"
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._open(session, self._programs.inner(how.inside, inner.nonce, name))
                session.write(driver.NESTED.encode() + b"\n")
                directory, _ = await inner.where
        except (TimeoutError, asyncssh.Error, OSError) as error:
            session.drop()
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
            session.drop()
            return
        self._marks[False].expect("M", inner.nonce)
        await self._start_command(nonce, how.command(driver.nested(inner.nonce, directory, how.shell)))

    # --- what one shell does ------------------------------------------------------------------------------------------

    def _waits(self) -> bool:
        return super()._waits() and self._inner is None

    def _check_waiting(self) -> None:
        if self.depth and self._control.channel is None:
            raise ShellOver("the inner shell is about to end")
        super()._check_waiting()

    def _controls(self) -> list[Channel]:
        mine = [self._control, *(each.control for each in reversed(self._outer))]
        return mine if self._inner is None else [*mine, self._inner.control]

    def _fail(self, reason: str, status: int | None = None) -> None:
        super()._fail(reason, status)
        if self._inner is not None and not self._inner.where.done():
            self._inner.where.set_exception(OSError("the shell ended"))

    def received(self, channel: Channel, data: bytes, *, error: bool) -> None:
        """driver_channels.Owner"""
        super().received(channel, data, error=error)
        if self._inner is not None and channel is self._inner.control and not self._over:
            self._inner_said(self._inner, data, error=error)

    def closed(self, channel: Channel) -> None:
        """driver_channels.Owner"""
        super().closed(channel)
        if channel.role == "N" and not self._over:
            self._inner_closed(channel)

    def _marked(self, mark: frames.Mark, *, error: bool) -> None:
        inner = self._inner
        match mark:
            case frames.Made(made) if inner is not None and made == inner.nonce:
                self._inner_made(inner, mark)
            case frames.Ready(ready, _, cwd) if inner is not None and ready == inner.ready:
                self._enter(inner, cwd)
            case frames.Done(done):
                self._leave(done)
                super()._marked(mark, error=error)
            case _:
                super()._marked(mark, error=error)

    def _done(self, running: Running, mark: frames.Done, *, error: bool) -> None:
        if self._inner is not None and running.began:  # it never came up
            self._abandon(self._inner)
        super()._done(running, mark, error=error)

    def _interrupted(self, whose: str) -> None:
        """An outer shell is at its input when the inner one has ended."""
        for outer in self._outer:
            if outer.interrupts == whose and outer.running is not None:
                if self._may_repeat():
                    self._finish_again(outer.control, outer.running)
                return
        super()._interrupted(whose)

    def _output(self, data: bytes, *, error: bool) -> None:
        inner = self._inner
        if inner is None or inner.made is None or error:
            super()._output(data, error=error)
            return
        inner.line += data
        end = inner.line.rfind(b"\n") + 1
        if end:
            super()._output(whole_lines(bytes(inner.line[:end])), error=error)
            del inner.line[:end]
        if inner.line:
            self._loop.call_later(PROMPT_SECONDS, self._show, inner)

    def _show(self, inner: _Inner) -> None:
        line, inner.line = bytes(inner.line), bytearray()
        if line and not self._over:
            super()._output(line, error=False)

    # --- a shell in the shell -----------------------------------------------------------------------------------------

    def _inner_said(self, inner: _Inner, data: bytes, *, error: bool) -> None:
        if inner.where.done():
            return
        inner.said += data[: INNER_SAID - len(inner.said)]
        match = re.search(rb"^P;(\d{39});(/[a-z/]+/\.bastion-[0-9a-f]+);(\d{1,10})$", bytes(inner.said), re.MULTILINE)
        if match is not None and not error and match[1].decode() == inner.nonce:
            inner.where.set_result((match[2].decode(), int(match[3])))

    def _inner_closed(self, channel: Channel) -> None:
        """A control channel of an inner shell has ended: rightly, if that was over."""
        if self._inner is not None and channel is self._inner.control:
            if not self._inner.where.done():
                self._inner.where.set_exception(OSError("the control program ended"))
            elif self._inner.made is not None:
                self._must_leave(channel, "the control channel of the inner shell ended before it was ready")
        elif any(channel is each for each in self._controls()):
            self._must_leave(channel, "the control channel of the inner shell ended, so the shell cannot be trusted")

    def _must_leave(self, channel: Channel, reason: str) -> None:
        """The end of its shell is due, and of the whole for this reason if it does not come."""

        def check() -> None:
            if any(channel is each for each in self._controls()):
                self._fail(reason)

        self._loop.call_later(LEAVE_SECONDS, check)

    def _inner_made(self, inner: _Inner, made: frames.Made) -> None:
        """Its bootstrap has opened the pipe: the shell reads its functions."""
        # a terminal in a container is none that the observer could look at: that name is another's out here
        inner.made = replace(made, tty="") if inner.inside else made
        self._marks[False].expect("IK", inner.interrupts)
        self._marks[False].expect("R", inner.ready)
        _, number = inner.where.result()
        inner.control.write(driver.GO)
        text = driver.functions(made.kind, control=number, interrupts=inner.interrupts, ready=inner.ready)
        inner.control.write(text)

    def _enter(self, inner: _Inner, cwd: str) -> None:
        """Commands go to the inner shell from now on. Its own prompt, the unfinished line, goes nowhere."""
        inner.line.clear()
        self._outer.append(_Outer(self._control, self._made, self._running, self._interrupts))
        self._control, self._made, self._interrupts = inner.control, inner.made, inner.interrupts
        self._inner = self._running = None
        self._succeeded, self._flags = True, ""
        self._observer.renew()
        self._listener.tell(ev.DriverReady(cwd, self._made.kind if self._made is not None else ""))

    def _leave(self, done: str) -> None:
        """The end of a command of an outer shell is the end of all shells in it, and of what ran there."""
        depth = next((n for n, outer in enumerate(self._outer) if outer.running and done in outer.running.done), None)
        if depth is None:
            return
        outer = self._outer[depth]
        left = [self._control, *(each.control for each in self._outer[depth + 1 :])]
        del self._outer[depth:]
        self._control, self._made, self._interrupts = outer.control, outer.made, outer.interrupts
        self._running = outer.running
        self._flusher.stop()
        for session in left:
            session.drop()
        self._observer.renew()

    def _abandon(self, inner: _Inner) -> None:
        """It does not come up any more."""
        self._inner = None
        self._show(inner)
        if not inner.where.done():
            inner.where.set_exception(OSError("the shell ended"))
            inner.where.exception()  # seen, should nobody wait for it yet
        inner.control.drop()
