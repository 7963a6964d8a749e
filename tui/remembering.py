"""What "approve and remember" would remember: the choice among what the bastion proposes, and its words. Pure.

Theory of operation. `A` asks the bastion what may be remembered of the request on display; the answer comes later, so
the dialog that shows it acts on nothing for as long as a change that the person did not make (guard.py). What it shows
is what is signed: the text of the entry, for whom, where, until when. Confirmed, the vote goes first, and only where it
counted is the entry added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

from bastion.control import wire
from bastion.covering import visible
from tui.items import Item
from tui.paper import Parts
from tui.words import SECOND, cell, clock_time, duration

SPANS = (0, 30 * 86400, 7 * 86400, 86400, 3600)
"""Seconds that an entry may be asked to last, as far as its tier lets it; 0: without an end."""


class Limits(TypedDict):
    """How far and how long."""

    everywhere: bool
    expires: int


@dataclass(frozen=True, slots=True)
class Memory:
    """One choice: which candidate, how far, how long. `now` is the bastion's time when it was proposed."""

    item: Item
    proposal: wire.ProposalInfo
    now: int
    at: int = 0
    everywhere: bool = False
    span: int = 0

    @property
    def candidate(self) -> wire.CandidateInfo:
        return self.proposal.candidates[self.at]

    @property
    def spans(self) -> list[int]:
        """Seconds; the longest first."""
        longest = (self.proposal.until - self.now) // SECOND if self.proposal.until else 0
        if not longest:
            return list(SPANS)
        return [longest, *(span for span in SPANS if 0 < span < longest)]

    @property
    def until(self) -> int:
        """When it ends, microseconds since the epoch; 0: never."""
        span = self.spans[self.span]
        if self.span == 0:
            return self.proposal.until
        return self.now + span * SECOND if span else 0

    def step(self, by: int) -> Memory:
        """The next candidate."""
        return replace(self, at=(self.at + by) % len(self.proposal.candidates))

    def wider(self) -> Memory:
        """This target only, or its whole environment."""
        return replace(self, everywhere=not self.everywhere and bool(self.proposal.env))

    def shorter(self) -> Memory:
        """The next time span, and after the shortest the longest again."""
        return replace(self, span=(self.span + 1) % len(self.spans))

    @property
    def limits(self) -> Limits:
        """For Client.remember."""
        return {"everywhere": self.everywhere, "expires": self.until}

    # --- words

    @property
    def text(self) -> str:
        """What is remembered, complete: the pattern, or the exact command."""
        return visible(self.candidate.pattern or self.proposal.command)

    def choice(self) -> Parts:
        """Which candidate it is, and of how many."""
        many = len(self.proposal.candidates)
        which = f" {self.at + 1} of {many}: " if many > 1 else " "
        code = ", with the stdin that is shown and no other" if self.proposal.code else ""
        return ((which, "label"), (visible(self.candidate.words, newlines=False) + code, "value"))

    def scope(self) -> Parts:
        """For whom and where."""
        info = self.proposal
        where = f"on every target of {cell(info.env, 20)}" if self.everywhere else f"on {cell(info.target, 24)} only"
        return ((f" for {cell(info.identity, 24)} as {cell(info.login, 16)}, ", "value"), (where, "strong"))

    def term(self) -> Parts:
        """Until when."""
        if not self.until:
            return ((" until somebody removes it", "strong"),)
        return ((f" for {duration(self.until - self.now)}, until {clock_time(self.until)}", "strong"),)


def remember(item: Item, proposal: wire.ProposalInfo, now: int) -> Memory | str:
    """The first choice; or why nothing can be remembered, in words."""
    if proposal.refused:
        return f"this is not remembered: {visible(proposal.refused, newlines=False)}; a approves it once"
    if not proposal.candidates:
        return "the bastion proposes nothing to remember; a approves it once"
    if proposal.command != item.info.command or proposal.identity != item.info.identity:
        return "the bastion proposes to remember another command than the one on display; nothing was done"
    return Memory(item, proposal, now)
