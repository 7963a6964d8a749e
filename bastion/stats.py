"""Figures about deciding, folded from ledger entries in order: how long people took, how often, what asks most. Pure.

Theory of operation. One pass, memory that does not grow with the ledger: times go into a histogram of fixed size, of
requests only those that wait are kept, counters have at most KEYS names, days at most DAYS, and the commands that ask
most are found by Space-Saving (Metwally et al., 2005), which keeps the KEPT heaviest and never loses one that asks more
often than the average of what is kept.

A review takes from the proposal to the vote. Whoever approves within QUICK_US has hardly read: many such votes of one
approver are said to be a habit (`warning`). What took long may have been a person's lunch.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

QUICK_US = 2_000_000
"""Microseconds. Nobody reads a command, its target and why it is risky in less."""

QUICK_LEAST, QUICK_SHARE = 5, 0.25
"""So many approvals within that time, and such a part of all of one approver's, are a habit."""

KEYS = 1000
"""Different names in one counter; what is more is counted as `other`."""

DAYS = 400
"""Days that are told apart; the oldest go."""

WAITING = 20_000
"""Requests that wait at once: twice what a desk takes (held_requests). The oldest go, with their review time."""

KEPT = 2000
"""Commands that are counted one by one."""

STEP = 1.05
"""From one bucket of times to the next: a figure is off by 2.5 % at most."""

BUCKETS = 400
"""From a millisecond to 1.05^400 of it, ten days."""

OTHER = "other"


