"""A process on a pseudo-terminal of its own; what it writes is drawn by the recorder's screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable

from recorder.screen import Screen

COLUMNS, ROWS = 80, 24
LIMIT = 20
"""Seconds to wait for what should be there at once."""


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
        limit = time.monotonic() + LIMIT
        while not all(word in self.text for word in words):
            missing = [word for word in words if word not in self.text]
            assert time.monotonic() < limit, f"{missing} did not come; the screen is:\n{self.text}"
            self.read()
        return self.text

    def until_true(self, holds: Callable[[], object]) -> None:
        """Reads until something holds."""
        limit = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < limit, f"the screen is:\n{self.text}"
            self.read()

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size from now on."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def until_left(self, seconds: int) -> None:
        """Reads until the countdown on the screen has come down to this."""
        limit = time.monotonic() + LIMIT
        while self.left > seconds:
            assert time.monotonic() < limit, self.text
            self.read()

    def until_changes(self, pattern: str) -> None:
        """Reads until what the pattern finds on the screen is another text."""
        limit, before = time.monotonic() + LIMIT, re.findall(pattern, self.text)
        while re.findall(pattern, self.text) == before:
            assert time.monotonic() < limit, self.text
            self.read()

    def finish(self) -> int:
        """Reads until it has ended; its exit status. (A terminal that nobody reads holds up whoever leaves it.)"""
        with contextlib.suppress(AssertionError):
            while True:
                self.read()
        return self.process.wait(timeout=LIMIT)

    def read(self) -> None:
        assert select.select([self.master], [], [], LIMIT)[0], f"nothing more came; the screen is:\n{self.text}"
        try:
            data = os.read(self.master, 65536)
        except OSError:  # nobody has the other end open any more
            raise AssertionError(f"it ended; the screen is:\n{self.text}") from None
        self.output += data
        self.screen.feed(data)

    @property
    def counts(self) -> re.Match[str] | None:
        """What is left of the request on display; None where none is."""
        return re.search(r"(?:(\d+)m)?(\d+)s!? left", self.text)

    @property
    def left(self) -> int:
        """Seconds left of the request on display, once one is."""
        while (found := self.counts) is None:
            self.read()
        return 60 * int(found[1] or 0) + int(found[2])

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
