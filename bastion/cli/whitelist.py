"""`bastion whitelist`: what runs without asking again. Lists as text are in whitelist_lists.py."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach, whitelist_lists
from bastion.cli.options import Settings, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import WhitelistInfo


@click.group("whitelist")
def command() -> None:
    """Commands that run without asking again, for one identity and login, on a target or in an environment."""


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List the entries in force."""

    async def work() -> list[WhitelistInfo]:
        async with reach.source(settings) as source:
            return await source.whitelist()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("ID", "WHO", "WHERE", "TIER", "BY", "UNTIL", "COMMAND"),
        [(row.id, row.identity, where(row), row.tier, row.by, _until(row), row.pattern or row.command) for row in rows],
    )


@command.command("add")
@click.argument("text", metavar="[COMMAND]", default="")
@click.option(
    "--ansible", metavar="TASKS", help="Instead of COMMAND: tasks of Ansible, as in 'copy, template below /srv/app'."
)
@click.option("--python", metavar="PATH", default="/usr/bin/python3", help="With --ansible: the interpreter.")
@click.option("--become", metavar="USER", help="With --ansible: tasks with `become`, by sudo, as that account.")
@click.option("--identity", required=True, metavar="NAME", help="The agent that may run it.")
@click.option("--target", metavar="NAME", help="Where.")
@click.option("--env", metavar="NAME", help="Or on all targets of an environment.")
@click.option("--login", metavar="USER", help="As whom; the target's default without it.")
@click.option("--pattern", metavar="TEXT", default="", help="COMMAND with holes, as in 'docker restart {container}'.")
@click.option("--for", "lasting", metavar="7d", help="How long; without it, as long as its risk tier allows.")
@remote_verb
def add(
    settings: Settings,
    text: str,
    ansible: str | None,
    python: str,
    become: str | None,
    identity: str,
    target: str | None,
    env: str | None,
    login: str | None,
    pattern: str,
    lasting: str | None,
) -> None:
    """Let COMMAND run without being held, exactly, or as a pattern. Signed with your key; takes the role approver.

    With --ansible: modules of ansible-core, with any arguments that run nothing, for a time; docs/whitelist.md."""
    if bool(target) == bool(env):
        raise UsageError("say where: --target NAME or --env NAME")
    if bool(text) == bool(ansible) or (ansible and pattern):
        raise UsageError("one of COMMAND, --ansible TASKS")
    expires = expiry(lasting)
    if ansible:
        text, pattern = _play(ansible, python, become)

    async def work() -> WhitelistInfo:
        async with reach.deciding(settings) as client:
            proposal = await client.propose(
                command=os.fsencode(text), identity=identity, login=login or "", target=target or "", env=env or ""
            )
            return await client.remember(proposal, pattern=pattern, expires=expires)

    show(settings, reach.run(work()), "added")


def _play(tasks: str, python: str, become: str | None) -> tuple[str, str]:
    """The line that runs a module, and the text of the entry; in words on stderr. Raises UsageError."""
    from bastion.policy.plays import PlayError, parse
    from bastion.whitelisted import PLAY

    try:
        play = parse(f"{PLAY}{tasks} with {python}{f' as {become}' if become else ''}")
    except PlayError as error:
        raise UsageError(str(error)) from None
    output.say(output.shown(f"lets through {play.words}"), file=sys.stderr)
    return play.command.decode(), str(play)


@command.command("remove")
@click.argument("entry", metavar="ID")
@remote_verb
def remove(settings: Settings, entry: str) -> None:
    """Take an entry off the list; the ID may be shortened while it is unique."""
    from bastion.control import wire

    show(settings, reach.change(settings, wire.RemoveWhitelist, wire.WhitelistInfo, entry=entry), "removed")


command.add_command(whitelist_lists.export)
command.add_command(whitelist_lists.import_)
command.add_command(whitelist_lists.diff)
command.add_command(whitelist_lists.promote)


def show(settings: Settings, info: WhitelistInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
        return
    words = f"{info.id}: {info.identity} on {where(info)}, {info.tier}, until {_until(info)}"
    output.say(f"{what} {output.shown(words)}")
    output.block(info.pattern or info.command)


def where(info: WhitelistInfo) -> str:
    """Login and place."""
    return f"{info.login}@{info.target}" if info.target else f"{info.login}@env:{info.env}"


def _until(info: WhitelistInfo) -> str:
    return output.when(info.expires) if info.expires else "it is removed"


def expiry(lasting: str | None) -> int | None:
    """Microseconds since the epoch; None: the latest that is allowed. Raises UsageError."""
    from bastion.settings import parse_duration

    if lasting is None:
        return None
    try:
        seconds = parse_duration(lasting)
    except ValueError as error:
        raise UsageError(f"--for {lasting!r}: {error}") from None
    if seconds == 0:
        raise UsageError("--for 0 would have ended already")
    return time.time_ns() // 1000 + seconds * 1_000_000
