"""What a deciding key does: the checks between a key and a vote, in order. Pure.

Theory of operation. `approve`, `confirm`, `deny` and `kill` look at the view and answer with what is to be done;
nothing is done here. The first check that fails is told to the person in words. What comes out of them carries the
very `RequestInfo` that was on display, and the vote is computed from that and from nothing else.

    approve   low and medium: one key, once the whole text has been on the screen
              high and unrated, or where parts were jumped over: arms, and a second, different key confirms
    remember  the same checks; then a dialog shows what would be remembered, and another key confirms both
    deny      opens a dialog for the reason; the dialog is bound to the request it was opened for
    mode      the same checks as approve; then a dialog shows what may be typed into it, and another key approves
    edit      opens the editor; what was written is judged anew, and another key approves that
    kill      opens a dialog that a different key confirms

Denying does not ask that everything was read: refusing unread text is safe.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.control import wire
from bastion.model import Choice, Tier
from tui.editing import Edit, editable
from tui.granting import Grant, first
from tui.items import Item
from tui.order import Pane
from tui.reading import Seen
from tui.view import View
from tui.words import SECOND, amount, cell, ending, names

ONE_KEY = frozenset({Tier.LOW.value, Tier.MEDIUM.value})
"""Tiers that one key approves. Everything else, also a tier that this console does not know, needs two."""


SNOOZE = 30 * SECOND
"""How long a request is put aside: half of the usual time to decide."""
LEFT_OVER = 5 * SECOND
"""What is left of its time when it comes back."""


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


Outcome = (
    Cast | Ask | AskReason | AskMemory | AskMode | AskKill | AskEdit | AskEscalation | Snooze | AskFreeze | Refused
)


def approve(view: View, me: str, now: float) -> Outcome:
    """The first key of an approval. `me` is the approver's name; empty when not connected."""
    item = _approvable(view, me, now, signed=False)
    if isinstance(item, Refused):
        return item
    skipped = _skipped(view, item)
    bare = unsigned(view, item)
    if item.info.tier in ONE_KEY and not skipped and not bare:
        return Cast(item.info, Choice.APPROVE)
    view.guard.arm(item.id, item.digest, now)
    if bare:
        return Ask(item, "unsigned, recorded so")
    if skipped:
        return Ask(item, f"{amount(skipped, 'character')} never were on your screen")
    return Ask(item, "nobody rated it" if item.info.tier == Tier.UNRATED else f"{cell(item.info.tier, 10)} risk")


def remember(view: View, me: str, now: float) -> Outcome:
    """The key that approves and remembers."""
    item = _approvable(view, me, now)
    if isinstance(item, Refused):
        return item
    if item.info.tier == Tier.HIGH:
        return Refused("what is rated high is never remembered: a approves it once")
    if _skipped(view, item):
        return Refused("what is remembered must have been on your screen, all of it: read on with space")
    return AskMemory(item)


def remembered(view: View, item: Item, me: str, now: float) -> Outcome:
    """The approval of what the dialog was opened for, at the moment it is sent."""
    problem = standing(view, view.items.get(item.id, item), me) or view.guard.refusal(now)
    if problem:
        return Refused(problem)
    return Cast(item.info, Choice.APPROVE)


def mode(view: View, me: str, now: float) -> Outcome:
    """The key that approves with another mode."""
    item = _approvable(view, me, now)
    if isinstance(item, Refused):
        return item
    if _skipped(view, item):
        return Refused("not all of it was on your screen: read on with space")
    grant = first(item)
    return Refused(grant) if isinstance(grant, str) else AskMode(grant)


def granted(view: View, grant: Grant, me: str, now: float) -> Outcome:
    """The approval with the chosen mode, at the moment it is sent."""
    item = grant.item
    problem = standing(view, view.items.get(item.id, item), me) or view.guard.refusal(now)
    if problem:
        return Refused(problem)
    return Cast(item.info, Choice.APPROVE, grant.mode.value, grant.seconds)


def _approvable(view: View, me: str, now: float, *, signed: bool = True) -> Item | Refused:
    """The request on display, if a first approving key counts."""
    item = _votable(view, me, now, signed=signed)
    if isinstance(item, Refused):
        return item
    mine = [vote for vote in item.info.votes if vote.by == me and vote.choice == Choice.APPROVE]
    if mine:
        missing = item.info.approvals - len({vote.by for vote in item.info.votes})
        return Refused(f"you approved it already: {amount(missing, 'other person')} must approve too")
    seen, total = view.reading.get(item.digest, Seen()), view.totals.get(item.digest)
    if total is None or not seen.reached(total):
        return Refused("not all of it has been on your screen: read on with space, or jump to the end with End")
    return item


def _skipped(view: View, item: Item) -> int:
    """Characters that were jumped over."""
    total = view.totals.get(item.digest)
    return 0 if total is None else view.reading.get(item.digest, Seen()).missing(total)


