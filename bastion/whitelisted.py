"""What approvers let through without asking again, and where it is looked up. Pure.

Theory of operation. A bastion remembers tens of thousands of commands, and each request asks whether one of them is
about it. So entries are filed by identity, login and what the command must be or begin with: an exact one by its whole
command, a pattern by what stands before its first hole. A request looks once for its command, and once for each length
that a beginning has, of which there are few. Whether what is found lets it through is policy/whitelist.py's question.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastion.model import Tier

PLAY = "ansible module "
"""How a pattern of modules of Ansible begins (policy/plays.py); no other does, since each of them has a hole."""


@dataclass(frozen=True, slots=True)
class WhitelistEntry:
    """What an approver lets through, for one identity and login on one target or in one environment."""

    id: str
    command: bytes
    """Exactly this; with a pattern, the command that it was made from."""
    identity: str
    target: str
    """Empty when it is for an environment."""
    login: str
    by: str
    expires: int
    """Microseconds since the epoch; 0: no end."""
    pattern: str = ""
    """Text of the pattern (policy/pattern.py); empty: exactly `command`."""
    env: str = ""
    """Environment label; empty when it is for one target."""
    code: str = ""
    """SHA-256 (hex) of the code that the command reads from stdin; empty if it reads none."""
    tier: Tier = Tier.UNRATED
    """As the daemon rated it when it was signed."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> WhitelistEntry:
        """As `whitelist.added` has it; entries from before there were patterns lack the later fields."""
        return cls(
            id=body["id"],
            command=base64.b64decode(body["command"]),
            identity=body["identity"],
            target=body["target"],
            login=body["login"],
            by=body["by"],
            expires=int(body["expires"]),
            pattern=body.get("pattern", ""),
            env=body.get("env", ""),
            code=body.get("code", ""),
            tier=Tier(body.get("tier", Tier.UNRATED)),
        )


@dataclass(slots=True)
class Whitelist:
    """The entries as of some entry of the ledger."""

    entries: dict[str, WhitelistEntry] = field(default_factory=dict)
    """By id."""
    _by_command: dict[tuple[str, str, bytes], list[str]] = field(default_factory=dict)
    _by_beginning: dict[tuple[str, str, bytes], list[str]] = field(default_factory=dict)
    """Patterns, by what stands before their first brace."""
    _beginnings: dict[int, int] = field(default_factory=dict)
    """Lengths of these, and how many patterns have each."""
    _by_play: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Modules of Ansible by name (policy/plays.py), by identity and login."""

    def about(self, identity: str, login: str, command: bytes) -> Iterator[WhitelistEntry]:
        """Entries that could be about this command: of that identity and login, exact ones first. Whether one lets it
        through is policy.whitelist's question."""
        for entry_id in self._by_command.get((identity, login, command), ()):
            yield self.entries[entry_id]
        for length in self._beginnings:
            for entry_id in self._by_beginning.get((identity, login, command[:length]), ()):
                yield self.entries[entry_id]

    def plays(self, identity: str, login: str) -> Iterator[WhitelistEntry]:
        """Entries of that identity and login that let modules of Ansible through."""
        for entry_id in self._by_play.get((identity, login), ()):
            yield self.entries[entry_id]

    def add(self, entry: WhitelistEntry) -> None:
        """One more."""
        self.entries[entry.id] = entry
        if entry.pattern.startswith(PLAY):
            self._by_play.setdefault((entry.identity, entry.login), []).append(entry.id)
            return
        place, index = _place(entry), self._by_beginning if entry.pattern else self._by_command
        index.setdefault(place, []).append(entry.id)
        if entry.pattern:
            self._beginnings[len(place[2])] = self._beginnings.get(len(place[2]), 0) + 1

    def forget(self, entry_id: str) -> None:
        """One less. Raises KeyError."""
        entry = self.entries.pop(entry_id)
        if entry.pattern.startswith(PLAY):
            self._by_play[entry.identity, entry.login].remove(entry_id)
            return
        place, index = _place(entry), self._by_beginning if entry.pattern else self._by_command
        index[place].remove(entry_id)
        if not index[place]:
            del index[place]
        if entry.pattern:
            length = len(place[2])
            self._beginnings[length] -= 1
            if not self._beginnings[length]:
                del self._beginnings[length]


def _place(entry: WhitelistEntry) -> tuple[str, str, bytes]:
    """Where it is looked up: by the whole command, or by what all commands of its pattern begin with."""
    beginning = entry.pattern.partition("{")[0].encode() if entry.pattern else entry.command
    return entry.identity, entry.login, beginning
