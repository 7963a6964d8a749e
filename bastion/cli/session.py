"""`bastion session`: what agents did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from bastion.cli import keeping, output, reach
from bastion.cli.options import REVEAL, Settings, reach_verb, remote_verb
from bastion.errors import Conflict, StoreError, UsageError
from bastion.model import State, Tier

if TYPE_CHECKING:
    from bastion.control.wire import SessionInfo

DECISIONS = tuple(each.value for each in State)

SEARCH_LIMIT = 100
"""Hits that `search` shows; the protocol's own default."""

FORMATS = ("cast", "cast2", "txt", "html")

LIST_LIMIT = 200
"""Sessions that `list` shows; the protocol's own default."""


@click.group("session")
def command() -> None:
    """What agents did: list, watch, replay, end. An ID may be shortened while it is unique."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=LIST_LIMIT, show_default=True, help="How many.")
@remote_verb
def list_(settings: Settings, limit: int) -> None:
    """List the newest sessions, the newest last."""

    async def work() -> list[SessionInfo]:
        async with reach.source(settings) as source:
            return await source.sessions(limit)

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "STATE", "OPENED", "LASTED", "WHO", "WHERE", "OUTPUT", "REQUESTS"),
        [
            (
                row.id,
                row.state,
                output.when(row.opened),
                output.span(row.closed - row.opened) if row.closed else "-",
                row.identity,
                f"{row.login}@{row.target}",
                str(row.output_bytes),
                " ".join(row.requests),
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("session", metavar="ID")
@REVEAL
@remote_verb
def show(settings: Settings, session: str, reveal: bool) -> None:
    """Show one session and its last screen."""
    from bastion.cli import recordings

    info, screen = reach.run(recordings.last(settings, session, reveal=reveal))
    closed = f"{output.when(info.closed)}, after {output.span(info.closed - info.opened)}" if info.closed else "-"
    lines = [recordings.safe_row(screen, y) for y in range(screen.lines)] if screen is not None else []
    while lines and not lines[-1]:
        lines.pop()
    if settings.json:
        output.as_json({**output.structure(info), "screen": lines})
        return
    for name, text in (
        ("session", f"{info.id} {info.state}{f', {info.end}' if info.end else ''}"),
        ("identity", f"{info.identity}, key {info.key}, from {info.client}"),
        ("target", f"{info.login}@{info.target}"),
        ("opened", output.when(info.opened)),
        ("closed", closed),
        ("requests", " ".join(info.requests) or "-"),
        ("output", f"{info.output_bytes} bytes"),
    ):
        output.say(f"{name:12}{output.shown(text)}")
    output.say(f"{'screen':12}{'' if lines else 'nothing'}".rstrip())
    for line in lines:
        output.say(f"  | {line}".rstrip())


@command.command("watch")
@click.argument("session", metavar="ID")
@REVEAL
@remote_verb
def watch(settings: Settings, session: str, reveal: bool) -> None:
    """Watch a running session live, from now on, until it ends or you interrupt.

    On a terminal it is drawn as the agent's terminal would show it; elsewhere its text is printed, and with --json one
    frame a line.
    """
    from bastion.cli import recordings

    reach.run(recordings.watch(settings, session, reveal=reveal))


@command.command("search")
@click.argument("text")
@click.option("--identity", default="", metavar="NAME", help="Only what this agent did.")
@click.option("--target", default="", metavar="NAME", help="Only on this target.")
@click.option("--session", default="", metavar="ID", help="Only this session.")
@click.option("--since", default="", metavar="TIME", help="Not before: 2026-11-20, 2026-11-20T14:30, or 90m, 7d ago.")
@click.option("--until", default="", metavar="TIME", help="Not after.")
@click.option("--before", default="", metavar="TIME", help="Only sessions that began by then: to go on.")
@click.option("--tier", type=click.Choice([each.value for each in Tier]), help="Only of requests that were rated so.")
@click.option("--decision", type=click.Choice(DECISIONS), help="Only of requests that ended, or stand, so.")
@click.option("--limit", type=click.IntRange(1, 1000), default=SEARCH_LIMIT, show_default=True, help="How many hits.")
@click.option("--open", "open_", is_flag=True, help="Open the replay at the first hit, on this terminal.")
@remote_verb
def search(settings: Settings, text: str, **given: Any) -> int:
    """Find TEXT in commands and in what screens showed, in the newest sessions first. Case does not count.

    Each hit comes with the command that opens the replay at that moment. Exit status 1 when nothing was found.
    """
    from bastion.cli import searches

    return searches.run(settings, text, **given)


@command.command("replay")
@click.argument("session", metavar="ID")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Faster or slower, 0.01 to 1000.")
@click.option("--idle", type=float, metavar="SECONDS", help="No pause is longer than this.")
@click.option("--at", metavar="TIME", help="Begin there: seconds, M:SS or H:MM:SS from the recording's beginning.")
@click.option("--request", metavar="ID", help="Begin where this request began to run.")
@click.option("--search", metavar="TEXT", help="Begin where the session shows this; n and N go to the other places.")
@REVEAL
@reach_verb
def replay(
    settings: Settings,
    session: str,
    speed: float,
    idle: float | None,
    at: str | None,
    request: str | None,
    search: str | None,
    reveal: bool,
) -> None:
    """Replay a recording on this terminal. What the target sent is rendered first and never reaches it as it is.

    \b
    space play, pause    + - speed    i limit pauses    left right 5 s    . one frame
    [ ] command before, next    / search, n N its hits    g to a time    q quit    ? help
    """
    from bastion.cli import replaying
    from bastion.control.timeline import place
    from recorder.replay import SPEED_LEAST, SPEED_MOST

    if not SPEED_LEAST <= speed <= SPEED_MOST:
        raise UsageError(f"--speed is {SPEED_LEAST:g} to {SPEED_MOST:g}, not {speed:g}")
    if idle is not None and not idle >= 0:
        raise UsageError(f"--idle is a number of seconds, not {idle:g}")
    if sum(each is not None for each in (at, request, search)) > 1:
        raise UsageError("--at, --request and --search are two places", "give one of them")
    wishes = replaying.Wishes(speed, idle, place(at or "0"), request or "", search or "", reveal)
    if not sys.stdout.isatty():
        raise UsageError("a replay needs a terminal", "`bastion session export ID --format txt` gives the text")
    reach.run(replaying.replay(settings, session, wishes))


@command.command("export")
@click.argument("session", metavar="ID")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), required=True, help="asciicast v3, v2, text, or one HTML page."
)
@click.option("--output", "path", metavar="FILE", type=click.Path(path_type=Path), help="A new file; else stdout.")
@REVEAL
@reach_verb
def export(settings: Settings, session: str, form: str, path: Path | None, reveal: bool) -> None:
    """Write a recording for asciinema (cast: version 3, cast2: version 2), as text, or as a page with a player.

    The page (html) is one file that loads nothing from elsewhere: open it in a browser. A cast holds what the target
    sent, for a player to render: do not `cat` it.
    """
    from bastion.cli import recordings

    if path is None:
        reach.run(recordings.export(settings, session, form, sys.stdout, reveal=reveal))
        return
    with _new_file(path) as file:
        try:
            reach.run(recordings.export(settings, session, form, file, reveal=reveal))
        except BaseException:
            path.unlink(missing_ok=True)  # nothing half written stays
            raise
    output.say(f"wrote {output.shown(str(path))}")


def _new_file(path: Path) -> IO[str]:
    """Only for its owner: what agents saw is in it. Raises Conflict or StoreError."""
    import os

    try:
        return os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
        )
    except FileExistsError:
        raise Conflict(f"{path} exists", "nothing was written; choose another file") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from None


@command.command("kill")
@click.argument("session", metavar="ID")
@click.option("--reason", default="", help="Why; stands in the ledger and on the agent's stderr.")
@remote_verb
def kill(settings: Settings, session: str, reason: str) -> None:
    """End a session now: what runs in it is cut."""

    async def work() -> SessionInfo:
        from bastion.control import wire

        async with reach.daemon(settings, why="only a running session can be ended") as client:
            return await client.call(wire.KillSession, wire.SessionInfo, session=session, reason=reason)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"ended {info.id} of {output.shown(f'{info.identity} on {info.login}@{info.target}')}")


@command.command("end-keys")
@click.argument("session", metavar="ID")
@click.option("--reason", default="", help="Why; stands in the ledger and on the agent's terminal.")
@remote_verb
def end_keys(settings: Settings, session: str, reason: str) -> None:
    """Let no more keys pass to a shell's command that was approved with --mode view or raw; it goes on line by line."""

    async def work() -> SessionInfo:
        from bastion.control import wire

        async with reach.daemon(settings, why="only a running session passes keys") as client:
            return await client.call(wire.EndKeys, wire.SessionInfo, session=session, reason=reason)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(
            f"keys pass no more in {info.id} of {output.shown(f'{info.identity} on {info.login}@{info.target}')}"
        )


for _verb in keeping.VERBS:
    command.add_command(_verb)
