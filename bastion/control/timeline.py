"""What a replay shows beside the screen: the commands of a session and the line of its time. Pure.

For the command line and the console alike: text with names of styles, which each colours in its own way. A command's
sign says what became of it, its style how it was rated; a command that never ran stands where it was proposed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bastion.control.wire import MarkInfo, RequestInfo, SessionInfo
from bastion.covering import visible, visible_line
from bastion.errors import UsageError
from bastion.model import State, Tier

SIGNS: dict[str, str] = {
    State.HELD: "?", State.APPROVED: "+", State.ALLOWED: "=", State.DENIED: "x", State.REFUSED: "x",
    State.EXPIRED: "o", State.WITHDRAWN: "~",
}  # fmt: skip
"""Of what became of a request; `*` for what is not known here."""

LEGEND = "+ approved  = allowed  x denied  o expired  ~ withdrawn  ? held"

STYLES: dict[str, str] = {Tier.HIGH: "high", Tier.MEDIUM: "medium", Tier.LOW: "low", Tier.UNRATED: "unrated"}
_PLACE = re.compile(r"(?:(?:([0-9]{1,3}):)?([0-9]{1,2}):)?([0-9]{1,9})(?:\.([0-9]{1,6}))?", re.ASCII)
_WORST = ("high", "unrated", "medium", "low")

Parts = tuple[tuple[str, str], ...]
"""(text, name of a style), ..."""


@dataclass(frozen=True, slots=True)
class Command:
    """One request of a session, in its place."""

    request: str
    at: int
    """Microseconds since the recording began."""
    frame: int
    """Of its marker; -1: it never ran, or that part is not rendered yet."""
    command: bytes
    """As it was sent: not harmless yet."""
    sign: str
    style: str
    about: str
    """What became of it, in words, harmless."""


def commands(session: SessionInfo, requests: Sequence[RequestInfo], marks: Sequence[MarkInfo]) -> list[Command]:
    """Those of the session, by time."""
    places = {mark.request: mark for mark in reversed(marks)}
    found = []
    for request in requests:
        mark = places.get(request.id)
        found.append(
            Command(
                request=request.id,
                at=mark.at if mark is not None else max(0, request.created - session.opened),
                frame=mark.frame if mark is not None else -1,
                command=request.command,
                sign=SIGNS.get(request.state, "*"),
                style=STYLES.get(request.tier, "unrated"),
                about=about(request),
            )
        )
    return sorted(found, key=lambda command: (command.at, command.frame))


def about(request: RequestInfo) -> str:
    """`medium risk, approved by ana after 12 s, exit 0`."""
    by = ", ".join(f"{vote.choice} by {vote.by}" for vote in request.votes)
    waited = (request.decided - request.created) / 1e6 if request.decided else 0.0
    held = f"held {waited:.0f} s" if waited >= 1 else ""
    words = [f"{request.tier} risk", request.state if not by else f"{request.state}: {by}", held, request.status]
    return visible(", ".join(word for word in words if word), newlines=False)


def current(listed: Sequence[Command], frame: int) -> int:
    """Which of them runs when that frame comes next: its number, -1 for none."""
    found = -1
    for number, command in enumerate(listed):
        if 0 <= command.frame <= frame:
            found = number
    return found


def line(listed: Sequence[Command], position: int, until: int, width: int) -> Parts:
    """The whole of the time in `width` cells: a sign for each command, the riskiest where several fall together; what
    is over is solid, and the place where it stands is reversed."""
    if width <= 0:
        return ()
    cells = [("-", "quiet")] * width
    here = _cell(position, until, width)
    cells[: here + 1] = [("━", "value")] * (here + 1)
    for command in listed:
        at = _cell(command.at, until, width)
        old = cells[at][1]
        if old not in _WORST or _WORST.index(command.style) < _WORST.index(old):
            cells[at] = (command.sign, command.style)
    cells[here] = (cells[here][0] if cells[here][1] in _WORST else "┃", "active")
    joined: list[tuple[str, str]] = []
    for text, style in cells:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return tuple(joined)


def _cell(at: int, until: int, width: int) -> int:
    return min(width - 1, max(0, at) * width // max(until, 1)) if until > 0 else 0


def clock(micros: int) -> str:
    """`1:23.4`, `1:02:03.4`."""
    tenths = max(0, micros) // 100_000
    hours, rest = divmod(tenths, 36_000)
    minutes, tenths = divmod(rest, 600)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{tenths // 10:02}.{tenths % 10}"


def row(command: Command, width: int, *, now: bool) -> Parts:
    """A line of the list of commands."""
    mark, place = (">" if now else " "), f"{clock(command.at):>8} " if width >= 40 else ""
    text = visible_line(command.command, max(1, width - len(place) - 4))
    return (
        (f"{mark}{command.sign} ", command.style),
        (place, "quiet"),
        (text, "strong" if now else "command"),
    )


def status(
    playing: bool, position: int, until: int, speed: float, idle: float | None, *, hurrying: bool, more: str = ""
) -> Parts:
    """In words where it stands."""
    state = "seeking" if hurrying else "playing" if playing else "paused"
    rest = f"{speed:g}x" + (f"  pauses {idle:g} s at most" if idle is not None else "")
    return (
        (f" {state} ", "title"),
        (f" {clock(position)} of {clock(until)}  ", "value"),
        (f"{more}  " if more else "", "warning"),
        (rest, "value"),
    )


def place(text: str) -> int:
    """A moment as people type it: `83.5`, `1:23.5` or `0:01:23.5` in microseconds. Raises UsageError."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no time", "83.5, 1:23.5 and 0:01:23.5 are the same one")
    hours, minutes, seconds, part = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole * 1_000_000 + int((part or "").ljust(6, "0"))
