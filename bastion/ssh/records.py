"""What one session writes into the ledger, in order, and the leaves that later entries answer.

Facts of no urgency (the session opened, something was refused) are noted and go with the next commit, before it. A
command that is let through costs two commits: what is proposed and started, before the target hears of it; and the last
of its recording, its end, and the session's, which nobody waits for but those who ask for the record.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bastion import audit
from bastion.audit import Audit, Draft, Entry
from bastion.errors import BastionError
from bastion.history import outcome
from bastion.model import Request
from bastion.policy.judge import Judgement
from recorder.recording import Summary

log = logging.getLogger(__name__)

NOTED = 64
"""Refusals noted between two commits; a client that floods requests must not fill the ledger."""

STREAMS = {"output": "stdout", "stderr": "stderr", "input": "stdin"}
"""Kinds of frames, as `command.finished` calls them."""


def asked_mode(request: Request) -> str:
    """What may be typed into it, where no approver said anything else; empty where nothing can."""
    return request.mode.value if request.shelled else ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a command puts into the ledger, to be completed by what was recorded of it."""

    session: str
    request: Request
    status: int | None
    signal: str
    note: str
    closing: str | None
    """Why the session is over with it, in words; None where it goes on."""
    start: str
    """Leaf of `command.started`."""
    noted: tuple[Draft, ...]
    """What stands before it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of a file that went through, by kind of stream; none for a stream that a recording has."""

    def body(self, summary: Summary | None) -> dict[str, object]:
        """Of `command.finished`."""
        body: dict[str, object] = {"status": self.status, "signal": self.signal, "note": self.note[:1000]}
        for kind, name in STREAMS.items():
            body[f"{name}_bytes"] = summary.bytes[kind] if summary is not None else 0
            if kind in self.files:
                body[f"{name}_sha256"] = self.files[kind]
        if summary is not None and summary.root:
            body["recording"] = summary.root
        return body

    def drafts(self, summary: Summary | None) -> list[Draft]:
        """The entries, in order."""
        finished = audit.finished(self.request, self.session, self.body(summary), self.start)
        closed = [] if self.closing is None else [audit.session_closed(self.session, self.closing)]
        return [*self.noted, finished, *closed]


class Records:
    """The ledger as one session sees it."""

    def __init__(self, ledger: Audit, session: str, identity: str, opened: Draft) -> None:
        self._audit, self._session, self._identity = ledger, session, identity
        self._noted = [opened]
        self._started: dict[str, tuple[Request, str]] = {}
        self._closed = False
        self.proposal = ""
        """Leaf of the proposal that this session waits for or runs."""

    @property
    def unfinished(self) -> list[Request]:
        """Commands that were started, and whose end is not written yet: more than one where shells are nested, then
        the innermost first."""
        return [request for request, _ in reversed(self._started.values())]

    def refused(self, what: str) -> None:
        """Note that the channel table refused something."""
        if len(self._noted) < NOTED:
            self._noted.append(audit.channel_refused(self._session, self._identity, what))

    async def proposed(self, request: Request, judgement: Judgement, *, started: bool) -> None:
        """Commit the proposal, and with `started`, for what is allowed without a person, the start in the same step."""
        drafts = [audit.proposed(request, judgement)]
        if started:
            drafts.append(audit.started(request, self._session, audit.CAUSE_PREVIOUS, asked_mode(request)))
        entries = await self._write(*drafts)
        self.proposal = entries[0].leaf
        if started:
            self._started[request.id] = request, entries[1].leaf

    async def announced(self, draft: Draft) -> None:
        """Commit what the mint wants to find before it certifies something that is no command."""
        await self._write(draft)

    async def attached(self, request: Request) -> None:
        """Commit that this session took up an earlier one's request; `proposal` is set."""
        await self._write(audit.attached(request, self._session, self.proposal))

    async def started(self, request: Request, grounds: str, mode: str = "") -> None:
        """Commit the start; `grounds` is the leaf of the approving decision, `mode` what may be typed into it."""
        entries = await self._write(audit.started(request, self._session, grounds, mode))
        self._started[request.id] = request, entries[0].leaf

    async def sent(self, request: Request, grounds: str) -> None:
        """Commit that an approved line of stdin goes to the command that runs."""
        await self._write(audit.sent(request, self._session, grounds))

    async def finished(
        self,
        request: Request,
        summary: Summary | None,
        status: int | None,
        signal: str,
        note: str,
        files: Mapping[str, str] | None = None,
    ) -> str:
        """Commit the end; returns it in words. The recording must be durable by now."""
        ending = replace(self.ending(request, status, signal, note), files=files or {})
        await self._audit.write(*ending.drafts(summary))
        return self.ended(ending, summary)

    def ending(
        self, request: Request, status: int | None, signal: str, note: str, closing: str | None = None
    ) -> Ending:
        """What is about to be committed with the last of its recording; to be confirmed by `ended`."""
        noted, self._noted = tuple(self._noted), []
        _, start = self._started.get(request.id, (request, ""))
        return Ending(self._session, request, status, signal, note, closing, start, noted)

    def ended(self, ending: Ending, summary: Summary | None) -> str:
        """It is durable; returns it in words."""
        self._started.pop(ending.request.id, None)
        self._closed = self._closed or ending.closing is not None
        return outcome(ending.body(summary))

    async def closed(self, end: str) -> None:
        """Commit the session's end, if it did not go with its command's. A ledger that has failed is logged: nothing
        depends on this entry any more."""
        try:
            if self._closed:
                if self._noted:
                    await self._write()
                return
            await self._write(audit.session_closed(self._session, end))
        except BastionError as error:
            log.error("end of session %s not recorded: %s", self._session, error)

    async def _write(self, *drafts: Draft) -> list[Entry]:
        """Commit `drafts`, and before them what was noted since the last time. Raises StoreError."""
        noted, self._noted = self._noted, []
        entries = await self._audit.write(*noted, *drafts)
        return list(entries[len(noted) :])
