"""Recordings on this side: fetched page by page, rendered by the recorder's screen, painted on the person's terminal.

The recorder's functions take iterators and know no event loop; frames come out of one. So the rendering runs in a
thread, and its iterator asks the loop for the next page: nothing is held whole, however long a recording is.
"""

from __future__ import annotations

import asyncio
import codecs
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import IO, TypeVar

from bastion.cli import output, reach
from bastion.cli.options import Settings
from bastion.cli.replayscreen import leave_behind
from bastion.cli.sources import Source
from bastion.control import wire
from bastion.covering import revealing, visible
from bastion.errors import Conflict, NotFound, StoreError
from recorder import asciicast, page, paint
from recorder import replay as playing
from recorder.errors import RecorderError
from recorder.frames import Frame
from recorder.player import Marks
from recorder.screen import Screen

T = TypeVar("T")

PAGE_LIMIT = 64 << 20
"""Characters of a cast in one page: the player parses it whole, and browsers' tabs end at some GiB."""


async def last(settings: Settings, wanted: str, *, reveal: bool = False) -> tuple[wire.SessionInfo, Screen | None]:
    """A session and what its screen shows at the end; None when nothing was recorded."""
    async with reach.source(settings) as source:
        info = await source.session(wanted)

        def render(frames: Iterator[Frame]) -> Screen | None:
            head = next(frames, None)
            return playing.last_screen(itertools.chain([head], frames)) if head is not None else None

        return info, await _with_frames(source, info, render, reveal=reveal)


def safe_row(screen: Screen, y: int) -> str:
    """A line of the screen as text that no terminal acts on."""
    return paint.safe("".join(cell.data for cell in screen.row(y))).rstrip()


