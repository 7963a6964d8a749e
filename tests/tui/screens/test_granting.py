"""The dialogs for what may be typed into a shell's command, with their keys pressed on the real app."""

from __future__ import annotations

import msgspec
import pytest

from bastion.control import wire
from bastion.model import Choice
from tests.tui.conftest import Open
from tui.sample_bastion import Bastion
from tui.samples import NOW, S, request, session

LINE = "r-00000001"


def shell_line(**fields: object) -> Bastion:
    """One held line of a shell."""
    values = {
        "kind": "line",
        "command": b"less /var/log/syslog",
        "stdin": "gated",
        "mode": "line",
        "sequence": 3,
        "cwd": "/srv",
        "terminal": "xterm",
    } | fields
    return Bastion([request(LINE, **values)], [session()])


async def test_m_offers_the_modes_and_enter_approves_with_the_chosen_one(console: Open) -> None:
    async with console(shell_line()) as it:
        await it.press("m")
        await it.told("what may be typed into it?", "> line", "(as it asks)")
        await it.press("down")
        await it.told("> view")
        assert it.bastion.votes == []
        await it.press("enter")
        await it.told("counts: approved by ana")
        assert (it.bastion.votes, it.bastion.modes) == ([(LINE, Choice.APPROVE, "")], [("view", 300)])


async def test_raw_says_what_it_is_and_for_how_long(console: Open) -> None:
    async with console(shell_line()) as it:
        await it.press("m", "up", "up")
        await it.told("> raw", "EVERY key", "for 5m")
        await it.press("t")
        await it.told("for 1m")
        await it.press("enter")
        await it.told("counts")
        assert it.bastion.modes == [("raw", 60)]


async def test_modes_without_an_end_carry_no_time(console: Open) -> None:
    async with console(shell_line()) as it:
        await it.press("m", "up", "enter")
        await it.told("counts")
        assert it.bastion.modes == [("none", 0)]


async def test_escape_approves_nothing(console: Open) -> None:
    async with console(shell_line()) as it:
        await it.press("m", "down", "escape")
        assert it.bastion.votes == []
        await it.press("a")
        await it.told("counts")
        assert it.bastion.modes == [("", 0)]


async def test_what_ended_meanwhile_cannot_be_approved(console: Open) -> None:
    async with console(shell_line()) as it:
        await it.press("m")
        await it.told("what may be typed")
        it.bastion.put(msgspec.structs.replace(it.bastion.requests[LINE], state="withdrawn", decided=NOW))
        await it.told("Esc closes: too late")
        await it.press("enter")
        assert it.bastion.votes == []


@pytest.mark.parametrize("kind", ["exec", "stdin"])
async def test_other_requests_have_no_keys_to_grant(console: Open, kind: str) -> None:
    more = {"parent": LINE} if kind == "stdin" else {"terminal": ""}
    async with console(shell_line(kind=kind, **more)) as it:
        await it.press("m")
        await it.told("only a line of a shell")
        assert it.bastion.votes == []


async def test_an_unknown_mode_is_no_choice(console: Open) -> None:
    """Such a request is of a newer daemon; its digest cannot be computed here, so nothing can be voted on."""
    info = request(LINE, kind="line", mode="line")
    async with console(Bastion([msgspec.structs.replace(info, mode="teleport")], [session()])) as it:
        await it.press("m")
        await it.told("TAMPERED")
        assert it.bastion.votes == []


async def test_an_open_window_has_its_badge_and_its_own_end(console: Open) -> None:
    bastion = Bastion([], [session(mode="raw", until=NOW + 300 * S)])
    async with console(bastion) as it:
        await it.press("2")
        await it.told("RAW")
        await it.press("x")
        await it.told("END SESSION", "k ends its RAW keys only")
        await it.press("k")
        await it.told("window for keys", "was ended")
        assert any(isinstance(call, wire.EndKeys) for call in bastion.calls)
        assert not any(isinstance(call, wire.KillSession) for call in bastion.calls)


async def test_without_a_window_k_ends_nothing(console: Open) -> None:
    bastion = Bastion([], [session()])
    async with console(bastion) as it:
        await it.press("2", "x")
        await it.told("END SESSION")
        assert "keys only" not in it.screen
        await it.press("k")
        await it.told("END SESSION")
        assert not any(isinstance(call, wire.EndKeys) for call in bastion.calls)