def confirm(view: View, me: str, now: float) -> Outcome:
    """The second key of an approval."""
    item = _votable(view, me, now, signed=False)
    if isinstance(item, Refused):
        return item
    if not view.guard.armed(item.id, item.digest, now):
        return Refused("nothing to confirm")
    view.guard.disarm()
    return Cast(item.info, Choice.APPROVE)


def deny(view: View, me: str, now: float) -> Outcome:
    """The key that opens the dialog for a denial."""
    item = _votable(view, me, now, harmless=True, signed=False)
    return item if isinstance(item, Refused) else AskReason(item)


def denial(view: View, item: Item, me: str) -> Outcome:
    """The denial of what the dialog was opened for, at the moment it is sent."""
    problem = standing(view, view.items.get(item.id, item), me, signed=False)
    if problem:
        return Refused(problem)
    return Cast(item.info, Choice.DENY)


def edit(view: View, me: str, now: float) -> Outcome:
    """The key that opens the editor."""
    item = _votable(view, me, now, harmless=True)
    if isinstance(item, Refused):
        return item
    try:
        editable(item.info)
    except ValueError as error:
        return Refused(str(error))
    return AskEdit(item)


def edited(view: View, change: Edit, me: str, now: float) -> Outcome:
    """The approval of what was written, at the moment it is sent."""
    item = change.item
    problem = standing(view, view.items.get(item.id, item), me) or view.guard.refusal(now) or change.denied
    return Refused(problem) if problem else Cast(item.info, Choice.APPROVE)


def escalate(view: View, me: str, now: float) -> Outcome:
    """The key that asks others."""
    item = _handled(view, me, now)
    return item if isinstance(item, Refused) else AskEscalation(item)


def snooze(view: View, me: str, now: float, wall: int) -> Outcome:
    """The key that puts it aside, or takes it back. `wall` is the bastion's time."""
    item = _handled(view, me, now)
    if isinstance(item, Refused):
        return item
    if item.snoozed_by(me, wall):
        return Snooze(item, 0)
    until = min(wall + SNOOZE, item.info.expires - LEFT_OVER)
    if until <= wall + LEFT_OVER:
        return Refused("too little time is left to put it aside: decide it, or ask others with >")
    return Snooze(item, until)


def freeze(view: View, me: str, now: float) -> Outcome:
    """The key that freezes everything."""
    words = view.guard.refusal(now, harmless=True) or view.powerless or view.cramped
    return Refused(words or "not connected: nothing was done") if words or not me else AskFreeze()


def _handled(view: View, me: str, now: float) -> Item | Refused:
    """The request on display, if something can be done with it that nobody signs."""
    current = view.current
    if not isinstance(current, Item) or view.pane is Pane.SESSIONS:
        return Refused("no request is selected")
    problem = stands(view, current, me) or view.powerless or view.guard.refusal(now)
    return Refused(problem) if problem else current


def kill(view: View, me: str, now: float) -> Outcome:
    """The key that asks for the end of the selected session, or of the session of the selected request."""
    if words := view.guard.refusal(now):
        return Refused(words)
    if not me:
        return Refused("not connected: nothing was done")
    if view.powerless or view.cramped:
        return Refused(view.powerless or view.cramped)
    current = view.current
    session = view.sessions.get(current.info.session) if isinstance(current, Item) else current
    if session is None:
        return Refused("no session is selected")
    if session.closed:
        return Refused("that session is over already")
    return AskKill(session)


def _votable(view: View, me: str, now: float, *, harmless: bool = False, signed: bool = True) -> Item | Refused:
    """The request on display, if the key counts and a vote on it makes sense."""
    current = view.current
    if not isinstance(current, Item) or view.pane is Pane.SESSIONS:
        return Refused("no request is selected")
    problem = standing(view, current, me, signed=signed) or view.guard.refusal(now, harmless=harmless)
    return Refused(problem) if problem else current


def standing(view: View, item: Item, me: str, *, signed: bool = True) -> str:
    """Why nobody can vote on it now; empty when they can. `signed`: it takes a signature, whatever policy says."""
    if problem := stands(view, item, me):
        return problem
    if not view.barred or (not signed and unsigned(view, item)):
        return ""
    return f"nothing was sent: {view.barred}"


def unsigned(view: View, item: Item) -> bool:
    """Nobody can sign here, and policy accepts a decision on it without a signature."""
    return bool(view.barred and not view.powerless and view.unsigned_way in item.info.unsigned)


def stands(view: View, item: Item, me: str) -> str:
    """Why nothing can be done with it at present; empty when something can."""
    checks = (
        (bool(item.trouble), f"TAMPERED: {item.trouble}; nobody can vote on it here"),
        (item.gone, "the bastion does not know this request any more"),
        (not item.held, f"too late: it was {ending(item.info)}"),
        (not me, "not connected: nothing was sent"),
        (bool(view.cramped), view.cramped),
        (item.id in view.voting, "your vote on it is under way"),
    )
    return next((words for fails, words in checks if fails), "")


def voters(info: wire.RequestInfo) -> str:
    """Who has approved so far, in words."""
    return names([vote.by for vote in info.votes if vote.choice == Choice.APPROVE]) or "nobody yet"
