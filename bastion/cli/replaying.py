"""`bastion session replay`: the player on a person's own terminal.

What goes on between the player (recorder/player.py), the source of moments and frames, and the person; what is drawn is
in replayscreen.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from bastion.cli import reach
from bastion.cli.options import Settings
from bastion.cli.replayscreen import HELP, KEYS, View, drawing, leave_behind, typing, write
from bastion.control.replaying import Replay
from bastion.control.timeline import place
from bastion.errors import NotFound, UsageError
from recorder.player import CHANGES, MOVES, Goal

AT_SLACK = 1_000_000
"""Microseconds behind the last frame that still count as its end: times are typed rounded."""
REFRESH_SECONDS = 1.0
"""Between two looks at what is rendered by now, or recorded."""


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
class Typed(Replay):
    """One that a person has keys for."""

    typed: str | None = None
    """What is typed behind `/` or `g`; the first character says which."""
    touched: bool = False
    """A key was pressed: at the end it stays."""
    done: bool = False


async def replay(settings: Settings, wanted: str, wishes: Wishes) -> None:
    """Replay on this terminal, then leave the last screen behind. Raises NotFound when there is no such place."""
    async with reach.source(settings) as source:
        info = await source.session(wanted)
        run = await Typed.of(source, info, speed=wishes.speed, idle=wishes.idle, reveal=wishes.reveal)
        if not run.about.frames:
            raise NotFound(f"nothing was recorded of session {info.id}")
        await _open(run, wishes)
        run.player.play(on=True)
        with typing() as keys, drawing():
            loading = asyncio.create_task(run.load(), name="requests of the session")
            try:
                await _play(run, keys)
            finally:
                loading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loading
        leave_behind(run.player.screen)


async def _open(run: Typed, wishes: Wishes) -> None:
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


async def _marker(run: Typed, request: str) -> int:
    """The number of the frame where that request begins; -1 when there is none. Looks where nothing is rendered yet."""
    for mark in run.player.marks:
        if mark.name == request:
            return mark.frame
    first = 0
    while page := await run.source.frames(run.info.id, first):
        for number, frame in enumerate(page, first):
            if frame.kind == "marker" and frame.data.partition(b" ")[0] == request.encode():
                return number
        first += len(page)
    return -1


async def _play(run: Typed, keys: asyncio.Queue[bytes]) -> None:
    view = View()
    looked = time.monotonic()
    while not run.done:
        now = time.monotonic()
        wait = run.player.advance(now)
        await run.fetch()
        if run.player.wants is None and wait is None and run.player.at_end and not run.touched:
            write(view.draw(run))
            return  # as a recording always ended here; whoever pressed a key goes on
        if now - looked >= REFRESH_SECONDS and run.growing:
            looked = now
            await run.look()
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


async def press(run: Typed, key: bytes) -> None:
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


async def _type(run: Typed, key: bytes) -> None:
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
