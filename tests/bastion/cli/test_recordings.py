"""What is exported of a recording: casts with markers, text, a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bastion.cli.recordings import _item, held
from bastion.errors import Conflict
from tests.bastion.cli.conftest import Shell
from tests.bastion.cli.test_replaying import session as session  # noqa: PLC0414 -- a fixture
from tui.samples import NOW, S, request


def test_a_page_has_a_limit() -> None:
    assert held(iter(["ab", "c"]), 3) == ["ab", "c"]
    with pytest.raises(Conflict):
        held(iter(["ab", "cd"]), 3)


def test_the_list_says_how_long_a_command_was_held() -> None:
    made = _item(request("r-1", state="approved", created=NOW, decided=NOW + 12 * S, status="exit 0"), 5)
    assert made.about == "r-1 · approved · held 12 s · medium risk · exit 0"
    assert "held" not in _item(request("r-1", state="allowed", created=NOW, decided=NOW + 10), 5).about


def test_every_form_of_export(session: str, made: Shell) -> None:
    """The alternate screen is in what a player renders; in the text is what the main screen showed."""
    for form, version in (("cast", 3), ("cast2", 2)):
        lines = made("session", "export", session, "--format", form).out.splitlines()
        header, events = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
        assert header["version"] == version
        size = header["term"] if version == 3 else header
        assert (size.get("cols") or size["width"], size.get("rows") or size["height"]) == (60, 12)
        assert [text for _, kind, text in events if kind == "m"] == ["r-0001 first", "r-0002 edit", "r-0003 last"]
        output = "".join(text for _, kind, text in events if kind == "o")
        assert "\x1b[?1049h" in output
        assert output.index("\x1b[?1049h") < output.index("needle here") < output.index("\x1b[?1049l")
        times = [at for at, _, _ in events]
        total = sum(times) if version == 3 else times[-1]
        assert 0.5 < total < 30, "the pauses are in it"
    text = made("session", "export", session, "--format", "txt").out
    assert text.splitlines() == ["$ first", "first output", "third", "the end"]
    done = made("session", "export", session, "--format", "html", "--output", "page.html")
    assert done.status == 0
    whole = (made.work / "page.html").read_text()
    assert ((made.work / "page.html").stat().st_mode & 0o777) == 0o600
    (block,) = re.findall(r'<script type="application/json" id="cast">(.*?)</script>', whole, re.DOTALL)
    assert json.loads(json.loads(block).splitlines()[0])["version"] == 3
    assert "needle here" in json.loads(block)
    assert made("session", "export", session, "--format", "html", "--output", "page.html").status == 1
    assert Path(made.work / "page.html").read_text() == whole
