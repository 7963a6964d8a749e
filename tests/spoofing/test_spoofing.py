"""P6: whatever an agent sends, a person sees what it is: on every surface, through a real terminal's eyes.

For each case of the corpus what is shown is read back into the bytes (`invert` knows only how marks are written), and
it differs from what the twin looks like.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pyte
import pytest

from bastion.cli import output
from bastion.cli.options import Settings
from bastion.cli.request import describe, line
from bastion.notify import payloads
from bastion.notify.news import DETAIL_WIDTH, News, of_request
from bastion.policy.visible import describe as about
from bastion.policy.visible import visible, visible_line
from recorder import asciicast
from recorder.frames import Frame
from recorder.page import Command, page
from tests.bastion.cli.conftest import ROOT
from tests.bastion.control.conftest import request_info
from tests.bastion.policy.test_visible import invert
from tests.spoofing.corpus import CASES, CONSOLE_CASES, SHORT_CASES, Case
from tests.tui.terminal import Terminal

EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
EACH_SHORT = pytest.mark.parametrize("case", SHORT_CASES, ids=lambda case: case.name)

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Nothing of this may reach a terminal; a line break may."""


def read_back(shown: str) -> bytes:
    return invert(shown).encode("utf-8", "surrogateescape")


def drawn(text: str) -> list[str]:
    """What a terminal emulator makes of it, line by line. Large enough that nothing wraps or scrolls away."""
    lines = text.split("\n")
    screen = pyte.Screen(max(map(len, lines)) + 8, len(lines) + 2)
    pyte.ByteStream(screen).feed(text.replace("\n", "\r\n").encode())
    assert screen.title == "", "the title of the window was set"
    return [row.rstrip() for row in screen.display]


def printed(case: Case) -> str:
    """`bastion request show`, as it is printed."""
    file = io.StringIO()
    describe(request_info(command=case.data), file=file)
    return file.getvalue()


def command_of(lines: list[str]) -> str:
    """The command out of what `request show` printed."""
    start = next(number for number, text in enumerate(lines) if text.startswith("command "))
    rows = []
    for text in lines[start + 1 :]:
        if not text.startswith(" " * 12):
            break
        rows.append(text[12:])
    return "\n".join(rows)


@EACH
def test_the_visible_form_can_be_read_back_and_is_not_the_twins(case: Case) -> None:
    for newlines in (True, False) if len(case.data) < 100_000 else (True,):
        assert read_back(visible(case.data, newlines=newlines)) == case.data
        assert visible(case.data, newlines=newlines) != visible(case.twin, newlines=newlines)


@EACH
def test_request_show(case: Case) -> None:
    text = printed(case)
    assert not CONTROL.search(text)
    if len(case.data) > 100_000:  # as the emulator would take minutes for it
        assert read_back(command_of(text.splitlines())) == case.data
        return
    shown = command_of(drawn(text))
    assert read_back(shown) == case.data
    assert f"{len(case.data)} byte" in text


@EACH_SHORT
def test_plain(case: Case) -> None:
    """One fact a line: each line of the command is one, behind its name."""
    token = output.PLAIN.set(True)
    try:
        text = printed(case)
    finally:
        output.PLAIN.reset(token)
    assert not CONTROL.search(text)
    lines = [line for line in drawn(text) if line]
    assert all(": " in line or line.endswith(":") for line in lines)
    rows = [line.removeprefix("command: ") for line in lines if line.startswith("command: ")]
    assert read_back("\n".join(rows[1:])) == case.data  # the first says how long it is


