"""Calls about how somebody wants their console: kept for `ssh -t bastion@HOST`, set by their own signature only.

An entry of the ledger each time (`preferences.set`); a statement counts once and not for long, so that nobody who kept
an old one can bring it back.
"""

from __future__ import annotations

from bastion.control import statements, wire
from bastion.control.connection import Connection
from bastion.control.house import House
from bastion.control.preferences import PreferencesError, parse
from bastion.control.signed import check_origin, signer_of
from bastion.directory import Body
from bastion.errors import Conflict, NotAllowed, UsageError

LASTING_SECONDS = 600
"""From signing to counting: a touch of a key, a slow line, and clocks that differ."""


class Preferring:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def show_preferences(self, call: wire.ShowPreferences, connection: Connection) -> object:
        """wire.ShowPreferences"""
        caller = connection.caller
        name = call.identity if caller.local else caller.name
        if call.identity not in ("", name):
            raise NotAllowed("everybody sees their own preferences only")
        return wire.PreferencesInfo(identity=name, text=self._house.directory.preferences.get(name, ""))

    async def set_preferences(self, call: wire.SetPreferences, connection: Connection) -> object:
        """wire.SetPreferences"""
        house = self._house
        try:
            wish = statements.decode_preferences(call.statement)
            text = parse(wish.text).text()
        except (statements.StatementError, PreferencesError) as error:
            raise UsageError(f"the preferences do not read: {error}") from None
        if text != wish.text:
            raise UsageError("the preferences are not in their canonical form")
        check_origin(house, wish.origin)
        signer = signer_of(house, call.statement, call.signature, wire.PREFERENCES_NAMESPACE, connection.caller)
        now = house.clock.wall()
        if not now <= wish.expires <= now + 2 * LASTING_SECONDS * 1_000_000:
            raise Conflict("the statement is too old, or good for too long", "sign a new one")

        def plan() -> Body:
            if house.directory.identities[signer.name].revoked:
                raise Conflict(f"{signer.name} was revoked")
            return {
                **house.directory.plan_preferences(signer.name, wish.text, call.statement.decode()),
                "signature": call.signature,
            }

        await house.commit("preferences.set", plan, signer.name)
        return wire.PreferencesInfo(identity=signer.name, text=wish.text)
