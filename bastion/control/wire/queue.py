"""The queue: what approvers do with a held request beside deciding it. Pure."""

from __future__ import annotations

from bastion.control.wire.base import Call


class EditRequest(Call, frozen=True, kw_only=True, tag="edit-request"):
    """-> RequestInfo of the new request, held, which nobody has approved yet. `statement` (see control.statements) is
    the exact text that its author signed; `command` the bytes whose hash it names.

    The new request is judged anew and stands in the place of `request` (its full id), which ends; the agent that waits
    for that one gets the new one's outcome. Its author may cast one of its votes.
    """

    request: str
    command: bytes
    statement: bytes
    signature: str


class TryEdit(Call, frozen=True, kw_only=True, tag="try-edit"):
    """-> RequestInfo: what EditRequest would make of it, as it would be judged now. Changes nothing; there is no
    proposal. Its state is `refused` where policy denies it, and `decision_reason` says why."""

    request: str
    command: bytes


class EscalateRequest(Call, frozen=True, kw_only=True, tag="escalate-request"):
    """-> RequestInfo. The next group that policy names for it may decide from now on; everybody is told."""

    request: str
    reason: str = ""


class SnoozeRequest(Call, frozen=True, kw_only=True, tag="snooze-request"):
    """-> RequestInfo. The caller is not reminded of it before `until` (microseconds since the epoch; 0: from now on
    again), which is before its end. Decides nothing."""

    request: str
    until: int
