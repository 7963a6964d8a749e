"""`bastion session replay`: the player on a person's own terminal.

What goes on between the player (recorder/player.py), the source of moments and frames, and the person; what is drawn is
in replayscreen.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from bastion.cli import reach
from bastion.cli.options import Settings
from bastion.cli.place import place
from bastion.cli.replayscreen import HELP, KEYS, View, drawing, leave_behind, typing, write
from bastion.cli.sources import Source
from bastion.control import timeline, wire
from bastion.control.timeline import Command
from bastion.errors import BastionError, NotFound, UsageError
from recorder.frames import Frame
from recorder.player import CHANGES, MOVES, Goal, Mark, Player

AT_SLACK = 1_000_000
"""Microseconds behind the last frame that still count as its end: times are typed rounded."""
REFRESH_SECONDS = 1.0
"""Between two looks at what is rendered by now, or recorded."""
REQUESTS_LIMIT = 2000
"""Commands of a session that are listed."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    speed: float = 1.0
    idle: float | None = None
    at: int = 0
    request: str = ""
    search: str = ""
    reveal: bool = False
    """With the secrets in it."""


@dataclass(slots=True)
class Replay:
    """One replay: everything that changes."""

    source: Source
    info: wire.SessionInfo
    about: wire.TimelineInfo
    player: Player
    requests: list[wire.RequestInfo] = field(default_factory=list)
    listed: list[Command] = field(default_factory=list)
    told: str = ""
    """A sentence for the row of words."""
    typed: str | None = None
    """What is typed behind `/` or `g`; the first character says which."""
    touched: bool = False
    """A key was pressed: at the end it stays."""
    done: bool = False
    reveal: bool = False
    """With the secrets in it."""

    def know(self, about: wire.TimelineInfo) -> None:
        """Take what is known of the recording by now."""
        self.about = about
        player = self.player
        if about.frames > player.frame and about.until > player.until_us:
            player.more()
        player.until_us = max(player.until_us, about.until)
        known = {mark.frame: mark for mark in player.marks}
        known |= {mark.frame: Mark(mark.frame, mark.at, mark.request) for mark in about.marks}
        player.marks = [known[frame] for frame in sorted(known)]
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
        question = wire.SearchSessions(id=0, text=text, session=self.info.id, limit=1000)
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


async def replay(settings: Settings, wanted: str, wishes: Wishes) -> None:
    """Replay on this terminal, then leave the last screen behind. Raises NotFound when there is no such place."""
    async with reach.source(settings) as source:
        info = await source.session(wanted)
        about = await source.timeline(info.id)
        if not about.frames:
            raise NotFound(f"nothing was recorded of session {info.id}")
        size = (about.columns, about.lines) if about.terminal else None
        run = Replay(source, info, about, Player(size, speed=wishes.speed, idle=wishes.idle), reveal=wishes.reveal)
        run.know(about)
        await _open(run, wishes)
        run.player.play(on=True)
        with typing() as keys, drawing():
            loading = asyncio.create_task(_load(run), name="requests of the session")
            try:
                await _play(run, keys)
            finally:
                loading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loading
        leave_behind(run.player.screen)


async def _open(run: Replay, wishes: Wishes) -> None:
    """Go where the replay begins. Raises NotFound."""
    if wishes.request:
        found = await run.source.request(wishes.request)
        if found.id not in run.info.requests:
            raise NotFound(f"request {found.id} is not of session {run.info.id}", f"it is of {found.session}")
        frame = await _marker(run, found.id)
        if frame < 0:
            raise NotFound(f"request {found.id} is not in the recording of {run.info.id}", "it never ran there")
        await run.go(Goal(frame=frame))
    elif wishes.at:
        if wishes.at > run.about.until + AT_SLACK:
            raise NotFound(f"the recording of {run.info.id} ends after {run.about.until / 1e6:.3f} s")
        await run.go(Goal(wishes.at))
    elif wishes.search:
        await run.find(wishes.search)
        if not run.player.hits:
            raise NotFound(
                f"session {run.info.id} has no {wishes.search!r}", "`bastion session search` looks elsewhere"
            )


async def _marker(run: Replay, request: str) -> int:
    """The number of the frame where that request begins; -1 when there is none. Looks where nothing is rendered yet."""
    for mark in run.player.marks:
        if mark.name == request:
            return mark.frame
    first = 0
    while page := await run.source.frames(run.info.id, first, reveal=run.reveal):
        for number, frame in enumerate(page, first):
            if frame.kind == "marker" and frame.data.partition(b" ")[0] == request.encode():
                return number
        first += len(page)
    return -1


async def _load(run: Replay) -> None:
    """The session's requests, while it plays already."""
    for name in run.info.requests[:REQUESTS_LIMIT]:
        with contextlib.suppress(BastionError):
            run.requests.append(await run.source.request(name))
        if len(run.requests) % 50 == 0:
            run.know(run.about)
    run.know(run.about)


async def _play(run: Replay, keys: asyncio.Queue[bytes]) -> None:
    view = View()
    looked = time.monotonic()
    while not run.done:
        now = time.monotonic()
        wait = run.player.advance(now)
        await run.fetch()
        if run.player.wants is None and wait is None and run.player.at_end and not run.touched:
            write(view.draw(run))
            return  # as a recording always ended here; whoever pressed a key goes on
        unfinished = run.about.rendered < run.about.chunks and not run.about.stopped
        if now - looked >= REFRESH_SECONDS and (unfinished or run.info.state == "open"):
            looked = now
            run.know(await run.source.timeline(run.info.id))
        write(view.draw(run))
        pause = REFRESH_SECONDS if wait is None else min(wait, REFRESH_SECONDS)
        if run.player.wants is not None and not run.player.at_end:
            pause = 0.0
        try:
            async with asyncio.timeout(pause):
                key = await keys.get()
        except TimeoutError:
            continue
        await press(run, key)


async def press(run: Replay, key: bytes) -> None:
    """What a key does."""
    run.touched, player = True, run.player
    if run.typed is not None:
        await _type(run, key)
        return
    run.told = ""
    name = KEYS.get(key, "")
    if name == "pause" and player.at_end:
        await run.go(Goal(0))
        player.play(on=True)
    elif name in CHANGES:
        CHANGES[name](player)
    elif name in MOVES:
        if name == "frame":
            player.play(on=False)
        await run.go(MOVES[name](player))
    elif name in ("search", "place"):
        run.typed = "/" if name == "search" else "g"
    elif name == "quit":
        run.done = True
    else:
        run.told = HELP if name == "help" else "? tells the keys"


async def _type(run: Replay, key: bytes) -> None:
    """A character of what is searched for, or of a time."""
    typed = run.typed or ""
    if key in (b"\r", b"\n"):
        run.typed = None
        if typed[0] == "/" and typed[1:].strip():
            run.told = "searching ..."
            await run.find(typed[1:])
        elif typed[0] == "g":
            try:
                await run.go(run.player.to_time(place(typed[1:])))
            except UsageError as error:
                run.told = str(error)
    elif key == b"\x1b":
        run.typed = None
    elif key in (b"\x7f", b"\b"):
        run.typed = typed[:-1] or None
    else:
        text = key.decode("utf-8", "replace")
        if text.isprintable() and len(typed) < 200:
            run.typed = typed + text
