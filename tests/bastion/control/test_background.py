"""What is told of a request beside itself, by a real bastion."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion.control import wire
from bastion.errors import NotFound
from bastion.likeness import ALIKE, alike, words
from bastion.model import Choice
from tests.support.house import House


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        (b"systemctl restart nginx", b"systemctl restart postgresql", True),
        (b"systemctl restart nginx", b"systemctl stop api", False),
        (b"rm -rf /srv/a", b"ls -rf /srv/a", False),
        (b"rm -rf /srv/a", b"rm -rf /srv/b", True),
        (b"", b"", False),
        (b"x" * 100_000, b"x" * 100_000, True),
    ],
)
def test_likeness(one: bytes, other: bytes, are: bool) -> None:
    assert (alike(words(one), words(other)) >= ALIKE) is are
    assert alike(words(one), words(other)) == alike(words(other), words(one))


@pytest.mark.e2e
async def test_what_was_decided_before(house: House, tmp_path: Path) -> None:
    async with await house.local() as ana:
        for words_, choice in ((("echo", "one"), Choice.APPROVE), (("echo", "two"), Choice.DENY)):
            process = await house.ssh("web-1", *words_)
            await house.decide(ana, choice, "because", command=" ".join(words_).encode())
            await house.finish(process)
        process = await house.ssh("web-1", "echo", "one")
        held = await house.held(ana)
        found = await ana.call(wire.ShowBackground, wire.BackgroundInfo, request=held.id)
        assert [(each.command, each.same, each.state, each.by) for each in found.past] == [
            (b"echo one", True, "approved", ["ana"]),
            (b"echo two", False, "denied", ["ana"]),
        ]
        assert (found.same_approved, found.same_denied) == (1, 0)
        assert found.approved is not None
        assert found.approved.command == b"echo one"
        assert found.terminal == []
        assert found.access is not None
        assert found.access.target == "web-1"
        assert found.damage
        await ana.vote(held, Choice.DENY, "enough")
        await house.finish(process)
        with pytest.raises(NotFound):
            await ana.call(wire.ShowBackground, wire.BackgroundInfo, request="r-00000000")


@pytest.mark.e2e
async def test_the_policy_in_force(house: House) -> None:
    async with await house.remote("eve") as eve:
        found = await eve.call(wire.ShowPolicy, wire.PolicyInfo)
    assert found.name == "tests"
    assert found.texts[0][1].startswith('policy "tests"')
    assert any("held for a person" in words_ for _, words_ in found.sentences)
    assert found.freezes == []
