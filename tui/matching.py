"""The filter of the lists: what a person types after `/`. Pure.

Words are separated by blanks; each must be found, in any case, somewhere in the row. `agent:`, `target:`, `login:`,
`env:`, `risk:`, `id:`, `state:`, `session:` and `command:` in front look in that field only; `-` in front of a word
turns it round. There is nothing to get wrong: what is no known field is an ordinary word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bastion.control import wire

Fields = Mapping[str, str]
"""Field name to its text, lower case."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter."""

    text: str
    field: str
    """Empty: any field."""
    negated: bool

    def matches(self, fields: Fields) -> bool:
        places = (fields[self.field],) if self.field else fields.values()
        return any(self.text in place for place in places) is not self.negated


FIELDS = ("id", "agent", "target", "login", "env", "risk", "state", "session", "command")


@dataclass(frozen=True, slots=True)
class Filter:
    """All terms must match; no terms match everything."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Never raises."""
        return cls(text.strip(), tuple(_term(word) for word in text.casefold().split()))

    def matches(self, fields: Fields) -> bool:
        return all(term.matches(fields) for term in self.terms)


def _term(word: str) -> Term:
    negated = len(word) > 1 and word.startswith("-")
    word = word[negated:]
    field, colon, text = word.partition(":")
    return Term(text, field, negated) if colon and field in FIELDS else Term(word, "", negated)


def request_fields(info: wire.RequestInfo) -> Fields:
    """What a filter sees of a request."""
    return {
        "id": info.id.casefold(),
        "agent": info.identity.casefold(),
        "target": info.target.casefold(),
        "login": info.login.casefold(),
        "env": info.env.casefold(),
        "risk": info.tier.casefold(),
        "state": info.state.casefold(),
        "session": info.session.casefold(),
        "command": info.command.decode("utf-8", "replace").casefold(),
    }


def session_fields(info: wire.SessionInfo) -> Fields:
    """What a filter sees of a session."""
    return {
        "id": info.id.casefold(),
        "agent": info.identity.casefold(),
        "target": info.target.casefold(),
        "login": info.login.casefold(),
        "env": "",
        "risk": "",
        "state": info.state.casefold(),
        "session": info.id.casefold(),
        "command": info.client.casefold(),
    }
