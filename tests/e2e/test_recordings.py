"""Recordings as people find and look at them: with a daemon from elsewhere, and on the store when none runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from recorder.frames import Frame
from recorder.player import Player
from tests.bastion.cli.conftest import Shell
from tests.bypass.adapters.ours import Ours
from tests.e2e.test_evidence import shells
from tests.support.house import House, make_house
from tests.support.shell import shell
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = make_house(tmp_path / "house", sshd)
    made.start()
    yield made
    made.stop()


async def test_a_search_finds_commands_and_screens(house: House) -> None:
    ana = await house.local()
    ssh = await house.ssh("web-1", r"printf 'a need'; printf 'le \033]0;title\007\033[5mhere\n'")
    info = await house.decide(ana)
    await house.finish(ssh)
    ssh = await house.ssh("web-1", "rm needle")
    denied = await house.held(ana)
    await ana.close()
    away, local = shells(house)

    def check(shell: Shell) -> None:
        found = shell("session", "search", "NEEDLE", "--json")
        assert (found.status, found.err) == (0, "")
        hits = {hit["request"]: hit for hit in found.json["hits"]}
        assert set(hits) == {info.id, denied.id}
        hit = hits[info.id]
        assert (hit["where"], hit["line"], hit["decision"]) == ("screen", "a needle here", "approved")
        command, at = hit["open"].rsplit(" ", 1)
        assert command == f"bastion session replay {info.session} --at"
        assert 0 <= float(at) * 1e6 - hit["offset"] < 1001
        told = shell("session", "search", "needle", "--identity", "agent-7", "--since", "1h").out
        assert "  | a needle here\n" in told
        assert "\x1b" not in told
        assert told.endswith("2 hits in 2 sessions\n")
        none = shell("session", "search", "needle", "--target", "web-2")
        assert (none.status, none.out) == (1, "0 hits in 0 sessions\n")
        assert shell("session", "search", "x", "--since", "soon").status == 2

    check(away)
    entries = local("ledger", "list", "--json").json
    assert any(entry["actor"] == "ana" and entry["body"].get("what") == "search" for entry in entries)
    house.stop()
    await house.finish(ssh)
    check(local)


async def test_a_shell_is_rendered_by_a_process_beside_the_daemon() -> None:
    """A governed shell on a real terminal: its commands are marks, and any moment of it comes with a screen."""
    async with Ours() as ours:
        async with shell(ours) as sh:
            await sh.line("echo first; seq 3000")
            await sh.line("printf 'the %s\\n' needle", "the needle")
        sessions = await ours.ana.call(wire.ListSessions, list[wire.SessionInfo])
        info = next(each for each in reversed(sessions) if each.output_bytes or each.state == "open")
        async with asyncio.timeout(60):
            while True:
                about = await ours.ana.call(wire.ReadTimeline, wire.TimelineInfo, session=info.id)
                if about.chunks and about.rendered == about.chunks and info.state != "open":
                    break
                info = await ours.ana.call(wire.ShowSession, wire.SessionInfo, session=info.id)
                await asyncio.sleep(0.1)
        assert about.terminal
        assert [mark.request for mark in about.marks] == info.requests
        assert not about.stopped
        found = await ours.ana.call(wire.ReadMoment, wire.MomentInfo, session=info.id, frame=about.marks[-1].frame)
        player = Player((about.columns, about.lines))
        frames = [Frame(each.at, each.kind, each.data) for each in found.frames]
        player.arrive(found.screen, frames, found.first, found.target, None)
        while player.hurrying:
            player.advance(0.0)
        assert found.screen, "from a keyframe, not from the beginning"
        assert not player.refused
        assert "3000" in player.screen.text()
        assert "the needle" not in player.screen.text(), "it is typed there, and has not run"
        result = await ours.ana.call(wire.SearchSessions, wire.SearchResult, text="the needle", session=info.id)
        assert [hit.request for hit in result.hits if hit.where == "screen"] == [info.requests[-1]]
        assert result.notes == []
