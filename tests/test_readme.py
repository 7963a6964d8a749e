"""The README says what really happens: its transcript is run, its commands exist, its picture is the app."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"r-[0-9a-f]{8}", "r-…", line)
    line = re.sub(r"after \d+ s", "after … s", line)
    line = re.sub(r"--head \d+:[0-9a-f]{64}", "--head …", line)
    return re.sub(r"\d+ entries, (\d+) sessions, head [0-9a-f]+…", r"… entries, \1 sessions, head …", line).rstrip()


@pytest.mark.e2e
def test_the_transcript_is_what_the_demo_prints() -> None:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    wanted = [plain(line) for line in blocks[0].splitlines() if line]
    assert len(wanted) > 10
    result = subprocess.run(
        [sys.executable, "-m", "bastion", "demo", "--headless"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    printed = iter([plain(line) for line in result.stdout.splitlines()])
    missing = [line for line in wanted if line not in printed]  # in order: the iterator goes on behind each find
    assert missing == []


def test_every_command_in_the_readme_is_one() -> None:
    named = set(re.findall(r"\bbastion (?:--[a-z-]+ \S+ )*([a-z]+)(?: ([a-z]+))?", README))
    nouns = {noun for noun, _ in named} & {"init", "serve", "identity", "target", "request", "session", "ledger", "tui"}
    assert {"init", "serve", "identity", "target", "request", "session", "ledger", "tui"} == nouns
    for noun, verb in sorted(named):
        if noun in nouns:
            words = [noun, verb] if verb in ("add", "approve", "replay", "verify", "export", "head") else [noun]
            result = subprocess.run(
                [sys.executable, "-m", "bastion", *words, "--help"], cwd=ROOT, capture_output=True, check=False
            )
            assert result.returncode == 0, words


def test_the_picture_is_the_app(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tui.picture", "--all", str(tmp_path)], cwd=ROOT, check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in (ROOT / "docs").glob("console*.svg")}


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
