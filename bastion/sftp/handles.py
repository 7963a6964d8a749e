"""Open files of one channel: one that is read on the target, one that is written to staging."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from bastion.model import Request
from bastion.sftp.changes import AS_IT_IS, Attributes, Found, Item
from bastion.sftp.staging import Staged
from bastion.sftp.together import Leave


@dataclass(slots=True, eq=False)
class Reading:
    """A file that is open on the target, for reading."""

    item: Item
    request: Request
    """The one that lets it be read."""
    handle: bytes
    together: Leave | None = None
    """Where that is for more than this file."""
    given: int = 0
    """Bytes that the agent got."""
    whole: bool = True
    """They came in order, from the first on: then their hash says what the agent has."""
    _next: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, offset: int, data: bytes) -> None:
        """The agent gets these bytes."""
        if not data:
            return
        self.given += len(data)
        if offset != self._next:
            self.whole = False
        if self.whole:
            self._digest.update(data)
            self._next = offset + len(data)

    @property
    def sha256(self) -> str:
        """Hex, of what the agent got; empty when it did not read in order."""
        return self._digest.hexdigest() if self.whole else ""


@dataclass(slots=True, eq=False)
class Writing:
    """A file that is written: bytes in staging, nothing on the target."""

    path: bytes
    asked: bytes
    found: Found
    staged: Staged
    append: bool
    readable: bool
    set: Attributes = AS_IT_IS
    broken: str = ""
    """Why it cannot be applied: a write was refused, so the bytes are not what the agent has."""
