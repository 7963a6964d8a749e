"""The full text about a request or a session, as a document for a given width. Pure.

Order of a request: what is wrong with it, how it ended, what is strange in it, the complete command; what it does;
where; who asks, and why; the rule that holds it; its risk; code that it reads; what came before (background.py); votes;
and last the hashes. Everything that came over the wire
is made visible here, also names that the daemon has checked: this console trusts what it computes itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache

from bastion.control import wire
from bastion.covering import describe, visible
from bastion.model import NO_STDIN, Choice, RequestKind, StdinMode
from bastion.policy.visible import Visible
from tui.background import Background, background_rows, terminal_rows
from tui.items import Item
from tui.paper import BLANK, PLAIN, Document, Row, Rows, Source, banner_rows, field_rows, source, title_row
from tui.syntax import Colours, shell
from tui.words import amount, clock_time, ending, names, risk, state_badge, tier_badge

UNDO = {"yes": "it can be undone", "partly": "it can be undone in part", "no": "it cannot be undone"}
"""By model.Reversible; nothing is said of what is unknown."""
NONE_GIVEN = "none given"
USUAL = {
    "GIT_PAGER": "cat",
    "LESSSECURE": "1",
    "PAGER": "cat",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_PAGERSECURE": "1",
}
"""What the bastion sets in every governed shell, for what pagers would do (bastion/gate/modes.py)."""
VOTED = {Choice.APPROVE.value: "approved", Choice.DENY.value: "denied"}


@lru_cache(maxsize=16)
def _described(data: bytes) -> Visible:
    """Kept for what is on display: 1 MiB takes half a second to be made visible, and votes and resizes draw it anew."""
    return describe(data)


def request_document(item: Item, width: int, background: Background | None = None, now: int = 0) -> Document:
    """Everything about a request, in rows of `width` characters. `now` is the bastion's time."""
    info = item.info
    command = _described(info.command)
    blocks: list[Rows | Source] = [Rows(_head(item, width))]
    transfer = info.kind == RequestKind.TRANSFER
    colours = PLAIN if transfer else _coloured(info.command)
    name = "push" if info.pushes else "transfer" if transfer else "command"
    blocks += _text(name, info.command, "", width, 0, colours)
    must = len(command.text)
    blocks.append(Rows([BLANK, *_fields(item, width)]))
    if (info.stdin == StdinMode.BUNDLED and not transfer) or info.stdin_code:
        what = "the list of refs as git sent it" if info.pushes else "read as code by the command"
        note = f"{what}, sha256 {_sha256(info.stdin_code)}"
        blocks += _text("stdin", info.stdin_code, note, width, must)
        must += len(_described(info.stdin_code).text)
    if info.script:
        name = visible(info.script, newlines=False)
        note = f"{name} as it is on the target; it runs with this content only, sha256 {_sha256(info.script_code)}"
        blocks += _text("script", info.script_code, note, width, must)
        must += len(_described(info.script_code).text)
    blocks.append(Rows([*_around(item, width, background, now), *_identifiers(item, width)]))
    return Document(blocks, item.digest, must)


@lru_cache(maxsize=16)
def _coloured(command: bytes) -> Colours:
    return shell(_described(command).text)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _head(item: Item, width: int) -> list[Row]:
    """Banners: trouble, ending, warnings."""
    rows: list[Row] = []
    if item.trouble:
        rows += banner_rows(
            f"TAMPERED: {visible(item.trouble, newlines=False)}. Nobody can vote on it here.", width, "alarm"
        )
        rows += field_rows("claimed", visible(item.info.digest, newlines=False), width)
        rows += field_rows("computed", item.digest or "nothing", width)
    if item.gone:
        rows += banner_rows("GONE: the bastion does not know this request any more.", width, "bad")
    elif not item.held:
        words = ending(item.info)
        if item.info.status:
            words += f"; {visible(item.info.status, newlines=False)}"
        if item.info.edited:
            words += f"; {visible(item.info.edited, newlines=False)} stands in its place"
        rows += banner_rows(f"{state_badge(item.info.state).glyph} {words}", width, "ended")
    return rows


