"""Buttons that somebody pressed in a chat: whether one counts, and as whose.

It counts only where the policy that judged the request accepts that chat for it and the policy in force still does,
never for what is of high risk or not rated, never for keys that pass unseen, and only from a user of the chat whom
`[[notify]]` maps to an approver who is not revoked. It is bound to the digest that the button carries. The ledger says
that it is unsigned, by whom in the chat, and as which approver; a verifier says so, too. Every press is answered in the
channel that it came from.

Not protected: whoever rules the chat's workspace, or the worker's process, can press as anybody who is mapped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from bastion.broker import Broker
from bastion.directory import Directory
from bastion.errors import BastionError, Conflict, NotAllowed, NotFound
from bastion.model import Choice, Request, Role, Tier, Vote
from bastion.notify.news import News, plain
from bastion.notify.notifier import Notifier
from bastion.outlets import Outlet
from bastion.policy.visible import visible_line

log = logging.getLogger(__name__)

DENIED = "denied in Slack"
"""The reason that the agent is given: a button has no room for one."""


class Pressing:
    """One daemon's."""

    def __init__(
        self,
        broker: Broker,
        directory: Directory,
        notifier: Notifier,
        outlets: Sequence[Outlet],
        accepted: Callable[[Request], tuple[str, ...]],
    ) -> None:
        """`accepted`: the chats that the policy in force accepts for a request."""
        self._broker, self._directory, self._notifier, self._accepted = broker, directory, notifier, accepted
        self._mapped = {outlet.name: dict(outlet.approvers) for outlet in outlets}

    async def press(self, said: dict[str, Any]) -> None:
        """One press, as notify/slack.py hands it on. Never raises: who pressed is told."""
        channel, request = str(said.get("channel")), str(said.get("request"))
        if channel not in self._mapped:
            return
        try:
            by = await self._count(said, channel, request)
        except BastionError as error:
            log.warning("a button in %s did not count: %s", channel, error)
            brief, detail = f"{request}: not counted", visible_line(str(error), 300)
        else:
            brief, detail = f"{request}: {said['choice']} counted as {by}, unsigned", ""
        self._notifier.tell_one(channel, News("answer", plain(brief), detail, request=request))

    async def _count(self, said: dict[str, Any], channel: str, request: str) -> str:
        """Cast the vote; as whose. Raises BastionError."""
        user = str(said["user"])
        try:
            choice = Choice(said["choice"])
        except ValueError:
            raise NotAllowed("no button says this") from None
        by = self._mapped[channel].get(user)
        if by is None:
            raise NotAllowed(f"{user} is nobody here", "`approvers` in [[notify]] maps users to approvers")
        person = self._directory.identities.get(by)
        if person is None or person.revoked or Role.APPROVER not in person.roles:
            raise NotAllowed(f"{by} is no approver, or was revoked")
        info = self._broker.info(request)
        if info is None:
            raise NotFound(f"no request {request!r} at the desk")
        if info.digest != said.get("digest"):
            raise Conflict("the button is for another request than the one at the desk")
        if "slack" not in info.unsigned:
            raise NotAllowed("policy accepts no button for it", "decide it in the console: that is signed")
        if "slack" not in self._accepted(info.to_model()):
            raise NotAllowed("policy accepts no button for it any more", "decide it in the console: that is signed")
        if info.tier not in (Tier.LOW, Tier.MEDIUM):
            raise NotAllowed(f"what is {info.tier} is never decided without a signature")
        vote = Vote(
            request=info.id,
            digest=info.digest,
            choice=choice,
            by=by,
            reason=DENIED if choice is Choice.DENY else "",
            signature="",
            via="slack",
            via_user=user,
        )
        await self._broker.vote(vote, b"")
        return by
