"""What is known of requests beside the desk, and who is told of each change. In memory.

The desk decides (desk.py), the broker writes what it decided (broker.py); here is what people see of it: every request
that is held, and the newest that ended. Older ones are read from the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from bastion.control.wire import RequestInfo
from bastion.model import Decision, Request, State

REMEMBERED = 500
"""Ended requests kept in memory for lists; older ones are read from the ledger."""

REMEMBERED_BYTES = 32 << 20
"""Bytes of their commands and code; one request can have a megabyte."""


@dataclass(slots=True)
class Filed:
    """One request."""

    info: RequestInfo
    waiter: Callable[[Decision, float], None] | None = None
    edited: Callable[[Request, str], None] | None = None
    """Tells the waiter that another request stands in this one's place, and the leaf of its proposal."""
    editing: asyncio.Event | None = None
    """Set once an edit that is on its way has arrived."""
    grounds: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Leaf of the entry that approved it, once that is durable."""


class Register:
    """One daemon's."""

    def __init__(self) -> None:
        self._filed: dict[str, Filed] = {}
        self._look_at, self._new_bytes = REMEMBERED, 0
        self._subscribers: set[Callable[[RequestInfo], None]] = set()

    def __getitem__(self, request_id: str) -> Filed:
        return self._filed[request_id]

    def __iter__(self) -> Iterator[Filed]:
        return iter(list(self._filed.values()))

    def get(self, request_id: str) -> Filed | None:
        """One of them, by its full id."""
        return self._filed.get(request_id)

    def subscribe(self, tell: Callable[[RequestInfo], None]) -> Callable[[], None]:
        """Call `tell` on every change from now on; returns what ends that."""
        self._subscribers.add(tell)
        return lambda: self._subscribers.discard(tell)

    def add(self, filed: Filed) -> None:
        """A new one; everybody is told."""
        self._filed[filed.info.id] = filed
        self._publish(filed)

    def change(self, filed: Filed, **fields: object) -> None:
        """Some of what is known of it changes; everybody is told."""
        filed.info = msgspec.structs.replace(filed.info, **fields)
        self._publish(filed)

    def forget(self, request_id: str) -> None:
        """One that ended is looked up in the store from now on: its content was redacted there."""
        filed = self._filed.get(request_id)
        if filed is not None and filed.info.state != State.HELD.value:
            del self._filed[request_id]

    def forget_oldest(self, new: RequestInfo, may_go: Callable[[str], bool]) -> None:
        """`new` has come: of those that ended, what is too much goes. `may_go`: whether nobody needs it any more."""
        self._new_bytes += _size(new)
        if len(self._filed) <= self._look_at and self._new_bytes <= REMEMBERED_BYTES // 8:
            return  # each look costs as much as there are: not for each request
        ended = [each for each in self._filed if self._filed[each].info.state != State.HELD.value]
        size = sum(_size(self._filed[each].info) for each in ended)
        for request_id in ended:
            if len(self._filed) <= REMEMBERED and size <= REMEMBERED_BYTES:
                break
            size -= _size(self._filed[request_id].info)
            if may_go(request_id):
                del self._filed[request_id]
        self._look_at, self._new_bytes = len(self._filed) + REMEMBERED // 8, 0

    def _publish(self, filed: Filed) -> None:
        for tell in list(self._subscribers):
            tell(filed.info)


def _size(info: RequestInfo) -> int:
    return len(info.command) + len(info.stdin_code) + len(info.script_code)
