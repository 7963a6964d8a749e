"""Help, keys, sizes, themes, no colour."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion import errors
from tests.tui.conftest import Open, three
from tui.app import BastionConsole
from tui.sample_bastion import Bastion


async def test_help(console: Open) -> None:
    async with console(size=(100, 120)) as it:
        await it.press("question_mark")
        for words in ("approve the request on display", "deny it; the reason", "watch its session", "Good to know"):
            assert words in it.screen
        assert "+ =             faster" in it.screen
        await it.press("a", "d", "x")
        assert it.bastion.votes == []
        await it.press("escape")
        assert "HELD" in it.screen


async def test_keys_can_be_mapped_anew(console: Open) -> None:
    async with console(three(), keymap={"request.approve": "f5", "request.confirm": "f6"}) as it:
        await it.press("down", "a", "y")
        assert it.bastion.votes == []
        await it.press("f5")
        assert "APPROVE" in it.screen
        await it.press("f6")
        await it.told("counts")


async def test_nothing_writes_a_screenshot(console: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the palette, nor what Textual offers every app."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with console(three()) as it:
        await it.press("ctrl+s", "f1", "f12", "ctrl+backslash")
        assert len(it.app.screen_stack) == 2
        await it.press("ctrl+p")
        await it.press(*"screenshot", "enter", "escape")
        it.app.action_screenshot()
        it.app.save_screenshot()
        it.app.deliver_screenshot()
        await it.pilot.pause()
        assert list(it.app.get_system_commands(it.app.screen)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(80, 24), (250, 60), (40, 12), (20, 6), (3, 2), (300, 100)])
async def test_any_size(console: Open, size: tuple[int, int]) -> None:
    async with console(size=size) as it:
        await it.press("down", "2", "3", "question_mark", "escape", "1", "a", "d", "escape", "slash", "escape")
        assert it.app.is_running


@pytest.mark.parametrize("theme", ["bastion-dark", "bastion-light", "ansi-dark", "ansi-light", "nord", "textual-light"])
async def test_themes(console: Open, theme: str) -> None:
    async with console(theme=theme) as it:
        assert it.app.theme == theme
        await it.press("t")
        assert it.app.theme != theme
        assert "theme: " in it.screen


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(errors.UsageError):
        BastionConsole(Bastion().connect, theme="pink")


async def test_without_colour_there_is_none_and_everything_is_said(
    console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console() as it:
        for row in it.strips:
            for segment in row:
                if segment.style:
                    for colour in (segment.style.color, segment.style.bgcolor):
                        assert colour is None or colour.is_default
        for words in ("> ", "91 high", "46 med", "8 low", "HELD", "* live", "[1 queue"):
            assert words in it.screen


async def test_ctrl_c_tells_how_to_quit_and_q_quits(console: Open) -> None:
    async with console(three()) as it:
        await it.press("ctrl+c")
        assert "q quits" in it.screen
        await it.press("q")
        assert it.app._exit
