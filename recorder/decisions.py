"""What people decide on requests: votes, buttons, edits, escalations; and whether they are enough. Pure.

A vote is signed by an approver of that time, over this proposal's leaf, request and digest. A button in a chat is not
signed, so it counts only where the proposal says so, and for little. Nobody approves what they proposed, but an
approver who edited an agent's request may give one of its approvals: they signed the hash of the new command. Where
policy names groups, who approves is in all of them, or in one that the request went to before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from recorder import request as requests
from recorder.policies import Policies
from recorder.proposals import Edit, OpenPayload, Request, Requests
from recorder.rows import RowLike
from recorder.votes import DECISION, EDIT, EDIT_FIELDS, VOTE_FIELDS, People, Violation
from recorder.whitelist import SLACK_US


class Decisions:
    """Feed it the entries about them, in order."""

    def __init__(self, requests: Requests, people: People, policies: Policies, note: Callable[[str], None]) -> None:
        self._requests, self._people, self._policies, self._note = requests, people, policies, note

    def decided(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """`request.decided`. Raises Violation."""
        request = self._requests.find(row)
        if row.cause != request.leaf:
            raise Violation("the decision answers another entry than its request's proposal")
        choice = row.body.get("choice")
        if choice in ("expired", "withdrawn"):
            request.ended = request.ended or choice
            return
        if choice not in ("approve", "deny"):
            raise Violation("a decision without a choice")
        if row.body.get("via"):
            self._pressed(request, row, leaf)
            return
        by, said = self._people.signed(row.body, DECISION, VOTE_FIELDS)
        wanted = {"origin": row.origin, "proposal": request.leaf, "request": row.request, "digest": request.digest}
        for name, value in {**wanted, "choice": choice}.items():
            if said[name] != value:
                raise Violation(f"{by} signed another {name} than the entry has")
        if by in request.terms.proposers:
            raise Violation(f"{by} decided a request of their own")
        if request.terms.verdict != "hold":
            raise Violation("a vote on a request that was not held")
        if row.t > int(said["expires"]) + SLACK_US:
            self._note("votes were counted after their end, by the wall clock")
        if choice == "deny":
            request.ended = request.ended or "denied"
        else:
            self._check_group(request, by)
            if said.get("mode", "") != row.body.get("mode", "") or said.get("seconds") != row.body.get("seconds"):
                raise Violation(f"{by} signed another mode than the entry has")
            request.approvers |= {by}
            request.approving |= {leaf}
            request.modes += (said.get("mode", "") or request.terms.mode,)

    def _pressed(self, request: Request, row: RowLike, leaf: str) -> None:
        """A button in a chat: nobody signed it, so it counts only where the proposal says so, and for little."""
        by, choice = str(row.body.get("by")), row.body.get("choice")
        if str(row.body["via"]) not in request.terms.unsigned or row.body.get("signature"):
            raise Violation("an unsigned decision where policy accepts none")
        if request.terms.tier not in ("low", "medium"):
            raise Violation("an unsigned decision on something of high risk, or that nobody rated")
        if not self._people.counts(by):
            raise Violation(f"pressed for {by}, who is no approver, or was revoked")
        if by in request.terms.proposers:
            raise Violation(f"{by} decided a request of their own")
        if request.terms.verdict != "hold":
            raise Violation("a vote on a request that was not held")
        where = "on the bastion's own console" if row.body["via"] == "console" else "in a chat"
        self._note(f"decisions were made {where}, which no person signed")
        if choice == "deny":
            request.ended = request.ended or "denied"
            return
        self._check_group(request, by)
        request.approvers |= {by}
        request.approving |= {leaf}
        request.modes += (request.terms.mode,)

    def _check_group(self, request: Request, by: str) -> None:
        """Raises Violation."""
        inside = all(by in self._policies.members(group) for group in request.terms.groups)
        if not inside and not any(by in self._policies.members(group) for group in request.escalated):
            raise Violation(f"{by} approved, and is not in group {' and '.join(request.terms.groups)}")

    def escalated(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """`request.escalated`. Raises Violation."""
        request = self._requests.find(row)
        if row.cause != request.leaf or request.terms.verdict != "hold" or not isinstance(row.body.get("group"), str):
            raise Violation("a request is escalated that was not held, or to nobody")
        request.escalated += (row.body["group"],)

    def edited(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """`request.edited`: an approver wrote another command in place of an agent's. Raises Violation."""
        request = self._requests.find(row)
        if row.cause != request.leaf or request.terms.verdict != "hold" or request.ended:
            raise Violation("a request was edited that was not held")
        by, said = self._people.signed(row.body, EDIT, EDIT_FIELDS)
        wanted = {"origin": row.origin, "proposal": request.leaf, "request": row.request, "digest": request.digest}
        for name, value in {**wanted, "command": row.body.get("command")}.items():
            if said[name] != value:
                raise Violation(f"{by} signed another {name} than the entry has")
        request.edited = True
        self._requests.edits[str(row.body.get("to"))] = Edit(row.request, by, said["command"])

    def author(self, row: RowLike, said: requests.Content | None) -> str:
        """The approver who made this request from an agent's; empty for an agent's own. Raises Violation."""
        body = row.body
        edit = self._requests.edits.pop(row.request, None)
        if edit is None:
            if body.get("author") or body.get("edits"):
                raise Violation("a request names an author who signed nothing")
            return ""
        if (body.get("author"), body.get("edits")) != (edit.by, edit.of):
            raise Violation("an edited request names another author, or another request that it was made from")
        if said is not None and hashlib.sha256(said.command).hexdigest() != edit.command:
            raise Violation(f"the command of an edited request is not the one that {edit.by} signed")
        if body.get("verdict") == "allow":
            raise Violation("an edited request was let through without an approval")
        if body.get("verdict") == "hold" and body.get("tier") not in ("low", "medium") and body.get("approvals") == 1:
            raise Violation(f"{edit.by} could approve alone what they wrote, and it is of high risk")
        return edit.by

    def check_approved(self, request: Request, cause: str, what: str) -> None:
        """Is `cause` an approval of it, and are there enough? Raises Violation."""
        if request.ended:
            raise Violation(f"{what} that had been {request.ended}")
        if cause not in request.approving:
            raise Violation(f"{what} without an approval of its request")
        approvers = {name for name in request.approvers if self._people.counts(name)}
        if len(approvers) < request.terms.approvals:
            gone = " by approvers who were not revoked" if len(approvers) < len(request.approvers) else ""
            raise Violation(f"{what} with {len(approvers)} of {request.terms.approvals} approvals{gone}")
