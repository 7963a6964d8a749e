"""What a deciding key comes to: `tui/deciding.py` answers with it, `tui/screens/dealing.py` acts on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.control import wire
from bastion.model import Choice
from tui.bulk import Bulk
from tui.editing import Edit
from tui.granting import Grant
from tui.items import Item


@dataclass(frozen=True, slots=True)
class Cast:
    """Send this vote."""

    info: wire.RequestInfo
    choice: Choice
    mode: str = ""
    """model.TtyMode, where another one is granted than the request asks for."""
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """Armed: ask for the second key."""

    item: Item
    why: str


@dataclass(frozen=True, slots=True)
class AskReason:
    """Open the dialog for a reason."""

    item: Item


@dataclass(frozen=True, slots=True)
class AskMemory:
    """Ask the bastion what may be remembered, then open the dialog for it."""

    item: Item


@dataclass(frozen=True, slots=True)
class AskMode:
    """Open the dialog for what may be typed into it."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class AskBulk:
    """Open the dialog that lists what is identical."""

    bulk: Bulk


@dataclass(frozen=True, slots=True)
class CastEach:
    """Approve each of these, with a vote of its own."""

    infos: tuple[wire.RequestInfo, ...]


@dataclass(frozen=True, slots=True)
class PutEdit:
    """Put this in its place, and approve it."""

    edit: Edit


@dataclass(frozen=True, slots=True)
class AskName:
    """Open the dialog in which the target's name is typed."""

    item: Item
    why: str
    then: Cast | CastEach | PutEdit
    """What is done when it was."""


@dataclass(frozen=True, slots=True)
class AskKill:
    """Open the dialog that confirms the end of a session."""

    session: wire.SessionInfo


@dataclass(frozen=True, slots=True)
class AskEdit:
    """Open the dialog that edits it."""

    item: Item


@dataclass(frozen=True, slots=True)
class AskEscalation:
    """Open the dialog for why others shall decide."""

    item: Item


@dataclass(frozen=True, slots=True)
class Snooze:
    """Put it aside, for oneself, until then (microseconds since the epoch; 0: no longer)."""

    item: Item
    until: int


@dataclass(frozen=True, slots=True)
class AskFreeze:
    """Open the dialog that freezes everything."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is done, and why."""

    words: str


Dialog = AskReason | AskMode | AskBulk | AskName | AskEdit | AskEscalation | AskFreeze | AskKill
"""Outcomes that open one."""

Outcome = Cast | CastEach | PutEdit | Snooze | Ask | AskMemory | Dialog | Refused
