"""The headless approver: plays the people, each with their own key and connection, by the rulings of the scenarios.

What it decides on is what arrived over the control protocol, as a person's console would show it: agent, command and
stdin. What no script has is denied. The votes are signed by the real keys, and the bastion checks them like any other.
"""

from __future__ import annotations

from types import NoneType

from bastion.control import wire
from bastion.control.client import Client
from bastion.demo.scenarios import Ruling, ruling
from bastion.model import Choice, State

VERBS = {Choice.APPROVE: "approves", Choice.DENY: "denies"}

STRANGER = "this is none of the demo's commands"


async def decide(client: Client, *, strangers: bool, words: dict[str, str]) -> None:
    """Vote on what is `client`'s to decide, as it comes, until cancelled; `words` gets what was said, by request.

    With `strangers` also on what no script has. Raises BastionError when a vote fails or the connection is lost.
    """
    me = client.welcome.identity
    await client.call(wire.Subscribe, NoneType)
    async for push in client.pushes():
        if not isinstance(push, wire.RequestChanged) or push.request.state != State.HELD or push.request.id in words:
            continue
        info = push.request
        found = ruling(info.identity, info.command, info.stdin_code)
        if found is None and strangers:
            found = Ruling(Choice.DENY, me, STRANGER)
        if found is None or found.by != me:
            continue
        words[info.id] = f"{me} {VERBS[found.choice]}: {found.reason}"
        await client.vote(info, found.choice, found.reason)
