"""Live sessions: who is on which target now, what they put out, and how to end them.

The registry knows a session only by its info and two callbacks; SSH is elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from bastion.control.wire import FrameInfo, SessionInfo

RECENT_BYTES = 32 * 1024
"""Output kept per session for somebody who starts to watch it: a screenful or two."""

RECENT_FRAMES = 1000
"""And at most so many pieces, however small: a watcher gets them all at once."""

REMEMBERED = 500
"""Ended sessions kept in memory for lists; older ones are read from the ledger."""


@dataclass(slots=True)
class Live:
    """One open session."""

    info: SessionInfo
    cut: Callable[[str, bool], None]
    """Ends it, with a reason that the agent is told, and whether what is held stays at the desk."""
    end_keys: Callable[[str], None] | None = None
    """Ends the window in which keys pass to its command; None outside a shell."""
    forward: bool = False
    """It is one: it ends when its target is frozen, while commands that run may go on."""
    recent: deque[FrameInfo] = field(default_factory=deque)
    recent_bytes: int = 0
    watchers: set[Callable[[FrameInfo], None]] = field(default_factory=set)


class Sessions:
    """All sessions of one daemon."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._ended: dict[str, SessionInfo] = {}
        self._subscribers: set[Callable[[SessionInfo], None]] = set()

    def open(
        self,
        info: SessionInfo,
        cut: Callable[[str, bool], None],
        end_keys: Callable[[str], None] | None = None,
        *,
        forward: bool = False,
    ) -> None:
        """A session begins."""
        self._live[info.id] = Live(info, cut, end_keys, forward)
        self._publish(info)

    def change(self, session: str, **fields: object) -> None:
        """Something about it changed."""
        live = self._live.get(session)
        if live is not None:
            live.info = msgspec.structs.replace(live.info, **fields)
            self._publish(live.info)

    def output(self, session: str, frame: FrameInfo) -> None:
        """It put something out (or took it in): kept a little, passed to whoever watches."""
        live = self._live.get(session)
        if live is None:
            return
        live.recent.append(frame)
        live.recent_bytes += len(frame.data)
        while (live.recent_bytes > RECENT_BYTES or len(live.recent) > RECENT_FRAMES) and len(live.recent) > 1:
            live.recent_bytes -= len(live.recent.popleft().data)
        for watcher in list(live.watchers):
            watcher(frame)

    def close(self, session: str, at: int, end: str) -> None:
        """It is over."""
        live = self._live.pop(session, None)
        if live is None:
            return
        info = msgspec.structs.replace(live.info, state="closed", closed=at, end=end)
        self._ended[session] = info
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._publish(info)

    def infos(self) -> list[SessionInfo]:
        """Sessions that are open or were lately, oldest first."""
        return sorted([*self._ended.values(), *(live.info for live in self._live.values())], key=lambda s: s.opened)

    def ids(self) -> list[str]:
        """Of the open ones."""
        return list(self._live)

    def info(self, session: str) -> SessionInfo | None:
        """One of them, by its full id."""
        live = self._live.get(session)
        return live.info if live else self._ended.get(session)

    def watch(self, session: str, tell: Callable[[FrameInfo], None]) -> Callable[[], None]:
        """Pass on what it lately put out and all from now on; returns what ends that. KeyError if it is not open."""
        live = self._live[session]
        for frame in live.recent:
            tell(frame)
        live.watchers.add(tell)
        return lambda: live.watchers.discard(tell)

    def recent(self, session: str) -> list[FrameInfo]:
        """What it lately put out; nothing where it is over."""
        live = self._live.get(session)
        return list(live.recent) if live else []

    def cut(self, session: str, reason: str) -> None:
        """End one. KeyError if it is not open."""
        self._live[session].cut(reason, False)

    def end_keys(self, session: str, reason: str) -> bool:
        """From here on its command gets lines, each held by itself. False if no keys pass; KeyError if it is over."""
        live = self._live[session]
        if not live.info.mode or live.end_keys is None:
            return False
        live.end_keys(reason)
        return True

    def cut_where(
        self, which: Callable[[SessionInfo], bool], reason: str, *, keeps: bool = False, forwards: bool = False
    ) -> int:
        """End all that `which` picks, with `forwards` only those; returns how many. With `keeps` what they hold stays
        at the desk."""
        picked = [live for live in self._live.values() if which(live.info) and live.forward >= forwards]
        for live in picked:
            live.cut(reason, keeps)
        return len(picked)

    def subscribe(self, tell: Callable[[SessionInfo], None]) -> Callable[[], None]:
        """Call `tell` on every change from now on; returns what ends that."""
        self._subscribers.add(tell)
        return lambda: self._subscribers.discard(tell)

    def _publish(self, info: SessionInfo) -> None:
        for tell in list(self._subscribers):
            tell(info)