class EntryLike(Protocol):
    """What this file needs of an entry; recorder.entry.Entry has it."""

    @property
    def type(self) -> str: ...
    @property
    def t(self) -> int: ...
    @property
    def request(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class Times:
    """How long things took, in microseconds."""

    def __init__(self) -> None:
        self._buckets = [0] * BUCKETS
        self.count = 0
        self.longest = 0

    def add(self, micros: int) -> None:
        """One more."""
        millis = max(micros, 1) / 1000
        bucket = 0 if millis <= 1 else min(int(math.log(millis, STEP)) + 1, BUCKETS - 1)
        self._buckets[bucket] += 1
        self.count += 1
        self.longest = max(self.longest, micros)

    def quantile(self, share: float) -> int:
        """The time within which that share was done, microseconds; 0 where there is none."""
        wanted, seen = share * self.count, 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return min(int(STEP ** (bucket - 0.5) * 1000), self.longest) if bucket else min(1000, self.longest)
        return 0


class Counter:
    """Names and how often, bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> None:
        """One more."""
        if name not in self._counts and len(self._counts) >= KEYS:
            name = OTHER
        self._counts[name] = self._counts.get(name, 0) + 1

    def top(self, most: int) -> list[tuple[str, int]]:
        """The most frequent, then by name."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:most]


@dataclass(slots=True)
class Tally:
    """Requests of one identity, or in one environment."""

    requests: int = 0
    held: int = 0
    approved: int = 0
    denied: int = 0
    expired: int = 0


@dataclass(slots=True)
class Approver:
    """One person's decisions."""

    approved: int = 0
    denied: int = 0
    quick: int = 0
    """Approvals within QUICK_US."""
    unsigned: int = 0
    """Decisions in a channel such as Slack."""
    times: Times = field(default_factory=Times)

    @property
    def warning(self) -> str:
        """What is to be said of their habits; empty: nothing."""
        if self.quick < QUICK_LEAST or self.quick < QUICK_SHARE * self.approved:
            return ""
        return f"{self.quick} of {self.approved} approvals came within {QUICK_US // 1_000_000} s: nobody reads so fast"


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked for, by whom and where."""

    identity: str
    login: str
    target: str
    command: bytes
    tier: str
    code: bool
    """It brings code on stdin or runs a script: no whitelist entry is made from here."""


class Heavy:
    """The commands that ask most: Space-Saving."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._counts: dict[Command, int] = {}
        self._lightest: list[tuple[int, int, Command]] = []
        """A heap, with each command as it once was: what has grown since is put back when it comes to the top."""
        self._number = 0

    def add(self, command: Command) -> None:
        """It was held once more."""
        if command in self._counts:
            self._counts[command] += 1
            return
        count = 1 + (self._drop() if len(self._counts) >= self._kept else 0)
        self._counts[command] = count
        self._push(command, count)

    def _drop(self) -> int:
        """Take the lightest out; its count."""
        while True:
            was, _, command = heapq.heappop(self._lightest)
            if self._counts[command] == was:
                del self._counts[command]
                return was
            self._push(command, self._counts[command])

    def _push(self, command: Command, count: int) -> None:
        self._number += 1
        heapq.heappush(self._lightest, (count, self._number, command))

    def top(self, most: int) -> list[tuple[Command, int]]:
        """The most frequent."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0].command))[:most]


@dataclass(slots=True)
class _Held:
    since: int
    approvals: int
    identity: str
    env: str
    author: str = ""
    """The approver who put it in the place of another: their own approval of it is no review."""
    approved: int = 0


class Fold:
    """Feed it entries in order; `content` of a held proposal goes to `asks` where somebody has read it."""

    def __init__(self) -> None:
        self.entries = 0
        self.first = self.last = 0
        self.verdicts = Counter()
        self.allowed = Counter()
        self.refused = Counter()
        self.states = Counter()
        self.times = Times()
        self.approvers: dict[str, Approver] = {}
        self.identities: dict[str, Tally] = {}
        self.environments: dict[str, Tally] = {}
        self.heavy = Heavy()
        self.days: dict[str, Tally] = {}
        self._held: dict[str, _Held] = {}

    @property
    def waiting(self) -> int:
        """Held at the end."""
        return len(self._held)

    def feed(self, entry: EntryLike) -> None:
        """One entry; others than of requests are counted only."""
        self.entries += 1
        self.first, self.last = self.first or entry.t, max(self.last, entry.t)
        if entry.type == "request.proposed":
            self._proposed(entry)
        elif entry.type == "request.decided":
            self._decided(entry)

    def asks(self, command: Command) -> None:
        """A held proposal asked for this."""
        self.heavy.add(command)

    def _proposed(self, entry: EntryLike) -> None:
        body = entry.body
        verdict, rule = str(body.get("verdict")), str(body.get("rule", ""))
        identity, env = str(body.get("identity", "")), str(body.get("env", ""))
        self.verdicts.add(verdict)
        for tally in self._tallies(entry.t, identity, env):
            tally.requests += 1
            tally.held += verdict == "hold"
        if verdict == "allow":
            self.allowed.add(rule)
        elif verdict == "deny":
            self.refused.add(rule)
        else:
            while len(self._held) >= WAITING:
                del self._held[next(iter(self._held))]
            self._held[entry.request] = _Held(
                entry.t, int(body.get("approvals") or 1), identity, env, str(body.get("author", ""))
            )

    def _decided(self, entry: EntryLike) -> None:
        choice, by = str(entry.body.get("choice")), str(entry.body.get("by", ""))
        held = self._held.get(entry.request)
        if by:
            self._voted(by, choice, entry, held)
        if choice == "approve" and held is not None:
            held.approved += 1
            if held.approved < held.approvals:
                return
        self._held.pop(entry.request, None)
        state = {"approve": "approved", "deny": "denied"}.get(choice, choice)
        self.states.add(state)
        for tally in self._tallies(entry.t, held.identity if held else "", held.env if held else ""):
            tally.approved += state == "approved"
            tally.denied += state == "denied"
            tally.expired += state == "expired"

    def _voted(self, by: str, choice: str, entry: EntryLike, held: _Held | None) -> None:
        if by not in self.approvers and len(self.approvers) >= KEYS:
            by = OTHER
        person = self.approvers.setdefault(by, Approver())
        person.approved += choice == "approve"
        person.denied += choice == "deny"
        person.unsigned += bool(entry.body.get("via"))
        if held is not None and by != held.author:
            took = max(0, entry.t - held.since)
            person.times.add(took)
            self.times.add(took)
            person.quick += choice == "approve" and took < QUICK_US

    def _tallies(self, t: int, identity: str, env: str) -> list[Tally]:
        day = datetime.fromtimestamp(t / 1e6, UTC).date().isoformat()
        found = [self.days.setdefault(day, Tally())]
        while len(self.days) > DAYS:
            del self.days[min(self.days)]
        for table, name in ((self.identities, identity), (self.environments, env)):
            if name:
                found.append(table.setdefault(name if name in table or len(table) < KEYS else OTHER, Tally()))
        return found
