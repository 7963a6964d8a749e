"""Which calls there are, who may make them, and who answers.

Theory of operation. One table gives each call its roles and its handler; a call without a row is refused. LOCAL rows
are administration: they work on the bastion's own host (the local socket) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bastion.control import wire
from bastion.control.administering import Administering
from bastion.control.background import Background
from bastion.control.channels import Channels
from bastion.control.connection import Connection
from bastion.control.deciding import Deciding
from bastion.control.editing import Editing
from bastion.control.figures import Figures
from bastion.control.house import House
from bastion.control.keeping import Keeping
from bastion.control.preferring import Preferring
from bastion.control.remembering import Remembering
from bastion.control.viewing import Viewing
from bastion.errors import NotAllowed, UsageError
from bastion.model import Role

LOCAL: frozenset[Role] = frozenset()
EVERYBODY = frozenset(Role)
DECIDES = frozenset({Role.APPROVER})
ADMINISTERS = frozenset({Role.ADMIN})
KEEPS = frozenset({Role.ADMIN, Role.AUDITOR})

Handler = Callable[[Any, Connection], Awaitable[object]]


class Calls:
    """The table of one daemon."""

    def __init__(self, house: House) -> None:
        self._presence, self._settled = house.presence, house.audit.settled
        deciding, viewing, administering = Deciding(house), Viewing(house), Administering(house)
        remembering, editing, background = Remembering(house), Editing(house), Background(house)
        channels, figures = Channels(house), Figures(house)
        keeping, preferring = Keeping(house), Preferring(house)
        self._table: dict[type[wire.Call], tuple[frozenset[Role], Handler]] = {
            wire.ListRequests: (EVERYBODY, deciding.list_requests),
            wire.ShowRequest: (EVERYBODY, deciding.show_request),
            wire.ShowBackground: (EVERYBODY, background.show_background),
            wire.ShowPolicy: (EVERYBODY, background.show_policy),
            wire.CastVote: (DECIDES, deciding.cast_vote),
            wire.EditRequest: (DECIDES, editing.edit_request),
            wire.TryEdit: (DECIDES, editing.try_edit),
            wire.EscalateRequest: (DECIDES, editing.escalate_request),
            wire.SnoozeRequest: (DECIDES, editing.snooze_request),
            wire.ListChannels: (EVERYBODY, channels.list_channels),
            wire.TryChannels: (DECIDES, channels.try_channels),
            wire.ListPresence: (EVERYBODY, figures.list_presence),
            wire.ShowStats: (EVERYBODY, figures.show_stats),
            wire.Subscribe: (EVERYBODY, viewing.subscribe),
            wire.ListSessions: (EVERYBODY, viewing.list_sessions),
            wire.ShowSession: (EVERYBODY, viewing.show_session),
            wire.ReadRecording: (EVERYBODY, viewing.read_recording),
            wire.ReadTimeline: (EVERYBODY, viewing.read_timeline),
            wire.ReadMoment: (EVERYBODY, viewing.read_moment),
            wire.SearchSessions: (EVERYBODY, viewing.search_sessions),
            wire.WatchSession: (EVERYBODY, viewing.watch_session),
            wire.UnwatchSession: (EVERYBODY, viewing.unwatch_session),
            wire.KillSession: (DECIDES, viewing.kill_session),
            wire.EndKeys: (DECIDES, viewing.end_keys),
            wire.ListIdentities: (EVERYBODY, administering.list_identities),
            wire.AddIdentity: (LOCAL, administering.perform),
            wire.RevokeIdentity: (LOCAL, administering.perform),
            wire.ListTargets: (EVERYBODY, administering.list_targets),
            wire.AddTarget: (LOCAL, administering.perform),
            wire.RemoveTarget: (LOCAL, administering.perform),
            wire.CheckTarget: (LOCAL, administering.check_target),
            wire.ListWhitelist: (EVERYBODY, remembering.list_whitelist),
            wire.ProposeWhitelist: (DECIDES, remembering.propose_whitelist),
            wire.AddWhitelist: (DECIDES, remembering.add_whitelist),
            wire.RemoveWhitelist: (DECIDES, administering.perform),
            wire.ListAccess: (EVERYBODY, administering.list_access),
            wire.ReviewAccess: (EVERYBODY, administering.review_access),
            wire.Blast: (EVERYBODY, administering.blast),
            wire.ListGrants: (EVERYBODY, administering.list_grants),
            wire.AddGrant: (LOCAL, administering.perform),
            wire.RevokeGrant: (DECIDES, administering.perform),
            wire.ListFreezes: (EVERYBODY, administering.list_freezes),
            wire.SetFreeze: (DECIDES, administering.perform),
            wire.LiftFreeze: (DECIDES, administering.perform),
            wire.ListGroups: (EVERYBODY, administering.list_groups),
            wire.SetGroup: (LOCAL, administering.perform),
            wire.RemoveGroup: (LOCAL, administering.perform),
            wire.ShowPreferences: (EVERYBODY, preferring.show_preferences),
            wire.SetPreferences: (DECIDES, preferring.set_preferences),
            wire.PlanRedaction: (ADMINISTERS, keeping.plan_redaction),
            wire.Redact: (ADMINISTERS, keeping.redact),
            wire.PlaceHold: (KEEPS, keeping.place_hold),
            wire.LiftHold: (KEEPS, keeping.lift_hold),
            wire.ListHolds: (EVERYBODY, keeping.list_holds),
            wire.RunRetention: (LOCAL, keeping.run_retention),
            wire.RotateKey: (LOCAL, keeping.rotate_key),
            wire.LedgerHead: (EVERYBODY, viewing.ledger_head),
            wire.ProveHead: (EVERYBODY, viewing.prove_head),
            wire.ListLedger: (EVERYBODY, viewing.list_ledger),
        }

    async def handle(self, call: wire.AnyCall, connection: Connection) -> object:
        """Answer one call. Raises BastionError for the caller."""
        row = self._table.get(type(call))
        caller = connection.caller
        if row is None:
            raise UsageError("this call is not known here")
        roles, handler = row
        if not caller.local and not roles & caller.roles:
            where = "on the bastion's own host only" if roles is LOCAL else f"needs the role {_or(roles)}"
            raise NotAllowed(f"{caller.name} may not do this", where)
        self._presence.asked(caller.name)
        if roles is EVERYBODY:  # these only look
            await self._settled()
        return await handler(call, connection)


def _or(roles: frozenset[Role]) -> str:
    return " or ".join(sorted(roles))
