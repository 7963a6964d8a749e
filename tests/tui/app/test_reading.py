"""What must have been on the screen, and that it is the whole truth."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.binding import BindingType
from textual.screen import ModalScreen

from bastion.policy.visible import visible
from tests.tui.conftest import MEDIUM, Open, three
from tui.order import Pane
from tui.sample_bastion import Bastion
from tui.samples import request
from tui.screens.help import HelpScreen


async def test_a_long_command_must_be_read_to_its_end(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(60))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        assert "more rows below" in it.screen
        await it.press("a")
        assert "read on" in it.screen
        for _ in range(8):
            await it.press("space")
        assert "more rows below" not in it.screen
        await it.press("a")
        await it.told("counts")


async def test_jumping_to_the_end_asks_for_a_second_key(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(60))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        await it.press("end", "a")
        assert "characters never were on your screen" in it.screen
        assert it.bastion.votes == []
        await it.press("home", "J", "K", "b", "shift+down", "end", "a", "y")
        await it.told("counts")


async def test_a_resize_keeps_what_was_read(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(30))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        for _ in range(4):
            await it.press("space")
        await it.pilot.resize_terminal(100, 40)
        await it.pilot.pause()
        await it.press("a")
        await it.told("counts")


HOSTILE = [
    b"[bold]x[/]",
    b"[@click=app.quit]press me[/]",
    b"[link=http://evil]x[/link] :smile: \\[bold]",
    b"echo \x1b[2J\x1b[H\x1b]0;owned\x07 ok",
    b"echo ok\rrm -rf /",
    "echo \u202egnp.exe \u2066x\u2069".encode(),
    "c\u0430t /etc/passwd\u200b".encode(),
    b"\xff\xfe\x00",
    b"ls" + b" " * 500 + b"; rm -rf /",
    b"true\n" + b"\n" * 60 + b"rm -rf /",
    ("e" + "\u0301" * 300).encode(),
]


@pytest.mark.parametrize(
    ("command", "size"),
    [*((command, (80, 24)) for command in HOSTILE), *((command, (250, 60)) for command in HOSTILE[-3:])],
)
async def test_what_is_on_the_screen_is_the_whole_truth(console: Open, command: bytes, size: tuple[int, int]) -> None:
    """The text is put together from the cells of the screen, page by page, and is the visible text to the letter."""
    info = request(MEDIUM, command=command, reason=command.decode("utf-8", "replace"), rollback="[red]x", task="[b]")
    async with console(Bastion([info], []), size=size) as it:
        text = it.app.screen.query_one("#text")
        pieces: dict[int, str] = {}
        for _ in range(60):
            left, top = text.region.x, text.region.y
            for y in range(text.size.height):
                at = y + round(text.scroll_y)
                document = text.document  # type: ignore[attr-defined]
                if at < len(document) and document.row(at).span:
                    cells = "".join(segment.text for segment in it.strips[top + y])[left : left + text.region.width]
                    pieces[at] = cells[1 + 7 : 1 + len(document.row(at).text)]
            if text.scroll_y >= text.max_scroll_y:
                break
            await it.press("space")
        assert "".join(pieces[at] for at in sorted(pieces)) == visible(command).replace("\n", "")
        for row in it.strips:
            for segment in row:
                assert not (segment.style and segment.style.meta.get("@click"))
                assert segment.text.isprintable()
        await it.pilot.click("#text", offset=(12, 1))
        assert it.app.is_running


async def test_what_the_edge_of_the_screen_cuts_was_not_read(console: Open) -> None:
    """Narrower than a row can be made: nothing that is cut counts as seen."""
    async with console(three(), size=(12, 30)) as it:
        await it.press("end", "a")
        assert it.bastion.votes == []
        await it.pilot.resize_terminal(80, 24)
        await it.pilot.pause()
        await it.press("home", "a")
        await it.told("counts")


class Veil(ModalScreen[None]):
    """Lies over everything and lets it shine through."""

    DEFAULT_CSS = "Veil { background: $background 0%; }"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "")]


@pytest.mark.parametrize("over", [Veil, HelpScreen])
async def test_what_came_under_another_screen_was_not_read(console: Open, over: type[ModalScreen[None]]) -> None:
    async with console(Bastion([], [])) as it:
        it.app.push_screen(over())
        await it.pilot.pause()
        it.bastion.put(request(MEDIUM))
        await it.until(lambda: it.app.view.selected(Pane.QUEUE) == MEDIUM)
        assert not it.app.view.reading
        await it.press("escape")
        await it.until(lambda: it.app.view.reading)
        await it.press("a")
        await it.told("counts")


async def test_a_drag_over_the_text_does_no_harm(console: Open) -> None:
    async with console(three()) as it:
        await it.pilot.mouse_down("#text", offset=(2, 1))
        await it.pilot.hover("#text", offset=(30, 5))
        await it.pilot.mouse_up("#text", offset=(30, 5))
        await it.press("ctrl+c")
        assert it.app.is_running


async def test_no_control_character_is_painted_whatever_a_caller_forgot(console: Open) -> None:
    async with console(three()) as it:
        it.app.tell("a\x1b[2Jb\u202ec")
        await it.told("a⟨ESC⟩[2Jb⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩c")
        assert all(segment.text.isprintable() for row in it.strips for segment in row)
