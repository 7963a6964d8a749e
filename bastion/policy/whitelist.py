"""Approvals remembered: what may be, for how long, and which entry lets a request through. Pure.

Theory of operation. An entry is an exact command, or a pattern (policy/pattern.py) that the product proposed or would
have proposed: `propose` makes them, `checked` takes one from an approver and accepts it only if each of its holes is
in a place that `policy/arguments.py` knows. So a hole never covers a flag, a program or shell structure.

How long depends on the risk, by the daemon's own assessment, both when an entry is added and each time it is used:

    low       no end needed
    medium    at most 7 days
    high      never; nor what cannot be parsed with certainty
    unrated   exact commands only, at most 7 days

A command that is rated higher than its entry was when it was signed is held: the facts, or what fills the holes, make
it another matter. An entry is for one identity, one login, one target or one environment, and, where a command takes
code on stdin, for exactly that code. It is out of force while its signer is revoked.

Modules of Ansible by name (policy/plays.py) are entries of their own kind, for hours; they need no command of low tier.

A command that runs a script file of the target is remembered for that content only: the file is read before each
judgement, and the target compares it again before it runs (policy/scripts.py). Where the file is not certain, or cannot
be read, such a command is not remembered (`runs_script`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from bastion.directory import Directory
from bastion.model import Assessment, Request, RequestKind, StdinMode, Tier
from bastion.policy import plays
from bastion.policy.arguments import Span, places
from bastion.policy.pattern import HOLES_LIMIT, Hole, Kind, Pattern, PatternError, parse
from bastion.policy.scripts import runs_script, script_file
from bastion.policy.shell import Parsed, Unparsed
from bastion.policy.shell import parse as parse_line
from bastion.whitelisted import WhitelistEntry

DAY = 86_400
LONGEST = {Tier.LOW: 0, Tier.MEDIUM: 7 * DAY, Tier.UNRATED: 7 * DAY}
"""Seconds that an entry may last, by tier; 0: without an end. A tier that is missing is never remembered."""

RANK = {Tier.LOW: 0, Tier.MEDIUM: 1, Tier.UNRATED: 2, Tier.HIGH: 3}
"""Which tier is the higher one."""

PROPOSALS_LIMIT = 6
"""Generalisations that are proposed at most: a person chooses one of them."""

OPEN_DIRECTORIES = frozenset({"/tmp", "/srv", "/opt"})  # noqa: S108 -- a name, not a file that is made
"""Directories of one part below which a generalisation is proposed; others have two parts at least."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that could be remembered."""

    pattern: str
    """Text of the pattern; empty: exactly this command."""
    words: str
    """What it lets through, for a person."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What may be remembered of a command."""

    refused: str
    """Why nothing may; empty if something may."""
    tier: Tier
    longest: int
    """Seconds; 0: without an end."""
    candidates: tuple[Candidate, ...]
    """The exact command first."""


def code_hash(request: Request) -> str:
    """SHA-256 (hex) of the code that the request brings on stdin or that a script of the target holds, or of both
    hashes; empty if there is none."""
    stdin = request.stdin_code if request.stdin is StdinMode.BUNDLED else b""
    hashes = [hashlib.sha256(code).hexdigest() for code in (stdin, request.script_code) if code]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest() if len(hashes) > 1 else "".join(hashes)


def propose(command: bytes, assessment: Assessment, *, code: str = "") -> Proposal:
    """What of this command may be remembered, by the daemon's own assessment of it. `code`: the entry will be bound to
    it (`code_hash`)."""
    parsed = parse_line(command)
    if reason := refusal(command, parsed, assessment, code=code):
        return Proposal(reason, assessment.tier, 0, ())
    exact = Candidate("", "exactly this command, byte for byte")
    more = tuple(_generalised(command, parsed)) if _may_generalise(assessment) and isinstance(parsed, Parsed) else ()
    return Proposal("", assessment.tier, LONGEST[assessment.tier], (exact, *more))


def checked(command: bytes, text: str, assessment: Assessment) -> Pattern:
    """The pattern of that text, if it may be remembered on the grounds of `command`. Raises PatternError."""
    pattern = parse(text)
    parsed = parse_line(command)
    if reason := refusal(command, parsed, assessment):
        raise PatternError(reason)
    if not _may_generalise(assessment) or not isinstance(parsed, Parsed):
        raise PatternError("a command that nobody rated is remembered exactly or not at all")
    if not pattern.matches(command):
        raise PatternError("the pattern does not match the command that it is for")
    allowed = places(command, parsed)
    for span, hole in zip(_spans(pattern, command), pattern.holes, strict=True):
        if allowed.get(span) is not hole.kind:
            word = command[slice(*span)].decode()
            raise PatternError(f"{word[:60]!r} is not known to be a {hole.kind} that may differ here")
    return pattern


