"""What the demo says before and after. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from bastion.demo.scenarios import AGENTS, WHITELISTED

RULE = 80
"""Columns of a heading; a terminal has at least as many."""


def heading(words: str) -> str:
    """A line that parts the output."""
    return f"--- {words} ".ljust(RULE, "-")


def introduction(
    *, target: str, bastion: str, directory: Path, home: Path, account: str, people: Sequence[str], minutes: str
) -> list[str]:
    """What runs where, and as whom. `minutes` for a decision; empty: nobody is asked."""
    agents = ", ".join(agent.name for agent in AGENTS)
    free = ", ".join(f"`{command}`" for command in dict.fromkeys(command for _, command in WHITELISTED))
    lines = [
        "agent-bastion demo: a real bastion with a throwaway target; all of it is in one directory",
        "",
        f"  target     web-1, {target}",
        f"  bastion    {bastion}, files in {directory}",
        f"  agents     {agents}: fixed scripts, not models; each is a stock ssh client with a key of its own",
        f"  approvers  {', '.join(people)}: each decision is signed with that person's key",
        f"  free       {free} is whitelisted; everything else is held",
        "",
        f"Approved commands run on this machine, as {account}, in {home}. There is no fence around them;",
        "the scripts use paths inside that directory only.",
    ]
    if minutes:
        lines += [
            "",
            "Four agents will wait for you. One repairs, one deploys, one tidies up, one reads a log; not everything",
            f"that they ask for is a good idea. What nobody decides within {minutes} does not run.",
            "",
            "  a  approve      d  deny, with a reason that the agent reads",
            "  w  watch live   ?  all keys      q  leave",
        ]
    return lines


def farewell(bastion: str, config: Path) -> list[str]:
    """How to look at what was kept."""
    at = f"{bastion} --config {shlex.quote(str(config))}"
    return [
        heading("kept"),
        f"  {at} session list",
        f"  {at} session replay ID",
        f"  {at} request list",
        f"  {at} ledger list",
        f"  {at} ledger verify",
    ]
