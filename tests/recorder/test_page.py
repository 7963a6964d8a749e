"""The exported page: as markup, and in a real browser where one is installed."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recorder import asciicast
from recorder.frames import Frame
from recorder.page import PLAYER, Command, page

HOSTILE = [
    "</script><script>document.title='owned'</script>", "<!--<script>", "]]>", '"><img src=x onerror=alert(1)>',
    "&lt;b&gt;",
    "\u2028\u2029", "\\", '"', "\x00", "\ufffe", "\ud7ff", "`${1}`", "</ScRiPt >", "<style>*{display:none}</style>",
]  # fmt: skip


def made(text: str) -> tuple[str, str]:
    """A page whose every place for foreign words holds these; and its cast."""
    frames = [Frame(0, "marker", f"r-1 {text}".encode()), Frame(500_000, "output", text.encode() + b"\nshown\n")]
    cast = list(asciicast.write(asciicast.Header(3, 80, 24, title=text), asciicast.events(frames, newline=True)))
    commands = [Command(text, text, "high", 0), Command(text, text, text, None)]
    return "".join(page(text, text, commands, cast)), "".join(cast)


class Found(HTMLParser):
    """What a browser's parser makes of a page, about."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append((self.tags[-1] if self.tags else "", data))


def parsed(text: str) -> Found:
    found = Found()
    found.feed(text)
    found.close()
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_no_words_become_markup(text: str) -> None:
    found, plain = parsed(made(text)[0]), parsed(made("plain")[0])
    assert found.tags == plain.tags
    assert [name for name, _ in found.attributes] == [name for name, _ in plain.attributes]
    assert {value for name, value in found.attributes if name == "class"} == {"high", ""}


@pytest.mark.parametrize("text", HOSTILE)
def test_the_cast_comes_out_as_it_was(text: str) -> None:
    whole, cast = made(text)
    (block,) = re.findall(r'<script type="application/json" id="cast">(.*?)</script>', whole, re.DOTALL)
    assert json.loads(block) == cast
    assert not set(block) & set("<>&\u2028\u2029")


def test_the_policy_allows_what_is_in_it_and_nothing_else() -> None:
    whole = made("x")[0]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', whole)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    assert "unsafe-inline" not in policy
    assert "http" not in policy
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        for content in re.findall(rf"<{tag}>(.*?)</{tag}>", whole, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules[rule]
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*(?:src|href)=", whole)


def test_the_vendored_files_are_those_that_were_looked_at() -> None:
    sums = re.findall(r"^    ([0-9a-f]{64})  (\S+)$", (PLAYER / "README.md").read_text(), re.MULTILINE)
    assert {name for _, name in sums} == {path.name for path in PLAYER.iterdir()} - {"README.md"}
    for digest, name in sums:
        data = (PLAYER / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
        if name != "LICENSE":
            assert b"\r" not in data  # a browser would make it a line feed, and the hash another
            assert not re.search(rb"</script|</style|<!--", data, re.IGNORECASE)


def browser() -> str:
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no chromium is installed: the page is tested as markup only")
    return found


def browse(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1200,800",
               f"--user-data-dir={work / 'profile'}", "--virtual-time-budget=4000", "--enable-logging=stderr",
               *words, f"file://{work / 'page.html'}"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_it_plays_in_a_browser_from_a_file(tmp_path: Path) -> None:
    whole = made("".join(HOSTILE).replace("\x00", ""))[0]
    (tmp_path / "page.html").write_text(whole, "utf-8")
    done = browse(tmp_path, "--dump-dom")
    assert "ap-player" in done.stdout
    assert "<title>owned" not in done.stdout
    assert "Content Security Policy" not in done.stderr, done.stderr
    assert "Uncaught" not in done.stderr, done.stderr
    shot = tmp_path / "page.png"
    browse(tmp_path, f"--screenshot={shot}")
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 10_000
    assert html.escape("<!--<script>") in done.stdout


def test_a_command_behind_a_long_pause_is_where_the_list_says(tmp_path: Path) -> None:
    """The player leaves pauses out; and what stands there before it plays is the last screen."""
    frames = [
        Frame(0, "marker", b"r-1 first"),
        Frame(1_000_000, "output", b"of-the-first\n"),
        Frame(100_000_000, "marker", b"r-2 held"),
        Frame(200_000_000, "marker", b"r-2 second"),
        Frame(201_000_000, "output", b"\x1b[2J\x1b[Hof-the-second\n"),
        Frame(300_000_000, "marker", b"r-3 third"),
        Frame(300_500_000, "output", b"\x1b[2J\x1b[Hof-the-third\n"),
    ]
    cast = asciicast.write(asciicast.Header(3, 80, 24), asciicast.events(frames, newline=True))
    commands = [Command(f"c{at}", "", "low", at) for at in (0, 200_000_000, 300_000_000)]
    whole = "".join(page("t", "a", commands, cast))
    (tmp_path / "page.html").write_text(whole, "utf-8")
    assert any("of-the-third" in screen_of(browse(tmp_path, "--dump-dom").stdout) for _ in range(5))
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', whole)
    assert policy is not None
    click = """<script>const waiting = setInterval(async () => {
      if (!document.querySelector("pre.ap-term-text")?.textContent.includes("of-the-third")) return;
      clearInterval(waiting);
      document.querySelectorAll("button[data-at]")[NUMBER].click();
      setInterval(async () => {
        const now = document.querySelector("button.now code");
        if (now) document.title = `${await player.getCurrentTime()} ${now.textContent}`;
      }, 50);
    }, 20)</script></body>"""
    for number, told in ((2, "11 c300000000"), (1, "7 c200000000"), (0, "0 c0")):
        clicked = whole.replace(policy[0], "").replace("</body>", click.replace("NUMBER", str(number)))
        (tmp_path / "page.html").write_text(clicked, "utf-8")
        for _ in range(5):  # a browser with little of a processor may end before it has drawn
            if (found := re.search(r"<title>(\d+ c\d+)</title>", browse(tmp_path, "--dump-dom").stdout)) is not None:
                break
        assert found is not None
        assert found[1] == told


def screen_of(dom: str) -> str:
    """What the player's terminal shows."""
    found = re.search(r'<pre class="ap-term-text[^>]*>(.*?)</pre>', dom, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]*>", "", found[1]))
