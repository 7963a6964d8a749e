"""Events against what the published schema asks of them (tests/vectors/ocsf/rules.json)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion import ocsf
from bastion.ocsf import ROWS, Exporter

ROOT = Path(ocsf.__file__).parents[1]
RULES = json.loads((ROOT / "tests/vectors/ocsf/rules.json").read_text())


def entry(kind: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
    values = {
        "origin": "bastion.example/00000000", "seq": 7, "t": 1_763_700_000_000_001, "type": kind, "actor": "fixer",
        "session": "s-1", "request": "", "leaf": "ab" * 32, "body": body or {},
    }  # fmt: skip
    return SimpleNamespace(**{**values, **more})


def found(event: dict[str, Any], path: str) -> Any:
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def check(event: dict[str, Any]) -> None:
    base, kind = RULES["base"], RULES["classes"][str(event["class_uid"])]
    for name in [*base["required"], *kind["required"]]:
        assert event.get(name) is not None, name
    for name in base["integers"]:
        assert type(event[name]) is int, name
    for name, allowed in base["enums"].items():
        assert event[name] in allowed, name
    assert event["category_uid"] == kind["category"]
    assert event["activity_id"] in kind["activities"]
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["metadata"]["version"] == RULES["version"] == ocsf.VERSION
    for names in [kind["at_least_one"]]:
        assert not names or any(event.get(name) for name in names)
    for path, rule in RULES["objects"].items():
        value = found(event, path)
        if value is not None:
            assert all(value.get(name) for name in rule["required"]), path
            assert not rule["at_least_one"] or any(value.get(name) for name in rule["at_least_one"]), path


@pytest.mark.parametrize("kind", [*ROWS, "daemon.started", "something.new"])
def test_every_type_becomes_events_of_the_schema(kind: str) -> None:
    for body in ({}, {"identity": "a", "target": "web-1", "client": "10.0.0.1:4022", "name": "n", "id": "i"}):
        events = list(Exporter("1").events(entry(kind, body)))
        assert events
        for event in events:
            check(event)
            json.dumps(event)


def test_a_session_is_a_logon_and_a_connection_from_where_it_came() -> None:
    exporter = Exporter("1")
    body = {"identity": "fixer", "target": "web-1", "login": "root", "client": "[2001:db8::1]:4022"}
    logon, opened = exporter.events(entry("session.opened", body))
    assert (logon["class_uid"], logon["activity_id"], logon["user"]["name"]) == (3002, 1, "fixer")
    assert (opened["class_uid"], opened["activity_id"]) == (4007, 1)
    assert opened["src_endpoint"] == {"ip": "2001:db8::1", "port": 4022}
    assert opened["dst_endpoint"]["name"] == "web-1"
    (command,) = exporter.events(entry("command.started", request="r-1"))
    assert command["src_endpoint"]["ip"] == "2001:db8::1"
    assert command["resources"] == [{"type": "request", "uid": "r-1"}]
    assert command["metadata"]["correlation_uid"] == "r-1"
    assert len(list(exporter.events(entry("session.closed")))) == 2
    assert not exporter._sessions  # memory is that of open sessions
    (late,) = exporter.events(entry("command.finished", {"status": 1}))
    assert late["src_endpoint"] == {"hostname": "bastion.example"}
    assert late["status_id"] == 2


def test_decisions_say_how_they_ended() -> None:
    for choice, status in (("approve", 1), ("deny", 2), ("expired", 2)):
        (event,) = Exporter("1").events(entry("request.decided", {"choice": choice}))
        assert event["status_id"] == status


def test_sessions_that_never_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocsf, "SESSIONS", 5)
    exporter = Exporter("1")
    for number in range(50):
        list(exporter.events(entry("session.opened", session=f"s-{number}")))
    assert len(exporter._sessions) == 5


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=4))
def test_what_agents_say_stays_inside_its_line(actor: str, body: dict[str, str]) -> None:
    for kind in ("session.opened", "request.proposed", "identity.added"):
        for event in Exporter("1").events(entry(kind, body, actor=actor or "x")):
            line = json.dumps(event, ensure_ascii=True)
            assert "\n" not in line
            assert line.isascii()
            assert json.loads(line) == event


def test_the_mapping_is_documented() -> None:
    text = (ROOT / "docs/ocsf.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z.-]+)` \| (.+?) \|$", text, re.M))
    assert rows == {
        kind: "; ".join(f"{row.kind.name} {row.kind.uid}: {row.kind.activities[row.activity]}" for row in each)
        for kind, each in ROWS.items()
    }
    assert ocsf.VERSION in text
