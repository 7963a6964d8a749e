"""A replay as it stands: the player, and what is known of the recording; for the command line and the console alike.

What is to be shown comes from a source of moments and frames (a daemon, or a store); the player (recorder/player.py)
decides what is shown when, `timeline` what stands beside the screen.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Protocol, Self

from bastion.control import timeline, wire
from bastion.control.timeline import Command
from bastion.covering import visible
from bastion.errors import BastionError
from recorder.frames import Frame
from recorder.player import Goal, Mark, Player

REQUESTS_LIMIT = 2000
"""Commands of a session that are listed."""
HITS_LIMIT = 1000
"""Places that a search within a session finds."""


class Recordings(Protocol):
    """Where recordings come from. Every call may raise BastionError."""

    async def timeline(self, session: str) -> wire.TimelineInfo: ...
    async def moment(self, session: str, at: int, frame: int = -1, *, reveal: bool = False) -> wire.MomentInfo: ...
    async def frames(self, session: str, after: int, *, reveal: bool = False) -> list[wire.FrameInfo]: ...
    async def search(self, question: wire.SearchSessions) -> wire.SearchResult: ...
    async def request(self, wanted: str) -> wire.RequestInfo: ...


@dataclass(slots=True)
class Replay:
    """One replay: everything that changes."""

    source: Recordings
    info: wire.SessionInfo
    about: wire.TimelineInfo
    player: Player
    requests: list[wire.RequestInfo] = field(default_factory=list)
    listed: list[Command] = field(default_factory=list)
    reveal: bool = False
    """With the secrets in it."""
    told: str = ""
    """A sentence for the row of words."""

    @classmethod
    async def of(
        cls,
        source: Recordings,
        info: wire.SessionInfo,
        *,
        speed: float = 1.0,
        idle: float | None = None,
        reveal: bool = False,
    ) -> Self:
        """At its beginning, paused. Raises BastionError."""
        about = await source.timeline(info.id)
        size = (about.columns, about.lines) if about.terminal else None
        made = cls(source, info, about, Player(size, speed=speed, idle=idle), reveal=reveal)
        made.know(about)
        return made

    @property
    def growing(self) -> bool:
        """More of it may be rendered or recorded from now on: it is worth to look again."""
        return self.info.state == "open" or (self.about.rendered < self.about.chunks and not self.about.stopped)

    async def look(self) -> None:
        """See what is known by now."""
        self.know(await self.source.timeline(self.info.id))

    async def load(self) -> None:
        """Take the session's requests, one after another."""
        for name in self.info.requests[:REQUESTS_LIMIT]:
            with contextlib.suppress(BastionError):
                self.requests.append(await self.source.request(name))
            if len(self.requests) % 50 == 0:
                self.know(self.about)
        self.know(self.about)

    @property
    def notice(self) -> str:
        """What a person must know of what they see; empty: nothing."""
        if self.player.refused:
            return "a keyframe was refused: rendered from the beginning"
        if self.about.stopped:
            return f"not rendered to the end: {visible(self.about.stopped, newlines=False)}"
        if self.about.rendered < self.about.chunks:
            return f"{self.about.rendered * 100 // self.about.chunks} % rendered"
        return ""

    def know(self, about: wire.TimelineInfo) -> None:
        """Take what is known of the recording by now."""
        self.about = about
        player = self.player
        if about.frames > player.frame and about.until > player.until_us:
            player.more()
        player.until_us = max(player.until_us, about.until)
        known = {mark.name: mark for mark in player.marks}
        known |= {mark.request: Mark(mark.frame, mark.at, mark.request) for mark in about.marks}
        player.marks = sorted(known.values(), key=lambda mark: mark.frame)
        marks = [wire.MarkInfo(frame=mark.frame, at=mark.at_us, request=mark.name) for mark in player.marks]
        self.listed = timeline.commands(self.info, self.requests, marks)

    async def go(self, goal: Goal | None) -> None:
        """Go there; None: there is no such place."""
        if goal is None:
            self.told = "there is none"
            return
        self.player.leave()
        found = await self.source.moment(self.info.id, goal.at_us, goal.frame, reveal=self.reveal)
        frames = [Frame(each.at, each.kind, each.data) for each in found.frames]
        at = goal.at_us if goal.frame < 0 else None
        self.player.arrive(found.screen, frames, found.first, found.target, at)

    async def fetch(self) -> None:
        """Read on, if the player asks for it."""
        first = self.player.wants
        if first is not None:
            page = await self.source.frames(self.info.id, first, reveal=self.reveal)
            self.player.give((Frame(each.at, each.kind, each.data) for each in page), first)

    async def find(self, text: str) -> None:
        """Search this session, and go to the next hit."""
        question = wire.SearchSessions(id=0, text=text, session=self.info.id, limit=HITS_LIMIT)
        try:
            found = await self.source.search(question)
        except BastionError as error:
            self.told = str(error)
            return
        self.player.hits = sorted({hit.offset for hit in found.hits})
        count = len(self.player.hits)
        notes = "".join(f"; {note}" for note in found.notes)
        self.told = f"{count} place{'' if count == 1 else 's'} with {text!r}{notes}: n, N"
        goal = self.player.to_hit(1) or self.player.to_hit(-1)
        if goal is not None:
            await self.go(goal)
