"""What `bastion session search` asks and prints."""

from __future__ import annotations

import math
import re
import sys
import time
from datetime import datetime

from msgspec import structs

from bastion.cli import output, reach
from bastion.cli.options import Settings
from bastion.control import wire
from bastion.errors import UsageError

_AGO = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(
    settings: Settings,
    text: str,
    *,
    identity: str,
    target: str,
    since: str,
    until: str,
    before: str,
    tier: str | None,
    decision: str | None,
    limit: int,
    session: str,
    open_: bool,
) -> int:
    """Search and print; the exit status. Raises BastionError."""
    now = time.time()
    question = wire.SearchSessions(
        id=0,
        text=text,
        identity=identity,
        target=target,
        since=moment("--since", since, now),
        until=moment("--until", until, now),
        before=moment("--before", before, now),
        tier=tier or "",
        decision=decision or "",
        limit=limit,
    )

    if open_ and (settings.json or not sys.stdout.isatty()):
        raise UsageError("--open needs a terminal", "each hit comes with the command that opens it")

    async def work() -> wire.SearchResult:
        async with reach.source(settings) as source:
            wanted = (await source.session(session)).id if session else ""
            return await source.search(structs.replace(question, session=wanted))

    found = reach.run(work())
    if open_ and found.hits:
        from bastion.cli import replaying

        wishes = replaying.Wishes(at=_ceiling(found.hits[0]))
        reach.run(replaying.replay(settings, found.hits[0].session, wishes))
    elif settings.json:
        hits = [{**output.structure(hit), "open": opening(hit)} for hit in found.hits]
        output.as_json(
            {"hits": hits, "sessions": found.sessions, "complete": found.complete, "before": found.before,
             "notes": found.notes}
        )  # fmt: skip
    else:
        _print(found)
    return 0 if found.hits else 1


def opening(hit: wire.SearchHit) -> str:
    """The command that opens the replay there."""
    return f"bastion session replay {hit.session} --at {_ceiling(hit) / 1e6:.3f}"


def _ceiling(hit: wire.SearchHit) -> int:
    """In whole milliseconds: then the line is there."""
    return math.ceil(hit.offset / 1000) * 1000


def moment(option: str, text: str, now: float) -> int:
    """A time in microseconds since the epoch; 0 for none. Raises UsageError."""
    ago = _AGO.fullmatch(text)
    if not text:
        return 0
    try:
        seconds = now - int(ago[1]) * _UNITS[ago[2]] if ago else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{option} {text!r} is no time", "2026-11-20, 2026-11-20T14:30, 2026-11-20T14:30+01:00, 90m or 7d"
        ) from None
    if seconds < 0:
        raise UsageError(f"{option} {text!r} is before 1970")
    return int(seconds * 1_000_000)


def _print(found: wire.SearchResult) -> None:
    for hit in found.hits:
        about = f"{hit.request} {hit.tier} {hit.decision}" if hit.request else "no request"
        where = f"{hit.identity} {hit.login}@{hit.target}"
        output.say(f"{output.when(hit.at)}  {output.shown(where)}  {output.shown(about)}  {output.shown(hit.where)}")
        output.say(f"  | {output.shown(hit.line)}")
        output.say(f"  {output.shown(opening(hit))}")
    count, searched = len(found.hits), found.sessions
    output.say(f"{count} hit{'' if count == 1 else 's'} in {searched} session{'' if searched == 1 else 's'}")
    for note in found.notes:
        output.say(f"note: {output.shown(note)}")
    if not found.complete:
        when = datetime.fromtimestamp(found.before / 1e6).isoformat(timespec="microseconds")
        output.say(f"note: there is more before: go on with --before {when}")
