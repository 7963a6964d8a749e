"""What a verifier says of a ledger. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

PROBLEM_LIMIT = 20
"""Problems listed in a report; one is enough to know, more help to see how far it goes."""


class Verdict(StrEnum):
    """What is said of a ledger."""

    OK = "OK"
    TORN = "TORN"
    TAMPER = "TAMPER"
    ROLLBACK = "ROLLBACK"
    FORK = "FORK"
    UNANCHORED = "UNANCHORED"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    seq: int | None
    """Entry number; None where it cannot be pinned to one."""
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found."""

    verdict: Verdict
    message: str
    """One line for a person, without the verdict."""
    seq: int | None
    """The first bad entry, if one can be named."""
    entries: int
    sessions: int
    head: str
    """Anchor of the newest checkpoint; empty when there is none to be trusted."""
    origin: str
    key: str
    """The log key's line that the signatures were checked with."""
    anchored: int | None = None
    """Entries that something from outside vouches for: an anchor, a copy, a witness; None where nothing was given."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    redacted: int = 0
    """Chunks and contents that people took something out of, each with an entry that says so."""
    deleted: int = 0
    """Recordings whose time was over, each with an entry that says so."""

    @property
    def good(self) -> bool:
        """Exit status 0."""
        return self.verdict in (Verdict.OK, Verdict.TORN)


def exit_status(report: Report) -> int:
    """0 for OK and TORN, 1 for everything else."""
    return 0 if report.good else 1


class Broken(Exception):
    """What follows cannot be judged: stop reading."""


@dataclass(slots=True)
class Findings:
    """What was found on the way."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: str = ""
    """The harm of a crash, in words."""

    def bad(self, seq: int | None, message: str) -> None:
        """Something is wrong."""
        if len(self.problems) < PROBLEM_LIMIT:
            self.problems.append(Problem(seq, message))

    def stop(self, seq: int | None, message: str) -> Broken:
        """Something is wrong, so that the rest cannot be judged: to be raised."""
        self.bad(seq, message)
        return Broken()

    def note(self, text: str) -> None:
        """Something is worth saying; once."""
        if text not in self.notes:
            self.notes.append(text)
