"""The console in a real terminal, on the sample requests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.tui.terminal import Terminal


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
    terminal.until_left(terminal.left - 2)  # a slow machine may still have been moving rows when the key came
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


def test_it_ends_with_its_terminal(terminal: Terminal) -> None:
    """Also where nobody sends SIGHUP, as here, where the terminal is not the controlling one."""
    terminal.until("4 held", "a approve")
    os.close(terminal.master)
    assert terminal.process.wait(timeout=30) == 129
    terminal.master = os.open("/dev/null", os.O_RDWR)


def test_no_colour_means_no_colour(terminal: Terminal) -> None:
    terminal.until("4 held", "91 high", "a approve")
    for sequence in terminal.output.split(b"\x1b[")[1:]:
        body, end, _ = sequence.partition(b"m")
        if end and all(byte in b"0123456789;" for byte in body):
            codes = {int(code or 0) for code in body.split(b";")}
            assert not codes & ({*range(30, 39), *range(40, 49), *range(90, 108)})
