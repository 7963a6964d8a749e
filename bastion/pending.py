"""Requests at the desk, and which of them could still lead to something. Pure.

A daemon keeps requests that ended for a while, and approvals that nobody came for until their ticket ends: thousands,
where agents come and go. What is asked for each new request looks only at those that are held, at those like it, and at
the next ticket that ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from bastion.model import Decision, Request, State, Vote


@dataclass(slots=True)
class Pending:
    """One request at the desk."""

    request: Request
    deadline: float
    held_since: float
    session: str
    """Of the client that waits; empty when it left."""
    votes: list[Vote] = field(default_factory=list)
    decision: Decision | None = None
    used: bool = False
    """The approval was taken, or can no longer be."""
    escalated: list[str] = field(default_factory=list)
    """Groups that it went to, because nobody decided in time."""
    void_after: float = 0.0
    """For an approval that nobody waited for: when its ticket ends."""
    editing: bool = False
    """An approver's edit of it is on its way into the ledger: nothing ends it meanwhile."""
    replaced: str = ""
    """Id of the request that was put in its place."""

    @property
    def state(self) -> State:
        """HELD, or how it ended."""
        return self.decision.state if self.decision else State.HELD

    @property
    def usable(self) -> bool:
        """It was approved, and nobody has used that."""
        return self.state is State.APPROVED and not self.used


class Outstanding:
    """Those that are held, or approved and not used; the oldest first. To be told of each change of that."""

    def __init__(self) -> None:
        self._held: dict[str, Pending] = {}
        self._usable: dict[str, Pending] = {}
        self._alike: dict[str, dict[str, Pending]] = {}
        """By likeness, and by what it answers."""
        self._tickets: list[tuple[float, str]] = []
        """A heap of ends; one that is no longer true stays until it comes to the top."""

    def put(self, pending: Pending) -> None:
        """It came, or it changed: file it as it is now."""
        request = pending.request
        held, usable = pending.decision is None, pending.usable
        for there, where in ((held, self._held), (usable, self._usable)):
            if there:
                where[request.id] = pending
            else:
                where.pop(request.id, None)
        for likeness in {request.likeness, request.answers} - {""}:
            if held or usable:
                self._alike.setdefault(likeness, {})[request.id] = pending
            elif likeness in self._alike:
                self._alike[likeness].pop(request.id, None)
                if not self._alike[likeness]:
                    del self._alike[likeness]
        if usable and not pending.session:
            heapq.heappush(self._tickets, (pending.void_after, request.id))

    def held(self) -> list[Pending]:
        """Without a decision."""
        return list(self._held.values())

    def usable(self) -> list[Pending]:
        """Approved and not used."""
        return list(self._usable.values())

    def alike(self, likeness: str) -> list[Pending]:
        """Held or usable, for the same, or put in the place of the same."""
        return list(self._alike.get(likeness, {}).values())

    def ended(self, now: float) -> Iterator[Pending]:
        """Approvals that nobody waits for and whose ticket is over; each to be used up and `put` before the next."""
        while (end := self.next_end()) is not None and end <= now:
            yield self._usable[self._tickets[0][1]]

    def next_end(self) -> float | None:
        """Of a ticket."""
        while self._tickets:
            end, request_id = self._tickets[0]
            pending = self._usable.get(request_id)
            if pending is not None and not pending.session and pending.void_after == end:
                return end
            heapq.heappop(self._tickets)
        return None
