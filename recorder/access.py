"""Grants and freezes as the ledger tells them: who could be where, when. Pure.

A target in an environment that `access.configured` names may be used under a grant only: one in force for that
identity and target when the proposal was let through, and when its command started. A grant is given by the host's
administrator, which nobody signs and a note says, or by approvers: then it names a request of kind `grant`, which
must have been approved as any other, and the identity, target and time must be those that were asked for.

What cannot be seen here: that a target is in another environment than its entry says; that sessions were cut in time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recorder.votes import Violation

ASKED = re.compile(rb"request-access ([a-z0-9._-]{1,64}) --for ([1-9][0-9]{0,6})s")
"""How a request for access is spelt."""

SLACK_US = 60_000_000
"""Microseconds that a wall clock may be off before a late use is worth a note."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant."""

    identity: str
    target: str
    expires: int


@dataclass(slots=True)
class Access:
    """As of some entry."""

    guarded: frozenset[str] = frozenset()
    environments: dict[str, str] = field(default_factory=dict)
    """Of targets."""
    _grants: dict[str, Grant] = field(default_factory=dict)
    _freezes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Id to scope, name, mode."""

    def configured(self, body: Mapping[str, Any]) -> None:
        """`access.configured`."""
        labels = body.get("grants")
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            raise Violation("environments that take a grant are no list of labels")
        self.guarded = frozenset(labels)

    def granted(self, body: Mapping[str, Any], asked: bytes | None) -> None:
        """`grant.added`; `asked` is the text of the approved request that it names, None where it is not there or where
        none is named. Raises Violation."""
        name, expires, added = body.get("id"), body.get("expires"), body.get("added")
        if not isinstance(name, str) or not name or name in self._grants:
            raise Violation("a grant without an id of its own")
        if not all(isinstance(each, str) and each.isascii() and each.isdigit() for each in (expires, added)):
            raise Violation("a grant without an end")
        seconds = body.get("seconds")
        if type(seconds) is not int or int(str(expires)) != int(str(added)) + seconds * 1_000_000:
            raise Violation("a grant that lasts longer than it says")
        if asked is not None:
            match = ASKED.fullmatch(asked)
            if match is None or (match[1].decode(), int(match[2])) != (body.get("target"), seconds):
                raise Violation("a grant that is not what was asked for")
        self._grants[name] = Grant(str(body.get("identity")), str(body.get("target")), int(str(expires)))

    def ended(self, body: Mapping[str, Any]) -> None:
        """`grant.expired`, `grant.revoked`."""
        if self._grants.pop(str(body.get("id")), None) is None:
            raise Violation("a grant ends that is not there")

    def frozen(self, body: Mapping[str, Any]) -> None:
        """`freeze.set`."""
        self._freezes[str(body.get("id"))] = (str(body.get("scope")), str(body.get("name")), str(body.get("mode")))

    def lifted(self, body: Mapping[str, Any]) -> None:
        """`freeze.lifted`."""
        if self._freezes.pop(str(body.get("id")), None) is None:
            raise Violation("a freeze is lifted that is not there")

    def target_removed(self, name: str) -> None:
        """What is bound to it goes with it."""
        self.environments.pop(name, None)
        self._grants = {key: each for key, each in self._grants.items() if each.target != name}
        self._freezes = {key: each for key, each in self._freezes.items() if each[:2] != ("target", name)}

    def identity_revoked(self, name: str) -> None:
        """Its grants go with it."""
        self._grants = {key: each for key, each in self._grants.items() if each.identity != name}

    def check_start(self, identity: str, target: str, t: int) -> str:
        """May that identity start something on that target, at this entry? A note, if one is worth making. Raises
        Violation."""
        env = self.environments.get(target, "")
        if self._mode(target, env) == "refuse":
            raise Violation(f"a command was started on {target}, which was frozen")
        if env not in self.guarded:
            return ""
        ends = [each.expires for each in self._grants.values() if (each.identity, each.target) == (identity, target)]
        if not ends:
            raise Violation(f"a command was started on {target} ({env}), for which {identity} had no grant")
        return "grants were used after their end, by the wall clock" if t > max(ends) + SLACK_US else ""

    def check_allowed(self, target: str) -> None:
        """Nothing is let through without a person where things are frozen. Raises Violation."""
        if self._mode(target, self.environments.get(target, "")):
            raise Violation(f"a command was let through on {target}, which was frozen")

    def _mode(self, target: str, env: str) -> str:
        if not self._freezes:
            return ""
        covers = {"all": "", "env": env, "target": target}
        modes = {mode for scope, name, mode in self._freezes.values() if covers.get(scope) == name}
        return "refuse" if "refuse" in modes else "hold" if modes else ""
