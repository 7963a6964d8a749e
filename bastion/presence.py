"""Who watches the queue: people with a console or `bastion request watch` open. In memory, gone with the daemon.

A connection watches from its `subscribe` on until it ends. That somebody has a console open does not say that they look
at it: `active` is when the connection last asked for something by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bastion.clock import Clock
from bastion.control.wire import PresenceInfo

GRACE_SECONDS = 10.0
"""After somebody left, before what they could have decided goes on: a console that reconnects is back in a second."""


@dataclass(slots=True)
class _Watcher:
    name: str
    decides: bool
    local: bool
    since: int
    active: int


class Presence:
    """One daemon's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: dict[int, _Watcher] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self.changed: Callable[[list[PresenceInfo]], None] = lambda people: None
        """Called when somebody came or left."""
        self.missed: Callable[[], None] = lambda: None
        """Called GRACE_SECONDS after somebody left."""

    def enter(self, name: str, *, decides: bool, local: bool) -> Callable[[], None]:
        """Somebody watches; returns what ends that. `local`: the host's administrator, whose name says nothing."""
        number, self._next = self._next, self._next + 1
        now = self._clock.wall()
        self._watchers[number] = _Watcher(name, decides, local, now, now)
        self.changed(self.infos())

        def leave() -> None:
            self._watchers.pop(number, None)
            self.changed(self.infos())
            self.look_later()

        return leave

    def look_later(self) -> None:
        """Have `missed` called when the grace is over."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        self.missed()

    def close(self) -> None:
        """No more calls."""
        if self._timer is not None:
            self._timer.cancel()
        self.changed, self.missed = lambda people: None, lambda: None

    def asked(self, name: str) -> None:
        """They asked for something."""
        for each in self._watchers.values():
            if each.name == name:
                each.active = self._clock.wall()

    def deciders(self) -> list[tuple[str, bool]]:
        """(name, local) of those who may decide something."""
        return [(each.name, each.local) for each in self._watchers.values() if each.decides]

    def infos(self) -> list[PresenceInfo]:
        """Everybody, by name."""
        people: dict[str, list[_Watcher]] = {}
        for each in self._watchers.values():
            people.setdefault(each.name, []).append(each)
        return [
            PresenceInfo(
                name=name,
                decides=any(each.decides for each in found),
                consoles=len(found),
                since=min(each.since for each in found),
                active=max(each.active for each in found),
            )
            for name, found in sorted(people.items())
        ]
