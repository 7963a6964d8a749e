"""What real programs sent, rendered by us and by tmux, and compared cell by cell at several moments."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.screen import Screen
from tests.captures.compare import COLUMNS, LINES, Difference, Tmux, cells, differences

HERE = Path(__file__).parent
CAPTURES = sorted(path.stem for path in HERE.glob("*.out"))
PARTS = (20, 40, 60, 80, 95, 100)
LISTED = tomllib.loads((HERE / "differences.toml").read_text())["difference"]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    server = Tmux(tmp_path_factory.mktemp("tmux"))
    yield server
    server.close()


def explained(capture: str, found: Difference) -> dict[str, object] | None:
    for entry in LISTED:
        if entry["capture"] == capture and (
            found.line in entry.get("lines", ()) or (entry.get("erased") and found.erased)
        ):
            return entry
    return None


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_programs_show_is_what_tmux_shows(capture: str, tmux: Tmux) -> None:
    data = (HERE / f"{capture}.out").read_bytes()
    used = []
    for part in PARTS:
        some = data[: len(data) * part // 100]
        found, ours, theirs = differences(some, tmux)
        unexplained = [each for each in found if explained(capture, each) is None]
        assert unexplained == [], f"behind {len(some)} bytes"
        assert ours == theirs, f"the cursor behind {len(some)} bytes"
        used += [explained(capture, each) for each in found]
    assert [entry for entry in LISTED if entry["capture"] == capture and entry not in used] == []


@pytest.mark.parametrize("capture", CAPTURES)
def test_keyframes_of_real_programs(capture: str) -> None:
    """At any moment of a capture a keyframe in a fresh screen goes on the same."""
    data = (HERE / f"{capture}.out").read_bytes()
    whole = Screen(COLUMNS, LINES)
    for at in range(0, len(data), max(1, len(data) // 12)):
        fresh = Screen.restore(json.loads(json.dumps(whole.keyframe())))
        step = data[at : at + max(1, len(data) // 12)]
        for screen in (whole, fresh):
            screen.feed(step)
        assert fresh.keyframe() == whole.keyframe()


def test_every_listed_difference_is_of_a_capture_and_has_a_reason() -> None:
    assert {entry["capture"] for entry in LISTED} <= set(CAPTURES)
    assert all(len(entry["why"]) > 40 for entry in LISTED)


def test_the_captures_are_small_and_tell_nothing_of_where_they_were_made() -> None:
    assert {"vim", "less", "htop", "top", "tmux", "progress", "cjk"} <= set(CAPTURES)
    for capture in CAPTURES:
        data = (HERE / f"{capture}.out").read_bytes()
        assert 500 < len(data) < 64 * 1024
        assert b"/tmp/" not in data
        assert b"/home/" not in data


def test_the_comparison_sees_what_is_different(tmux: Tmux) -> None:
    """A test of the test: its reading of tmux is no copy of ours."""
    found, _, _ = differences(b"\x1b[8mconcealed\x1b[0m \x1b[2mfaint\x1b[0m same", tmux)
    assert found == [], "neither is kept: what is concealed is to be seen"
    rows, cursor = tmux.show("a\x1b[1;38;5;200mb\x1b[48;2;1;2;3m漢\x1b[0m\x1b[4:3mc\x1b[24;7;9md".encode())
    row = rows[0]
    assert [cell.data for cell in row[:6]] == ["a", "b", "漢", "", "c", "d"]
    assert (row[1].bold, row[1].fg, row[2].bg) == (True, "ff00d7", "010203")
    assert (row[4].underscore, row[4].bold, row[5].underscore, row[5].reverse) == (True, False, False, True)
    assert row[5].strikethrough
    assert cursor == (6, 0)
    assert cells("x\x0eq\x0f")[0][1].data == "─"
