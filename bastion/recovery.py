"""What an earlier run of the daemon left open, said in the ledger at the next start: nothing stays without an end.

Theory of operation. A daemon that was killed leaves sessions that never closed, requests that nobody will decide and
commands whose end was not seen. The entries since its start tell which. Each gets its end, as one entry, before
anything new is served; a crash in the middle of this is the next start's to finish, and running it twice changes
nothing more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bastion import audit
from bastion.audit import Audit, Draft, Entry
from recorder.reader import Reader

TYPES = (
    "session.opened",
    "session.closed",
    "session.interrupted",
    "request.proposed",
    "request.decided",
    "command.started",
    "command.finished",
)

STREAMS = ("stdout", "stderr", "stdin")


async def close_what_was_open(reader: Reader, writer: Audit) -> None:
    """Write the missing ends. Raises StoreError, RecorderError."""
    last_start = next((entry.seq for entry in reader.newest("daemon.started")), -1)
    sessions: dict[str, Entry] = {}
    undecided: dict[str, Entry] = {}
    running: dict[str, Entry] = {}
    approvals: Counter[str] = Counter()
    for entry in reader.entries(after=last_start, types=TYPES):
        match entry.type:
            case "session.opened":
                sessions[entry.session] = entry
            case "session.closed" | "session.interrupted":
                sessions.pop(entry.session, None)
            case "request.proposed" if entry.body["verdict"] == "hold":
                undecided[entry.request] = entry
            case "request.decided" if entry.body["choice"] != "approve" or _enough(entry, undecided, approvals):
                undecided.pop(entry.request, None)
            case "command.started":
                running[entry.request] = entry
            case "command.finished":
                running.pop(entry.request, None)
    drafts = [_lost(entry) for entry in running.values()]
    drafts += [_withdrawn(entry) for entry in undecided.values()]
    drafts += [audit.session_interrupted(name) for name in sessions]
    for draft in drafts:
        await writer.write(draft)


def _enough(vote: Entry, undecided: dict[str, Entry], approvals: Counter[str]) -> bool:
    """Count one approval; whether it was the last that its request needed."""
    proposal = undecided.get(vote.request)
    approvals[vote.request] += 1
    return proposal is None or approvals[vote.request] >= int(proposal.body["approvals"])


def _lost(start: Entry) -> Draft:
    body: dict[str, Any] = {
        "status": None,
        "signal": "",
        "note": "the bastion stopped while it ran; its end is unknown",
    }
    for name in STREAMS:
        body |= {f"{name}_bytes": 0, f"{name}_sha256": ""}
    return Draft("command.finished", audit.DAEMON, body, start.session, start.request, start.leaf)


def _withdrawn(proposal: Entry) -> Draft:
    reason = "the bastion stopped while it was held"
    digest = str(proposal.body["digest"])
    return audit.ended(proposal.request, proposal.session, digest, "withdrawn", reason, proposal.leaf)
