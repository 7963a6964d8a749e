"""How the screens look, at the sizes that people have. Look at a change before you accept it (`--snapshot-update`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tui.app import BastionConsole
from tui.sample_bastion import Bastion
from tui.samples import NOW

Compare = Callable[..., bool]

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "250x60": (250, 60)}


def standing(**options: Any) -> tuple[BastionConsole, list[float]]:
    """The console on the sample requests, at a moment that does not pass."""
    clock = [1000.0]
    bastion = Bastion()
    return BastionConsole(bastion.connect, "test", clock=lambda: clock[0], wall=lambda: NOW, **options), clock


def after(app: BastionConsole, clock: list[float], *keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Waits for the connection, then presses keys, seconds apart."""

    async def run(pilot: Pilot[None]) -> None:
        while not app.link.up:
            await pilot.pause(0.01)
        app.draw()
        await pilot.pause()
        for key in keys:
            clock[0] += 5
            await pilot.press(key)
            asked = [one for one in pilot.app.workers if one.name == "look" or " r-" in one.name]
            if asked:
                await pilot.app.workers.wait_for_complete(asked)
            await pilot.pause()
        for field in pilot.app.screen.query("Input, TextArea"):
            while field.display and field.focusable and not field.has_focus:
                await pilot.pause(0.01)  # it gets its cursor with the focus
            field._pause_blink(visible=field.has_focus)  # type: ignore[attr-defined]
            field.refresh()
        await pilot.pause()
        app.draw()
        await pilot.pause()

    return run


@pytest.mark.parametrize("size", SIZES)
def test_queue(snap_compare: Compare, size: str) -> None:
    app, clock = standing()
    assert snap_compare(app, terminal_size=SIZES[size], run_before=after(app, clock, "G"))


@pytest.mark.parametrize(
    "keys", [("a",), ("down", "d"), ("2", "x"), ("3",), ("slash", "w", "e", "b"), ("question_mark",)], ids="-".join
)
def test_small(snap_compare: Compare, keys: tuple[str, ...]) -> None:
    app, clock = standing()
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(app, clock, *keys))


SCREENS = {
    "watch": ("2", "w"),
    "ledger": ("4",),
    "whitelist": ("5", "down"),
    "access": ("6", "x"),
    "policy": ("7", "tab"),
    "stats": ("8",),
    "help": ("question_mark",),
    "edit": ("down", "e"),
    "escalate": ("greater_than_sign",),
    "freeze": ("f",),
    "remember": ("down", "A"),
    "palette": ("colon",),
    "kill": ("2", "x"),
    "name": ("g", "a"),
    "preferences": ("P",),
}


@pytest.mark.parametrize("size", ["80x24", "250x60"])
@pytest.mark.parametrize("screen", SCREENS)
def test_screens(snap_compare: Compare, screen: str, size: str) -> None:
    app, clock = standing(confirm="target")
    assert snap_compare(app, terminal_size=SIZES[size], run_before=after(app, clock, *SCREENS[screen]))


@pytest.mark.parametrize("theme", ["bastion-light", "ansi-dark", "ansi-light"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    app, clock = standing(theme=theme)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(app, clock, "a"))


def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, clock = standing()
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(app, clock, "a"))
