"""`bastion stats` over a ledger: what it says of what was asked, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.counting import count
from bastion.history import pack
from bastion.model import Assessment, Tier
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from tests.bastion.desks import make_request


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.create(tmp_path / "store", host="bastion.example", key=LedgerKey.create(tmp_path / "key"))
    yield opened
    opened.close()


def asked(number: int, command: bytes, tier: Tier = Tier.LOW, *, verdict: str = "hold") -> list[Draft]:
    import dataclasses

    request = dataclasses.replace(make_request(f"r-{number:08x}", command=command), assessment=Assessment(10, tier, ()))
    body = {
        "digest": request.digest, "verdict": verdict, "kind": "exec", "identity": request.identity, "env": "staging",
        "approvals": 1, "rule": "default", "tier": tier.value,
    }  # fmt: skip
    payloads = {"content": pack(request)}
    drafts = [Draft("request.proposed", request.identity, body, request=request.id, payloads=payloads)]
    if verdict == "hold":
        said = {"digest": request.digest, "choice": "approve", "by": "ana"}
        drafts.append(Draft("request.decided", "ana", said, request=request.id))
    return drafts


def told(ledger: Ledger, tmp_path: Path, **call: int) -> wire.StatsInfo:
    with Reader.open(tmp_path / "store") as reader:
        return count(reader, wire.ShowStats(id=1, **call))


def test_what_asks_most_comes_with_the_entry_that_settles_it(ledger: Ledger, tmp_path: Path) -> None:
    drafts = []
    for number in range(6):
        drafts += asked(
            number, b"systemctl restart nginx" if number < 4 else b"systemctl restart postgresql", Tier.MEDIUM
        )
    for number in range(6, 9):
        drafts += asked(number, b"rm -rf /srv/data", Tier.HIGH)
    ledger.append(*drafts).result(30)
    said = told(ledger, tmp_path)
    nginx, high, postgres = said.commands
    assert (nginx.command, nginx.held, nginx.why) == (b"systemctl restart nginx", 4, "")
    assert nginx.line.startswith("agent-7 deploy target:web-1 medium ")
    assert (nginx.settles, postgres.settles) == (6, 6)  # the pattern takes both
    assert "pattern" in nginx.line
    assert (high.line, high.settles) == ("", 0)
    assert "never remembered" in high.why
    assert (said.held, said.approved, said.approvers[0].quick) == (9, 9, 9)
    assert "nobody reads so fast" in said.approvers[0].warning


def test_the_line_is_one_that_can_be_imported(ledger: Ledger, tmp_path: Path) -> None:
    from bastion.policy.listing import HEADER, parse

    ledger.append(*asked(1, b"uptime")).result(30)
    (row,) = parse(f"{HEADER}\n{told(ledger, tmp_path).commands[0].line}\n")
    assert (row.command, row.identity, row.target) == (b"uptime", "agent-7", "web-1")


def test_since(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(5):
        ledger.append(*asked(number, b"id")).result(30)
    with Reader.open(tmp_path / "store") as reader:
        times = [entry.t for entry in reader.entries(types=("request.proposed",))]
    assert told(ledger, tmp_path, since=times[2]).requests == 3
    assert told(ledger, tmp_path, since=times[4] + 10**9).requests == 0
    assert told(ledger, tmp_path).requests == 5


def test_ten_thousand_entries_take_a_moment(ledger: Ledger, tmp_path: Path) -> None:
    """A hundred thousand, of which 20,000 commands were read, took 3.3 s where this was written."""
    for start in range(0, 5_000, 500):
        ledger.append(
            *[draft for number in range(start, start + 500) for draft in asked(number, b"echo %d" % (number % 700))]
        ).result(60)
    begun = time.process_time()
    said = told(ledger, tmp_path)
    assert (said.entries, said.held, said.reviews) == (10_000, 5_000, 5_000)
    assert time.process_time() - begun < 10
