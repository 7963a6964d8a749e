"""What an administrator can wish for, as one table: which entry makes it so, and what is answered. Pure.

Theory of operation. Both ways to administer use this table: the daemon for calls on its socket
(control.administering), the command line on the store where no daemon runs (admin.py). A row plans the body of the
entry against the directory as it stands; whoever performs it writes the entry, applies it, and answers with what the
row makes of it.

`taking` rows take something away: they count from the moment that their entry is on its way (House.withdraw).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bastion import ids
from bastion.control import wire
from bastion.control.infos import (
    freeze_info,
    grant_info,
    group_info,
    identity_info,
    target_info,
    whitelist_info,
)
from bastion.directory import Body, Directory
from bastion.errors import UsageError


@dataclass(frozen=True, slots=True)
class Context:
    """Who wishes, when, under which limits."""

    actor: str
    now: int
    """Microseconds since the epoch."""
    longest_grant: int
    """Seconds."""


Plan = Callable[[Any, Directory, Context], Body]
Answer = Callable[[Directory, Body], object]


@dataclass(frozen=True, slots=True)
class Wish:
    """One row."""

    entry: str
    """Type of the entry that fulfils it."""
    plan: Plan
    """(call, directory, context) -> body. Raises UsageError, NotFound or Conflict."""
    answer: Answer
    """(directory, body) -> what is answered."""
    taking: bool = False
    gone: bool = False
    """The answer shows what there was before."""


def _grant(call: wire.AddGrant, directory: Directory, context: Context) -> Body:
    if call.lasting > context.longest_grant:
        raise UsageError(f"a grant lasts {context.longest_grant} s at most here", "`longest` in [access] sets it")
    return directory.plan_grant(
        ids.another(ids.grant_id, directory.access.grants),
        call.identity,
        call.target,
        seconds=call.lasting,
        reason=call.reason,
        by=context.actor,
        request="",
        now=context.now,
    )


def _freeze(call: wire.SetFreeze, directory: Directory, context: Context) -> Body:
    return directory.plan_freeze(
        ids.freeze_id(), call.scope, call.name, call.mode, call.reason, by=context.actor, now=context.now
    )


WISHES: dict[type[wire.Call], Wish] = {
    wire.AddIdentity: Wish(
        "identity.added",
        lambda call, directory, _: directory.plan_identity(call.name, call.kind, call.roles, call.key),
        lambda directory, body: identity_info(directory.identities[body["name"]]),
    ),
    wire.RevokeIdentity: Wish(
        "identity.revoked",
        lambda call, directory, _: directory.plan_revocation(call.name, call.reason),
        lambda directory, body: identity_info(directory.identities[body["name"]]),
        taking=True,
    ),
    wire.AddTarget: Wish(
        "target.added",
        lambda call, directory, _: directory.plan_target(
            call.name, call.address, call.logins, call.env, call.host_keys, call.credential
        ),
        lambda directory, body: target_info(directory.targets[body["name"]]),
    ),
    wire.RemoveTarget: Wish(
        "target.removed",
        lambda call, directory, _: directory.plan_removal(call.name),
        lambda directory, body: target_info(directory.targets[body["name"]]),
        taking=True,
        gone=True,
    ),
    wire.RemoveWhitelist: Wish(
        "whitelist.removed",
        lambda call, directory, _: directory.plan_forgetting(call.entry),
        lambda directory, body: whitelist_info(directory.whitelist[body["id"]], in_force=False),
        taking=True,
        gone=True,
    ),
    wire.AddGrant: Wish(
        "grant.added", _grant, lambda directory, body: grant_info(directory.access.grants[body["id"]], in_force=True)
    ),
    wire.RevokeGrant: Wish(
        "grant.revoked",
        lambda call, directory, _: directory.plan_ungranting(call.grant, call.reason),
        lambda directory, body: grant_info(directory.access.grants[body["id"]], in_force=False),
        taking=True,
        gone=True,
    ),
    wire.SetFreeze: Wish(
        "freeze.set", _freeze, lambda directory, body: freeze_info(directory.access.freezes[body["id"]]), taking=True
    ),
    wire.LiftFreeze: Wish(
        "freeze.lifted",
        lambda call, directory, _: directory.plan_unfreezing(call.freeze, call.reason),
        lambda directory, body: freeze_info(directory.access.freezes[body["id"]]),
        gone=True,
    ),
    wire.SetGroup: Wish(
        "group.set",
        lambda call, directory, _: directory.plan_group(call.name, call.members),
        lambda directory, body: group_info(body["name"], directory.access.groups[body["name"]]),
    ),
    wire.RemoveGroup: Wish(
        "group.removed",
        lambda call, directory, _: directory.access.plan_group_removal(call.name),
        lambda directory, body: group_info(body["name"], directory.access.groups[body["name"]]),
        taking=True,
        gone=True,
    ),
}
"""By call. Whitelist entries are not added here: an approver signs them, and a daemon checks the signature."""
