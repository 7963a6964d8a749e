"""What the console shows, as a model: requests, sessions, rows, selection. Pure; widgets ask it and draw.

Theory of operation. Three panes: the *queue* of held requests, the *sessions*, and what was *decided* lately. Each
has a selection, which is an id and never a position. The rules that keep a person from acting on the wrong thing:

  - The selection moves when the person moves it. The one exception is the pane that the person is in: without any
    selection it takes its first row; that is a change by itself, and the guard waits after it.
  - A selected request that ends stays in the queue as a tombstone that says how it ended, until the person moves.
  - Rows keep a fixed order: it depends on pinned fields only, so a row never jumps.
  - Every change of what is displayed that the person did not cause is reported to the guard (`tui/guard.py`).

Times: `now` is seconds of a monotonic clock; `wall` is microseconds since the epoch by this machine's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bastion.control import wire
from tui.background import Background
from tui.guard import Guard
from tui.items import Item
from tui.matching import Filter
from tui.order import Order, Pane, decided_rows, ended_key, matches, queue_rows, session_key, session_rows
from tui.reading import Seen
from tui.words import SECOND

DECIDED_LIMIT = 100
"""Ended requests kept; older ones are in the ledger (`bastion request list`)."""
SESSIONS_LIMIT = 100
"""Sessions kept that are over; open ones are always kept."""
SKEW_NOTICE = 2 * SECOND
"""A difference between the bastion's clock and ours that countdowns correct for; below, it may be the network."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a message changed."""

    new: tuple[str, ...] = ()
    """Held requests that were not known before: ring."""
    display: bool = False
    """What is displayed changed by itself."""