@EACH
def test_a_line_of_request_watch_says_what_it_leaves_out(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    line(Settings(), request_info(command=case.data))
    text = capsys.readouterr().out
    assert not CONTROL.search(text)
    assert text.count("\n") == 1
    for width in (20, 80) if len(case.data) < 100_000 else (80,):
        cut = visible_line(case.data, width)
        whole = visible(case.data, newlines=False)
        assert cut == whole or re.search(r"… \+\d+ bytes$", cut)
        left = re.fullmatch(r"(.*)… \+(\d+) bytes", cut)
        if left and cut != whole:
            assert case.data.startswith(read_back(left[1]))
            assert len(read_back(left[1])) + int(left[2]) == len(case.data)


@EACH
def test_json_is_ascii_and_exact(case: Case) -> None:
    text = output.to_json(output.structure(request_info(command=case.data)))
    assert text.isascii()
    assert text.isprintable()
    assert base64.b64decode(json.loads(text)["command_base64"]) == case.data


@EACH_SHORT
def test_warnings_name_it(case: Case) -> None:
    """Beside what is not plain text stand words, not only marks."""
    plain = all(" " <= chr(byte) <= "~" or byte in b"\n\t" for byte in case.data)
    assert bool(about(case.data).strange) is not plain


def news(case: Case) -> News:
    return of_request(request_info(command=case.data, tier="medium", score=40), "held")


def of_webhook(case: Case) -> str:
    return str(json.loads(payloads.webhook(news(case), "m"))["data"]["detail"])


def of_slack(case: Case) -> str:
    blocks = payloads.slack(news(case))["blocks"]
    return str(blocks[1]["elements"][1]["elements"][0]["text"])


def of_ntfy(case: Case) -> str:
    return str(json.loads(payloads.ntfy(news(case), "t"))["message"]).partition("\n")[2]


def of_mail(case: Case) -> str:
    return payloads.mail(news(case))[1].split("\n\n")[1]


@pytest.mark.parametrize("shown_by", [of_webhook, of_slack, of_ntfy, of_mail])
@EACH
def test_notifications(case: Case, shown_by: Callable[[Case], str]) -> None:
    text = shown_by(case)
    assert not CONTROL.search(text)
    assert "\n" not in text
    text = re.sub(r"⟨(//|@|\.|\+|:)⟩", r"\1", text)
    whole = visible(case.data, newlines=False)
    assert text == visible_line(case.data, DETAIL_WIDTH)
    assert (read_back(text) == case.data) if text == whole else re.search(r"… \+\d+ bytes$", text)


@EACH_SHORT
def test_recordings_and_pages(case: Case) -> None:
    """Markers of a recording hold a command in visible form; in a page nothing becomes markup."""
    marker = f"r-1 {visible_line(case.data, 4000)}"
    frames = [Frame(0, "marker", marker.encode())]
    lines = list(asciicast.write(asciicast.Header(3, 80, 24, title=""), asciicast.events(frames, newline=True)))
    label = json.loads(lines[-1])[2]
    assert read_back(label.removeprefix("r-1 ")) == case.data
    text = "".join(page("t", "a", [Command(marker, marker, "high", 0)], lines))
    assert len(re.findall(r"<script", text)) == len(re.findall(r"<script", "".join(page("t", "a", [], lines))))
    assert not CONTROL.search(re.sub(r"(?s)<(script|style)[^>]*>.*?</\1>", "", text))


# --- through real terminals -----------------------------------------------------------------------------------------


def test_in_tmux() -> None:
    """The command line inside tmux, which has sequences of its own."""
    if shutil.which("tmux") is None:
        pytest.skip("no tmux")
    server = f"spoofing-{os.getpid()}"
    tmux = ["tmux", "-L", server, "-f", "/dev/null"]
    program = f"{sys.executable} -m tests.spoofing.show block; sleep 60"
    subprocess.run(
        [*tmux, "new-session", "-d", "-s", "x", "-x", "1200", "-y", "300", "-c", str(ROOT), program], check=True
    )
    try:
        capture = [*tmux, "capture-pane", "-p", "-J", "-t", "x", "-S", "-"]

        def screen() -> str:
            return subprocess.run(capture, check=True, capture_output=True, text=True).stdout

        from tests.support.ports import wait_until

        wait_until(lambda: "the end" in screen(), "it is printed")
        parts = re.split(r"^case \d+\n", screen(), flags=re.MULTILINE)[1:]
        assert len(parts) == len(SHORT_CASES)
        for case, part in zip(SHORT_CASES, parts, strict=True):
            rows = [row[4:] for row in part.splitlines() if row.startswith("  | ")]
            assert read_back("\n".join(rows)) == case.data, case.name
        asked = subprocess.run([*tmux, "show-buffer"], capture_output=True, check=False)
        assert asked.returncode != 0, "something was put into the clipboard"
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(sys.executable, "-m", "tests.spoofing.show", "console", NO_COLOR="1")
    made.resize(330, 40)
    yield made
    made.close()


def test_in_the_console(terminal: Terminal) -> None:
    """Cases of every family, drawn by the console on a pseudo-terminal, as its emulator sees it."""
    terminal.until(f"{len(CONSOLE_CASES)} held")
    seen = set[int]()
    shown = {number: visible(case.data) for number, case in enumerate(CONSOLE_CASES)}
    for _ in range(len(CONSOLE_CASES)):
        terminal.until_true(lambda: _on_display(terminal) not in {-1, *seen})
        number = _on_display(terminal)
        rows = [row for row in shown[number].split("\n") if row]
        terminal.until(*[row for row in rows if len(row) <= 130])
        seen.add(number)
        terminal.type("j")
    assert seen == set(range(len(CONSOLE_CASES)))
    for sequence in (b"\x1b]0;", b"\x1b]8;", b"\x1b]52;", b"\x1bP", b"\x1b_"):
        for found in re.finditer(re.escape(sequence), terminal.output):
            assert b"evil" not in terminal.output[found.start() : found.start() + 80]
            assert b"approved" not in terminal.output[found.start() : found.start() + 80]


def _on_display(terminal: Terminal) -> int:
    """Number of the case that the console shows; -1 for none."""
    found = re.search(r"HELD  r-([0-9a-f]{8})", terminal.text)
    return int(found[1], 16) if found else -1
