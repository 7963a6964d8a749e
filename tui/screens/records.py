"""The screens that list what the bastion keeps (tui/records.py), and the one that shows the policy in force.

They are asked for when they are opened and with `r`; what stands there is as old as the first row says. Ending
something asks for a second, different key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from bastion.control import wire
from tui import figures, keys, records
from tui.feed import words_of
from tui.paper import Document, Parts
from tui.screens import leave
from tui.screens.confirming import ConfirmScreen
from tui.widgets.bars import Bar
from tui.widgets.table import Table
from tui.widgets.text import TextView
from tui.words import SECOND, amount, duration

if TYPE_CHECKING:
    from tui.app import BastionConsole


class Looking(Screen[None], inherit_bindings=False):
    """A screen over the lists that shows something the bastion was asked for."""

    app: BastionConsole
    heading = ""

    def __init__(self) -> None:
        super().__init__()
        self.problem = "asking the bastion ..."
        self._asked_at = 0.0

    def on_mount(self) -> None:
        self.action_reload()
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def action_reload(self) -> None:
        self.run_worker(self._load(), name="look", exclusive=True)

    async def _load(self) -> None:
        try:
            await self.load()
        except Exception as error:  # noqa: BLE001 - whatever it is, the console stays up and says it
            self.problem = words_of(error)
        else:
            self.problem = ""
            self._asked_at = self.app.clock()
        self.draw()

    async def load(self) -> None:
        """Asks; raises bastion.errors."""

    def draw(self) -> None:
        """Draws what is known."""

    def draw_title(self, left: Parts) -> None:
        """The first row: what this is, and how old."""
        right: Parts = ((f"{self.problem} ", "warning"),)
        if not self.app.link.up:
            right = (("NOT CONNECTED: this is old ", "alarm"),)
        elif not self.problem:
            age = duration(round((self.app.clock() - self._asked_at) * 1e6))
            right = ((f"as of {age} ago, r asks again ", "quiet"),)
        self.query_one("#look-title", Bar).draw(((f" {self.heading} ", "title"), *left), right)

    def action_back(self) -> None:
        leave(self)

    def action_help(self) -> None:
        self.app.show_help()

    def action_page(self, pages: int) -> None:
        self.query_one(TextView).page(pages)

    def action_line(self, rows: int) -> None:
        self.query_one(TextView).line(rows)

    def action_edge(self, end: int) -> None:
        self.query_one(TextView).edge(end)


class RecordsScreen(Looking, inherit_bindings=False):
    """One listing."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.RECORDS, keys.TEXT)

    def __init__(self, listing: records.Listing) -> None:
        super().__init__()
        self.listing = listing
        self.heading = listing.title
        self.records: list[records.Record] = []
        self.back = 0
        """Pages from the end, of the ledger."""

    def compose(self) -> ComposeResult:
        yield Bar("look-title")
        yield Bar("look-columns")
        yield Table(self.listing.columns, "look-rows")
        yield Bar("look-rule")
        yield TextView(self.app.view, self._detail, "look-text")
        yield Bar("look-notice")
        yield Footer(show_command_palette=False)

    async def load(self) -> None:
        answers: records.Answers = {}
        for name, call, kind in self.listing.calls:
            answers[name] = await self.app.feed.call(call, kind, **await self._fields(call))
        self.records = self.listing.records(answers, self.app.daemon_time)

    async def _fields(self, call: type[wire.Call]) -> dict[str, Any]:
        if call is wire.ListLedger:
            head = await self.app.feed.call(wire.LedgerHead, str)
            return {"after": records.page_of(head, self.back), "limit": records.PAGE}
        return self.listing.options

    def draw(self) -> None:
        if not self.query("#look-notice"):
            return
        table = self.query_one(Table)
        table.draw(self.records)
        if table.size.width:
            self.query_one("#look-columns", Bar).draw(((table.header(table.size.width), "label"),))
        self.draw_title(((f" {amount(len(self.records), 'row')}", "strong"),))
        told = self.app.told if self.app.clock() - self.app.told_at < self.app.TOLD_SECONDS else None
        self.query_one("#look-notice", Bar).draw(((f" {told.words}", told.style),) if told else ())
        self._draw_detail(same=True)

    def _draw_detail(self, *, same: bool) -> None:
        self.query_one(TextView).draw((self.query_one(Table).current, self.problem), same=same)

    def _detail(self, width: int) -> Document:
        return records.detail(self.query_one(Table).current, self.problem or self.listing.empty, width)

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Pages are the ledger's; ending is for what can be ended."""
        if action == "step":
            return self.listing.name == "ledger"
        if action == "reveal":
            return self.listing.name == "ledger"
        return any(each.end for each in self.records) if action == "end" else True

    def action_move(self, steps: int) -> None:
        self.query_one(Table).move(steps)

    @on(Table.Picked)
    def picked(self, event: Table.Picked) -> None:
        event.stop()
        self._draw_detail(same=False)

    def action_step(self, pages: int) -> None:
        self.back = max(0, self.back - pages)
        self.action_reload()

    def action_reveal(self) -> None:
        from tui.screens import revealed  # which is made of this module's Looking

        record = self.query_one(Table).current
        if record is not None:
            self.app.push_screen(revealed.entry(int(record.id)))

    def action_end(self) -> None:
        record = self.query_one(Table).current
        if record is None or record.end is None:
            return
        if self.app.view.powerless or not self.app.feed.me:
            self.app.tell(self.app.view.powerless or "not connected: nothing was done", "warning")
            self.draw()
            return
        self.app.push_screen(ConfirmScreen(record.ending), lambda yes: self._ended(record, bool(yes)))

    def _ended(self, record: records.Record, yes: bool) -> None:
        if yes and record.end is not None:
            call, fields = record.end
            self.app.once(call, Any, f"{record.id}: done", self.action_reload, **fields)


