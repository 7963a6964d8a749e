"""What the demo says before and after. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastion.demo.scenarios import AGENTS, WHITELISTED

RULE = 80
"""Columns of a heading; a terminal has at least as many."""


def heading(words: str) -> list[str]:
    """Two lines that part the output."""
    return ["", f"--- {words} ".ljust(RULE, "-")]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the introduction tells of."""

    target: str
    """What it is, and where."""
    bastion: str
    directory: Path
    stays: bool
    """The directory is not removed at the end."""
    home: Path
    account: str
    people: Sequence[str]
    patience: str
    """How long the person has for a decision; empty: nobody is asked."""


def introduction(facts: Facts) -> list[str]:
    """What runs where, and as whom."""
    agents = ", ".join(agent.name for agent in AGENTS)
    free = ", ".join(f"`{command}`" for command in dict.fromkeys(command for _, command in WHITELISTED))
    asks = bool(facts.patience)
    lines = [
        "agent-bastion demo: the real thing, on a throwaway target",
        "",
        f"  target     web-1: {facts.target}",
        f"  bastion    {facts.bastion}",
        f"  agents     {agents}",
        "             fixed scripts, not models; each has a stock ssh and its own key",
        f"  approver   {', '.join(facts.people)}; each decision is signed with {'your' if asks else 'their'} key",
        f"  free       {free} is whitelisted; everything else is held",
        f"  files      {facts.directory}, {'kept' if facts.stays else 'removed at the end'}",
        "",
        f"What {'you approve' if asks else 'is approved'} runs on this machine, as {facts.account}, in",
        f"{facts.home}. Nothing fences it in; the scripts stay there.",
    ]
    return [*lines, *_guide(facts.patience)] if asks else lines


def _guide(patience: str) -> list[str]:
    return [
        "",
        "Four agents wait for you: one repairs, one deploys, one tidies up, one reads a",
        "log. Not everything that they ask for is a good idea. What nobody decides",
        f"within {patience} does not run.",
        "",
        "  a  approve, y confirms       d  deny, with a reason that the agent reads",
        "  up, down  choose             w  watch live       ?  all keys       q  leave",
    ]


def outcome(found: Iterable[str], failed: Iterable[str], *, good: bool) -> list[str]:
    """What became of the target, what went wrong, and the last word."""
    lines = [*found, *(f"BAD  {sentence}" for sentence in failed)]
    return [
        *(["", "on web-1:", *lines] if lines else []),
        "",
        "demo: ok, what ran was approved, and the record verifies" if good else "demo: NOT ok, see above",
    ]


def farewell(bastion: str, config: Path) -> list[str]:
    """How to look at what was kept."""
    at = f"{bastion} --config {shlex.quote(str(config))}"
    return [
        *heading("kept"),
        f"  {at} session list",
        f"  {at} session replay ID",
        f"  {at} request list",
        f"  {at} ledger list",
        f"  {at} ledger verify",
    ]
