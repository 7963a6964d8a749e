"""`ssh -t bastion@HOST` with an approver's or auditor's key: the console, in a process of its own (bastion/console.py).

Theory of operation. The daemon makes a pseudo-terminal and two socket pairs, starts the worker with exactly these, and
from then on moves bytes:

    terminal   the person's channel <-> the pty that the worker draws on
    control    the control protocol, with the caller fixed to the identity of this connection's key; what the worker may
               do is what this approver may do with `bastion tui`, and it cannot say that it is somebody else
    agent      only where the client forwarded its ssh-agent: signatures for decisions, and nothing else (lender.py)

The worker gets no environment but the terminal's, no file of the daemon's, and gives up the rest by itself before it
shows anything (confine.py). It leads a session and a process group of its own; it can start nothing, so there is no
shell to get to. It ends when the person leaves, when the channel or the connection does, when the daemon does (the
kernel sees to that), and when the identity is revoked, because that drops the connection.

What the person reads there is what this bastion says: one that was taken over could show a lie and have it signed.
`bastion tui` at the approver's own desk computes what it shows itself; docs/console.md says so, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import pty
import signal
import socket
import struct
import sys
import termios
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from bastion.errors import BastionError
from bastion.model import Identity
from bastion.policy.visible import visible_line
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.lender import Lender

log = logging.getLogger(__name__)

CONSOLES = 32
"""At once, in the whole bastion: each is a process of about 100 MiB. An on-call rotation has a handful."""

CONSOLES_EACH = 4
"""Of them, for one identity: a desk, a phone, and what was forgotten on both."""

SIZE_MOST = 1000
"""Columns and rows that a terminal may claim; the largest screens have some 600 by 200."""

INPUT_LIMIT = 64 << 10
"""Bytes typed or pasted that the worker has not read; more is left with the client (back-pressure)."""

CHUNK = 32 << 10
"""Bytes read from the pty at once."""

SAID_LIMIT = 8 << 10
"""Bytes of a worker's last words that go to the log."""

VARIABLES = {
    b"COLORTERM": frozenset({b"truecolor", b"24bit"}),
    b"NO_COLOR": frozenset({b"1"}),
}
"""What a client may set, and to what."""

RESET = b"".join(
    (b"\x1b[?1049l\x1b[?25h\x1b[?7h", *(b"\x1b[?%dl" % mode for mode in (1000, 1003, 1004, 1006, 1015, 2004, 2048)))
) + (b"\x1b[<u\x1b[0m\r\n")
"""Undoes what a console that was killed could not: alternate screen, hidden cursor, mouse, focus, paste, resize and
keyboard modes (xterm's ctlseqs; the last but one is kitty's keyboard protocol)."""

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; sys.path.insert(0, sys.argv[1]); from bastion.console import main; main()"

Serve = Callable[..., Awaitable[None]]
"""server.ServeControl"""

WAY = "console"
"""What a vote that nobody signed is said to have come by, where policy accepts that."""


async def _note_nothing(identity: str, key: str, client: str) -> None:
    pass


@dataclass(slots=True)
class Consoles:
    """How many there are, and what they are called."""

    title: str = "bastion"
    """Of the bastion, for the first row."""
    note: Callable[[str, str, str], Awaitable[None]] = _note_nothing
    """(identity, fingerprint of its key, client's address): puts into the ledger that one is opened."""
    open: Counter[str] = field(default_factory=Counter)
    """By identity."""

    def room(self, identity: str) -> str:
        """Why there is none for another console; empty while there is."""
        if self.open.total() >= CONSOLES:
            return f"{CONSOLES} consoles are open on this bastion: `bastion tui` at your own desk needs none of them"
        if self.open[identity] >= CONSOLES_EACH:
            return f"you have {CONSOLES_EACH} consoles open: leave another one first"
        return ""


