"""Which policy was in force, and who was in its groups, as of some entry. Pure.

    daemon.started      no policy any more, until one is loaded
    policy.loaded       digest, groups; its payload is the text, from which the digest follows
    group.set, .removed the bastion's own groups, for names that the policy does not define

The digest of one file is its SHA-256, of several that of the lines that sha256sum prints for them, sorted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recorder.strict import is_hash
from recorder.votes import Violation


@dataclass(slots=True)
class Policies:
    """As of the last entry that was taken."""

    digest: str = ""
    """Of the policy in force; empty without one."""
    _groups: dict[str, frozenset[str]] = field(default_factory=dict)
    _common: dict[str, frozenset[str]] = field(default_factory=dict)

    def started(self) -> None:
        """`daemon.started`."""
        self.digest, self._groups = "", {}

    def loaded(self, body: Mapping[str, Any], text: bytes | None) -> None:
        """`policy.loaded`; `text` is its payload, None where that is not there. Raises Violation."""
        digest, groups = body.get("digest"), body.get("groups")
        if not isinstance(digest, str) or not is_hash(digest) or not isinstance(groups, dict):
            raise Violation("a policy is loaded without hash or groups")
        if text is not None and digest_of(text) != digest:
            raise Violation("the text of the policy does not give its hash")
        self.digest = digest
        self._groups = {name: frozenset(map(str, members)) for name, members in groups.items()}

    def group(self, body: Mapping[str, Any]) -> None:
        """`group.set`."""
        self._common[str(body.get("name"))] = frozenset(map(str, body.get("members", ())))

    def no_group(self, body: Mapping[str, Any]) -> None:
        """`group.removed`."""
        self._common.pop(str(body.get("name")), None)

    def members(self, group: str) -> frozenset[str]:
        """Who is in it."""
        found = self._groups.get(group)
        return self._common.get(group, frozenset()) if found is None else found


def digest_of(payload: bytes) -> str:
    """Of the payload of `policy.loaded`, texts by file name. Raises Violation."""
    try:
        texts = json.loads(payload)
        lines = sorted(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in texts.items())
    except (ValueError, AttributeError, RecursionError):
        raise Violation("the text of the policy cannot be read") from None
    return lines[0][:64] if len(lines) == 1 else hashlib.sha256("".join(lines).encode()).hexdigest()
