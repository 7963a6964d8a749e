"""What an agent says about its command: reason, rollback, task. Pure.

It comes in environment variables (`-o SetEnv='BASTION_REASON="…"'`) or in comment lines in front of the command:

    # reason: the disk is full
    # rollback: restore from /var/backups/app.tar
    rm /var/log/app.log.1

The comment lines stay part of the command: they are hashed and sent as they are, and the shell ignores them. The
agent's words are claims, not facts; they are shown to the approver as such and decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bastion.gate.channels import INTENT_LIMIT

_LINE = re.compile(rb"[ \t]*#[ \t]*(?:(reason|rollback|task)[ \t]*:)?(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Intent:
    """The agent's own words, empty where it said nothing."""

    reason: str = ""
    rollback: str = ""
    task: str = ""
    emergency: str = ""
    """Why a human breaks the glass: in the environment only (BASTION_BREAK_GLASS), so no script brings it along."""


def read(command: bytes, environment: Mapping[str, str]) -> Intent:
    """The words in `environment`, else in the command's leading comment lines. Never raises."""
    said = {name: environment.get(f"BASTION_{name.upper()}", "") for name in ("reason", "rollback", "task")}
    for line in command.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            if line.strip():
                break
            continue
        name = (match[1] or b"").decode("ascii").lower()
        if name and not said[name]:
            said[name] = match[2].strip()[:INTENT_LIMIT].decode("utf-8", "backslashreplace")
    return Intent(**said, emergency=environment.get("BASTION_BREAK_GLASS", "").strip())
