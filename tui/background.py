"""What there is to know about a request beside itself, as rows: its shell's last lines, earlier decisions on the like,
what differs from the last approved one, what its agent could do there anyway. Pure.

All of it is the bastion's account of the past and of its policy; the request's own text stands above it, and nothing
here has to be read before a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.control import wire
from bastion.covering import visible
from tui.difference import difference
from tui.live import Live
from tui.paper import LABEL, Row, field_rows
from tui.words import amount, cell, clock_time, duration, names, state_badge

TERMINAL_ROWS = 8
"""Last lines of the shell that are shown; `w` shows the rest."""
COLUMNS = 200
"""Of the terminal in which they are rendered, where its size is not known."""
WORDS_SHOWN = 600
"""Bytes of a run of words in the comparison; beyond, the cut is said."""
WAITING = "asking the bastion ..."
ALLOWED = {"allow": "runs unasked", "deny": "never runs"}


@dataclass(frozen=True, slots=True)
class Background:
    """What the bastion told, or why it did not."""

    info: wire.BackgroundInfo | None = None
    terminal: tuple[str, ...] = ()
    """The last lines, rendered."""
    problem: str = ""


def told(info: wire.BackgroundInfo) -> Background:
    """The answer, with the shell's output rendered."""
    if not info.terminal:
        return Background(info)
    live = Live(COLUMNS)
    for frame in info.terminal:
        live.add(frame)
    while live.work():
        pass
    return Background(info, tuple(live.out.lines()[-TERMINAL_ROWS:]))


def terminal_rows(background: Background | None, width: int) -> list[Row]:
    """The last lines of the shell before this item; nothing where there is no shell."""
    rows: list[Row] = []
    for at, line in enumerate(background.terminal if background else ()):
        shown = cell(line, max(10, width - LABEL - 2))
        rows.append(Row(((f"{'before it' if not at else '':<{LABEL}}", "label"), ("| ", "rule"), (shown, "quiet"))))
    return rows


def background_rows(this: wire.RequestInfo, background: Background | None, now: int, width: int) -> list[Row]:
    """Past decisions, the comparison, the blast radius."""
    if background is None or background.info is None:
        words = visible(background.problem, newlines=False) if background else WAITING
        return field_rows("past", words, width, "quiet")
    info = background.info
    rows = _past(info, now, width)
    if info.approved is not None:
        rows += _compared(info.approved, this, now, width)
    return rows + _blast(info, width)


def _past(info: wire.BackgroundInfo, now: int, width: int) -> list[Row]:
    if not info.past:
        return field_rows("past", f"nothing like it among {amount(info.looked_at, 'earlier request')}", width)
    counts = f"exactly this: approved {info.same_approved} and denied {info.same_denied} times"
    if not info.same_approved + info.same_denied:
        counts = "exactly this was never decided before"
    rows = field_rows("past", f"{counts}, among {amount(info.looked_at, 'earlier request')}", width)
    for each in info.past:
        badge = state_badge(each.state)
        by = f" by {names(each.by)}" if each.by else ""
        ended = f", {visible(each.status, newlines=False)}" if each.status else ""
        why = f" ({cell(each.reason, 60)})" if each.reason and each.state == "denied" else ""
        head = f"{badge.glyph} {badge.word}{by} {_ago(each.at, now)} ago{ended}{why}"
        what = "the same" if each.same else f"{cell(each.identity, 24)} on {cell(each.target, 24)}"
        rows += field_rows("", f"{head}: {what}", width, badge.style)
        if not each.same:
            rows += field_rows("", f"  {cell(each.command, max(20, width - LABEL - 4))}", width, "quiet")
    return rows


def _ago(at: int, now: int) -> str:
    return duration(now - at)


def _compared(earlier: wire.RequestInfo, this: wire.RequestInfo, now: int, width: int) -> list[Row]:
    found = difference(earlier, this)
    by = names([vote.by for vote in earlier.votes if vote.choice == "approve"])
    head = f"{cell(earlier.id, 12)}, the last one that was approved, by {by} {_ago(earlier.decided, now)} ago"
    if found.none:
        return field_rows("compared", f"nothing differs from {head}", width, "good")
    rows = field_rows("compared", f"with {head}:", width)
    for word, texts in (("only here", found.added), ("only then", found.removed)):
        for text in texts:
            cut = "" if len(text) <= WORDS_SHOWN else f" (and {amount(len(text) - WORDS_SHOWN, 'byte')} more)"
            rows += field_rows("", f"{word}: {visible(text[:WORDS_SHOWN], newlines=False)}{cut}", width, "strong")
    if found.spaces:
        rows += field_rows("", "the words are the same, the space between them is not", width, "warning")
    for name, value in found.others:
        rows += field_rows("", f"{name} then: {visible(value, newlines=False) or 'none'}", width, "strong")
    for name in found.contents:
        rows += field_rows("", f"the {name} is another one", width, "warning")
    return rows


def _blast(info: wire.BackgroundInfo, width: int) -> list[Row]:
    access = info.access
    if access is None:
        return field_rows("blast", "its agent may not reach this target any more", width, "warning")
    until = f" until {clock_time(access.until)}" if access.until else ""
    whole = f"{cell(access.identity, 24)} on {cell(access.target, 24)}: {cell(access.access, 12)}{until}"
    listed = f", {amount(len(access.whitelist), 'whitelist entry')}".replace("entrys", "entries")
    rows = field_rows("blast", whole + (listed if access.whitelist else ""), width)
    for verdict in ("allow", "hold", "deny"):
        kinds = [each for each in info.damage if each.verdict == verdict]
        for approvals in sorted({each.approvals for each in kinds} if verdict == "hold" else {0}):
            some = [each.name for each in kinds if verdict != "hold" or each.approvals == approvals]
            words = ALLOWED.get(verdict) or f"waits for {amount(approvals, 'approval')}"
            if some:
                style = "warning" if verdict == "allow" else "value"
                rows += field_rows("", f"{words}: {visible(', '.join(some), newlines=False)}", width, style)
    return rows
