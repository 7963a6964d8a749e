"""`ledger export --format ocsf` on a real ledger."""

from __future__ import annotations

import json

from tests.bastion.cli.conftest import Shell


def test_events_of_a_ledger(made: Shell) -> None:
    assert made("identity", "add", "bot", "--kind", "agent", "--key", "bot.pub").status == 0
    done = made("ledger", "export", "events", "--format", "ocsf", "--json")
    assert (done.status, done.err) == (0, "")
    lines = [json.loads(line) for line in (made.work / "events").read_text().splitlines()]
    assert len(lines) == done.json["events"]
    assert [line["metadata"]["sequence"] for line in lines] == list(range(done.json["last"] + 1))
    assert (made.work / "events").stat().st_mode & 0o777 == 0o600
    assert lines[-1]["entity"] == {"type": "Identity", "name": "bot", "uid": "bot"}
    rest = made("ledger", "export", "-", "--format", "ocsf", "--after", str(done.json["last"] - 1))
    assert [json.loads(line) for line in rest.out.splitlines()] == lines[-1:]
    assert made("ledger", "export", "events", "--format", "ocsf").status == 1
    assert made("ledger", "export", "x", "--format", "ocsf", "--content").status == 2
    assert made("ledger", "export", "x", "--after", "3").status == 2
