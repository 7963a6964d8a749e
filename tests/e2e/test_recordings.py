"""Recordings as people find and look at them: with a daemon from elsewhere, and on the store when none runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bastion.cli.conftest import Shell
from tests.e2e.conftest import make_house
from tests.e2e.test_evidence import shells
from tests.support.house import House
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
