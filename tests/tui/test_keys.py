"""tui/keys.py: the table is whole."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from bastion import errors
from tui import keys
from tui.screens.help import HelpScreen, help_document
from tui.screens.main import MainScreen
from tui.screens.records import PolicyScreen, RecordsScreen, StatsScreen
from tui.screens.replay import ReplayScreen
from tui.screens.revealed import RevealedScreen
from tui.screens.watch import WatchScreen

SCREENS = {
    MainScreen: (keys.DECIDE, keys.LISTS, keys.SCREENS, keys.TEXT, keys.CONSOLE),
    WatchScreen: (keys.WATCH,),
    ReplayScreen: (keys.REPLAY,),
    HelpScreen: (keys.TEXT,),
    RecordsScreen: (keys.RECORDS, keys.TEXT),
    PolicyScreen: (keys.POLICY, keys.TEXT),
    StatsScreen: (keys.STATS, keys.TEXT),
    RevealedScreen: (keys.REVEALED, keys.TEXT),
}
ALL = [key for _, group in keys.GROUPS for key in group]


def test_ids_are_unique_and_stable_in_form() -> None:
    assert len({key.id for key in ALL}) == len(ALL)
    for key in ALL:
        area, _, name = key.id.partition(".")
        assert area
        assert name
        assert set(key.id) <= set(string.ascii_lowercase + "._")


def test_no_key_means_two_things_on_a_screen() -> None:
    for groups in SCREENS.values():
        used = [name for group in groups for key in group for name in key.keys.split(",")]
        assert len(used) == len(set(used))


def test_the_second_key_is_another_than_the_first() -> None:
    by_id = {key.id: key for key in ALL}
    assert not set(by_id["request.approve"].keys.split(",")) & set(by_id["request.confirm"].keys.split(","))


def test_every_action_exists() -> None:
    for screen, groups in SCREENS.items():
        for key in (key for group in groups for key in group):
            action = key.action.partition("(")[0]
            assert action in ("app.quit", "app.command_palette") or callable(getattr(screen, f"action_{action}"))


def test_the_help_names_every_key_and_follows_the_keymap() -> None:
    document = help_document({}, 100)
    text = "\n".join(document.row(at).text for at in range(len(document)))
    for key in ALL:
        assert key.help in text
        assert keys.spelled(key.keys) in text
    remapped = help_document({"request.approve": "f5"}, 100)
    assert any("f5" in remapped.row(at).text for at in range(len(remapped)))


@pytest.mark.parametrize(
    "keymap",
    [
        {"request.aprove": "f5"},
        {"request.confirm": "a"},
        {"request.approve": "f5, y"},
        {"request.approve": "f5", "request.confirm": "f6,f5"},
    ],
)
def test_a_keymap_that_cannot_be_used_is_refused(keymap: dict[str, str]) -> None:
    with pytest.raises(errors.UsageError):
        keys.checked(keymap)


def test_keys_may_be_swapped() -> None:
    keymap = {"request.approve": "y", "request.confirm": "a"}
    assert keys.checked(keymap) == keymap


def test_no_key_leads_to_a_screenshot() -> None:
    for key in ALL:
        assert "screenshot" not in key.action


@pytest.mark.parametrize(
    "keymap",
    [
        {"request.snooze": "d"},
        {"request.deny": "f5", "request.snooze": "f5"},
        {"list.up": "down"},
        {"request.deny": ""},
        {"request.deny": "ctrl + x"},
        {"request.deny": "f99 9"},
    ],
)
def test_keys_that_would_mean_two_things_or_nothing_are_refused(keymap: dict[str, str]) -> None:
    with pytest.raises(errors.UsageError):
        keys.checked(keymap)


def test_signs_may_be_written_as_they_are() -> None:
    assert keys.checked({"request.escalate": "^", "list.filter": "f3,%"}) == {
        "request.escalate": "circumflex_accent",
        "list.filter": "f3,percent_sign",
    }


def test_the_document_names_every_key() -> None:
    """docs/console.md; the rows are what `table` gives."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "console.md").read_text()
    assert text.endswith(table())


def table() -> str:
    """Rows of the document."""
    rows = (f"| `{key.id}` | `{keys.spelled(key.keys)}` | {key.help} |" for key in ALL)
    return "\n".join(rows).replace("`|`", "`\\|`") + "\n"


@pytest.mark.parametrize("width", [12, 40, 78, 100])
def test_the_help_is_whole_in_every_width(width: int) -> None:
    document = help_document({}, width)
    shown = "".join(document.row(at).text for at in range(len(document)))
    packed = "".join(shown.split())
    for key in ALL:
        assert "".join(key.help.split()) in packed, key.id
    if width >= 40:
        for at in range(len(document)):
            assert len(document.row(at).text) <= width