def _text(title: str, data: bytes, note: str, width: int, offset: int, colours: Colours = PLAIN) -> list[Rows | Source]:
    """A must-be-read text with its size and what is strange in it."""
    shown = _described(data)
    rows = [title_row(title, f"{amount(shown.bytes, 'byte')}, {amount(shown.lines, 'line')}", width)]
    rows += field_rows("", note, width, "quiet") if note else []
    for warning in shown.strange:
        rows += banner_rows(f"! {title} {warning}", width, "warning")
    if not data:
        rows += field_rows("", "(empty)", width)
    return [Rows(rows), source(shown.text, width, offset, colours)]


def _fields(item: Item, width: int) -> list[Row]:
    """What it does, where, who asks and why, which rule holds it, and what it was rated."""
    info = item.info
    rows = _does(info, width)
    where = f"{visible(info.login)}@{visible(info.target)}" + (f"  ({visible(info.env)})" if info.env else "")
    rows += field_rows("target", where, width, "strong")
    rows += field_rows("agent", visible(info.identity), width, "strong")
    rows += field_rows("key", visible(info.key), width)
    rows += _intent(info, width)
    rows += _variables(info, width)
    rows += _shell(info, width)
    if info.stdin == StdinMode.STREAM and info.kind not in NO_STDIN:
        rows += field_rows("stdin", "data, streamed after approval; it cannot be seen beforehand", width, "quiet")
    if info.author:
        words = f"{visible(info.author)}, an approver, in the place of {visible(info.edits)}"
        rows += field_rows("edited by", words, width, "warning")
    if info.emergency:
        rows += field_rows("emergency", f"{visible(info.identity)} broke the glass: {visible(info.emergency)}", width)
    rows += field_rows("held by", visible(info.rule), width) if info.rule else []
    return rows + _risk(info, width)


def _intent(info: wire.RequestInfo, width: int) -> list[Row]:
    """What the agent says of it; one row where it says nothing at all."""
    said = (("task", info.task), ("reason", info.reason), ("rollback", info.rollback))
    if not any(words for _, words in said):
        return field_rows("reason", "no reason, task or rollback given", width, "quiet")
    rows: list[Row] = []
    for label, words in said:
        rows += field_rows(label, visible(words) if words else NONE_GIVEN, width, "value" if words else "quiet")
    return rows


def _variables(info: wire.RequestInfo, width: int) -> list[Row]:
    """Variables that go along: each on a row of its own, but for those that the bastion itself sets in every shell."""
    rows: list[Row] = []
    usual = [f"{name}={value}" for name, value in info.environment if USUAL.get(name) == value]
    for name, value in info.environment:
        if USUAL.get(name) != value:
            rows += field_rows("variable", f"{visible(name, newlines=False)}={visible(value)}", width)
    return rows + (field_rows("usual", " ".join(usual), width, "quiet") if usual else [])


def _does(info: wire.RequestInfo, width: int) -> list[Row]:
    """What it does in words: effects, paths, whether it can be undone."""
    rows: list[Row] = []
    for words in info.effect_lines():
        rows += field_rows("" if rows else "does", visible(words), width)
    undo = UNDO.get(info.reversible)
    if undo or rows:
        words = undo or "nothing is known of undoing it"
        rows += field_rows("" if rows else "does", words, width, "warning" if info.reversible == "no" else "value")
    return rows


def _risk(info: wire.RequestInfo, width: int) -> list[Row]:
    badge = tier_badge(info.tier)
    undone = ", cannot be undone" if info.reversible == "no" else ""
    rows = field_rows("risk", f"{badge.glyph} {risk(info)}{undone}", width, badge.style)
    weights = info.weights if len(info.weights) == len(info.reasons) else [0] * len(info.reasons)
    for reason, weight in zip(info.reasons, weights, strict=True):
        rows += field_rows("", (f"+{weight} " if weight else "") + visible(reason), width)
    return rows


def _around(item: Item, width: int, background: Background | None, now: int) -> list[Row]:
    """What came before it, and the votes."""
    rows = [BLANK, *terminal_rows(background, width)]
    if item.held:
        rows += background_rows(item.info, background, now, width)
    return rows + _votes(item.info, width)


def _identifiers(item: Item, width: int) -> list[Row]:
    info = item.info
    rows = field_rows("asked", f"{clock_time(info.created)}, to be decided by {clock_time(info.expires)}", width)
    rows += field_rows("session", visible(info.session), width)
    if not item.trouble:
        rows += field_rows("hash", f"{item.digest} (computed here)", width)
    rows += field_rows("proposal", visible(info.proposal), width)
    for key in info.host_keys:
        rows += field_rows("host key", host_key(key), width)
    return rows


