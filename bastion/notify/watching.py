"""What of all that happens is news, for which channel, and when.

A held request is told to a channel once it has been held for as long as that channel wants (`after`), if it still is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bastion.broker import Broker
from bastion.clock import Clock
from bastion.control.wire import Alert, RequestInfo
from bastion.model import State, Tier
from bastion.notify.news import Line, of_alert, of_request
from bastion.notify.notifier import Notifier
from bastion.policy.visible import visible_line


class Watching:
    """Listens to the broker and to alerts."""

    def __init__(self, broker: Broker, notifier: Notifier, clock: Clock, line: Line = visible_line) -> None:
        self._broker, self._notifier, self._clock, self._line = broker, notifier, clock, line
        self._timers: dict[str, list[asyncio.TimerHandle]] = {}
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """From now on; what is held already is told, too."""
        if not self._notifier.outlets:
            return
        self._unsubscribe = self._broker.subscribe(self._changed)
        for info in self._broker.infos():
            self._changed(info)

    def close(self) -> None:
        """No more."""
        self._unsubscribe()
        for timers in self._timers.values():
            for timer in timers:
                timer.cancel()
        self._timers.clear()

    def hear(self, alert: Alert) -> None:
        """An alert."""
        news = of_alert(alert, self._line)
        if news is None:
            return
        for outlet in self._notifier.outlets:
            dead = news.kind == "channel" and alert.text.startswith(f"channel {outlet.name} ")
            if outlet.wants(news.kind, news.tier) and not dead:
                self._notifier.tell_one(outlet.name, news)

    def _changed(self, info: RequestInfo) -> None:
        if info.state == State.HELD:
            if info.id not in self._timers:
                self._timers[info.id] = [
                    asyncio.get_running_loop().call_later(
                        max(0.0, outlet.after - (self._clock.wall() - info.created) / 1e6),
                        self._held,
                        info.id,
                        outlet.name,
                    )
                    for outlet in self._notifier.outlets
                    if outlet.wants("held", info.tier)
                ]
            return
        held = self._timers.pop(info.id, None)
        for timer in held or ():
            timer.cancel()
        if held is not None and info.state == State.APPROVED and info.tier == Tier.HIGH:
            self._notifier.tell(of_request(info, "approved-high", self._line))

    def _held(self, request: str, outlet: str) -> None:
        info = self._broker.info(request)
        if info is not None and info.state == State.HELD:
            self._notifier.tell_one(outlet, of_request(info, "held", self._line))
