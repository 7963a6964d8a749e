"""The approval desk: pending requests, each decided exactly once. Pure.

Theory of operation. A request comes in HELD and leaves that state once, by the first of: enough approvals, one denial,
its timeout, a withdrawal. Whatever comes after changes nothing and says so. Time never approves (P7): `expire` can only
end a request as EXPIRED. Deny wins: one denial ends it, whatever was approved before.

An approval is *used* once, by `take`, by the session that waits for it. A session that goes away leaves its request
behind (`detach`); then an identical request of the same identity may `claim` it and waits, or takes, in its place. An
approval that nobody came for is void after the ticket's time.

An approver may put another command in a request's place: `begin_edit` keeps it from ending while that is written, and
`replace` ends it and puts the new request where it stood, with its client, its end and its time. From then on the new
one is meant where the client speaks of the old one (`latest`), and an agent that asks for the old command again gets
the new one's outcome.

All times are seconds of a monotonic clock, passed in: a wall clock that jumps neither expires nor revives anything.
The desk is used from one thread; nothing in it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bastion.errors import Conflict, NotAllowed, NotFound, UsageError
from bastion.model import Choice, Decision, Request, State, TtyMode, Vote
from bastion.pending import Outstanding, Pending

HELD_BYTES = 64 << 20
"""Bytes of commands and of code on stdin in all held requests together: 64 of the largest that one may be."""


_NOBODY = Decision("", "", State.HELD, (), "")


def _weight(request: Request) -> int:
    return len(request.command) + len(request.stdin_code) + len(request.script_code)


def size_of(pending: Iterable[Pending]) -> int:
    """Bytes of their commands and code."""
    return sum(_weight(each.request) for each in pending)


WIDTH = (TtyMode.NONE, TtyMode.VIEW, TtyMode.LINE, TtyMode.RAW)
"""Modes, the narrowest first."""


def _mode_of(pending: Pending) -> tuple[TtyMode | None, int]:
    """What the approvers together grant: the narrowest mode, the shortest time. None where nobody chose."""
    votes = [vote for vote in pending.votes if vote.choice is Choice.APPROVE]
    if all(vote.mode is None for vote in votes):
        return None, 0
    modes = [pending.request.mode if vote.mode is None else vote.mode for vote in votes]
    return min(modes, key=WIDTH.index), min((vote.seconds for vote in votes if vote.seconds), default=0)


def decision_of(pending: Pending, by: tuple[str, ...], reason: str) -> Decision:
    """The approval that the votes of these people make."""
    mode, seconds = _mode_of(pending)
    return Decision(pending.request.id, pending.request.digest, State.APPROVED, by, reason, mode, seconds)


class Desk:
    """All pending requests. `ticket` is how long an approval waits for its client, in seconds; `limit` how many
    requests may be held at once, `members` who is in a group."""

    def __init__(
        self, *, ticket: float, limit: int, members: Callable[[str], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        self._ticket, self._limit, self._members = ticket, limit, members
        self._pending: dict[str, Pending] = {}
        self._open = Outstanding()
        self._promised: dict[str, int] = {}
        """Room that was promised to requests which are on their way into the ledger, in bytes."""

    def get(self, request_id: str) -> Pending:
        """The request as it stands. Raises NotFound."""
        try:
            return self._pending[request_id]
        except KeyError:
            raise NotFound(f"no request {request_id!r} at the desk") from None

    def __contains__(self, request_id: str) -> bool:
        """Whether the desk still knows it."""
        return request_id in self._pending

    def held(self) -> list[Pending]:
        """Those that wait for a decision, oldest first."""
        return self._open.held()

    def left_behind(self) -> list[Pending]:
        """Those that could still lead to something and that no client waits for: held, or approved and not used."""
        return [each for each in (*self._open.held(), *self._open.usable()) if not each.session]

    def reserve(self, request_id: str, size: int = 0) -> None:
        """Promise room for another request of `size` bytes (command and code), until `submit` or `release`: a burst
        that is on its way into the ledger counts as held. Raises Conflict when there is none."""
        held = self.held()
        hint = "try again when some are decided"
        if len(held) + len(self._promised) >= self._limit:
            raise Conflict(f"{self._limit} requests are held already", hint)
        if size_of(held) + sum(self._promised.values()) + size > HELD_BYTES:
            raise Conflict(f"held requests have {HELD_BYTES >> 20} MiB already", hint)
        self._promised[request_id] = size

    def release(self, request_id: str) -> None:
        """It will not come; nothing happens if it came."""
        self._promised.pop(request_id, None)

    def submit(self, request: Request, *, session: str, now: float, timeout: float) -> Pending:
        """Hold a new request. Raises Conflict if its id is known. Its room was reserved before."""
        self.release(request.id)
        if request.id in self._pending:
            raise Conflict(f"request {request.id} is at the desk already")
        pending = Pending(request, deadline=now + timeout, held_since=now, session=session)
        self._add(pending)
        return pending

    def restore(self, pending: Pending) -> None:
        """Put back what an earlier desk had: a request whose client has gone."""
        self._add(pending)

    def _add(self, pending: Pending) -> None:
        self._pending[pending.request.id] = pending
        self._open.put(pending)

    def _use(self, pending: Pending) -> None:
        """Its approval leads to nothing more."""
        pending.used = True
        self._open.put(pending)

    def vote(self, vote: Vote, now: float) -> Decision | None:
        """Count one vote whose signature and role were checked. The decision if this vote made it, else None.

        Raises NotFound; Conflict if the request ended, or the digest is not that of the request as it stands;
        NotAllowed for a vote on one's own request, or a second vote of the same identity; UsageError for a denial
        without a reason, because the agent is told it.
        """
        pending = self.get(vote.request)
        if pending.decision is not None:
            raise Conflict(f"request {vote.request} is {pending.state} already")
        if now >= pending.deadline:
            raise Conflict(f"request {vote.request} is expired already")
        if pending.editing:
            raise Conflict(f"request {vote.request} is being edited", "look at it again")
        if vote.digest != pending.request.digest:
            raise Conflict("the vote is for another digest", "the request on your screen is not the one at the desk")
        if vote.by == pending.request.identity:
            raise NotAllowed("nobody decides their own request")
        if any(earlier.by == vote.by for earlier in pending.votes):
            raise NotAllowed(f"{vote.by} has voted on this request already")
        if vote.choice is Choice.APPROVE and not self._may_approve(pending, vote.by):
            groups = " and ".join(pending.request.approvers)
            raise NotAllowed(f"{vote.by} is not in group {groups}", "policy wants its members to approve this")
        if vote.choice is Choice.DENY:
            if not vote.reason.strip():
                raise UsageError("a denial needs a reason", "the agent is told why")
            pending.votes.append(vote)
            return self._end(pending, State.DENIED, (vote.by,), vote.reason, now)
        pending.votes.append(vote)
        approvers = tuple(each.by for each in pending.votes if each.choice is Choice.APPROVE)
        if len(approvers) < pending.request.approvals:
            return None
        return self._end(pending, State.APPROVED, approvers, vote.reason, now)

    def _may_approve(self, pending: Pending, by: str) -> bool:
        """In every group that policy names, or in one that the request went to by now; anybody where it names none.
        Denying is for every approver."""
        groups = pending.request.approvers
        return all(by in self._members(group) for group in groups) or any(
            by in self._members(group) for group in pending.escalated
        )

    def escalate(self, now: float) -> list[tuple[Pending, str]]:
        """What goes to a further group now."""
        gone: list[tuple[Pending, str]] = []
        for pending in self.held():
            for seconds, group in pending.request.escalation:
                if seconds and now >= pending.held_since + seconds and group not in pending.escalated:
                    pending.escalated.append(group)
                    gone.append((pending, group))
        return gone

    def disown(self, by: str) -> tuple[list[str], list[str]]:
        """The votes of `by` count no more: taken from what is held, and approvals that lean on one and were not used
        are void. Ids of those that lost a vote, and of those that are void."""
        lost, void = [], []
        for pending in self._open.held():
            if any(vote.by == by for vote in pending.votes):
                pending.votes = [vote for vote in pending.votes if vote.by != by]
                lost.append(pending.request.id)
        for pending in self._open.usable():
            if by in (pending.decision or _NOBODY).by:
                self._use(pending)
                void.append(pending.request.id)
        return lost, void

    def may_approve(self, request_id: str, by: str) -> bool:
        """Whether policy lets them approve it as it stands. Raises NotFound."""
        return self._may_approve(self.get(request_id), by)

    def escalate_now(self, request_id: str) -> str:
        """The next group that policy names for it gets it at once; its name, or empty where there is none left."""
        pending = self.get(request_id)
        for _, group in pending.request.escalation:
            if group not in pending.escalated:
                pending.escalated.append(group)
                return group
        return ""

    def escalate_absent(self, request_id: str) -> list[str]:
        """Groups that policy names for when nobody is there, which get it now."""
        pending = self.get(request_id)
        gone = [
            group for seconds, group in pending.request.escalation if not seconds and group not in pending.escalated
        ]
        pending.escalated += gone
        return gone

    def begin_edit(self, request_id: str, now: float) -> Pending:
        """Keep it as it is until `replace` or `end_edit`. Raises Conflict unless it is held, and by nobody else."""
        pending = self.get(request_id)
        if pending.decision is not None:
            raise Conflict(f"request {request_id} is {pending.state} already")
        if now >= pending.deadline:
            raise Conflict(f"request {request_id} is expired already")
        if pending.editing:
            raise Conflict(f"request {request_id} is being edited by somebody else")
        pending.editing = True
        return pending

    def end_edit(self, request_id: str) -> None:
        """Nothing came of it."""
        self.get(request_id).editing = False

    def replace(self, request_id: str, request: Request, reason: str, now: float) -> Pending:
        """End one that is being edited, and hold `request` in its place, until its own end or the other's."""
        old = self.get(request_id)
        self.release(request.id)
        new = Pending(
            request,
            deadline=min(old.deadline, now + request.seconds),
            held_since=old.held_since,
            session=old.session,
        )
        self._add(new)
        old.editing, old.session, old.replaced = False, "", request.id
        self._end(old, State.WITHDRAWN, (), reason, now)
        return new

    def latest(self, request_id: str) -> str:
        """The request itself, or the one that is in its place by now."""
        while (pending := self._pending.get(request_id)) is not None and pending.replaced:
            request_id = pending.replaced
        return request_id

    def withdraw(self, request_id: str, reason: str, now: float) -> Decision | None:
        """Take a held request back; None if it had ended, and then an approval of it is void."""
        pending = self.get(request_id)
        if pending.decision is not None:
            self._use(pending)
            return None
        return self._end(pending, State.WITHDRAWN, (), reason, now)

    def expire(self, now: float) -> list[Decision]:
        """End every held request whose time is over, and forget tickets whose time is."""
        ended = [
            self._end(pending, State.EXPIRED, (), "nobody decided in time", now)
            for pending in self.held()
            if now >= pending.deadline and not pending.editing
        ]
        for pending in self._open.ended(now):
            self._use(pending)
        return ended

    def next_deadline(self) -> float | None:
        """When `expire` has something to do next."""
        times = [each.deadline for each in self.held() if not each.editing]
        times += [
            each.held_since + seconds
            for each in self.held()
            for seconds, group in each.request.escalation
            if seconds and group not in each.escalated
        ]
        ticket = self._open.next_end()
        return min(times if ticket is None else [*times, ticket], default=None)

    def detach(self, request_id: str, session: str, now: float) -> None:
        """The waiting client left; nothing happens if another one waits by now."""
        pending = self.get(request_id)
        if pending.session != session:
            return
        pending.session = ""
        if pending.usable:
            pending.void_after = now + self._ticket
        self._open.put(pending)

    def claim(self, likeness: str, session: str, now: float) -> Pending | None:
        """An identical request that was left behind: `session` waits for it, or takes it, from now on. One that is
        still held goes first, then the oldest approval that is not void; None if there is none."""
        left = [each for each in self._open.alike(likeness) if not each.session]
        held = [each for each in left if each.decision is None and now < each.deadline]
        approved = [each for each in left if each.usable and now < each.void_after]
        for pending in held + approved:
            pending.session = session
            return pending
        return None

    def take(self, request_id: str, session: str) -> bool:
        """The waiting session uses the approval. True once, for the session that waits, and never again."""
        pending = self.get(request_id)
        if not pending.usable or pending.session != session:
            return False
        self._use(pending)
        return True

    def forget(self, request_id: str) -> bool:
        """Drop a request that ended and can no longer be used; False if it still matters."""
        pending = self.get(request_id)
        done = pending.decision is not None and (pending.state is not State.APPROVED or pending.used)
        if done:
            del self._pending[request_id]
        return done

    def _end(self, pending: Pending, state: State, by: tuple[str, ...], reason: str, now: float) -> Decision:
        mode, seconds = _mode_of(pending) if state is State.APPROVED else (None, 0)
        pending.decision = Decision(pending.request.id, pending.request.digest, state, by, reason, mode, seconds)
        if state is State.APPROVED and not pending.session:
            pending.void_after = now + self._ticket
        self._open.put(pending)
        return pending.decision