def refusal(command: bytes, parsed: Parsed | Unparsed, assessment: Assessment, *, code: str = "") -> str:
    """Why a command may not be remembered at all; empty if it may. `code` is what the entry is bound to."""
    if assessment.tier not in LONGEST:
        return f"a command of tier {assessment.tier} is never remembered: a person decides each time"
    if isinstance(parsed, Unparsed):
        return f"this line {parsed.reason}, so it is not remembered"
    if code and script_file(parsed):
        return ""  # it runs with this content only
    script = runs_script(parsed)
    return f"it runs {script}, whose content is not known here, so it is not remembered" if script else ""


def find(directory: Directory, request: Request, now: int) -> WhitelistEntry | None:
    """The entry that lets the request through at `now` (microseconds), by its assessment as it is now."""
    if (play := _play(directory, request, now)) is not None:
        return play
    if request.kind is not RequestKind.EXEC:
        return None  # a line of a shell means what that shell's state makes of it; access is for people to give
    code = code_hash(request)
    for entry in directory.remembered(request.identity, request.login, request.command):
        if not in_force(directory, entry, now) or RANK[request.assessment.tier] > RANK[entry.tier]:
            continue
        if not _there(entry, request) or entry.code != code:
            continue
        if entry.pattern and parse(entry.pattern).matches(request.command) and _may_generalise(request.assessment):
            return entry
        if not entry.pattern and entry.command == request.command and request.assessment.tier is not Tier.HIGH:
            return entry
    return None


def _there(entry: WhitelistEntry, request: Request) -> bool:
    return (entry.target, entry.env) in ((request.target, ""), ("", request.env))


def _play(directory: Directory, request: Request, now: int) -> WhitelistEntry | None:
    for entry in directory.plays(request.identity, request.login):
        if (
            in_force(directory, entry, now)
            and _there(entry, request)
            and plays.covers(plays.parse(entry.pattern), request)
        ):
            return entry
    return None


def in_force(directory: Directory, entry: WhitelistEntry, now: int) -> bool:
    """Not over, and its signer still counts."""
    signer = directory.identities.get(entry.by)
    return (entry.expires == 0 or now < entry.expires) and signer is not None and not signer.revoked


def too_long(tier: Tier, seconds: int) -> str:
    """Why an entry of that tier may not last so many seconds (0: without an end); empty if it may."""
    longest = LONGEST.get(tier)
    if longest is None:
        return f"a command of tier {tier} is never remembered"
    if longest and (seconds == 0 or seconds > longest):
        return f"a command of tier {tier} is remembered for {longest // DAY} days at most"
    return ""


# --- proposals -----------------------------------------------------------------------------------------------------


def _may_generalise(assessment: Assessment) -> bool:
    return assessment.tier in (Tier.LOW, Tier.MEDIUM)


def _generalised(command: bytes, parsed: Parsed) -> Iterator[Candidate]:
    """All known places at once, narrow, then wide; then each by itself."""
    spans = sorted(places(command, parsed).items())
    choices = [(span, holes) for span, kind in spans if (holes := _holes(kind, command[slice(*span)].decode()))]
    if not choices or len(choices) > HOLES_LIMIT:
        return
    narrow = [(span, holes[0]) for span, holes in choices]
    wide = [(span, holes[-1]) for span, holes in choices]
    single = [[(span, hole)] for span, holes in choices for hole in holes]
    seen: set[str] = set()
    for picks in (narrow, wide, *single):
        text = _text(command, picks)
        try:
            parse(text)
        except PatternError:
            continue  # such as a hole before `>`, where a number would be a descriptor
        if text not in seen and len(seen) < PROPOSALS_LIMIT:
            seen.add(text)
            yield Candidate(text, _words(picks))


def _holes(kind: Kind, word: str) -> list[Hole]:
    """What could stand for `word`, the narrowest first."""
    if kind is not Kind.PATH:
        hole = Hole(kind)
        return [hole] if hole.admits(word) else []
    parents = [word.rpartition("/")[0]]
    parents.append(parents[0].rpartition("/")[0])
    holes = [Hole(kind, each) for each in parents if each.count("/") >= 2 or each in OPEN_DIRECTORIES]
    return [hole for hole in holes if hole.admits(word)]


def _text(command: bytes, picks: list[tuple[Span, Hole]]) -> str:
    texts, at = [], 0
    for (start, end), _ in picks:
        texts.append(command[at:start].decode())
        at = end
    texts.append(command[at:].decode())
    return str(Pattern(tuple(texts), tuple(hole for _, hole in picks)))


def _words(picks: list[tuple[Span, Hole]]) -> str:
    named = [f"any path below {hole.below}" if hole.below else f"any {hole.kind}" for _, hole in picks]
    return f"this command with {', '.join(dict.fromkeys(named))}"


def _spans(pattern: Pattern, command: bytes) -> list[Span]:
    """Where the holes are in a command that the pattern matches."""
    spans, at = [], 0
    word = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+@/-"
    for text in pattern.texts[:-1]:
        at += len(text.encode())
        end = at
        while end < len(command) and command[end] in word:
            end += 1
        spans.append((at, end))
        at = end
    return spans


__all__ = ["Candidate", "Proposal", "checked", "code_hash", "find", "in_force", "propose", "too_long"]
