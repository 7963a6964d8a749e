"""The screens that list what the bastion keeps: whitelist, grants and freezes, ledger. As data: which call brings them,
what stands in a row, what is said of one in full, and which call ends it. Pure.

Everything in a row came over the wire and is made visible here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastion.control import wire
from bastion.covering import visible
from tui.paper import BLANK, Document, Row, Rows, field_rows, title_row
from tui.words import cell, clock_time, duration

FILL = 0
"""Width of the column that takes what is left."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    title: str
    width: int


@dataclass(frozen=True, slots=True)
class Record:
    """One row."""

    id: str
    cells: tuple[str, ...]
    """One a column; cut to its width when it is drawn."""
    detail: tuple[tuple[str, str], ...]
    """(label, text), each wrapped."""
    style: str = "value"
    end: tuple[type[wire.Call], dict[str, Any]] | None = None
    """The call that ends it; None where nothing does."""
    ending: str = ""
    """What that does, as a question."""


Answers = dict[str, list[Any]]
"""What the calls brought, by their names here."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One such screen."""

    name: str
    title: str
    columns: tuple[Column, ...]
    calls: tuple[tuple[str, type[wire.Call], Any], ...]
    """(name, call, type of its answer)."""
    records: Callable[[Answers, int], list[Record]]
    """(answers, the bastion's time) -> rows."""
    empty: str
    options: dict[str, Any] = field(default_factory=dict)
    """Fields of the calls."""


def _until(expires: int, now: int) -> str:
    return "no end" if not expires else f"{duration(expires - now)} left" if expires > now else "over"


def _whitelist(answers: Answers, now: int) -> list[Record]:
    rows: list[Record] = []
    for each in answers["whitelist"]:
        place = each.target or f"all of {each.env}"
        text = each.pattern or visible(each.command)
        rows.append(
            Record(
                each.id,
                (each.id, _until(each.expires, now) if each.in_force else "not in force", each.identity,
                 f"{each.login}@{place}", text),
                (
                    ("lets", visible(text) if each.pattern else text),
                    ("made from", visible(each.command)),
                    ("agent", visible(each.identity)),
                    ("where", visible(f"{each.login}@{place}")),
                    ("tier", visible(each.tier)),
                    ("signed by", visible(each.by)),
                    ("until", clock_time(each.expires) if each.expires else "somebody removes it"),
                    ("stdin", f"bound to sha256 {visible(each.code)}" if each.code else "not bound"),
                    ("in force", "yes" if each.in_force else "no: its end has come, or its signer was revoked"),
                ),
                "value" if each.in_force else "quiet",
                (wire.RemoveWhitelist, {"entry": each.id}),
                f"REMOVE {cell(each.id, 12)} FROM THE WHITELIST? What it let through is held again",
            )
        )  # fmt: skip
    return rows


def _access(answers: Answers, now: int) -> list[Record]:
    rows: list[Record] = []
    for each in answers["freezes"]:
        place = each.name or "everything"
        rows.append(
            Record(
                each.id,
                (each.id, "FROZEN", f"{duration(now - each.since)} ago", place, each.reason),
                (
                    ("frozen", visible(place)),
                    (
                        "which",
                        {"refuse": "nothing new runs", "hold": "everything is held"}.get(each.mode)
                        or visible(each.mode),
                    ),
                    ("reason", visible(each.reason)),
                    ("by", visible(each.by)),
                    ("since", clock_time(each.since)),
                ),
                "alarm",
                (wire.LiftFreeze, {"freeze": each.id, "reason": "lifted from the console"}),
                f"LIFT {cell(each.id, 12)}? {cell(place, 30)} runs again",
            )
        )
    for each in answers["grants"]:
        left = _until(each.expires, now) if each.in_force else "not in force"
        rows.append(
            Record(
                each.id,
                (each.id, left, each.identity, each.target, each.reason),
                (
                    ("grant", f"{visible(each.identity)} may reach {visible(each.target)}"),
                    ("until", clock_time(each.expires)),
                    ("reason", visible(each.reason)),
                    ("by", visible(each.by)),
                    ("since", clock_time(each.added)),
                    ("asked in", visible(each.request) if each.request else "nobody asked: the host's administrator"),
                ),
                "value" if each.in_force else "quiet",
                (wire.RevokeGrant, {"grant": each.id, "reason": "revoked from the console"}),
                f"REVOKE {cell(each.id, 12)}? Sessions of {cell(each.identity, 20)} on {cell(each.target, 20)} are cut",
            )
        )
    return rows


