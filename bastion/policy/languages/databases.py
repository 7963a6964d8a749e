"""Words of databases' clients; what is in their own languages is sql.py and keyvalue.py. Pure."""

from __future__ import annotations

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN


def mongo_target(word: str) -> list[Act]:
    """A database or its address; a name that ends like a script is one and is run (mongosh)."""
    return [("database-file", word)] if word.endswith((".js", ".mongodb", ".cjs", ".mjs")) or UNKNOWN in word else []


def conninfo(word: str) -> list[Act]:
    """A connection string; `passfile`, `sslkey` and their like name files, and are read only."""
    return [("database-code", word)] if word.startswith("\\") else []


_MYSQLADMIN: dict[str, str] = dict.fromkeys(
    ("ping", "status", "extended-status", "processlist", "variables", "version"), ""
) | {"drop": "database-drop", "shutdown": "database-stop", "kill": "database-stop"}


def mysqladmin(word: str) -> list[Act]:
    """Another command behind the first one (`ping shutdown`); what is not known to show changes. Every prefix that is
    no whole name counts as a change too, since mysqladmin(1) takes prefixes of its commands."""
    action = _MYSQLADMIN.get(word.lower(), "database-admin")
    return [(action, word)] if action else []
