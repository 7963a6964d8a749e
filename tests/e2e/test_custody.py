"""Redaction, holds and a change of keys as people do them, on a daemon that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.admin import administering
from tests.e2e.test_evidence import shells
from tests.support.house import House, make_house
from tests.support.keys import make_key
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = make_house(tmp_path / "house", sshd)
    with administering(made.config, "local:0") as admin:
        for name in ("kim", "lee"):
            admin.add_identity(name, "human", ["admin"], make_key(made.work / name))
    made.start()
    yield made
    made.stop()


async def test_two_people_redact_what_a_command_printed_and_held_sessions_stay(house: House) -> None:
    ana = await house.local()
    ssh = await house.ssh("web-1", f"echo before; sleep 0.05; printf '%s\\n' {KEY}; sleep 0.05; echo after")
    info = await house.decide(ana)
    await house.finish(ssh)
    away, local = shells(house)
    kim, lee = ("--key", str(house.work / "kim")), ("--key", str(house.work / "lee"))
    begin = ("session", "redact", info.session, "--text", KEY, "--content", info.id, "--reason", "a key was printed")

    held = local("session", "hold", info.session, "--reason", "court")
    assert (held.status, held.err) == (0, "")
    refused = local(*begin, *kim, "--save", "order")
    assert (refused.status, "is held: court" in refused.err) == (1, True)
    assert [each["session"] for each in local("session", "holds", "--json").json] == [info.session]
    assert local("session", "release", info.session, "--reason", "over").status == 0

    alone = local(*begin, *kim)
    assert (alone.status, "it takes 2 people" in alone.err) == (2, True)
    secret = local(*begin[:-1], f"it was {KEY}", *kim, "--save", "order")
    assert (secret.status, "held a secret" in secret.err) == (2, True)
    saved = local(*begin, *kim, "--save", "order")
    assert (saved.status, saved.err) == (0, "")
    assert KEY not in Path(local.work / "order").read_text()
    twice = local("session", "redact", "--order", "order", *kim)
    assert (twice.status, "1 of 2 people" in twice.err) == (1, True)
    no_admin = local("session", "redact", "--order", "order", "--key", str(house.work / "ana"))
    assert (no_admin.status, "not an admin's" in no_admin.err) == (1, True)
    done = local("session", "redact", "--order", "order", *lee)
    assert (done.status, done.err) == (0, "")
    again = local("session", "redact", "--order", "order", *lee)
    assert (again.status, "carried out before" in again.err) == (1, True)
    elsewhere = away("session", "holds")
    assert elsewhere.status == 0

    text = local("session", "export", info.session, "--format", "txt", "--reveal").out
    assert KEY not in text
    assert "before" in text
    assert "after" in text
    assert "[redacted: " in text
    shown = local("request", "show", info.id, "--reveal").out
    assert KEY not in shown
    checked = local("ledger", "verify", "--json")
    assert (checked.status, checked.json["verdict"], checked.json["redacted"]) == (0, "OK", 2)

    # the key of the ledger changes under all of this
    old = local("ledger", "head", "--json").json
    changed = local("ledger", "rotate-key", "--json")
    assert (changed.status, changed.err) == (0, "")
    assert (house.config.state / "ledger_key.pub").read_text().strip() == changed.json["key"]
    ssh = await house.ssh("web-1", "echo more")
    await house.decide(ana)
    await house.finish(ssh)
    await ana.close()
    assert away("ledger", "head").status == 0  # a tool that saw the old head follows
    house.stop()
    assert local("ledger", "verify", "--head", old["anchor"]).status == 0
    house.start()
    assert local("ledger", "verify", "--head", old["anchor"], "--json").json["key"] == changed.json["key"]
    assert json.loads(local("retention", "run", "--dry-run", "--json").out)["recordings"] == []
