"""What an approver writes in the place of an agent's command, and what the bastion would make of it. Pure.

Only text that shows what it is can be edited: an editor on a terminal would act on a control character, and leave out
what it cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.control import wire
from bastion.covering import visible
from bastion.model import RequestKind, State
from bastion.policy import visible as plain
from tui.items import Item
from tui.paper import Row, field_rows
from tui.words import amount, cell, risk, tier_badge

EDITABLE = frozenset({RequestKind.EXEC.value, RequestKind.LINE.value})
"""As bastion.gate.editing has it."""

EDIT_LIMIT = 16 << 10
"""Bytes of a command that can be edited on the screen; `bastion request edit --file` takes longer ones."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One command in the place of another, and how it would be judged."""

    item: Item
    command: bytes
    tried: wire.RequestInfo

    @property
    def denied(self) -> str:
        """Why policy denies it; empty where it does not."""
        return self.tried.decision_reason or "policy denies it" if self.tried.state == State.REFUSED else ""

    def rows(self, width: int) -> list[Row]:
        """The judgement, for a person."""
        tried = self.tried
        if self.denied:
            return field_rows("denied", visible(self.denied, newlines=False), width, "bad")
        badge = tier_badge(tried.tier)
        rows = field_rows(
            "risk", f"{badge.glyph} {risk(tried)}: {cell('; '.join(tried.reasons), 200)}", width, badge.style
        )
        others = tried.approvals - 1
        votes = "yours is enough" if not others else f"yours, and {amount(others, 'other person')}"
        rows += field_rows("approvals", votes.replace("persons", "people"), width)
        return rows + (field_rows("held by", visible(tried.rule, newlines=False), width) if tried.rule else [])

    def same_terms(self, made: wire.RequestInfo) -> bool:
        """What was made of it is what was shown before."""
        shown, got = self.tried, made
        return (got.command, got.tier, got.score, got.approvals, got.login, got.target, got.stdin_code) == (
            shown.command, shown.tier, shown.score, shown.approvals, shown.login, shown.target, shown.stdin_code,
        )  # fmt: skip


def editable(info: wire.RequestInfo) -> str:
    """The command's text, for an editor. Raises ValueError in words where it cannot be edited here."""
    if info.kind not in EDITABLE:
        raise ValueError("only a command can be edited: deny this, and say what to ask for")
    if len(info.command) > EDIT_LIMIT:
        raise ValueError(f"it is longer than {EDIT_LIMIT} bytes: bastion request edit --file takes it")
    text = info.command.decode("utf-8", "replace")
    if text.encode() != info.command or any(visible(f"x{char}x") != f"x{char}x" for char in set(text) - {"\n", "\t"}):
        raise ValueError(
            "it holds characters that an editor would hide or change: bastion request edit --file takes it"
        )
    if visible(text) != plain.visible(text):
        raise ValueError("a secret in it is covered here: bastion request edit opens it in an editor of your own")
    return text


def command_of(text: str) -> bytes:
    """What was written, as bytes; newlines at the end are the editor's."""
    return text.rstrip("\n").encode("utf-8", "surrogateescape")
