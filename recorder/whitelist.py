"""The whitelist as of some entry: who signed what, how long it lasts, and for which command it is. Pure.

A whitelist entry is in force from when it is added until it is removed, or its target is. It counts while its signer
was not revoked, for one identity and login, a target or an environment, a command or pattern, the code on stdin, and
nothing that is rated higher than what its signer was shown.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from recorder import patterns
from recorder import request as requests
from recorder.rows import RowLike
from recorder.votes import WHITELIST, WHITELIST_FIELDS, People, Violation

SLACK_US = 60_000_000
"""Microseconds that a wall clock may be off before something late is worth a note."""

DAY_US = 86_400_000_000
LONGEST_US = {"low": 0, "medium": 7 * DAY_US, "unrated": 7 * DAY_US}
"""How long a whitelist entry may last, by the tier that its signer was shown; 0: without an end. High: never."""

CLOCKS_US = 240_000_000
"""Microseconds by which the signer's clock may have been ahead: twice what the daemon allows."""

RANK = {"low": 0, "medium": 1, "unrated": 2, "high": 3}
"""Which tier is the higher one."""


@dataclass(frozen=True, slots=True)
class _Whitelisted:
    command: bytes
    pattern: str
    identity: str
    target: str
    env: str
    login: str
    code: str
    tier: str
    expires: int
    by: str


class Whitelist:
    """Feed it the entries about it, in order."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._entries: dict[str, _Whitelisted] = {}

    def added(self, row: RowLike) -> None:
        """`whitelist.added`. Raises Violation."""
        body = row.body
        by, said = self._people.signed(body, WHITELIST, WHITELIST_FIELDS)
        if said["origin"] != row.origin:
            raise Violation("the whitelist statement was made for another ledger")
        for name in sorted(WHITELIST_FIELDS - {"checkpoint", "origin", "v"}):
            if said[name] != body.get(name):
                raise Violation(f"the whitelist entry's {name} is not the one that was signed")
        if not isinstance(body.get("id"), str) or body["id"] in self._entries:
            raise Violation("the whitelist entry has no id of its own")
        try:
            command = base64.b64decode(said["command"], validate=True)
        except (binascii.Error, ValueError):
            raise Violation("the whitelisted command is no base64") from None
        if bool(said["target"]) == bool(said["env"]):
            raise Violation("the whitelist entry is for no target and no environment, or for both")
        if said["pattern"] and not patterns.matches(said["pattern"], command):
            raise Violation("the whitelist entry's pattern does not match the command that it was made from")
        self._check_lasting(row, said)
        self._entries[body["id"]] = _Whitelisted(
            command=command,
            pattern=said["pattern"],
            identity=said["identity"],
            target=said["target"],
            env=said["env"],
            login=said["login"],
            code=said["code"],
            tier=said["tier"],
            expires=int(said["expires"]),
            by=by,
        )

    def _check_lasting(self, row: RowLike, said: dict[str, str]) -> None:
        if said["tier"] not in LONGEST_US:
            raise Violation(f"a command of tier {said['tier']} was whitelisted")
        if said["pattern"] and said["tier"] == "unrated":
            raise Violation("a pattern was whitelisted that nobody had rated")
        longest, ends = LONGEST_US[said["tier"]], int(said["expires"])
        if longest and (not ends or ends > row.t + longest + CLOCKS_US):
            raise Violation(f"a whitelist entry of tier {said['tier']} lasts longer than it may")

    def removed(self, row: RowLike) -> None:
        """`whitelist.removed`. Raises Violation."""
        if self._entries.pop(str(row.body.get("id")), None) is None:
            raise Violation("a whitelist entry is removed that is not there")

    def target_removed(self, name: object) -> None:
        """What is bound to it goes with it."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.target != name}

    def check(self, name: str, row: RowLike, env: str | None, said: requests.Content | None) -> str:
        """May that whitelist entry let this proposal through, whose target is in that environment, and whose content
        is this, where it is still there? A note, if one is worth making. Raises Violation."""
        entry = self._entries.get(name)
        if entry is None:
            raise Violation(f"allowed by whitelist entry {name}, which is not in force")
        if not self._people.counts(entry.by):
            raise Violation(f"whitelist entry {name} was signed by {entry.by}, who was revoked before its use")
        _check_scope(row.body, name, entry, env)
        if said is not None:
            _check_command(said, name, entry)
        late = entry.expires and row.t > entry.expires + SLACK_US
        return "whitelist entries were used after their end, by the wall clock" if late else ""


def _check_scope(body: Any, name: str, entry: _Whitelisted, env: str | None) -> None:
    """The entry is for this identity, login, and target or environment, and the command is not rated higher."""
    if (entry.identity, entry.login) != (body.get("identity"), body.get("login")):
        raise Violation(f"whitelist entry {name} is for another identity, target or login")
    if entry.target and entry.target != body.get("target"):
        raise Violation(f"whitelist entry {name} is for another identity, target or login")
    if entry.env and entry.env != env:
        raise Violation(f"whitelist entry {name} is for another environment than the target's")
    if RANK.get(str(body.get("tier", "unrated")), 9) > RANK[entry.tier]:
        raise Violation(f"whitelist entry {name} let a command through that is rated higher than it was")


def _check_command(said: requests.Content, name: str, entry: _Whitelisted) -> None:
    """The entry is for what the request's content is."""
    if entry.pattern:
        if not patterns.matches(entry.pattern, said.command):
            raise Violation(f"whitelist entry {name} has a pattern that does not match the command")
    elif said.command != entry.command:
        raise Violation(f"whitelist entry {name} is for another command")
    if entry.code != requests.code(said):
        raise Violation(f"whitelist entry {name} is for other code on stdin or in a script")
