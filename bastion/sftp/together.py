"""Files of one directory that are read one after another, asked about together.

Theory of operation. `scp -r` lists a directory and then opens its files one by one. Where policy says the same of all
files of the listing as of the first, they are one request that names each: a person looks through a list instead of
answering a thousand times. Leave covers what stood in that list, once each, and a refusal refuses all of it. Where
policy tells them apart, each is a request of its own. What of the list was read, the session's recording says, with
hashes; the end of the request has the hash of those.

What the target listed is not believed: a file is resolved and looked at again when it is opened. Nor is what policy
said: the policy, a freeze or a missing grant that would not let the file be read now takes its leave away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from bastion.model import Request, Verdict
from bastion.sftp import names
from bastion.sftp.changes import ITEMS_LIMIT, Item


@dataclass(slots=True)
class Leave:
    """For the files of one list."""

    request: Request | None
    """None: it was refused."""
    reason: str
    """Why it was refused."""
    paths: set[bytes]
    """Those that were not opened yet."""
    verdict: Verdict = Verdict.HOLD
    """What policy said when it was given."""
    given: int = 0
    _hashes: list[str] = field(default_factory=list)

    def add(self, path: bytes, size: int, sha256: str) -> None:
        """One of them was read."""
        self.given += size
        self._hashes.append(f"{sha256}  {names.shown(path)}\n")

    @property
    def sha256(self) -> str:
        """Over the hashes of what was read, in order, as sha256sum(1) prints them."""
        return hashlib.sha256("".join(self._hashes).encode()).hexdigest()


class Together:
    """The listings of one channel, and what was asked about together."""

    def __init__(self) -> None:
        self._listed: dict[bytes, list[Item]] = {}
        self._leaves: list[Leave] = []

    def listed(self, directory: bytes, files: list[Item]) -> None:
        """A directory was listed to its end; its files. The oldest listings are forgotten first."""
        self._listed[directory] = files
        while sum(len(each) + 1 for each in self._listed.values()) > REMEMBERED:
            del self._listed[next(iter(self._listed))]

    def list_for(self, path: bytes) -> list[Item]:
        """The files to ask about when this one is held; empty where it stands in no listing."""
        files = self._listed.pop(names.split(path)[0], [])
        return files[:ITEMS_LIMIT] if any(item.path == path for item in files[:ITEMS_LIMIT]) else []

    def add(self, leave: Leave) -> None:
        """It was decided."""
        self._leaves.append(leave)

    def leave_for(self, path: bytes) -> Leave | None:
        """What was decided about this file, once."""
        for leave in self._leaves:
            if path in leave.paths:
                leave.paths.discard(path)
                return leave
        return None

    @property
    def granted(self) -> list[Leave]:
        """Those that were not refused."""
        return [leave for leave in self._leaves if leave.request is not None]


REMEMBERED = 4 * ITEMS_LIMIT
"""Files and directories in all listings that are remembered, about 5 MB; `scp -r` goes down one path at a time."""
