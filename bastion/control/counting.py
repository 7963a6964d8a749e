"""Counting what the ledger tells of deciding: a process of its own, `python -m bastion.control.counting STORE`.

The call comes on stdin as a line of JSON (wire.ShowStats), the answer (wire.StatsInfo) goes to stdout. Going through a
large ledger keeps a core busy for seconds, and so it happens beside the daemon, at the lowest priority.

A whitelist line is offered for what is held often and may be remembered: what policy.whitelist proposes for the command
of which most were held, in the widest form that it offers where that settles more. Never for what is of high risk, in a
shell, or brings code. It is an offer: `bastion whitelist import` takes an approver's signature.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from bastion import stats
from bastion.control import wire
from bastion.errors import BastionError
from bastion.history import unpack
from bastion.model import RequestKind, StdinMode, Tier
from bastion.policy import whitelist
from bastion.policy.listing import Row, line_of
from bastion.policy.pattern import PatternError, parse
from bastion.policy.risk import loaded
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.reader import Missing, Reader

TYPES = ("request.proposed", "request.decided")

CONTENTS = 20_000
"""Proposals whose commands are read, the first ones of the time; reading one takes about 0.1 ms."""

COMMAND_COUNTED = 4096
"""Bytes of a command that is counted; longer ones are hardly ever asked twice."""

COMMANDS_MOST = 50
"""Commands in an answer."""

ROWS = 20
"""Rules, refusals and identities in an answer."""

DAYS = 60
"""Days in an answer, the newest."""

DAY_US = 86_400_000_000


def count(reader: Reader, call: wire.ShowStats) -> wire.StatsInfo:
    """The figures. Raises RecorderError."""
    fold, notes, contents = stats.Fold(), list[str](), 0
    for entry in reader.entries(after=_before(reader, call.since), types=TYPES):
        fold.feed(entry)
        if entry.type == "request.proposed" and entry.body.get("verdict") == "hold":
            contents += 1
            if contents <= CONTENTS and (command := _command(reader, entry)) is not None:
                fold.asks(command)
    if contents > CONTENTS:
        notes.append(f"commands of the first {CONTENTS:,} of {contents:,} held requests were counted")
    states, verdicts = dict(fold.states.top(stats.KEYS)), dict(fold.verdicts.top(stats.KEYS))
    return wire.StatsInfo(
        since=call.since or fold.first,
        until=fold.last,
        entries=fold.entries,
        requests=sum(verdicts.values()),
        allowed=verdicts.get("allow", 0),
        held=verdicts.get("hold", 0),
        refused=verdicts.get("deny", 0),
        approved=states.get("approved", 0),
        denied=states.get("denied", 0),
        expired=states.get("expired", 0),
        withdrawn=states.get("withdrawn", 0),
        waiting=fold.waiting,
        reviews=fold.times.count,
        p50=fold.times.quantile(0.5),
        p95=fold.times.quantile(0.95),
        longest=fold.times.longest,
        rules=fold.allowed.top(ROWS),
        refusals=fold.refused.top(ROWS),
        days=[_tally(name, fold.days[name]) for name in sorted(fold.days)[-DAYS:]],
        identities=_most(fold.identities),
        environments=_most(fold.environments),
        approvers=[_approver(name, each) for name, each in sorted(fold.approvers.items())],
        commands=_asking(fold.heavy, min(max(call.commands, 0), COMMANDS_MOST)),
        notes=notes,
    )


def _before(reader: Reader, since: int) -> int:
    """Number of the last entry before that moment: the clock in the entries never goes back."""
    low, high = 0, reader.size() if since else 0
    while low < high:
        middle = (low + high) // 2
        if reader.entry(middle).t < since:
            low = middle + 1
        else:
            high = middle
    return low - 1


def _command(reader: Reader, entry: Entry) -> stats.Command | None:
    """What a held proposal asks for; None for what is not remembered anyhow, or is gone."""
    body = entry.body
    if body.get("kind") != RequestKind.EXEC or body.get("author"):
        return None
    try:
        info = unpack(reader.payload(entry, "content"))
    except (Missing, msgspec.MsgspecError):
        return None
    if len(info.command) > COMMAND_COUNTED:
        return None
    code = info.stdin == StdinMode.BUNDLED or bool(info.script)
    return stats.Command(info.identity, info.login, info.target, info.command, info.tier, code)


def _asking(heavy: stats.Heavy, most: int) -> list[wire.AskingInfo]:
    everything = heavy.top(stats.KEPT)
    found = []
    for command, held in everything[:most]:
        row, why = _row(command)
        line = line_of(row) if row is not None else ""
        found.append(
            wire.AskingInfo(
                command=command.command,
                identity=command.identity,
                login=command.login,
                target=command.target,
                tier=command.tier,
                held=held,
                settles=_settles(row, everything) if row is not None else 0,
                line=line,
                why=why,
            )
        )
    return found


def _row(command: stats.Command) -> tuple[Row | None, str]:
    """The entry that would settle it, or why there is none."""
    if command.tier in (Tier.HIGH, Tier.UNRATED):
        return None, f"a command of tier {command.tier} is never remembered: a person decides each time"
    if command.code:
        return None, "it brings code, which is remembered where it is shown"
    assessment = loaded().assess(command.command, b"")
    proposal = whitelist.propose(command.command, assessment)
    if proposal.refused:
        return None, proposal.refused
    widest = proposal.candidates[-1]
    until = time.time_ns() // 1000 + proposal.longest * 1_000_000 if proposal.longest else 0
    return Row(
        identity=command.identity,
        login=command.login,
        target=command.target,
        env="",
        pattern=widest.pattern,
        command=command.command,
        code="",
        tier=proposal.tier.value,
        expires=until,
    ), ""


def _settles(row: Row, everything: list[tuple[stats.Command, int]]) -> int:
    """How many of what is counted one by one it lets through."""
    try:
        pattern = parse(row.pattern) if row.pattern else None
    except PatternError:
        return 0
    return sum(
        held
        for each, held in everything
        if (each.identity, each.login, each.target) == (row.identity, row.login, row.target)
        and not each.code
        and each.tier not in (Tier.HIGH, Tier.UNRATED)
        and (pattern.matches(each.command) if pattern is not None else each.command == row.command)
    )


def _most(tallies: dict[str, stats.Tally]) -> list[wire.TallyInfo]:
    heaviest = sorted(tallies.items(), key=lambda item: (-item[1].requests, item[0]))[:ROWS]
    return [_tally(name, each) for name, each in heaviest]


def _tally(name: str, each: stats.Tally) -> wire.TallyInfo:
    return wire.TallyInfo(
        name=name,
        requests=each.requests,
        held=each.held,
        approved=each.approved,
        denied=each.denied,
        expired=each.expired,
    )


def _approver(name: str, each: stats.Approver) -> wire.ApproverInfo:
    return wire.ApproverInfo(
        name=name,
        approved=each.approved,
        denied=each.denied,
        quick=each.quick,
        unsigned=each.unsigned,
        p50=each.times.quantile(0.5),
        p95=each.times.quantile(0.95),
        warning=each.warning,
    )


def main(store: str) -> int:
    """Answer the one call on stdin."""
    os.nice(19)
    call = msgspec.json.decode(sys.stdin.buffer.readline(), type=wire.ShowStats)
    try:
        with Reader.open(Path(store)) as reader:
            sys.stdout.buffer.write(msgspec.json.encode(count(reader, call)))
    except (RecorderError, BastionError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
