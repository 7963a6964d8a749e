"""Numbers and states as the words that stand on the screen. Pure.

Colour only ever repeats what a word or a glyph says already, so that a terminal without colour, a colour-blind
reader and a screen reader get the same. Styles are named here and coloured in `app.tcss`.

Agent-supplied text goes through `cell` or `policy.visible`, never onto the screen as it is.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from bastion.control import wire
from bastion.covering import visible, visible_line
from bastion.model import State, Tier
from bastion.policy.visible import CUT

SECOND = 1_000_000
"""Microseconds; all times of the protocol are in microseconds since the epoch."""

HURRY = 10
"""Seconds left from which on a countdown carries an exclamation mark."""


@dataclass(frozen=True, slots=True)
class Badge:
    """How a tier or a state is shown."""

    glyph: str
    word: str
    short: str
    """Of at most 7 characters, for tables."""
    style: str


TIERS: dict[str, Badge] = {
    Tier.HIGH: Badge("!!", "high", "high", "high"),
    Tier.UNRATED: Badge("?", "unrated", "unrated", "unrated"),
    Tier.MEDIUM: Badge("!", "medium", "med", "medium"),
    Tier.LOW: Badge("-", "low", "low", "low"),
}
"""The riskiest first; unrated counts as risky because nobody judged it."""

STATES: dict[str, Badge] = {
    State.HELD: Badge("=", "held", "held", "held"),
    State.APPROVED: Badge("+", "approved", "APPROVED", "good"),
    State.DENIED: Badge("x", "denied", "DENIED", "bad"),
    State.EXPIRED: Badge("x", "expired", "EXPIRED", "bad"),
    State.WITHDRAWN: Badge("~", "withdrawn", "WITHDRAWN", "quiet"),
    State.ALLOWED: Badge("+", "allowed by rule", "ALLOWED", "good"),
    State.REFUSED: Badge("x", "refused by rule", "REFUSED", "bad"),
}


def tier_badge(tier: str) -> Badge:
    """Of a tier; one that this console does not know is shown as unrated, by its name."""
    return TIERS.get(tier) or Badge("?", cell(tier, 20), cell(tier, 7), "unrated")


def state_badge(state: str) -> Badge:
    """Of a state; one that this console does not know is shown by its name."""
    return STATES.get(state) or Badge("?", cell(state, 20), cell(state, 9), "unrated")


def risk(info: wire.RequestInfo) -> str:
    """Score and tier, such as `46 medium` or `unrated`."""
    word = tier_badge(info.tier).word
    return word if info.score is None else f"{info.score} {word}"


def duration(micros: int) -> str:
    """A span in at most 4 characters: `0s`, `59s`, `59m`, `23h`, `99d`."""
    seconds = max(0, micros) // SECOND
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{min(seconds // size, 999)}{unit}"
    return f"{seconds}s"


def countdown(micros: int) -> str:
    """What is left, in at most 6 characters: `56s`, `9s!`, `4m05s`, `3h`, `due` (the bastion's word is awaited)."""
    seconds = -(-micros // SECOND)
    if seconds <= 0:
        return "due"
    if seconds <= HURRY:
        return f"{seconds}s!"
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return duration(micros)


def bar(part: int, whole: int, cells: int) -> str:
    """How much is left, as `cells` characters; never empty while something is left, never full once some is gone."""
    if whole <= 0 or part <= 0:
        return "." * cells
    full = cells if part >= whole else min(cells - 1, max(1, part * cells // whole))
    return "#" * full + "." * (cells - full)


def clock_time(micros: int) -> str:
    """A moment in UTC, so that it can be compared with logs: `2026-11-21 10:14:03 UTC`; `never` for 0."""
    if micros <= 0:
        return "never"
    try:
        return f"{datetime.fromtimestamp(micros // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{micros} us after the epoch"


def cell(data: bytes | str, width: int) -> str:
    """Text made visible in at most `width` characters; a cut shows `…`, with the count where there is room for it."""
    line = visible_line(data, width)
    if len(line) <= width:
        return line
    return (visible(data, newlines=False)[: width - 1] + CUT)[:width] if width > 0 else ""


def plain(text: str) -> str:
    """Text that a terminal draws as it stands: letters of any script stay, what moves, hides or turns becomes a mark.

    The last line of defence of everything that is painted, and all there is for output that is only watched (letters
    that look alike stay: nothing is decided by it). What a decision is made by went through `policy.visible` before,
    and passes here unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _drawn(char) else visible(char, newlines=False) for char in text)


def _drawn(char: str) -> bool:
    """One or two cells, drawn where it stands."""
    if char.isascii():
        return char.isprintable()
    return (
        char.isprintable()
        and unicodedata.category(char)[0] not in "MC"
        and unicodedata.bidirectional(char) not in {"R", "AL", "AN"}
        and unicodedata.name(char, "").find("FILLER") < 0
        and char != "\u2800"
    )


def name(text: str, width: int) -> str:
    """A name made visible in at most `width` characters; one that is cut ends in `…`."""
    shown = visible(text, newlines=False)
    return shown if len(shown) <= width else shown[: max(0, width - len(CUT))] + CUT


def amount(number: int, noun: str) -> str:
    """`1 line`, `1,204 bytes`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def names(people: list[str]) -> str:
    """`ana`, `ana and bob`, `ana, bob and eve`."""
    shown = [cell(name, 40) for name in people]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def ending(info: wire.RequestInfo) -> str:
    """How a request ended, in one sentence that may hold an approver's words; empty while it is held."""
    voters = [vote.by for vote in info.votes if vote.choice == ("deny" if info.state == State.DENIED else "approve")]
    by = f" by {names(voters)}" if voters else ""
    why = f": {visible(info.decision_reason, newlines=False)}" if info.decision_reason else ""
    match info.state:
        case State.HELD:
            return ""
        case State.APPROVED | State.DENIED:
            return f"{info.state}{by}{why}"
        case State.EXPIRED:
            return "expired: nobody decided in time, so it was denied"
        case State.WITHDRAWN:
            return f"withdrawn by the agent{why}"
        case _:
            return f"{state_badge(info.state).word}{why}"
