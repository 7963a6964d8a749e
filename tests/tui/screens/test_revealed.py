"""tui/screens/revealed.py and `R` on the other screens: what is covered shows to who asks, the bastion is asked with
`reveal` (it decides, and notes it), and everything is covered again afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from bastion import errors
from bastion.control import wire
from tests.tui.conftest import Console, Open
from tui.sample_bastion import Bastion
from tui.samples import NOW, request, session
from tui.screens.revealed import RevealedScreen

SECRET = "hunter2hunter2"
ID = session().id


class Strict(Bastion):
    """One who lets nobody see what is covered."""

    strict = False

    def look(self, call: Any) -> Any:
        if self.strict and getattr(call, "reveal", False):
            raise errors.NotAllowed("ana may not see what is covered", "needs the role auditor or admin")
        if isinstance(call, wire.ListLedger):
            entry = b'{"actor":"ana","body":{"reason":"PGPASSWORD=%s"},"seq":7,"t":1}' % SECRET.encode()
            return [wire.LedgerLine(seq=7, leaf="ab" * 32, entry=entry)]
        if isinstance(call, wire.ShowSession):
            return self.sessions[call.session]
        return super().look(call)


@pytest.fixture
def bastion() -> Strict:
    held = request(command=f"PGPASSWORD={SECRET} psql\nselect 1".encode(), environment=[("X", "\u202e")])
    return Strict([held], [session()])


def asked(it: Console, kind: type[wire.Call]) -> list[Any]:
    return [call for call in it.bastion.calls if isinstance(call, kind) and call.reveal]  # type: ignore[attr-defined]


async def test_a_request(console: Open, bastion: Strict) -> None:
    async with console(bastion, size=(120, 40)) as it:
        await it.told("⟨secret password")
        assert SECRET not in it.screen
        await it.press("R")
        await it.told("REVEALED", "has an entry that says", f"PGPASSWORD={SECRET}", "select 1", "X=⟨U+202E")
        assert [call.request for call in asked(it, wire.ShowRequest)] == list(bastion.requests)
        await it.press("a", "y")  # nothing can be decided here
        assert not bastion.votes
        assert isinstance(it.app.screen, RevealedScreen)
        await it.press("R")
        await it.told("⟨secret password")
        assert SECRET not in it.screen


async def test_nothing_but_requests(console: Open, bastion: Strict) -> None:
    async with console(bastion, size=(120, 40)) as it:
        await it.press("2", "R")
        await it.told("no request is selected")
        assert not isinstance(it.app.screen, RevealedScreen)


async def test_an_entry_of_the_ledger(console: Open, bastion: Strict) -> None:
    async with console(bastion, size=(120, 40)) as it:
        await it.press("4")
        await it.told("⟨secret password")
        assert SECRET not in it.screen
        await it.press("R")
        await it.told("REVEALED", f"PGPASSWORD={SECRET}")
        assert [(call.after, call.limit) for call in asked(it, wire.ListLedger)] == [(6, 1)]
        await it.press("escape")
        await it.told("LEDGER")
        assert SECRET not in it.screen


async def test_who_may_not_is_told_and_sees_nothing(console: Open, bastion: Strict) -> None:
    async with console(bastion, size=(120, 40)) as it:
        bastion.strict = True
        await it.press("4")
        await it.told("⟨secret password")
        await it.press("R")
        await it.told("ana may not see what is covered")
        assert SECRET not in it.screen


async def test_what_is_watched(console: Open, bastion: Strict) -> None:
    async with console(bastion, size=(120, 40)) as it:
        await it.press("w")
        await it.told("WATCHING")
        await it.press("R")
        await it.told("REVEALED")
        calls = [type(call) for call in bastion.calls if isinstance(call, wire.WatchSession | wire.UnwatchSession)]
        assert calls == [wire.WatchSession, wire.UnwatchSession, wire.WatchSession]
        assert len(asked(it, wire.WatchSession)) == 1
        await it.press("R")
        await it.told("WATCHING")
        assert len(asked(it, wire.WatchSession)) == 1
        await it.press("escape", "w")
        await it.told("WATCHING")


async def test_what_was_recorded(console: Open, bastion: Strict) -> None:
    bastion.put_session(session(state="closed", closed=NOW, end="done"))
    covered = [wire.FrameInfo(at=0, kind="output", data=b"covered\n")]
    async with console(bastion, size=(120, 40)) as it:
        bastion.recording = covered
        await it.press("2", "w")
        await it.told("covered")
        bastion.recording = [wire.FrameInfo(at=0, kind="output", data=f"{SECRET}\n".encode())]
        await it.press("R")
        await it.told("REVEALED", SECRET)
        bastion.recording = covered
        await it.press("R")
        await it.told("WATCHING", "covered")
        assert SECRET not in it.screen
