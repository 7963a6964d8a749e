"""Approve and remember: what is shown is what is signed, and nothing is signed that was not shown."""

from __future__ import annotations

import msgspec

from bastion import errors
from bastion.control import wire
from bastion.model import Choice
from tests.tui.conftest import Open
from tui.items import Item
from tui.remembering import Memory, remember
from tui.sample_bastion import Bastion
from tui.samples import NOW, S, request, session
from tui.screens.remembering import RememberScreen

ID = "r-7f3a0c11"
WEEK = 7 * 86400


def memory(**fields: object) -> Memory:
    info = request(**fields)
    made = remember(Item.first(info), Bastion().propose(info), NOW)
    assert isinstance(made, Memory)
    return made


def text(parts: tuple[tuple[str, str], ...]) -> str:
    return "".join(part for part, _ in parts)


class TestChoice:
    def test_first_is_exactly_this(self) -> None:
        it = memory()
        assert it.text == "systemctl restart nginx"
        assert it.limits == {"everywhere": False, "expires": NOW + WEEK * S}
        assert "on web-1 only" in text(it.scope())
        assert "for 7d, until 2026-11-28" in text(it.term())

    def test_all_candidates_and_round(self) -> None:
        it = memory()
        assert it.step(1).text == "systemctl restart {unit}"
        assert it.step(2) == it
        assert it.step(-1) == it.step(1)

    def test_wider_says_so(self) -> None:
        it = memory().wider()
        assert "on every target of production" in text(it.scope())
        assert it.limits["everywhere"]
        assert not it.wider().limits["everywhere"]

    def test_no_environment_no_wider(self) -> None:
        assert not memory(env="").wider().everywhere

    def test_spans_never_exceed_the_limit(self) -> None:
        it = memory()
        assert it.spans == [WEEK, 86400, 3600]
        assert it.shorter().until == NOW + 86400 * S
        assert it.shorter().shorter().shorter() == it

    def test_low_may_last(self) -> None:
        it = memory(tier="low")
        assert it.until == 0
        assert "until somebody removes it" in text(it.term())
        assert it.shorter().until == NOW + 30 * 86400 * S

    def test_what_cannot_be_shown_plainly_is_marked(self) -> None:
        assert "\x1b" not in memory(command=b"echo \x1b[2J").text

    def test_refused(self) -> None:
        bastion = Bastion()
        bastion.not_remembered = "it is opaque"
        info = request()
        assert "it is opaque" in str(remember(Item.first(info), bastion.propose(info), NOW))

    def test_another_command_than_on_display(self) -> None:
        info = request()
        other = msgspec.structs.replace(Bastion().propose(info), command=b"id")
        assert "another command" in str(remember(Item.first(info), other, NOW))


async def test_approved_and_remembered(console: Open) -> None:
    async with console(Bastion([request()], [session()])) as it:
        await it.press("A")
        await it.told("AND REMEMBER", "systemctl restart nginx", "on web-1 only", "for 7d")
        await it.press("down", "e", "t")
        await it.told("systemctl restart {unit}", "on every target of production", "for 1d")
        assert it.bastion.votes == []
        await it.press("enter")
        await it.told("remembered as w-00000001")
        assert it.bastion.votes == [(ID, Choice.APPROVE, "")]
        (entry,) = it.bastion.remembered
        assert (entry.pattern, entry.env, entry.target) == ("systemctl restart {unit}", "production", "")
        assert entry.expires == NOW + 86400 * S


async def test_given_up(console: Open) -> None:
    async with console(Bastion([request()], [session()])) as it:
        await it.press("A")
        await it.told("AND REMEMBER")
        await it.press("escape")
        assert not isinstance(it.app.screen, RememberScreen)
        assert (it.bastion.votes, it.bastion.remembered) == ([], [])


async def test_a_key_pressed_before_the_dialog_came_does_nothing(console: Open) -> None:
    async with console(Bastion([request()], [session()])) as it:
        await it.press("A")
        await it.told("AND REMEMBER")
        await it.press("enter", after=0.6)
        await it.told("the screen had just changed by itself")
        assert it.bastion.votes == []
        await it.press("enter")
        await it.told("remembered as")


async def test_high_is_never_remembered(console: Open) -> None:
    async with console(Bastion([request(tier="high", score=90)], [session()])) as it:
        await it.press("A")
        await it.told("rated high is never remembered")
        assert not any(isinstance(call, wire.ProposeWhitelist) for call in it.bastion.calls)


async def test_what_the_bastion_refuses(console: Open) -> None:
    bastion = Bastion([request()], [session()])
    bastion.not_remembered = "the command runs a script file"
    async with console(bastion) as it:
        await it.press("A")
        await it.told("the command runs a script file")
        assert not isinstance(it.app.screen, RememberScreen)


async def test_decided_meanwhile(console: Open) -> None:
    async with console(Bastion([request()], [session()])) as it:
        await it.press("A")
        await it.told("AND REMEMBER")
        it.bastion.change(ID, state="denied", decided=NOW, decision_reason="no")
        await it.told("too late")
        await it.press("enter")
        assert (it.bastion.votes, it.bastion.remembered) == ([], [])
        assert isinstance(it.app.screen, RememberScreen)


async def test_a_vote_that_does_not_count_is_not_remembered(console: Open) -> None:
    bastion = Bastion([request()], [session()])
    async with console(bastion) as it:
        await it.press("A")
        await it.told("AND REMEMBER")
        bastion.vote_error = errors.Conflict("somebody was faster")
        await it.press("enter")
        await it.told("somebody was faster")
        assert it.bastion.remembered == []


async def test_longer_than_the_window(console: Open) -> None:
    async with console(Bastion([request(command=b"echo " + b"x" * 2000)], [session()])) as it:
        await it.press(*["space"] * 6, "A")
        await it.told("AND REMEMBER", "too long to be shown whole")
        await it.press("enter")
        assert (it.bastion.votes, it.bastion.remembered) == ([], [])