class PolicyScreen(Looking, inherit_bindings=False):
    """The policy in force: its text, or what it says in plain words."""

    heading = "POLICY"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.POLICY, keys.TEXT)

    def __init__(self) -> None:
        super().__init__()
        self.policy: wire.PolicyInfo | None = None
        self.explained = True

    def compose(self) -> ComposeResult:
        yield Bar("look-title")
        yield TextView(self.app.view, self._document, "look-text")
        yield Bar("look-notice")
        yield Footer(show_command_palette=False)

    async def load(self) -> None:
        self.policy = await self.app.feed.call(wire.ShowPolicy, wire.PolicyInfo)

    def _document(self, width: int) -> Document:
        if self.policy is None:
            return records.detail(None, self.problem, width)
        return records.policy_document(self.policy, self.explained, width)

    def draw(self) -> None:
        if not self.query("#look-notice"):
            return
        self.draw_title(((" in plain words" if self.explained else " as it is written", "strong"),))
        self.query_one(TextView).draw((self.policy, self.explained, self.problem), same=True)

    def action_turn(self) -> None:
        self.explained = not self.explained
        self.query_one(TextView).edge(-1)
        self.draw()


class StatsScreen(Looking, inherit_bindings=False):
    """How deciding goes."""

    heading = "FIGURES"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.STATS, keys.TEXT)

    def __init__(self) -> None:
        super().__init__()
        self.stats: wire.StatsInfo | None = None
        self.span = 0

    def compose(self) -> ComposeResult:
        yield Bar("look-title")
        yield TextView(self.app.view, self._document, "look-text")
        yield Bar("look-notice")
        yield Footer(show_command_palette=False)

    async def load(self) -> None:
        since = self.app.daemon_time - figures.SPANS[self.span] * 86_400 * SECOND
        self.stats = await self.app.feed.call(wire.ShowStats, wire.StatsInfo, since=since)

    def _document(self, width: int) -> Document:
        if self.stats is None:
            return records.detail(None, self.problem, width)
        return figures.stats_document(self.stats, width)

    def draw(self) -> None:
        if not self.query("#look-notice"):
            return
        self.draw_title(((f" of the last {amount(figures.SPANS[self.span], 'day')}", "strong"),))
        self.query_one(TextView).draw((self.stats, self.problem), same=True)

    def action_turn(self) -> None:
        self.span = (self.span + 1) % len(figures.SPANS)
        self.problem = "asking the bastion ..."
        self.action_reload()


SCREENS: dict[str, Callable[[], Screen[None]]] = {
    "policy": PolicyScreen,
    "stats": StatsScreen,
    **{name: partial(RecordsScreen, listing) for name, listing in records.LISTINGS.items()},
}
"""By the name that their key has."""
