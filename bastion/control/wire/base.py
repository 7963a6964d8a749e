"""What every message of the control protocol builds on: version, names, limits, the base of the calls. Pure."""

from __future__ import annotations

import msgspec

VERSION = 1
SUBSYSTEM = "control@agent-bastion"
"""Name of the SSH subsystem (RFC 4254 section 6.5)."""
DECISION_NAMESPACE = "decision@agent-bastion"
"""SSHSIG namespace of a vote."""
WHITELIST_NAMESPACE = "whitelist@agent-bastion"
"""SSHSIG namespace of a whitelist entry."""
EDIT_NAMESPACE = "edit@agent-bastion"
"""SSHSIG namespace of an approver's edit."""
LINE_LIMIT = 4 << 20
"""Bytes a line: a command and its code of stdin (1.1 MiB) in base64, with room."""


class WireError(Exception):
    """The other end sent something that is no message of this protocol."""


class Call(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the calls. `id` is the caller's; the answer carries it back."""

    id: int