MODES = {
    "none": "nothing can be typed into it",
    "line": "LINE: each line typed into it is held by itself",
    "view": "VIEW: keys that move about pass, recorded",
    "raw": "RAW: every key passes for a time, recorded, and nobody looks",
}
"""What an approval lets the agent type into the command, by model.TtyMode."""


def _shell(info: wire.RequestInfo, width: int) -> list[Row]:
    """What only an item of a governed shell has, or a command with a terminal."""
    if not info.sequence and not info.terminal:
        return []
    if info.pushes:
        return field_rows("pushed by", f"the command of {visible(info.parent)}", width, "strong")
    where = f"item {info.sequence}, in {visible(info.cwd) or 'a directory without a name'}"
    rows = field_rows("shell", where, width) if info.sequence else field_rows("terminal", visible(info.terminal), width)
    if info.stdin == StdinMode.SECRET:
        rows += field_rows("password", "typed with echo off; neither shown nor kept", width, "warning")
    if info.parent:
        rows += field_rows("input for", f"the command of {visible(info.parent)}", width, "strong")
    else:
        words = MODES.get(info.mode) or visible(info.mode)
        rows += field_rows("keys", words, width, "warning" if info.mode == "raw" else "value")
    for name, text in info.context:
        rows += field_rows(visible(name), visible(text), width, "quiet")
    return rows


def _votes(info: wire.RequestInfo, width: int) -> list[Row]:
    groups = f", from {names(info.approvers)}" if info.approvers else ""
    rows = field_rows("votes", f"{approvals(info)} of {amount(info.approvals, 'approval')}{groups}", width)
    if info.escalated:
        rows += field_rows("", f"nobody decided in time: went to {names(info.escalated)}", width, "warning")
    for vote in info.votes:
        why = f": {visible(vote.reason)}" if vote.reason else ""
        choice = VOTED.get(vote.choice) or visible(vote.choice)
        rows += field_rows("", f"{choice} by {visible(vote.by)} at {clock_time(vote.at)}{why}", width)
    if not info.attached and item_waits(info):
        words = "no agent is waiting any more: an approval becomes a ticket for one use"
        rows += field_rows("waiting", words, width, "warning")
    return rows


def item_waits(info: wire.RequestInfo) -> bool:
    """It is held, so that it matters whether an agent waits."""
    return info.state == "held"


def approvals(info: wire.RequestInfo) -> int:
    """Distinct people who approved."""
    return len({vote.by for vote in info.votes if vote.choice == "approve"})


def host_key(line: str) -> str:
    """Algorithm and OpenSSH fingerprint of a pinned `algorithm base64` line; the line itself where it is none."""
    algorithm, _, encoded = line.partition(" ")
    try:
        blob = base64.b64decode(encoded.encode(), validate=True)
    except (binascii.Error, ValueError):
        return visible(line, newlines=False)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"{visible(algorithm, newlines=False)} SHA256:{digest}"


def session_document(session: wire.SessionInfo, width: int) -> Document:
    """Everything about a session."""
    rows = [title_row("session", visible(session.id), width)]
    rows += field_rows("state", visible(session.state), width, "strong")
    if session.mode:
        until = clock_time(session.until)
        rows += banner_rows(
            f"{visible(session.mode).upper()}: keys pass to its command until {until}", width, "warning"
        )
    if session.closed:
        rows += field_rows("ended", f"{clock_time(session.closed)}: {visible(session.end) or 'no reason told'}", width)
    rows += field_rows("target", f"{visible(session.login)}@{visible(session.target)}", width, "strong")
    rows += field_rows("agent", visible(session.identity), width, "strong")
    rows += field_rows("key", visible(session.key), width)
    rows += field_rows("from", visible(session.client), width)
    rows += field_rows("opened", clock_time(session.opened), width)
    rows += field_rows("output", amount(session.output_bytes, "byte"), width)
    rows += field_rows("requests", visible(", ".join(session.requests)) or "none", width)
    return Document([Rows(rows)])


def empty_document(words: tuple[str, ...], width: int) -> Document:
    """What stands there when nothing is selected."""
    rows: list[Row] = [BLANK]
    for line in words:
        rows += field_rows("", line, width, "quiet")
    return Document([Rows(rows)])
