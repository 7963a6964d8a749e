"""What the console hears: messages of its connection, put into the view, told and drawn. A part of the app.

The connection itself is `tui/feed.py`, which posts them; what they change is decided in `tui/view.py`.
"""

from __future__ import annotations

from dataclasses import replace

from textual import on

from bastion.control import wire
from bastion.covering import visible_line
from tui import messages
from tui.lines import Link, frozen_badge, silent_badge
from tui.screens.watch import WatchScreen
from tui.showing import Showing
from tui.words import cell, ending


class Hearing(Showing, inherit_bindings=False):
    """One method a message."""

    BELL_SECONDS = 1.0
    """At most one bell in this time."""

    _rang_at = float("-inf")

    @on(messages.Connected)
    def connected(self, message: messages.Connected) -> None:
        if self.link.reason:
            self.tell("connected again", "good")
        self.view.me = message.welcome.identity
        if "approver" not in message.welcome.roles:
            self.view.powerless = f"this console only shows: your role is {cell(', '.join(message.welcome.roles), 30)}"
            self.view.barred = self.view.barred or self.view.powerless
        if self.view.barred:
            self.tell(self.view.barred, "warning")
        self.link = Link(message.welcome, up=True)
        change, missing = self.view.snapshot(message.requests, message.sessions, self.clock())
        if missing:
            self.run_worker(self.feed.recheck(missing), name="recheck")
        self._ring(change.new)
        self.news()

    @on(messages.Disconnected)
    def disconnected(self, message: messages.Disconnected) -> None:
        now = self.clock()
        since = self.link.down_since if self.link.reason and not self.link.up else now
        retry_at = now + message.retry if message.retry else 0.0
        self.view.watching = None
        self.link = replace(self.link, up=False, reason=message.reason, retry_at=retry_at, down_since=since)
        self.view.guard.display_changed(now)
        self.tell(message.reason, "bad")
        self.news()

    @on(messages.Pushed)
    def pushed(self, message: messages.Pushed) -> None:
        if isinstance(message.push, wire.SessionOutput):
            for screen in self.screen_stack:
                if isinstance(screen, WatchScreen):
                    screen.receive(message.push)
            return
        if isinstance(message.push, wire.Alert):
            style = "warning" if message.push.kind == "policy.loaded" else "bad"
            self.tell(visible_line(message.push.text, 300), style)
            return
        if isinstance(message.push, wire.FreezesChanged | wire.ChannelsChanged):
            if isinstance(message.push, wire.FreezesChanged):
                self.frozen = frozen_badge(message.push.freezes)
            else:
                self.silent = silent_badge(message.push.channels)
            self.news()
            return
        change = self.view.apply(message.push, self.clock(), self.wall())
        self._ring(change.new)
        self.news()

    @on(messages.Gone)
    def gone(self, message: messages.Gone) -> None:
        self.view.gone(message.request, self.clock())
        self.news()

    @on(messages.Voted)
    def voted(self, message: messages.Voted) -> None:
        self.view.voting -= {message.info.id}
        self.view.apply(wire.RequestChanged(request=message.info), self.clock())
        stands = ending(message.info) or "more must approve"
        self.tell(f"your vote on {cell(message.info.id, 12)} counts: {stands}", "good")
        self.news()

    @on(messages.VoteFailed)
    def vote_failed(self, message: messages.VoteFailed) -> None:
        self.view.voting -= {message.request}
        self.tell(f"{cell(message.request, 12)}: {message.words}", "bad")
        self.news()

    @on(messages.Told)
    def told_something(self, message: messages.Told) -> None:
        self.tell(message.words, message.style)
        self.news()

    def _ring(self, new: tuple[str, ...]) -> None:
        """The terminal's bell for new requests, not more often than a person can hear."""
        if new and self.clock() - self._rang_at >= self.BELL_SECONDS:
            self._rang_at = self.clock()
            self.bell()
