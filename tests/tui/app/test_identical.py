"""Approving what is identical by one act, under the guards of every other approval."""

from __future__ import annotations

from typing import Any

import pytest

from bastion import errors
from bastion.model import Choice
from tests.tui.conftest import Open
from tui.sample_bastion import Bastion
from tui.samples import NOW, request, vote

IDS = ("r-00000001", "r-00000002", "r-00000003")
APPROVED = [(id, Choice.APPROVE, "") for id in IDS]


def several(*more: Any, **fields: Any) -> Bastion:
    """Three identical requests, the oldest first, and others."""
    return Bastion([*(request(id, age=30 - at, **fields) for at, id in enumerate(IDS)), *more], [])


async def test_one_act_a_vote_each(console: Open) -> None:
    other = request("r-00000004", age=1, target="web-2")
    async with console(several(other)) as it:
        assert "+2 identical" in it.screen
        await it.press("i")
        await it.told("APPROVE 3 identical requests", *IDS, "root@web-1")
        assert other.id not in it.screen
        assert it.bastion.votes == []
        await it.press("y")
        await it.told("3 of 3 votes count")
        assert it.bastion.votes == APPROVED
        assert it.bastion.requests[other.id].state == "held"


@pytest.mark.parametrize(
    "fields",
    [
        {"command": b"systemctl restart nginx "},
        {"target": "web-2"},
        {"login": "deploy"},
        {"identity": "claude-dev"},
        {"key": "SHA256:other"},
        {"stdin_code": b"x"},
        {"script": "./x.sh", "script_code": b"echo"},
        {"environment": [("LANG", "C"), ("LD_PRELOAD", "/tmp/x.so")]},
        {"reason": "another"},
        {"approvals": 2},
        {"host_keys": ["ssh-ed25519 AAAA"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_what_differs_cannot_be_joined(console: Open, fields: dict[str, Any]) -> None:
    async with console(Bastion([request("r-00000001", age=9), request("r-00000002", age=1, **fields)], [])) as it:
        assert "identical" not in it.screen.split("HELD")[1].split("\n")[0]
        await it.press("i")
        assert "no other held request is identical to it" in it.screen
        await it.press("y")
        assert it.bastion.votes == []


async def test_lines_of_a_shell_are_judged_alone(console: Open) -> None:
    async with console(several(kind="line", sequence=3, cwd="/srv")) as it:
        await it.press("i")
        assert "judged alone" in it.screen


async def test_high_risk_takes_the_same_second_key_and_no_other(console: Open) -> None:
    async with console(several(tier="high", score=90), keymap={"request.confirm": "f6"}) as it:
        await it.press("i")
        await it.told("APPROVE 3 identical", "f6 approves each")
        await it.press("y", "i", "a", "enter")
        assert it.bastion.votes == []
        await it.press("f6")
        await it.told("3 of 3 votes count")


async def test_not_within_700_ms_nor_by_a_paste(console: Open) -> None:
    async with console(several()) as it:
        await it.press("i")
        await it.told("APPROVE 3")
        await it.press("y", after=0.5)
        assert "just changed by itself" in it.screen
        it.wait_seconds(3)
        await it.pilot.press("u", "y")
        await it.told("look like a paste")
        assert it.bastion.votes == []
        await it.press("y")
        await it.told("3 of 3 votes count")


async def test_what_comes_while_it_is_open_is_not_in_it_and_what_ends_falls_out(console: Open) -> None:
    async with console(several()) as it:
        await it.press("i")
        await it.told("APPROVE 3")
        it.bastion.put(request("r-00000009", age=2))
        it.bastion.change(IDS[1], state="denied", decided=NOW, votes=[vote("bob", "deny")])
        await it.told("denied", "left out")
        assert "r-00000009" not in it.screen.split("APPROVE 3")[1]
        await it.press("y")
        await it.told("2 of 2 votes count")
        assert it.bastion.votes == [APPROVED[0], APPROVED[2]]


async def test_one_that_is_told_otherwise_spoils_all(console: Open) -> None:
    async with console(several()) as it:
        await it.press("i")
        await it.told("APPROVE 3")
        it.bastion.put(request(IDS[2], age=28, command=b"rm -rf /"))
        await it.told("is not what it was")
        await it.press("y")
        assert it.bastion.votes == []
        await it.press("escape")
        assert "APPROVE 3" not in it.screen


async def test_a_flood_of_identical_ones_keeps_nobody_from_deciding(console: Open) -> None:
    async with console(several()) as it:
        for number in range(100):
            it.bastion.put(request(f"r-f{number:07x}", age=1))
        await it.told("103 held", "+102 identical")
        await it.press("i")
        await it.told("APPROVE 12 identical requests, 91 more are left for later")
        for number in range(100, 200):
            it.bastion.put(request(f"r-f{number:07x}", age=1))
        await it.until(lambda: len(it.app.view.held) == 203)
        await it.press("y")
        await it.told("12 of 12 votes count")
        assert it.bastion.votes[:3] == APPROVED


async def test_it_must_have_been_read(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(60))
    async with console(several(command=command)) as it:
        await it.press("i")
        assert "read on" in it.screen
        await it.press("end", "i")
        assert "not all of it was on your screen" in it.screen
        assert it.bastion.votes == []


async def test_each_needs_its_votes_and_nobody_votes_twice(console: Open) -> None:
    bastion = several(approvals=2)
    bastion.change(IDS[1], votes=[vote("ana")])
    async with console(bastion) as it:
        await it.press("i")
        await it.told("APPROVE 2 identical requests", "0 of 2 approvals")
        await it.press("y")
        await it.told("2 of 2 votes count")
        assert all(it.app.view.items[id].held for id in IDS)


async def test_a_signature_that_is_declined_ends_it(console: Open) -> None:
    bastion = several()
    bastion.vote_error = errors.UsageError("the agent refused to sign")
    async with console(bastion, size=(140, 30)) as it:
        await it.press("i", "y")
        await it.told("0 of 3 votes count; it stopped there: the agent refused to sign")
        assert it.app.view.voting == frozenset()


async def test_where_there_is_no_room_for_the_list_nothing_is_approved(console: Open) -> None:
    async with console(several(), size=(40, 12)) as it:
        await it.press("end", "home", "i")
        if "no room" in it.screen:
            await it.press("y")
            assert it.bastion.votes == []
