"""How somebody wants their console (control/preferences.py). Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call

PREFERENCES_NAMESPACE = "preferences@agent-bastion"
"""SSHSIG namespace of a person's preferences."""


class PreferencesInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept for one person."""

    identity: str
    text: str
    """Empty: nothing."""


class ShowPreferences(Call, frozen=True, kw_only=True, tag="show-preferences"):
    """-> PreferencesInfo of the caller. The host's administrator names somebody; nobody else can."""

    identity: str = ""


class SetPreferences(Call, frozen=True, kw_only=True, tag="set-preferences"):
    """-> PreferencesInfo of the signer. `statement` is the exact text that was signed."""

    statement: bytes
    signature: str