class ConsoleSession(asyncssh.SSHServerSession[bytes]):
    """One console. `connection` is the person's own; `serve` speaks the control protocol."""

    def __init__(
        self,
        consoles: Consoles,
        connection: asyncssh.SSHServerConnection,
        identity: Identity,
        key: str,
        client: str,
        serve: Serve,
    ) -> None:
        self._consoles, self._connection, self._identity, self._key = consoles, connection, identity, key
        self._client, self._serve = client, serve
        self.variables: dict[str, str] = {}
        """Of VARIABLES, as the client set them."""
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._master = -1
        self._typed = bytearray()
        self._size = (80, 24)
        self._gone = False
        self._reading = self._over = False

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def window_changed(self, columns: int, rows: int) -> None:
        """The person's terminal has another size; the kernel tells the worker (SIGWINCH)."""
        self._size = (_bounded(columns, 80), _bounded(rows, 24))
        if self._master >= 0:
            columns, rows = self._size
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Keys."""
        self._typed += data
        self._type()

    def eof_received(self) -> bool:
        """Nobody types any more."""
        self._kill()
        return True

    def pause_writing(self) -> None:
        """The client does not keep up: the worker waits at its pty."""
        self._stop_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._start_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, or the client is gone."""
        self._gone = True
        self._kill()

    # --- the task ---------------------------------------------------------------------------------------------------

    async def run(self, terminal: Terminal, *, agent: bool) -> None:
        """Serve the console until it ends. `agent`: the client forwarded its ssh-agent."""
        await asyncio.sleep(0)  # the reply to the request goes first
        if reason := self._consoles.room(self._identity.name):
            self._leave(f"bastion: {reason}\r\n".encode(), 1)
            return
        self._consoles.open[self._identity.name] += 1
        try:
            await self._consoles.note(self._identity.name, self._key, self._client)
            await self._run(terminal, agent)
        except BastionError as error:
            self._leave(f"bastion: {error}\r\n".encode(), 1)
        except OSError as error:
            log.error("a console for %s cannot be started: %s", self._identity.name, error)
            self._leave(b"bastion: the console cannot be started; the bastion's log says why\r\n", 1)
        finally:
            self._consoles.open[self._identity.name] -= 1

    async def _run(self, terminal: Terminal, agent: bool) -> None:
        self._size = (_bounded(terminal.columns, 80), _bounded(terminal.rows, 24))
        control, theirs = socket.socketpair()
        lent, borrowed = socket.socketpair()
        said, words = os.pipe2(os.O_CLOEXEC)
        self._master, slave = pty.openpty()
        try:
            _prepare(self._master, slave)
            self.window_changed(*self._size)
            order = {
                "control": theirs.fileno(),
                "agent": borrowed.fileno() if agent else -1,
                "log": words,
                "title": self._consoles.title,
                "parent": os.getpid(),
                "way": WAY,
                "keys": [key.line for key in sorted(self._identity.keys, key=lambda key: key.fingerprint != self._key)],
            }
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-B", "-c", START, str(ROOT), json.dumps(order)),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                pass_fds=(theirs.fileno(), words, *((borrowed.fileno(),) if agent else ())),
                start_new_session=True,
                cwd="/",
                env={"TERM": terminal.name, "LANG": "C.UTF-8", **self.variables},
            )
        except BaseException:
            for each in (control, lent):
                each.close()
            os.close(said)
            self._close_terminal()
            raise
        finally:
            for end in (theirs, borrowed):
                end.close()
            os.close(words)
            os.close(slave)
        await self._attend(self._process, control, lent, said, agent=agent)

    async def _attend(
        self,
        process: asyncio.subprocess.Process,
        control: socket.socket,
        lent: socket.socket,
        said: int,
        *,
        agent: bool,
    ) -> None:
        """Until the worker has ended."""
        log.info("console of %s: process %d", self._identity.name, process.pid)
        serving = asyncio.create_task(self._serve_control(control), name="console control")
        lending = asyncio.create_task(self._lend(lent, agent), name="console agent")
        try:
            if self._gone:
                self._kill()
            self._start_reading()
            self._type()
            status = await process.wait()
        finally:
            self._kill()
            for task in (serving, lending):
                task.cancel()
            await asyncio.gather(serving, lending, return_exceptions=True)
        self._drain()
        self._close_terminal()
        _log_words(said, self._identity.name)
        self._leave(RESET + b"bastion: the console ended unexpectedly\r\n" if status else b"", 1 if status else 0)

    async def _serve_control(self, end: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=end)
        await self._serve(reader, writer, self._identity, WAY)

    async def _lend(self, end: socket.socket, agent: bool) -> None:
        if not agent:
            end.close()
            return
        reader, writer = await asyncio.open_unix_connection(sock=end)
        await Lender(self._connection, self._identity.keys).serve(reader, writer)

    # --- bytes --------------------------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        if self._master >= 0 and not self._reading and not self._over:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._master)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the other side open any more
            data = b""
        if not data:
            self._over = True
            self._stop_reading()
        elif self._channel is not None and not self._gone:
            self._channel.write(data)

    def _drain(self) -> None:
        """What it wrote last, before it ended."""
        with contextlib.suppress(OSError):
            while not self._over and not self._gone and (data := os.read(self._master, CHUNK)):
                if self._channel is not None:
                    self._channel.write(data)

    def _type(self) -> None:
        """Hand on what was typed, as far as the pty takes it."""
        if self._master < 0 or self._channel is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._typed:
                del self._typed[: os.write(self._master, self._typed)]
        except BlockingIOError:
            loop.add_writer(self._master, self._type)
        except OSError:
            self._typed.clear()
        else:
            loop.remove_writer(self._master)
        if not self._gone:
            if len(self._typed) > INPUT_LIMIT:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    # --- the end ------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """End the worker; there is nothing that it has to tidy up."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def _close_terminal(self) -> None:
        if self._master >= 0:
            self._stop_reading()
            asyncio.get_running_loop().remove_writer(self._master)
            os.close(self._master)
            self._master = -1

    def _leave(self, words: bytes, status: int) -> None:
        if self._channel is not None and not self._gone and not self._channel.is_closing():
            self._channel.write(words)
            self._channel.exit(status)


def _bounded(size: int, usual: int) -> int:
    """A terminal that does not say how large it is (0) gets the usual size."""
    return min(size, SIZE_MOST) or usual


def _prepare(master: int, slave: int) -> None:
    """No key makes a signal or an echo before the console has taken the terminal over."""
    os.set_blocking(master, False)
    modes = termios.tcgetattr(slave)
    modes[3] &= ~(termios.ISIG | termios.ECHO | termios.ICANON | termios.IEXTEN)
    termios.tcsetattr(slave, termios.TCSANOW, modes)


def _log_words(said: int, identity: str) -> None:
    """What the worker said of its own failure, into the log, harmless."""
    os.set_blocking(said, False)
    try:
        with contextlib.suppress(BlockingIOError):
            for line in os.read(said, SAID_LIMIT).splitlines():
                log.error("console of %s: %s", identity, visible_line(line, 400))
    finally:
        os.close(said)
