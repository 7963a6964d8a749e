"""`bastion whitelist export`, `import`, `diff`, `promote`: the whitelist as text, and from one environment to another.

What comes out of a file or another environment is signed anew, entry by entry, by whoever brings it in: a daemon
takes a signature and nothing else. What may not be remembered (high risk, too long) is refused there, and the rest
goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import BastionError, UsageError

if TYPE_CHECKING:
    from bastion.cli.sources import Source
    from bastion.control.client import Client
    from bastion.control.wire import WhitelistInfo
    from bastion.policy.listing import Row


@click.command("export")
@click.option("--env", metavar="NAME", help="Only the entries for this environment.")
@remote_verb
def export(settings: Settings, env: str | None) -> None:
    """Print the entries in force, one a line, sorted: to be kept, compared, imported elsewhere."""
    from bastion.policy.listing import render

    rows = [row for row in reach.run(_in_force(settings)) if env is None or row.env == env]
    if settings.json:
        output.as_json([_structure(row) for row in sorted(rows)])
    else:
        output.stream(render(rows), end="")


@click.command("import")
@click.argument("file", metavar="FILE")
@remote_verb
def import_(settings: Settings, file: str) -> int:
    """Add the entries of FILE (`-`: stdin) that are not there yet, each signed with your key. Takes the role approver.

    Exit status 1 if one was refused; the others are added.
    """
    rows = _read(file)

    async def work() -> list[tuple[Row, str]]:
        async with reach.deciding(settings) as client:
            return await _bring(client, rows)

    return _tell(settings, reach.run(work()), "imported")


@click.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@remote_verb
def diff(settings: Settings, first: str, second: str) -> int:
    """Compare two lists, each a FILE, `live`, or `env:NAME` for the live entries of one environment.

    Between two environments the place is left out of the comparison. Exit status 1 if they differ.
    """
    from bastion.policy import listing

    sides = [_read(each) if not _is_live(each) else None for each in (first, second)]
    live = reach.run(_in_force(settings)) if None in sides else []
    left, right = (
        side if side is not None else _of(each, live) for side, each in zip(sides, (first, second), strict=True)
    )
    place = not (first.startswith("env:") and second.startswith("env:"))
    changes = listing.diff(left, right, place=place)
    if settings.json:
        output.as_json([{"change": change.sign, **_structure(change.row)} for change in changes])
    else:
        for change in changes:
            output.say(f"{change.sign} {listing.line_of(change.row)}")
    return 1 if changes else 0


@click.command("promote")
@click.option("--from", "source", required=True, metavar="ENV", help="Such as staging.")
@click.option("--to", "destination", required=True, metavar="ENV", help="Such as production.")
@remote_verb
def promote(settings: Settings, source: str, destination: str) -> int:
    """Add to one environment what is remembered for another, signed with your key. Takes the role approver.

    Entries that are bound to one target stay where they are. Nothing is live there before this.
    """
    if source == destination:
        raise UsageError("--from and --to are the same")

    async def work() -> list[tuple[Row, str]]:
        from bastion.cli.sources import DaemonSource

        async with reach.deciding(settings) as client:
            live = await rows_of(DaemonSource(client))
            return await _bring(client, [replace(row, env=destination) for row in live if row.env == source])

    return _tell(settings, reach.run(work()), "promoted")


# --- inside ----------------------------------------------------------------------------------------------------------


async def rows_of(source: Source) -> list[Row]:
    """The entries in force."""
    return [row_of(info) for info in await source.whitelist()]


def row_of(info: WhitelistInfo) -> Row:
    """An entry without id and signer."""
    from bastion.policy.listing import Row

    return Row(
        identity=info.identity,
        login=info.login,
        target=info.target,
        env=info.env,
        pattern=info.pattern,
        command=info.command,
        code=info.code,
        tier=info.tier,
        expires=info.expires,
    )


async def _in_force(settings: Settings) -> list[Row]:
    async with reach.source(settings) as source:
        return await rows_of(source)


async def _bring(client: Client, rows: Iterable[Row]) -> list[tuple[Row, str]]:
    """Add what is not there yet; each with why it was refused, empty if it was not."""
    from bastion.cli.sources import DaemonSource

    known = {row.what() for row in await rows_of(DaemonSource(client))}
    done: list[tuple[Row, str]] = []
    for row in rows:
        if row.what() in known:
            continue
        try:
            done.append((await _add(client, row), ""))
        except BastionError as error:
            done.append((row, str(error)))
    return done


async def _add(client: Client, row: Row) -> Row:
    if row.code:
        raise UsageError("it is bound to code on stdin, which a list does not hold", "remember it from a request")
    if 0 < row.expires <= time.time_ns() // 1000:
        raise UsageError("its end has come")
    proposal = await client.propose(
        command=row.command, identity=row.identity, target=row.target, env=row.env, login=row.login
    )
    # one of another bastion may have lasted for ever where this one's facts rate it higher: then as long as it may
    latest = proposal.until if proposal.until and not 0 < row.expires < proposal.until else row.expires
    return row_of(await client.remember(proposal, pattern=row.pattern, expires=latest))


def _tell(settings: Settings, done: list[tuple[Row, str]], what: str) -> int:
    from bastion.policy.listing import line_of

    if settings.json:
        output.as_json([{**_structure(row), "refused": reason} for row, reason in done])
    else:
        for row, reason in done:
            output.say(f"{'REFUSED' if reason else what}  {line_of(row)}")
            if reason:
                output.say(f"         {output.shown(reason)}")
        if not done:
            output.say("nothing to do")
    return 1 if any(reason for _, reason in done) else 0


def _structure(row: Row) -> dict[str, Any]:
    import base64

    return {
        "identity": row.identity,
        "login": row.login,
        "target": row.target,
        "env": row.env,
        "pattern": row.pattern,
        "command": row.command.decode("utf-8", "replace"),
        "command_base64": base64.b64encode(row.command).decode(),
        "code": row.code,
        "tier": row.tier,
        "expires": row.expires,
    }


def _is_live(name: str) -> bool:
    return name == "live" or name.startswith("env:")


def _of(name: str, live: list[Row]) -> list[Row]:
    return live if name == "live" else [row for row in live if row.env == name.removeprefix("env:")]


def _read(file: str) -> list[Row]:
    """Raises UsageError."""
    from bastion.policy.listing import SIZE_LIMIT, ListingError, parse

    try:
        if file == "-":
            data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(SIZE_LIMIT + 1)
        return parse(data.decode())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8") from None
    except ListingError as error:
        raise UsageError(f"{file}: {error}") from None