def _ledger(answers: Answers, now: int) -> list[Record]:
    """The newest first. An entry is canonical JSON; one that is not is shown as it is."""
    rows: list[Record] = []
    for line in reversed(answers["ledger"]):
        fields = _fields(line.entry)
        at = int(fields["t"]) if str(fields.get("t", "")).isdigit() else 0
        about = str(fields.get("request") or fields.get("session") or "")
        body = fields.get("body")
        said = json.dumps(body, ensure_ascii=False, sort_keys=True) if body else ""
        kind, actor = str(fields.get("type", "?")), str(fields.get("actor", "?"))
        rows.append(
            Record(
                str(line.seq),
                (str(line.seq), clock_time(at)[5:19], kind, actor, f"{about} {said}".strip()),
                (
                    ("entry", f"{line.seq}: {visible(kind)}"),
                    ("by", visible(actor)),
                    ("when", clock_time(at)),
                    ("about", visible(about) or "the bastion"),
                    ("leaf", visible(line.leaf)),
                    *((cell(str(name), 24), visible(_plain(value))) for name, value in _items(body)),
                ),
                "bad" if "refused" in kind or "failed" in kind else "value",
            )
        )
    return rows


def _fields(entry: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(entry)
    except (ValueError, RecursionError):
        return {"type": "not JSON", "body": {"bytes": entry.decode("utf-8", "replace")}}
    return fields if isinstance(fields, dict) else {"type": "no entry"}


def _items(body: object) -> list[tuple[object, object]]:
    return list(body.items()) if isinstance(body, dict) else []


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


PAGE = 200
"""Entries of the ledger in one page."""

LISTINGS = {
    each.name: each
    for each in (
        Listing(
            "ledger",
            "LEDGER",
            (Column("SEQ", 7), Column("WHEN (UTC)", 14), Column("ENTRY", 18), Column("BY", 10), Column("ABOUT", FILL)),
            (("ledger", wire.ListLedger, list[wire.LedgerLine]),),
            _ledger,
            "There is nothing here.",
        ),
        Listing(
            "whitelist",
            "WHITELIST",
            (Column("ID", 10), Column("UNTIL", 12), Column("AGENT", 14), Column("WHERE", 20), Column("LETS", FILL)),
            (("whitelist", wire.ListWhitelist, list[wire.WhitelistInfo]),),
            _whitelist,
            "Nothing is remembered: A approves a request and remembers it.",
            {"every": True},
        ),
        Listing(
            "access",
            "GRANTS AND FREEZES",
            (Column("ID", 10), Column("LEFT", 12), Column("AGENT", 14), Column("TARGET", 16), Column("REASON", FILL)),
            (
                ("grants", wire.ListGrants, list[wire.GrantInfo]),
                ("freezes", wire.ListFreezes, list[wire.FreezeInfo]),
            ),
            _access,
            "No grant is in force, and nothing is frozen.",
        ),
    )
}


def widths(columns: Sequence[Column], width: int) -> list[int]:
    """Of the columns in a row of `width` characters, with a gap of one between them; those at the end give way."""
    fixed = sum(column.width for column in columns) + len(columns) - 1
    found = [column.width or max(10, width - fixed) for column in columns]
    while sum(found) + len(found) - 1 > width and len(found) > 2:
        found.pop(-2)  # the one before the text is the least of what one looks for
    return found


def picked(cells: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """The cells that have a column at these sizes."""
    return [*cells[: len(sizes) - 1], cells[-1]]


def detail(record: Record | None, empty: str, width: int) -> Document:
    """Everything about the chosen row."""
    if record is None:
        return Document([Rows([BLANK, *field_rows("", empty, width, "quiet")])])
    rows: list[Row] = [title_row(cell(record.id, 40), "", width)]
    for label, text in record.detail:
        rows += field_rows(label, text, width)
    return Document([Rows(rows)])


def policy_document(policy: wire.PolicyInfo, explained: bool, width: int) -> Document:
    """The policy in force: its text with line numbers, or what it says in plain words."""
    rows: list[Row] = [title_row(f"policy {cell(policy.name, 40)}", f"sha256 {cell(policy.digest, 16)}", width)]
    for freeze in policy.freezes:
        rows += field_rows("FROZEN", visible(f"{freeze.name or 'everything'}: {freeze.reason}"), width, "alarm")
    if explained:
        for place, words in policy.sentences:
            rows += field_rows(cell(place.rpartition(":")[2], 10), visible(words), width)
        return Document([Rows(rows)])
    if not policy.texts:
        rows += field_rows("", "No policy file: whatever is not on the whitelist is held.", width, "quiet")
    for name, text in policy.texts:
        rows.append(title_row(cell(name, 60), "", width))
        for number, line in enumerate(text.split("\n"), 1):
            rows += field_rows(f"{number:>5}", visible(line), width)
    return Document([Rows(rows)])


def page_of(checkpoint: str, back: int) -> int:
    """`after` of the ledger's page that is `back` pages from the end, by the size on a checkpoint's second line (C2SP
    tlog-checkpoint). -1 where it names none."""
    lines = checkpoint.split("\n")
    size = int(lines[1]) if len(lines) > 1 and lines[1].isascii() and lines[1].isdigit() else 0
    return max(-1, size - 1 - PAGE * (back + 1))
