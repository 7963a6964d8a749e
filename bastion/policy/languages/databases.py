"""Words of databases' clients; what is in their own languages is sql.py and keyvalue.py. Pure."""

from __future__ import annotations

import ipaddress
import re

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN


def conninfo(word: str) -> list[Act]:
    """A connection string; `passfile`, `sslkey` and their like name files, and are read only."""
    return [("database-code", word)] if word.startswith("\\") else named_hosts(word)


_URL = re.compile(r"[a-z][a-z0-9+]*://(?:[^/?#]*@)?([^/?#]*)", re.IGNORECASE)
_NAMED = re.compile(r"(?:^|[\s?&])host(?:addr)?\s*=\s*'?([^\s'&]+)")
_PORT = re.compile(r"(?<=[^:]):\d{1,5}$")
_OURS = (".internal", ".local", ".lan", ".svc", ".consul", ".corp", ".home.arpa")
"""How names end that lead nowhere in the Internet (RFC 6762, RFC 8375, and habit)."""


def named_hosts(word: str) -> list[Act]:
    """The hosts of a connection string, as an address (libpq, redis-cli, mongosh) or as `host=NAME`."""
    hosts = [each for match in _URL.findall(word) for each in match.split(",")] + _NAMED.findall(word)
    return [act for each in hosts for act in host(_PORT.sub("", each))]


def host(word: str) -> list[Act]:
    """Where a client connects. What is asked goes there, and a server can ask back: MariaDB's client hands out files.
    A name without a dot, or of a kind that the Internet has not, is a neighbour; any other one could be anybody's."""
    several = word.rpartition("/")[2].split(",") if not word.startswith("/") else [word]  # mongosh: SET/HOST,HOST
    return [act for each in several for act in _host(_PORT.sub("", each))]


def _host(word: str) -> list[Act]:
    name = word.strip("[]").lower()
    if not name or name.startswith("/") or name in (".", "localhost", "::1", "127.0.0.1"):
        return []
    try:
        near = ipaddress.ip_address(name).is_private
    except ValueError:
        near = UNKNOWN not in name and (name.endswith(_OURS) or re.fullmatch(r"[a-z][a-z0-9_-]*", name) is not None)
    return [("ask-neighbour" if near else "connect", word)]


def mongo_target(word: str) -> list[Act]:
    """A database or its address; a name that ends like a script is one and is run (mongosh)."""
    script = word.endswith((".js", ".mongodb", ".cjs", ".mjs")) or UNKNOWN in word
    if script or "://" in word:
        return [("database-file", word)] if script else named_hosts(word)
    return host(_PORT.sub("", word.partition("/")[0])) if re.search("[/:.]", word) else []


_MYSQLADMIN: dict[str, str] = dict.fromkeys(
    ("ping", "status", "extended-status", "processlist", "variables", "version"), ""
) | {"drop": "database-drop", "shutdown": "database-stop", "kill": "database-stop"}


def mysqladmin(word: str) -> list[Act]:
    """Another command behind the first one (`ping shutdown`); what is not known to show changes. Every prefix that is
    no whole name counts as a change too, since mysqladmin(1) takes prefixes of its commands."""
    action = _MYSQLADMIN.get(word.lower(), "database-admin")
    return [(action, word)] if action else []
