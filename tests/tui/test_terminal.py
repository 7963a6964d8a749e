"""The console in a real terminal: a process of its own on a pseudo-terminal, its output drawn by the recorder."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from recorder.screen import Screen

COLUMNS, ROWS = 80, 24


class Terminal:
    """A process on a terminal, with what it wrote and what that looks like."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.output = b""
        self.screen = Screen(COLUMNS, ROWS)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **environment},
            start_new_session=True,
        )
        os.close(slave)

    def until(self, *words: str) -> str:
        """Reads until all words stand on the screen."""
        while not all(word in self.text for word in words):
            self.read()
        return self.text

    def until_left(self, seconds: int) -> None:
        """Reads until the countdown on the screen has come down to this."""
        while self.left > seconds:
            self.read()

    def read(self) -> None:
        assert select.select([self.master], [], [], 30)[0], f"nothing more came; the screen is:\n{self.text}"
        data = os.read(self.master, 65536)
        self.output += data
        self.screen.feed(data)

    @property
    def left(self) -> int:
        """Seconds left of the request on display."""
        found = re.search(r"(\d+)s left", self.text)
        return int(found[1]) if found else 99

    @property
    def text(self) -> str:
        return "\n".join(self.screen.text())

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    it = Terminal(sys.executable, "-m", "tui.picture", "--live", NO_COLOR="1")
    yield it
    it.close()


def test_on_a_real_terminal(terminal: Terminal) -> None:
    terminal.until("4 held", "> ", "91 high", "rm -rf --one-file-system", "a approve")
    assert b"\x07" in terminal.output, "the bell rang for what is held"
    terminal.until_left(48)  # what was there at the start has been there for longer than the guard waits
    terminal.type("j")
    terminal.until("! 46 medium", "nginx answers 502")
    terminal.type("d")
    terminal.until("DENY r-7f3a0c11", "the agent reads this")
    terminal.type("not during the sale\r")
    terminal.until("denied by ana: not during the sale", "DENIED")
    terminal.type("?")
    terminal.until("approve the request on display")
    terminal.type("\x1b")
    terminal.until("3 held")
    terminal.type("q")
    assert terminal.process.wait(timeout=30) == 0


def test_no_colour_means_no_colour(terminal: Terminal) -> None:
    terminal.until("4 held", "91 high", "a approve")
    for sequence in terminal.output.split(b"\x1b[")[1:]:
        body, end, _ = sequence.partition(b"m")
        if end and all(byte in b"0123456789;" for byte in body):
            codes = {int(code or 0) for code in body.split(b";")}
            assert not codes & ({*range(30, 39), *range(40, 49), *range(90, 108)})
