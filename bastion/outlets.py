"""`[[notify]]` of bastion.toml: the channels that tell people. Checked like every other key; pure.

What is a secret (an address that whoever knows it may post to, a token, a signing key) stands in a file of its own with
mode 0600, relative to bastion.toml: the configuration is copied around.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

OUTLETS = 16
"""Channels of one bastion."""

EVENTS = (
    "held", "escalated", "expired", "emergency", "absent", "approved-high", "freeze", "policy", "ledger", "recorder",
    "channel",
)  # fmt: skip
"""What can be told; notify/news.py has their words."""

QUIET = ("policy",)
"""What is told only where `events` names it."""

TIERS = ("low", "medium", "high", "unrated")

NEEDS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "webhook": (("url", "url_file"), ("secret_file",)),
        "slack": (("url", "url_file", "token_file"),),
        "ntfy": (("url", "url_file"), ("to",)),
        "email": (("url_file",),),
        "desktop": (),
        "apprise": (("url_file",),),
    }
)
"""By kind: of each group of keys one is needed."""

TAKES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "webhook": frozenset({"url", "url_file", "secret_file"}),
        "slack": frozenset({"url", "url_file", "token_file", "app_token_file", "to", "approvers"}),
        "ntfy": frozenset({"url", "url_file", "to", "token_file"}),
        "email": frozenset({"url_file"}),
        "desktop": frozenset({"url"}),
        "apprise": frozenset({"url_file"}),
    }
)
"""By kind: the keys beside those that all have."""

COMMON = frozenset({"name", "kind", "events", "tiers", "after", "detail"})


@dataclass(frozen=True, slots=True)
class Outlet:
    """One channel."""

    name: str
    kind: str
    """Of NEEDS."""
    url: str = ""
    url_file: str = ""
    """Files as written; relative to bastion.toml."""
    secret_file: str = ""
    token_file: str = ""
    app_token_file: str = ""
    to: str = ""
    """Slack's channel, ntfy's topic."""
    events: tuple[str, ...] = ()
    """Of EVENTS; empty: all but QUIET."""
    tiers: tuple[str, ...] = ()
    """Requests of other tiers are not told; empty: all."""
    after: int = 0
    """Seconds that a request must have been held before it is told."""
    detail: bool = True
    """With the command, in visible form and with secrets covered."""
    approvers: tuple[tuple[str, str], ...] = ()
    """(Slack user id, approver)."""

    def wants(self, kind: str, tier: str) -> bool:
        """Whether this news is for this channel."""
        events = self.events or tuple(each for each in EVENTS if each not in QUIET)
        return (kind in events or kind in ("more", "answer", "test")) and (
            not self.tiers or not tier or tier in self.tiers
        )


def parse(value: object, duration: Callable[[str], int]) -> tuple[Outlet, ...]:
    """The channels. `duration` makes seconds of `30s`. Raises ValueError, with a text that goes behind `must be`."""
    if not isinstance(value, list) or len(value) > OUTLETS or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"tables, [[notify]] each, {OUTLETS} at most")
    made = tuple(_outlet(table, number, duration) for number, table in enumerate(value, 1))
    names = [each.name for each in made]
    if len(set(names)) < len(names):
        raise ValueError("channels with names of their own")
    pairs = {pair for each in made for pair in each.approvers}
    if len({user for user, _ in pairs}) < len(pairs):  # else one person could approve twice
        raise ValueError("tables in which a user stands for one approver, the same in all of them")
    return made


def _outlet(table: dict[str, Any], number: int, duration: Callable[[str], int]) -> Outlet:
    label = f"a table of known keys: in number {number}, "
    kind, name = table.get("kind"), table.get("name")
    if not isinstance(kind, str) or kind not in NEEDS:
        raise ValueError(f"{label}kind is one of {', '.join(NEEDS)}")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name, re.ASCII):
        raise ValueError(f"{label}name is 1-32 small letters, digits and hyphens")
    for key in table:
        if key not in COMMON | TAKES[kind]:
            raise ValueError(f"{label}{kind} has no key {key}; it has {', '.join(sorted(COMMON | TAKES[kind]))}")
    for group in NEEDS[kind]:
        if not any(table.get(key) for key in group):
            raise ValueError(f"{label}{kind} needs {' or '.join(group)}")
    values: dict[str, Any] = {}
    for field in fields(Outlet):
        if field.name in table:
            try:
                values[field.name] = _CHECKS.get(field.name, _text)(table[field.name], duration)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{label}{field.name} is {error}") from None
    made = Outlet(**values)
    if bool(made.approvers) is not bool(made.app_token_file) or (made.app_token_file and not made.token_file):
        raise ValueError(f"{label}buttons need token_file, app_token_file and approvers, all three")
    if made.token_file and kind == "slack" and not made.to:
        raise ValueError(f"{label}with token_file, to names Slack's channel")
    return made


def _text(value: object, _: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 2048:
        raise ValueError("a text in quotes, of 2,048 printable characters at most")
    return value


def _some(known: tuple[str, ...]) -> Callable[[object, object], tuple[str, ...]]:
    def check(value: object, _: object) -> tuple[str, ...]:
        if not isinstance(value, list) or any(each not in known for each in value):
            raise ValueError(f"a list of {', '.join(known)}")
        return tuple(value)

    return check


def _after(value: object, duration: object) -> int:
    if not isinstance(value, str) or not callable(duration):
        raise ValueError('a time from "0s" to "10m"')
    seconds = int(duration(value))
    if seconds > 600:
        raise ValueError('a time from "0s" to "10m"')
    return seconds


def _yes(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _approvers(value: object, _: object) -> tuple[tuple[str, str], ...]:
    words = "a list of SLACK-USER-ID=APPROVER, each user and approver once"
    if not isinstance(value, list) or not value or len(value) > 100:
        raise ValueError(words)
    pairs = []
    for each in value:
        match = re.fullmatch(r"([UW][A-Z0-9]{2,20})=([^\s=]{1,64})", each, re.ASCII) if isinstance(each, str) else None
        if match is None:
            raise ValueError(words)
        pairs.append((match[1], match[2]))
    if len({user for user, _ in pairs}) < len(pairs) or len({name for _, name in pairs}) < len(pairs):
        raise ValueError(words)
    return tuple(pairs)


_CHECKS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "events": _some(EVENTS),
        "tiers": _some(TIERS),
        "after": _after,
        "detail": _yes,
        "approvers": _approvers,
    }
)

DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "name": "", "kind": "", "url": "", "url_file": "", "secret_file": "", "token_file": "", "app_token_file": "",
        "to": "", "events": "[]", "tiers": "[]", "after": "0s", "detail": "true", "approvers": "[]",
    }
)  # fmt: skip
"""As they would be written in the file, for docs/configuration.md."""
