"""How much goes to one channel in a minute. Pure.

Three sorts are counted apart, so that a flood of one uses up nothing of the others: what is about requests, which an
agent can cause; answers to buttons, which whoever is in a chat can cause; and what the bastion has to say of itself.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

MOST_A_MINUTE = 30
"""Messages about requests; what is more is counted, and told in one. An agent that asks for a thousand things must not
make people switch a channel off."""

OTHERS_A_MINUTE = 30
"""Messages about the bastion itself: a freeze, a broken glass, a ledger that fails."""

ANSWERS_A_MINUTE = 10
"""Answers to buttons; more are not given."""

OF_REQUESTS = frozenset({"held", "escalated", "expired", "absent", "approved-high"})


class Pace(StrEnum):
    """What becomes of a message."""

    SEND = "send"
    COUNT = "count"
    """Too many: it is told of, with others, in one."""
    DROP = "drop"


class Pacing:
    """One channel's."""

    def __init__(self) -> None:
        self._minute = 0
        self._told = Counter[str]()
        self._more = 0

    def of(self, kind: str, now: float) -> Pace:
        """Of a message of that kind (news.KINDS); `now` in seconds of the monotonic clock."""
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._told.clear()
        sort, most = _sort(kind)
        self._told[sort] += 1
        if self._told[sort] <= most:
            return Pace.SEND
        if sort == "answer":
            return Pace.DROP
        self._more += 1
        return Pace.COUNT

    def rest(self) -> int:
        """How many were counted since this was asked last."""
        more, self._more = self._more, 0
        return more


def _sort(kind: str) -> tuple[str, int]:
    """Which messages it is counted with, and how many of these go out a minute."""
    if kind == "answer":
        return kind, ANSWERS_A_MINUTE
    return ("request", MOST_A_MINUTE) if kind in OF_REQUESTS else ("other", OTHERS_A_MINUTE)
