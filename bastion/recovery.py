"""What an earlier run of the daemon left open, at the next start: it is taken up again, or gets its end in the ledger.

Theory of operation. A daemon that stopped leaves sessions that never closed, requests that nobody decided, approvals
that nobody used, and commands whose end was not seen. The entries since its start tell which.

    a command that had started             its end is unknown, and the ledger says so
    a session                              interrupted
    an exec that is held, its time not over, or approved and not used, its ticket not void
                                           goes back to the desk as one that its client left: the client asks again
    an exec that was held, its time over   expired, which is what it would have come to; whoever was told of it is told
    any other request                      withdrawn

What goes back gets an entry right behind the daemon's, so that the start after this one finds it too. A crash in the
middle of this is the next start's to finish, and running it twice changes nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bastion import audit, history
from bastion.audit import Audit, Draft, Entry
from bastion.history import Left
from bastion.model import State
from recorder.reader import Missing, Reader

TYPES = (
    "session.opened",
    "session.closed",
    "session.interrupted",
    "request.proposed",
    "request.restored",
    "request.decided",
    "grant.added",
    "stdin.sent",
    "command.started",
    "command.finished",
)

STREAMS = ("stdout", "stderr", "stdin")


EXPIRED = "nobody decided in time: it ended while the bastion did not run"


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What an earlier run left."""

    kept: list[Left]
    """Goes back to the desk."""
    expired: list[str]
    """Ids of requests whose time ended meanwhile."""


async def take_up(reader: Reader, writer: Audit, *, now: int, ticket: float) -> TakenUp:
    """Write the missing ends; returns what goes back to the desk. `now` in microseconds since the epoch, `ticket` in
    seconds. Raises StoreError, RecorderError."""
    last_start = next((entry.seq for entry in reader.newest("daemon.started")), -1)
    sessions: dict[str, Entry] = {}
    waiting: dict[str, None] = {}
    running: dict[str, Entry] = {}
    for entry in reader.entries(after=last_start, types=TYPES):
        match entry.type:
            case "session.opened":
                sessions[entry.session] = entry
            case "session.closed" | "session.interrupted":
                sessions.pop(entry.session, None)
            case "request.proposed" | "request.restored" if entry.body.get("verdict", "hold") == "hold":
                waiting[entry.request] = None
            case "request.decided" if entry.body["choice"] == "approve":
                pass  # perhaps not the last that it needs
            case "request.decided" | "stdin.sent" | "grant.added":
                waiting.pop(entry.request, None)
            case "command.started":
                waiting.pop(entry.request, None)
                running[entry.request] = entry
            case "command.finished":
                running.pop(entry.request, None)
    drafts = [_lost(entry) for entry in running.values()]
    taken = TakenUp([], [])
    for request in waiting:
        drafts += _settle(reader, request, taken, now, ticket)
    drafts += [audit.session_interrupted(name) for name in sessions]
    for draft in drafts:
        await writer.write(draft)
    return taken


def _settle(reader: Reader, request: str, taken: TakenUp, now: int, ticket: float) -> list[Draft]:
    """One that was held or approved: it is noted in `taken`, or the missing end of it returned."""
    left = _left(reader, list(reader.entries(request=request)), now, ticket)
    if isinstance(left, Left):
        taken.kept.append(left)
    elif left is not None and now >= int(left.body["expires"]) and left.body["kind"] in history.OUTLIVES:
        taken.expired.append(request)
        return [_ended(left, "expired", EXPIRED)]
    elif left is not None:
        return [_ended(left, "withdrawn", "the bastion stopped while it was held")]
    return []


def _left(reader: Reader, entries: list[Entry], now: int, ticket: float) -> Left | Entry | None:
    """What goes back to the desk; the proposal of what does not and is still held; None for what has ended."""
    proposal = next(entry for entry in entries if entry.type == "request.proposed")
    try:
        packed = reader.payload(proposal, "content")
    except Missing:
        packed = None
    state, left = history.left_behind(packed, entries, now, ticket)
    return proposal if left is None and state is State.HELD else left


def _lost(start: Entry) -> Draft:
    body: dict[str, Any] = {
        "status": None,
        "signal": "",
        "note": "the bastion stopped while it ran; its end is unknown",
    }
    for name in STREAMS:
        body[f"{name}_bytes"] = 0
    return Draft("command.finished", audit.DAEMON, body, start.session, start.request, start.leaf)


def _ended(proposal: Entry, choice: str, reason: str) -> Draft:
    digest = str(proposal.body["digest"])
    return audit.ended(proposal.request, proposal.session, digest, choice, reason, proposal.leaf)
