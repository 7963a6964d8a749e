"""What a deciding key does: the checks between a key and a vote, in order. Pure.

Theory of operation. `approve`, `confirm`, `deny` and `kill` look at the view and answer with what is to be done;
nothing is done here. The first check that fails is told to the person in words. What comes out of them carries the
very `RequestInfo` that was on display, and the vote is computed from that and from nothing else.

    approve   low and medium: one key, once the whole text has been on the screen
              high and unrated, or where parts were jumped over: arms, and a second, different key confirms
              the same, for who wants it so (View.typed): a dialog opens in which the target's name is typed; that holds
              for high and unrated risk in all that follows, too
    remember  the same checks; then a dialog shows what would be remembered, and another key confirms both
    deny      opens a dialog for the reason; the dialog is bound to the request it was opened for
    mode      the same checks as approve; then a dialog shows what may be typed into it, and another key approves
    identical the same checks; then a dialog lists what is identical to it, and the second key approves each of them
    edit      opens the editor; what was written is judged anew, and another key approves that
    kill      opens a dialog that a different key confirms

Denying does not ask that everything was read: refusing unread text is safe.
"""

from __future__ import annotations

from bastion.control import wire
from bastion.model import Choice, Tier
from tui.bulk import Bulk, gather
from tui.editing import Edit, editable
from tui.granting import Grant, first
from tui.items import Item
from tui.order import Pane
from tui.outcomes import (
    Ask,
    AskBulk,
    AskEdit,
    AskEscalation,
    AskFreeze,
    AskKill,
    AskMemory,
    AskMode,
    AskName,
    AskReason,
    Cast,
    CastEach,
    Outcome,
    PutEdit,
    Refused,
    Snooze,
)
from tui.reading import Seen
from tui.view import View
from tui.words import SECOND, amount, cell, ending, names

ONE_KEY = frozenset({Tier.LOW.value, Tier.MEDIUM.value})
"""Tiers that one key approves. Everything else, also a tier that this console does not know, needs two."""


SNOOZE = 30 * SECOND
"""How long a request is put aside: half of the usual time to decide."""
LEFT_OVER = 5 * SECOND
"""What is left of its time when it comes back."""


def approve(view: View, me: str, now: float) -> Outcome:
    """The first key of an approval. `me` is the approver's name; empty when not connected."""
    item = _approvable(view, me, now, signed=False)
    if isinstance(item, Refused):
        return item
    skipped = _skipped(view, item)
    bare = unsigned(view, item)
    if item.info.tier in ONE_KEY and not skipped and not bare:
        return Cast(item.info, Choice.APPROVE)
    if bare:
        why = "unsigned, recorded so"
    elif skipped:
        why = f"{amount(skipped, 'character')} never were on your screen"
    else:
        why = _rated(item.info)
    if view.typed and item.info.tier not in ONE_KEY:
        return AskName(item, why, Cast(item.info, Choice.APPROVE))
    view.guard.arm(item.id, item.digest, now)
    return Ask(item, why)


def _rated(info: wire.RequestInfo) -> str:
    return "nobody rated it" if info.tier == Tier.UNRATED else f"{cell(info.tier, 10)} risk"


def _named_first(view: View, item: Item, tried: wire.RequestInfo, then: Cast | CastEach | PutEdit) -> Outcome:
    """What a dialog approved; behind another one, where who wants to type names has something of high risk. `tried`
    is what would run."""
    return AskName(item, _rated(tried), then) if view.typed and tried.tier not in ONE_KEY else then


def named(view: View, asked: AskName, me: str, now: float) -> Outcome:
    """What was to be done once the name was typed, at the moment it is sent."""
    then = asked.then
    infos = then.infos if isinstance(then, CastEach) else (asked.item.info,)
    items = [view.items.get(info.id) for info in infos]
    left = tuple(item for item in items if item is not None and item.held)
    if refusal := view.guard.refusal(now):
        return Refused(refusal)
    if len(infos) == 1 or not left:
        left = (view.items.get(asked.item.id, asked.item),)
    bare = isinstance(then, Cast) and not then.mode
    if problem := next((words for item in left if (words := standing(view, item, me, signed=not bare))), ""):
        return Refused(problem)
    return CastEach(tuple(item.info for item in left)) if isinstance(then, CastEach) else then


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
    return _named_first(view, item, item.info, Cast(item.info, Choice.APPROVE, grant.mode.value, grant.seconds))


def identical(view: View, me: str, now: float) -> Outcome:
    """The key that approves it together with all that are identical to it."""
    item = _approvable(view, me, now)
    if isinstance(item, Refused):
        return item
    if not item.same:
        return Refused("what is asked in a shell, was edited or breaks the glass is judged alone")
    if _skipped(view, item):
        return Refused("not all of it was on your screen: read on with space")
    others = tuple(one for one in view.identical(item) if not stands(view, one, me) and not _mine(one, me))
    return AskBulk(gather(item, others)) if others else Refused("no other held request is identical to it")


def still(view: View, bulk: Bulk, me: str) -> tuple[Item, ...] | str:
    """Those of the set that can be approved at this moment, or why none may be: one that is not what it was spoils
    the whole set."""
    now = bulk.now(view.items)
    for before, item in zip(bulk.items, now, strict=True):
        if item.trouble or item.same != before.same or item.digest != before.digest:
            return f"{cell(item.id, 12)} is not what it was when this was opened"
    left = tuple(item for item in now if item.held and not _mine(item, me))
    if not left:
        return "none of them is held any more"
    problems = (standing(view, item, me) for item in left)
    return next((words for words in problems if words), left)


def bulked(view: View, bulk: Bulk, me: str, now: float) -> Outcome:
    """The approval of the set, at the moment it is sent."""
    left = still(view, bulk, me)
    problem = left if isinstance(left, str) else view.guard.refusal(now)
    if problem or isinstance(left, str):
        return Refused(problem)
    return _named_first(view, left[0], left[0].info, CastEach(tuple(item.info for item in left)))


def _mine(item: Item, me: str) -> bool:
    """This person has voted on it."""
    return any(vote.by == me for vote in item.info.votes)


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
    return Refused(problem) if problem else _named_first(view, item, change.tried, PutEdit(change))


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