class View:
    """See the theory of operation above. Not thread-safe; one event loop owns it."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.me = ""
        """Who looks, as the bastion knows them; of the last connection."""
        self.cramped = ""
        """Why nobody can decide in this window; empty where they can."""
        self.powerless = ""
        """Why this person can do nothing but look; empty where they can."""
        self.barred = ""
        """Why nobody can decide on this console; empty where one can."""
        self.unsigned_way = ""
        """What a decision without a signature is said to come by, where policy accepts that; empty: nothing."""
        self.typed = False
        """Approving what is rated high or not at all takes the target's name, typed, instead of a second key."""
        self.watching: tuple[str, ...] | None = None
        """Who else watches the queue; None where nobody said so."""
        self.pane = Pane.QUEUE
        self.order = Order.URGENT
        self.filter = Filter()
        self.items: dict[str, Item] = {}
        self.sessions: dict[str, wire.SessionInfo] = {}
        self.reading: dict[str, Seen] = {}
        """By digest: what of a request's text has been on the screen."""
        self.totals: dict[str, int] = {}
        """By digest: characters that must have been on the screen; unknown until the request was laid out."""
        self.backgrounds: dict[str, Background] = {}
        """By request: what the bastion told of the past and of its surroundings."""
        self.voting: frozenset[str] = frozenset()
        """Requests whose vote is being signed or sent."""
        self._selected: dict[Pane, str] = {}
        self._rows: dict[Pane, tuple[str, ...]] = {}
        self._shuffled = False
        """Rows came, went or moved since the guard was last told."""
        self._skews: deque[int] = deque(maxlen=8)

    # --- what is shown

    def rows(self, pane: Pane) -> tuple[str, ...]:
        """Ids of the pane's rows, from the top."""
        if pane not in self._rows:
            self._rows[pane] = self._build(pane)
        return self._rows[pane]

    def selected(self, pane: Pane) -> str:
        """Id of the selected row; empty if there is none."""
        return self._selected.get(pane, "")

    def thing(self, row: str) -> Item | wire.SessionInfo | None:
        """What a row's id stands for."""
        return self.items.get(row) or self.sessions.get(row)

    @property
    def current(self) -> Item | wire.SessionInfo | None:
        """What is displayed in full and what keys act on."""
        return self.thing(self.selected(self.pane))

    @property
    def held(self) -> list[Item]:
        """All held requests, also those that the filter hides."""
        return [item for item in self.items.values() if item.held]

    @property
    def hidden(self) -> int:
        """Held requests that the filter hides."""
        return sum(not matches(item, self.filter) for item in self.held)

    def daemon_time(self, wall: int) -> int:
        """The bastion's clock, as far as the times of fresh requests tell it."""
        skew = max(self._skews, default=0)
        return wall + skew if abs(skew) > SKEW_NOTICE else wall

    def snoozed(self, item: Item, wall: int) -> bool:
        """The person who looks has put it aside; `wall` is the bastion's time."""
        return item.held and item.snoozed_by(self.me, wall)

    def identical(self, item: Item) -> tuple[Item, ...]:
        """Other held requests that are the same in all that is judged; those that end first come first."""
        if not item.same:
            return ()
        found = [one for one in self.held if one.same == item.same and one.id != item.id and not one.trouble]
        return tuple(sorted(found, key=lambda one: (one.info.expires, one.id)))

    # --- what the bastion says

    def apply(self, push: wire.Push, now: float, wall: int | None = None) -> Change:
        """One pushed message. `wall` is given for messages that were sent just now."""
        before = self.current
        new: tuple[str, ...] = ()
        match push:
            case wire.RequestChanged(request=info):
                new = self._request(info, wall)
            case wire.SessionChanged(session=session):
                self._session(session)
            case wire.PresenceChanged(people=people):
                self.watching = tuple(sorted({each.name for each in people} - {self.me}))
                return Change()
            case wire.SessionOutput() | wire.Alert():
                return Change()
        return self._changed(before, new, now)

    def snapshot(
        self, requests: Iterable[wire.RequestInfo], sessions: Iterable[wire.SessionInfo], now: float
    ) -> tuple[Change, tuple[str, ...]]:
        """Everything anew, after a connection was made; and the ids that were held here and are not spoken of."""
        before = self.current
        told: set[str] = set()
        new: list[str] = []
        for info in requests:
            told.add(info.id)
            new += self._request(info, None)
        for session in sessions:
            self._session(session)
        missing = tuple(item.id for item in self.held if item.id not in told)
        self.guard.display_changed(now)
        return self._changed(before, tuple(new), now), missing

    def gone(self, request: str, now: float) -> None:
        """The bastion does not know this request any more."""
        before = self.current
        if item := self.items.get(request):
            self.items[request] = replace(item, gone=True)
            self._reorder()
        self._changed(before, (), now)

    # --- what the person does

    def select(self, pane: Pane, row: str, now: float) -> None:
        """The person went to a row, by its id. Does nothing if it is not there."""
        if row in self.rows(pane):
            self.pane = pane
            self._choose(pane, row)
            self.guard.moved(now)

    def move(self, steps: int, now: float) -> None:
        """The person went up (negative) or down; at the ends it stays. A lone tombstone is left behind."""
        rows = self.rows(self.pane)
        if not rows:
            return
        if self.pane is Pane.QUEUE and len(rows) == 1 and not self.items[rows[0]].held:
            del self._selected[Pane.QUEUE]
            self._rows.clear()
            self.guard.moved(now)
            return
        at = rows.index(self.selected(self.pane)) if self.selected(self.pane) in rows else 0
        self.select(self.pane, rows[min(max(at + steps, 0), len(rows) - 1)], now)

    def show(self, pane: Pane, now: float) -> None:
        """The person went to another pane."""
        self.pane = pane
        self._settle()
        self.guard.moved(now)

    def set_filter(self, text: str, now: float) -> None:
        """The person typed a filter. A selection that it hides is given up for the first row."""
        self.filter = Filter.parse(text)
        self._rows.clear()
        for pane in Pane:
            if (chosen := self.thing(self.selected(pane))) and not matches(chosen, self.filter):
                del self._selected[pane]
        self._rows.clear()
        self._settle()
        self.guard.moved(now)

    def cycle_order(self, now: float) -> None:
        """The person asked for the next order of the queue; the selection stays."""
        orders = list(Order)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self._rows.clear()
        self.guard.moved(now)

    def saw(self, digest: str, start: int, end: int) -> None:
        """These characters of the request's text (command, then code of stdin) have been painted."""
        self.reading.setdefault(digest, Seen()).add(start, end)

    def background(self, request: str, background: Background, now: float) -> None:
        """What was asked about a request has come."""
        if request in self.items:
            self.backgrounds[request] = background
        if self.current is not None and self.current.id == request:
            self.guard.display_changed(now)

    # --- inside

    def _request(self, info: wire.RequestInfo, wall: int | None) -> tuple[str, ...]:
        """Takes over one request; its id if it is held and was not known before."""
        known = self.items.get(info.id)
        item = known.merged(info) if known else Item.first(info)
        if item == known:
            return ()
        self.items[info.id] = item
        if known is None or known.held is not item.held:
            self._reorder()
        if known is None and item.held:
            if wall is not None:
                self._skews.append(info.created - wall)
            return (info.id,)
        return ()

    def _session(self, session: wire.SessionInfo) -> None:
        known = self.sessions.get(session.id)
        if known and (known.closed > 0) > (session.closed > 0):
            return
        self.sessions[session.id] = session
        if known is None or (known.closed > 0) is not (session.closed > 0):
            self._reorder()

    def _reorder(self) -> None:
        """Rows came, went or moved by themselves."""
        self._rows.clear()
        self._shuffled = True

    def _changed(self, before: Item | wire.SessionInfo | None, new: tuple[str, ...], now: float) -> Change:
        """Keeps what is kept, selects where nothing is selected, and tells the guard."""
        if self._shuffled:
            self._shuffled = False
            self.guard.rows_changed(now)
            self._prune()
        self._settle()
        display = self.current is not before and self.current != before
        if display and not _only_counts(before, self.current):
            self.guard.display_changed(now)
        return Change(new, display)

    def _build(self, pane: Pane) -> tuple[str, ...]:
        chosen = self.selected(pane)
        match pane:
            case Pane.QUEUE:
                return queue_rows(self.items.values(), self.filter, self.order, chosen)
            case Pane.SESSIONS:
                return session_rows(self.sessions.values(), self.filter, chosen)
            case Pane.DECIDED:
                return decided_rows(self.items.values(), self.filter, chosen)

    def _settle(self) -> None:
        """The pane that the person is in takes its first row if it has no selection."""
        if not self.selected(self.pane) and (rows := self.rows(self.pane)):
            self._choose(self.pane, rows[0])

    def _choose(self, pane: Pane, row: str) -> None:
        self._selected[pane] = row
        self._rows.pop(pane, None)  # a tombstone that is left disappears

    def _prune(self) -> None:
        """Forgets the oldest beyond the limits, never what is selected or held."""
        keep = set(self._selected.values())
        ended = sorted((item for item in self.items.values() if not item.held), key=ended_key)
        for item in ended[DECIDED_LIMIT:]:
            if item.id not in keep:
                del self.items[item.id]
                self.backgrounds.pop(item.id, None)
                self.reading.pop(item.digest, None)
                self.totals.pop(item.digest, None)
        over = sorted((one for one in self.sessions.values() if one.closed), key=session_key)
        for session in over[SESSIONS_LIMIT:]:
            if session.id not in keep:
                del self.sessions[session.id]


def _only_counts(before: Item | wire.SessionInfo | None, after: Item | wire.SessionInfo | None) -> bool:
    """Nothing but a session's running totals changed: no reason to hold a key back."""
    if not isinstance(before, wire.SessionInfo) or not isinstance(after, wire.SessionInfo):
        return False
    return (before.id, before.state, before.closed) == (after.id, after.state, after.closed)
