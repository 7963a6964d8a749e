"""How deciding goes, as a document: how much is asked, how long people take, whose habits somebody should look at, what
asks most and what would settle it. Pure."""

from __future__ import annotations

from bastion.control import wire
from bastion.covering import visible
from tui.paper import BLANK, Document, Row, Rows, banner_rows, field_rows, title_row
from tui.words import SECOND, bar, cell, clock_time, duration

SPANS = (30, 7, 1)
"""Days that are counted; the first is what the command line counts, too."""
BAR = 20
"""Cells of a share that is drawn."""


def taken(micros: int) -> str:
    """A review's time: `0.4s`, `12s`, `3m`."""
    return f"{micros / SECOND:.1f}s" if micros < 10 * SECOND else duration(micros)


def stats_document(info: wire.StatsInfo, width: int) -> Document:
    """Everything that `bastion stats` tells."""
    rows: list[Row] = [title_row("requests", f"since {clock_time(info.since)}", width)]
    for name, number in (
        ("asked", info.requests), ("allowed", info.allowed), ("held", info.held), ("refused", info.refused),
        ("approved", info.approved), ("denied", info.denied), ("expired", info.expired),
        ("withdrawn", info.withdrawn),
    ):  # fmt: skip
        whole = info.requests if name in ("asked", "allowed", "held", "refused") else info.held
        share = f"{bar(number, whole, BAR)} {100 * number // whole:>3} %" if whole else ""
        rows += field_rows(name, f"{number:>7,}  {share}", width)
    if info.waiting:
        rows += field_rows("waiting", f"{info.waiting:>7,}", width, "strong")
    if info.reviews:
        words = f"half within {taken(info.p50)}, 95 % within {taken(info.p95)}, the longest took {taken(info.longest)}"
        rows += field_rows("decided", words, width)
    rows += _approvers(info, width)
    rows += _commands(info, width)
    for title, tallies in (("agents", info.identities), ("environments", info.environments), ("days", info.days)):
        rows += [BLANK, title_row(title, "asked, held, approved, denied, expired", width)] if tallies else []
        for each in tallies:
            counts = (each.requests, each.held, each.approved, each.denied, each.expired)
            name = cell(each.name, 24)
            rows += field_rows("", f"{name:<24} " + " ".join(f"{count:>7,}" for count in counts), width)
    for title, rules in (("let through by", info.rules), ("refused by", info.refusals)):
        rows += [BLANK, title_row(title, "", width)] if rules else []
        for rule, count in rules:
            rows += field_rows(f"{count:>8,}", visible(rule, newlines=False), width)
    for note in info.notes:
        rows += field_rows("note", visible(note, newlines=False), width, "warning")
    return Document([Rows(rows)])


def _approvers(info: wire.StatsInfo, width: int) -> list[Row]:
    rows: list[Row] = [BLANK, title_row("approvers", "", width)] if info.approvers else []
    for each in info.approvers:
        words = (
            f"{cell(each.name, 24)}: approved {each.approved:,}, denied {each.denied:,}, half within {taken(each.p50)}"
        )
        quick = f", {each.quick:,} within 2 s" if each.quick else ""
        unsigned = f", {each.unsigned:,} unsigned" if each.unsigned else ""
        rows += field_rows("", words + quick + unsigned, width)
        if each.warning:
            rows += banner_rows(f"! {visible(each.warning, newlines=False)}", width, "warning")
    return rows


def _commands(info: wire.StatsInfo, width: int) -> list[Row]:
    rows: list[Row] = [BLANK, title_row("what asks most", "", width)] if info.commands else []
    for each in info.commands:
        where = f"{cell(each.identity, 20)} on {cell(each.login, 16)}@{cell(each.target, 20)}, {cell(each.tier, 10)}"
        rows += field_rows(f"{each.held:>7,} x", f"{where}: {cell(each.command, max(20, width - 40))}", width)
        words = f"would be settled by: {visible(each.line, newlines=False)}" if each.line else visible(each.why)
        rows += field_rows("", words, width, "good" if each.line else "quiet")
    return rows
