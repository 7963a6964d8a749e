"""The target's end of a command, by itself; with real ends it is in tests/e2e."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType
from typing import Any

from bastion.gate.events import UpstreamEnded
from bastion.ssh.pump import Side, Upstream


class Session:
    """What a command's session hands to it."""

    def __init__(self) -> None:
        self.told: list[UpstreamEnded] = []
        self.written: list[bytes] = []

    def ended(self, event: UpstreamEnded) -> None:
        self.told.append(event)

    def seen(self, kind: str, data: bytes) -> None:
        self.written.append(data)

    def write(self, kind: str, data: bytes) -> bool:
        self.written.append(data)
        return True


def reached(root: object) -> set[int]:
    """Ids of what an object keeps alive, without what modules do."""
    seen, todo = set[int](), [root]
    while todo:
        each = todo.pop()
        if id(each) not in seen and not isinstance(each, ModuleType | FunctionType | type):
            seen.add(id(each))
            todo += gc.get_referents(each)
    return seen


def test_a_channel_that_the_target_keeps_open_keeps_no_session() -> None:
    session: Any = Session()
    upstream = Upstream(session, Side(), session, ended=session.ended, seen=session.seen)
    assert id(session) in reached(upstream)
    upstream.forget()
    assert id(session) not in reached(upstream)


def test_what_comes_late_concerns_nobody() -> None:
    session: Any = Session()
    upstream = Upstream(session, Side(), session, ended=session.ended, seen=session.seen)
    upstream.forget()
    upstream.data_received(b"late", None)
    upstream.send(b"late")
    upstream.connection_lost(None)
    assert not session.told
    assert not session.written
