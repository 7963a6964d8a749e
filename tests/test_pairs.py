"""Whatever the console does, the command line does, with --json and --plain: pairs of a key and a command.

A new key needs a row here: its command, or why there is none to be. Both must use the same operation of the control
protocol, so that neither grows a way of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from bastion.cli import NOUNS, bastion
from bastion.control import wire
from tui import keys
from tui.keys import Key

ROOT = Path(__file__).parents[1]

PAIRS: dict[str, tuple[str, str]] = {
    "request.approve": ("request approve", "CastVote"),
    "request.confirm": ("request approve", "CastVote"),
    "request.deny": ("request deny", "CastVote"),
    "request.identical": ("request approve", "CastVote"),
    "request.remember": ("request approve", "ProposeWhitelist"),
    "request.mode": ("request approve", "CastVote"),
    "request.edit": ("request edit", "EditRequest"),
    "request.snooze": ("request snooze", "SnoozeRequest"),
    "request.escalate": ("request escalate", "EscalateRequest"),
    "console.preferences": ("preferences set", "SetPreferences"),
    "request.reveal": ("request show", "ShowRequest"),
    "watch.reveal": ("session watch", "WatchSession"),
    "session.watch": ("session watch", "WatchSession"),
    "session.kill": ("session kill", "KillSession"),
    "watch.kill": ("session kill", "KillSession"),
    "pane.queue": ("request list", "ListRequests"),
    "pane.sessions": ("session list", "ListSessions"),
    "pane.decided": ("request list", "ListRequests"),
    "list.filter": ("request list", "ListRequests"),
    "screen.ledger": ("ledger list", "ListLedger"),
    "screen.whitelist": ("whitelist list", "ListWhitelist"),
    "screen.access": ("access list", "ListGrants"),
    "screen.policy": ("policy show", "ShowPolicy"),
    "screen.stats": ("stats", "ShowStats"),
    "stats.turn": ("stats", "ShowStats"),
    "console.freeze": ("freeze", "SetFreeze"),
    "records.end": ("grant revoke", "RevokeGrant"),
    "replay.search": ("session search", ""),
}
"""By key: the command, and the call that both make; empty: the one reads what the other asks for."""

SEEN_ONLY: dict[str, str] = {
    "request background": "ShowBackground",
    "request show": "ShowRequest",
    "whitelist remove": "RemoveWhitelist",
    "unfreeze": "LiftFreeze",
    "session end-keys": "EndKeys",
}
"""What the console does without a key of its own, and the command for it."""

INTERACTIVE = {
    "session.replay": "session replay",
}
"""Drawn in a terminal by both; what --json and --plain would print, `session export` and `session search` do."""

MOVES = re.compile(r"list\.(clear|order|up|down|first|last)|pane\.(next|previous)|text\.|console\.(help|palette|"
                   r"reconnect|theme|quit)|identical\.cancel|watch\.(back|help|quit)|revealed\.|replay\.|records\.|policy\.|"
                   r"stats\.")  # fmt: skip
"""Keys that only move about in the console itself."""


def all_keys() -> list[Key]:
    found = [each for name, each in vars(keys).items() if name.isupper() and isinstance(each, tuple)]
    return [key for group in found for key in group if isinstance(key, Key)]


def command(words: str) -> click.Command:
    context = click.Context(bastion)
    noun, _, verb = words.partition(" ")
    assert noun in NOUNS, words
    made = bastion.get_command(context, noun)
    if verb:
        assert isinstance(made, click.Group)
        made = made.commands[verb]
    assert made is not None
    return made


@pytest.mark.parametrize("key", all_keys(), ids=lambda key: key.id)
def test_every_key_has_its_command(key: Key) -> None:
    known = key.id in PAIRS or key.id in INTERACTIVE or MOVES.match(key.id)
    assert known, f"the console does {key.id} ({key.help}), and nobody said which command does"


def test_every_pair_is_of_a_key_that_is_there() -> None:
    assert {*PAIRS, *INTERACTIVE} <= {key.id for key in all_keys()}


@pytest.mark.parametrize("words", sorted({*(words for words, _ in PAIRS.values()), *SEEN_ONLY}))
def test_the_command_is_there_with_json_and_plain(words: str) -> None:
    options = {param.name for param in command(words).params}
    assert {"json", "plain"} <= options


@pytest.mark.parametrize("words", sorted(INTERACTIVE.values()))
def test_what_is_drawn_by_both(words: str) -> None:
    command(words)


def sources(*places: str) -> str:
    files = [path for place in places for path in (ROOT / place).rglob("*.py") if path.name != "samples.py"]
    return "\n".join(path.read_text("utf-8") for path in files)


BY_CLIENT = {
    "CastVote": "vote",
    "EditRequest": "edit",
    "ProposeWhitelist": "propose",
    "ListRequests": "requests",
    "SetPreferences": "prefer",
}
"""Calls that are made through a method of the client, too."""


@pytest.mark.parametrize("call", sorted({*(call for _, call in PAIRS.values() if call), *SEEN_ONLY.values()}))
def test_both_make_the_same_call(call: str) -> None:
    assert hasattr(wire, call)
    pattern = rf"wire\.{call}\b" + (rf"|\.{BY_CLIENT[call]}\(" if call in BY_CLIENT else "")
    assert re.search(pattern, sources("tui")), f"the console does not make {call}"
    assert re.search(pattern, sources("bastion/cli")), f"the command line does not make {call}"
