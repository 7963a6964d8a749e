"""What one session writes into the ledger, and in how many commits."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from bastion.audit import Audit, Draft, session_opened
from bastion.policy.risk import assess
from bastion.ssh.records import Records
from tests.support.requests import REQUEST

RUN = replace(REQUEST, command=b"true", assessment=assess(b"true"))


class Written:
    """In place of the ledger: types of entries, by commit."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []

    async def write(self, *drafts: Draft) -> list[object]:
        self.commits.append([draft.type for draft in drafts])
        return [object() for _ in drafts]


def records() -> tuple[Records, Written]:
    written = Written()
    opened = session_opened("s-1", "agent-7", "SHA256:x", "web-1", "deploy", "127.0.0.1")
    return Records(cast(Audit, written), "s-1", "agent-7", opened), written


async def test_the_end_of_a_session_that_went_with_its_command_is_not_written_again() -> None:
    mine, written = records()
    ending = mine.ending(RUN, 0, "", "", closing="exit 0")
    types = [draft.type for draft in ending.drafts(None)]
    assert types == ["session.opened", "command.finished", "session.closed"]
    assert mine.ended(ending, None) == "exit 0"
    await mine.closed("exit 0")
    assert written.commits == []


async def test_what_was_refused_after_that_is_written_all_the_same() -> None:
    mine, written = records()
    mine.ended(mine.ending(RUN, 0, "", "", closing="exit 0"), None)
    mine.refused("x11-req")
    await mine.closed("exit 0")
    assert written.commits == [["channel.refused"]]


async def test_a_session_that_goes_on_is_closed_by_itself() -> None:
    mine, written = records()
    await mine.finished(RUN, None, 0, "", "")
    await mine.closed("exit 0")
    assert written.commits == [["session.opened", "command.finished"], ["session.closed"]]
