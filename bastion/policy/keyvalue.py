"""What Redis commands and MongoDB one-liners do, by table. Pure.

Redis commands are words; MongoDB's are JavaScript, of which only chains of method calls on `db` with literal arguments
are followed. Whatever else there is, is not judged and never low.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN

_PASSWORDS = ("requirepass", "masterauth", "tls-key-file-pass", "masteruser")
"""Settings of Redis that are secrets; `config get *` shows them too."""


class KeyValue:
    """The tables of table_keyvalue.toml, ready for use."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._redis = {name: action for action, names in tables["redis"].items() for name in names}
        self._mongo = {name: action for action, names in tables["mongo"].items() for name in names}

    def redis(self, words: Sequence[str]) -> list[Act]:
        """One command given as words."""
        if not words:
            return []
        if any(UNKNOWN in word for word in words[:2]):
            return [("database-unread", "a command that is known only when it runs")]
        first, both = words[0].lower(), " ".join(words[:2]).lower()
        action = self._redis.get(both) or self._redis.get(first, "database-unread")
        if both == "config get" and any(fnmatchcase(name, word.lower()) for word in words[2:] for name in _PASSWORDS):
            return [("read-secret", " ".join(words[:3]))]
        return [] if action == "read" else [(action, " ".join(words[:3]))]

    def redis_lines(self, text: str) -> list[Act]:
        """Commands given one a line."""
        effects: list[Act] = []
        for line in text.splitlines():
            try:
                words = shlex.split(line)
            except ValueError:
                return [("database-unread", line)]
            effects += self.redis(words)
        return effects

    def mongo(self, text: str) -> list[Act]:
        """JavaScript for mongosh."""
        if UNKNOWN in text:
            return [("database-unread", "JavaScript that is known only when it runs")]
        if "system.users" in text or "showCredentials" in text:
            return [("read-secret", "users with their password hashes")]  # MongoDB, system.users Collection
        names = re.findall(r"[.\]]\s*['\"]?(\w+)['\"]?\]?\s*\(", text) + re.findall(
            r"\[\s*['\"](\w+)['\"]\s*\]\s*\(", text
        )
        worse = [(self._mongo[name], name) for name in names if self._mongo.get(name, "read") != "read"]
        if worse:
            return worse
        literal = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", '""', text.strip().rstrip(";"))
        if re.fullmatch(r"show\s+\w+|db", literal):
            return []
        chain = re.fullmatch(
            r"(?:rs|sh|db)(?:\.\w+|\[\"\"\]|\((?:[^()$;=`]|\$(?!where|function|accumulator|out|merge)\w+)*\))*", literal
        )
        if chain and all(self._mongo.get(name) == "read" for name in names) and "[" not in literal:
            return []
        return [("database-unread", "JavaScript that is not a chain of known reads")]
