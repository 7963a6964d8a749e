"""`bastion status`: what a person on call wants to know first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb

if TYPE_CHECKING:
    from bastion.control.client import Client


@click.command("status")
@remote_verb
def command(settings: Settings) -> int:
    """Who watches the queue, what waits, what is frozen, and how the notification channels stand.

    Exit status 1 when something wants a person: a dead channel, a freeze, or requests that wait while nobody watches.
    """
    said = reach.run(_ask(settings))
    if settings.json:
        output.as_json(said)
        return int(bool(said["wrong"]))
    output.say(f"bastion: {output.shown(said['bastion'])}, ledger {output.shown(said['origin'])}")
    output.say(f"held: {said['held']}")
    output.say(f"open sessions: {said['sessions']}")
    for each in said["watching"]:
        rights = "decides" if each["decides"] else "looks"
        output.say(
            f"watching: {output.shown(each['name'])}, {rights}, since {output.when(each['since'])}, "
            f"active {output.when(each['active'])}"
        )
    if not said["watching"]:
        output.say("watching: nobody")
    for each in said["freezes"]:
        output.say(f"frozen: {output.shown(each['name'] or 'everything')}: {output.shown(each['reason'])}")
    for each in said["channels"]:
        why = f": {output.shown(each['error'])}" if each["error"] else ""
        output.say(f"channel {output.shown(each['name'])}: {each['state']}{why}")
    for wrong in said["wrong"]:
        output.say(f"wrong: {output.shown(wrong)}")
    return int(bool(said["wrong"]))


async def _ask(settings: Settings) -> dict[str, Any]:
    async with reach.daemon(settings, why="it says how it is") as client:
        return await gathered(client)


async def gathered(client: Client) -> dict[str, Any]:
    """All of it, as JSON has it."""
    from bastion import __version__
    from bastion.control import wire

    people = await client.call(wire.ListPresence, list[wire.PresenceInfo])
    channels = await client.call(wire.ListChannels, list[wire.ChannelInfo])
    freezes = await client.call(wire.ListFreezes, list[wire.FreezeInfo])
    sessions = await client.call(wire.ListSessions, list[wire.SessionInfo], limit=1000)
    held = await client.requests("held", 0)
    wrong = [f"channel {each.name} is dead" for each in channels if each.state == "dead"]
    wrong += [f"{each.name or 'everything'} is frozen" for each in freezes]
    if held and not any(each.decides for each in people):
        wrong.append(f"{len(held)} held, and nobody watches who decides")
    return {
        "bastion": __version__,
        "origin": client.welcome.origin,
        "identity": client.welcome.identity,
        "held": len(held),
        "sessions": sum(each.state == "open" for each in sessions),
        "watching": [output.structure(each) for each in people],
        "channels": [output.structure(each) for each in channels],
        "freezes": [output.structure(each) for each in freezes],
        "wrong": wrong,
    }