async def export(settings: Settings, wanted: str, form: str, file: IO[str], *, reveal: bool = False) -> None:
    """Write the recording. Raises NotFound when nothing was recorded."""
    async with reach.source(settings) as source:
        info = await source.session(wanted)
        requests = [await source.request(name) for name in info.requests] if form == "html" else []

        def write(frames: Iterator[Frame]) -> None:
            screen, walk = playing.screen_for(frames)
            head = next(walk, None)
            if head is None:
                raise NotFound(f"nothing was recorded of session {info.id}")
            whole = itertools.chain([head], walk)
            if form == "txt":
                for line in playing.text(whole):
                    file.write(paint.safe(line) + "\n")
                return
            title = visible(f"{info.identity} on {info.login}@{info.target}, {info.id}", newlines=False)
            version = 2 if form == "cast2" else 3
            header = asciicast.Header(version, screen.columns, screen.lines, info.opened // 1_000_000, title)
            starts = Marks()
            told = _noting(walk if playing.size_of(head) else whole, starts)
            lines = asciicast.write(header, asciicast.events(told, newline=screen.newline))
            if form == "html":
                # the list stands before the cast in the page, and where commands begin is known after it
                cast = held(lines, PAGE_LIMIT)
                about = f"{output.when(info.opened)}, {info.state}{f': {info.end}' if info.end else ''}"
                places = {mark.name: mark.at_us for mark in starts.all}
                items = [_item(each, places.get(each.id)) for each in requests]
                lines = page.page(title, visible(about, newlines=False), items, cast)
            for line in lines:
                file.write(line)

        with revealing(reveal):
            await _with_frames(source, info, write, reveal=reveal)
        file.flush()


def held(lines: Iterator[str], limit: int) -> list[str]:
    """All of them, of at most `limit` characters together. Raises Conflict when there is more."""
    whole: list[str] = []
    size = 0
    for line in lines:
        size += len(line)
        if size > limit:
            raise Conflict("the recording is too long for one page", "--format cast, and play it with asciinema")
        whole.append(line)
    return whole


def _noting(frames: Iterator[Frame], starts: Marks) -> Iterator[Frame]:
    """The frames; where each request begins goes to `starts`."""
    for number, frame in enumerate(frames):
        if frame.kind == "marker":
            starts.add(number, frame.at_us, frame.data.decode("utf-8", "replace"))
        yield frame


def _item(request: wire.RequestInfo, at: int | None) -> page.Command:
    by = ", ".join(f"{vote.choice} by {vote.by}" for vote in request.votes)
    waited = (request.decided - request.created) / 1e6 if request.decided else 0.0
    held_for = f"held {waited:.0f} s" if waited >= 1 else ""
    words = [request.id, request.state, by, held_for, f"{request.tier} risk", request.status]
    about = " · ".join(visible(word, newlines=False) for word in words if word)
    return page.Command(visible(request.command), about, request.tier, at)


async def watch(settings: Settings, wanted: str, *, reveal: bool = False) -> None:
    """Show a session's output as it comes, until the session ends."""
    async with reach.daemon(settings, why="watching takes one") as client:
        await client.call(wire.Subscribe, type(None))
        info = await client.call(wire.WatchSession, wire.SessionInfo, session=wanted, reveal=reveal)
        view = _view(settings)
        try:
            async for push in client.pushes():
                match push:
                    case wire.SessionOutput(session=info.id):
                        with revealing(reveal):
                            view.show(push.frame)
                    case wire.SessionChanged(session=wire.SessionInfo(id=info.id) as changed):
                        if changed.state != "open":
                            info = changed
                            break
        finally:
            view.end()
    if not settings.json:
        output.say(f"session {info.id} {info.state}: {output.shown(info.end)}", file=sys.stderr)


class Painted:
    """For a terminal: drawn as the agent's would show it."""

    def __init__(self) -> None:
        self._screen: Screen | None = None
        self._painter = paint.Painter(*shutil.get_terminal_size())

    def show(self, frame: wire.FrameInfo) -> None:
        made = Frame(frame.at, frame.kind, frame.data)
        if self._screen is None:
            self._screen, _ = playing.screen_for([made])
            _draw(paint.ENTER)
        if playing.apply(self._screen, made):
            _draw(self._painter.paint(self._screen))

    def end(self) -> None:
        if self._screen is not None:
            _draw(paint.LEAVE)
            leave_behind(self._screen)


class Printed:
    """For a pipe or a file: stdout and stderr as text, made harmless, line breaks as they are."""

    def __init__(self) -> None:
        make = codecs.getincrementaldecoder("utf-8")
        self._decoders = {kind: make("surrogateescape") for kind in ("output", "stderr")}

    def show(self, frame: wire.FrameInfo) -> None:
        decoder = self._decoders.get(frame.kind)
        if decoder is not None:
            pieces = decoder.decode(frame.data).replace("\r\n", "\n").split("\n")
            output.stream("\n".join(visible(piece, newlines=False) if piece else "" for piece in pieces), end="")

    def end(self) -> None:
        pass


class Framed:
    """For a program: one JSON object a frame."""

    def show(self, frame: wire.FrameInfo) -> None:
        output.stream(output.to_json(output.structure(frame)))

    def end(self) -> None:
        pass


def _view(settings: Settings) -> Painted | Printed | Framed:
    if settings.json:
        return Framed()
    return Painted() if sys.stdout.isatty() else Printed()


def _draw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def _with_frames(
    source: Source, info: wire.SessionInfo, work: Callable[[Iterator[Frame]], T], *, reveal: bool = False
) -> T:
    """Run `work` in a thread over all frames of a session. Raises what it raises."""
    loop = asyncio.get_running_loop()

    def frames() -> Iterator[Frame]:
        after = 0
        while True:
            page = asyncio.run_coroutine_threadsafe(source.frames(info.id, after, reveal=reveal), loop).result()
            if not page:
                return
            after += len(page)
            yield from (Frame(each.at, each.kind, each.data) for each in page)

    try:
        return await asyncio.to_thread(work, frames())
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
