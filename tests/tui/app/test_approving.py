"""Approving, with keys pressed: one key, two keys, what a vote is computed from."""

from __future__ import annotations

from typing import Any

import pytest

from bastion import errors
from bastion.control import wire
from bastion.model import Choice
from tests.tui.conftest import HIGH, MEDIUM, UNRATED, Open, three
from tui.sample_bastion import Bastion
from tui.samples import request


async def test_one_key_approves_medium_risk(console: Open) -> None:
    async with console(three()) as it:
        await it.press("a")
        await it.told("counts: approved by ana")
        assert it.bastion.votes == [(MEDIUM, Choice.APPROVE, "")]


@pytest.mark.parametrize("down", [1, 2])
async def test_high_and_unrated_risk_ask_for_a_second_key(console: Open, down: int) -> None:
    async with console(three()) as it:
        await it.press(*["down"] * down, "a")
        assert "APPROVE r-0000000" in it.screen
        assert "y = yes" in it.screen
        assert it.bastion.votes == []
        await it.press("y")
        await it.told("counts: approved by ana")
        assert it.bastion.votes == [((HIGH, UNRATED)[down - 1], Choice.APPROVE, "")]


@pytest.mark.parametrize("other", ["n", "a", "escape", "down", "space", "z", "slash"])
async def test_any_other_key_disarms(console: Open, other: str) -> None:
    async with console(three()) as it:
        await it.press("down", "a", other)
        if other == "a":  # the first key again asks again; it never confirms
            assert "y = yes" in it.screen
        else:
            await it.press("y")
        assert it.bastion.votes == []


async def test_the_second_key_means_nothing_by_itself(console: Open) -> None:
    async with console(three()) as it:
        await it.press("y", "down", "y", "down", "y")
        assert it.bastion.votes == []
        assert "yes, approve" not in it.screen


async def test_a_question_that_nobody_answers_goes_away(console: Open) -> None:
    async with console(three()) as it:
        await it.press("down", "a")
        it.wait_seconds(10)
        it.app.draw()
        await it.pilot.pause()
        assert "y = yes" not in it.screen
        await it.press("y")
        assert it.bastion.votes == []


async def test_what_was_displayed_is_what_is_voted_on(console: Open) -> None:
    """The vote is computed from the very object that was on display."""
    seen: list[wire.RequestInfo] = []
    async with console(three()) as it:
        client = it.bastion.clients[0]
        cast = client.vote

        async def note(info: wire.RequestInfo, choice: Choice, reason: str, *more: Any) -> wire.RequestInfo:
            seen.append(info)
            return await cast(info, choice, reason, *more)

        client.vote = note  # type: ignore[method-assign]
        shown = it.app.view.items[MEDIUM].info
        await it.press("a")
        await it.told("counts")
        assert seen[0] is shown


async def test_a_vote_that_is_being_signed_cannot_be_cast_again(console: Open) -> None:
    bastion = three()
    bastion.hold_votes.clear()
    async with console(bastion) as it:
        await it.press("a")
        await it.told("being signed")
        await it.press("a", "d")
        assert "under way" in it.screen
        bastion.hold_votes.set()
        await it.told("counts")
        assert len(bastion.votes) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.Conflict("decided already"), "did not count: decided already"),
        (errors.NotAllowed("not an approver"), "not an approver"),
        (errors.Unreachable("lost"), "unknown whether the vote counted"),
        (errors.UsageError("no key\x1b[2J"), "no key⟨ESC⟩"),
    ],
)
async def test_a_vote_that_fails_says_so(console: Open, error: errors.BastionError, words: str) -> None:
    bastion = three()
    bastion.vote_error = error
    async with console(bastion, size=(140, 30)) as it:
        await it.press("a")
        await it.told(words)
        assert it.app.view.items[MEDIUM].held


async def test_one_of_two_approvals(console: Open) -> None:
    async with console(Bastion([request(MEDIUM, approvals=2)], [])) as it:
        await it.press("a")
        await it.told("more must approve", "1 of 2 approvals")
        await it.press("a")
        assert "1 other person must approve too" in it.screen
        assert len(it.bastion.votes) == 1
