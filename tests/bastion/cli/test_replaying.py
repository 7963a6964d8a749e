"""The replay on a person's terminal: a real program on a real PTY over a real store, its output read by tmux's rules of
a screen (our own emulator), and the pieces by themselves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from bastion import audit
from bastion.cli.replayscreen import KEYS, split_keys, styled
from bastion.control.timeline import place
from bastion.errors import UsageError
from recorder.ledger import Ledger
from recorder.screen import Screen
from tests.bastion.cli.conftest import Shell


class Person:
    """Sees a screen and presses keys."""

    def __init__(self, shell: Shell, *words: str, size: tuple[int, int] = (100, 30)) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(shell.work)
            command = shell.command(*words)
            os.execve(command[0], command, {**shell.env, "TERM": "xterm-256color"})  # noqa: S606
        self.resize(*size)
        self.raw = b""
        self.screen = Screen(*size)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.raw += data
        self.screen.feed(data)
        return bool(data)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.text())

    def until(self, condition: Callable[[str], object]) -> str:
        """Looks until it holds."""
        end = time.monotonic() + 30
        while not condition(self.text):
            assert time.monotonic() < end, self.text
            self.read(0.1)
        return self.text

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def ends(self) -> int:
        """Its exit status."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if not self.read(0.2):
                done, status = os.waitpid(self.pid, os.WNOHANG)
                if done:
                    self.pid = 0
                    return os.waitstatus_to_exitcode(status)
        raise AssertionError(self.text)

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@pytest.fixture
def person(made: Shell) -> Iterator[Callable[..., Person]]:
    started: list[Person] = []

    def start(*words: str, size: tuple[int, int] = (100, 30)) -> Person:
        started.append(Person(made, *words, size=size))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def session(made: Shell) -> str:
    """Three commands of a terminal's session in a store that no daemon serves; the second one paints a screen."""
    from bastion import ledgerkey
    from bastion.config import load

    config = load(made.work / "bastion.toml")
    name = "s-00000000000000aa"
    ledger = Ledger.open(config.store, key=ledgerkey.signer(config))
    ledger.append(audit.session_opened(name, "bot", "SHA256:x", "web-1", "root", "::1:1")).result(30)
    recording = ledger.recording(name, actor="x", notify=lambda: None, chunk_bytes=4096)
    recording.write("resize", b"60x12")
    recording.write("marker", b"r-0001 first")
    recording.write("output", b"$ first\r\nfirst output\r\n")
    time.sleep(0.3)  # what the recording's times are made of
    recording.write("marker", b"r-0002 edit")
    recording.write(
        "output", b"\x1b]0;owned\x07\x1b[?1049h\x1b[2J\x1b[5;10H\x1b[31mneedle here\x1b[0m" + b"\x1b[6;1H~" * 2000
    )
    time.sleep(0.3)
    recording.write("output", b"\x1b[?1049l")
    recording.write("marker", b"r-0003 last")
    recording.write("output", b"third\r\nthe end\r\n")
    recording.finish().result(30)
    ledger.append(audit.session_closed(name, "exit 0")).result(30)
    ledger.close()
    return name


def test_keys_go_everywhere(session: str, person: Callable[..., Person]) -> None:
    who = person("session", "replay", session, "--speed", "0.01")
    who.until(lambda text: "first output" in text and "playing" in text)
    who.press(" ")
    who.until(lambda text: "paused" in text)
    who.press("]")
    who.press("]")
    seen = who.until(lambda text: "needle here" not in text and "third" not in text and "first output" in text)
    assert "paused" in seen
    who.press("/needle\r")
    who.until(lambda text: "needle here" in text.split("\n")[4] and "1 place with 'needle'" in text)
    cell = who.screen.row(4)[9]
    assert (cell.data, cell.fg) == ("n", "red")
    who.press("G")
    who.until(lambda text: "the end" in text and "needle" not in text)
    who.press("N")
    who.until(lambda text: "needle here" in text)
    who.press("g0\r")
    who.until(lambda text: "first output" not in text and "0:00.0 of" in text)
    who.press("gnonsense\r")
    who.until(lambda text: "is no time" in text)
    who.press("+++i?")
    who.until(lambda text: "left right" in text)
    who.press("x")
    who.until(lambda text: "? tells the keys" in text)
    who.press("q")
    assert who.ends() == 0
    assert b"owned" not in who.raw
    assert who.raw.startswith(b"\x1b[?1049h")
    assert b"\x1b[?1049l" in who.raw


def test_a_small_terminal_says_what_is_cut_and_it_ends_by_itself(session: str, person: Callable[..., Person]) -> None:
    who = person("session", "replay", session, "--speed", "0.01", size=(40, 10))
    who.until(lambda text: "cut: 60x12" in text or "rendered" in text)
    who.close()
    who = person("session", "replay", session, "--speed", "1000", size=(40, 10))
    assert who.ends() == 0
    assert "the end" in who.text


def test_it_opens_at_what_a_search_found(session: str, person: Callable[..., Person]) -> None:
    who = person("session", "replay", session, "--speed", "0.01", "--search", "needle")
    who.until(lambda text: "needle here" in text)
    who.press("q")
    assert who.ends() == 0
    who = person("session", "search", "needle", "--session", session[:8], "--open")
    who.until(lambda text: "needle here" in text)
    who.press("q")
    assert who.ends() == 0
    who = person("session", "replay", session, "--search", "nothing of that")
    assert who.ends() == 1


def test_open_needs_a_terminal(session: str, made: Shell) -> None:
    done = made("session", "search", "needle", "--open")
    assert done.status == 2
    assert "needs a terminal" in done.err
    assert made("session", "search", "needle", "--session", "s-none").status == 1
    assert len(made("session", "search", "needle", "--session", session, "--json").json["hits"]) == 1


def test_keys_are_told_apart() -> None:
    assert list(split_keys(b" q\x1b[C\x1b[1~\x1bOD]")) == [b" ", b"q", b"\x1b[C", b"\x1b[1~", b"\x1bOD", b"]"]
    assert list(split_keys("aä漢😀".encode())) == [char.encode() for char in "aä漢😀"]
    assert list(split_keys(b"\x1b")) == [b"\x1b"]
    assert list(split_keys(b"x\x1b[200~")) == [b"x"]
    for key in KEYS:
        assert list(split_keys(key)) == [key]
    assert b"".join(split_keys(b"\xff\xc3")) == b"\xff\xc3"


def test_rows_are_harmless_and_as_wide_as_asked() -> None:
    row = styled((("a\x1b[31mb\u202ec\n", "high"), ("long" * 50, "nothing")), 20)
    assert "\x1b[31m" not in row
    screen = Screen(20, 2)
    screen.feed(row.encode())
    assert len(screen.text()) == 1
    assert "\u202e" not in row
    assert styled((), 3) == "\x1b[0m   "


@pytest.mark.parametrize(
    ("text", "micros"), [("83.5", 83_500_000), ("1:23.5", 83_500_000), (" 0:01:23.5 ", 83_500_000), ("0", 0)]
)
def test_places(text: str, micros: int) -> None:
    assert place(text) == micros


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-1", "1.", "١"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        place(text)
