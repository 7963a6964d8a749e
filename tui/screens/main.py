"""The screen that is open all day: the lists, and the full text of what is selected.

It draws the view; the keys that decide are in `screens/dealing.py`. Nothing can be focused but the filter, so that
every key means the same wherever the eye is.
"""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import Footer, Input

from bastion.control import wire
from tui import columns, keys, lines
from tui.documents import empty_document, request_document, session_document
from tui.items import Item
from tui.order import Pane
from tui.paper import Document, Parts
from tui.screens import revealed
from tui.screens.dealing import Dealing
from tui.screens.records import SCREENS
from tui.widgets.bars import Bar
from tui.widgets.rows import RowList
from tui.widgets.text import TextView
from tui.words import amount, cell

NOTHING = {
    Pane.QUEUE: ("Nothing is held.", "A request that needs you appears here and rings the bell."),
    Pane.SESSIONS: ("No sessions.",),
    Pane.DECIDED: ("Nothing was decided lately.",),
}
NOTHING_MATCHES = ("Nothing here matches the filter.", "Esc clears it.")


class MainScreen(Dealing, inherit_bindings=False):
    """Lists and text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings(keys.DECIDE, keys.LISTS, keys.SCREENS, keys.TEXT, keys.CONSOLE),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Pane, str] | None = None
        """What the text was about when it was last drawn."""
        self._left_at = float("inf")
        """When another screen was laid over this one."""
        self._offered = (False, False)
        """Whether the footer has the second key, and the one that clears the filter."""

    def compose(self) -> ComposeResult:
        view = self.app.view
        yield Bar("status")
        yield Bar("tabs")
        with Container(id="body"):
            with Vertical(id="lists"):
                for pane in Pane:
                    with Vertical(id=f"pane-{pane}", classes="pane"):
                        yield Bar(f"caption-{pane}")
                        yield Bar(f"columns-{pane}")
                        yield RowList(view, pane)
            with Vertical(id="detail"):
                yield Bar("headline")
                yield TextView(view, self._document, "text")
        yield Bar("notice")
        yield Input(placeholder="filter: words, agent:, target:, risk:, -not ...", id="filter", disabled=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self.watch(self.query_one(TextView), "scroll_y", self._notice, init=False)
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def on_screen_suspend(self) -> None:
        self._left_at = self.app.clock()

    def on_screen_resume(self) -> None:
        """Something lay over this screen: what changed under it is new to the person only now."""
        guard = self.app.view.guard
        if guard.changed >= self._left_at:
            guard.display_changed(self.app.clock())
        self.call_after_refresh(self.draw)

    # --- drawing

    def draw(self) -> None:
        """Draws the view as it is now."""
        if not self.query("#notice"):
            return  # not composed yet, or being taken down
        view, now, wall = self.app.view, self.app.clock(), self.app.daemon_time
        self.query_one("#status", Bar).draw(
            *lines.status(
                self.app.bastion_title,
                self.app.link,
                len(view.held),
                view.hidden,
                now,
                view.barred,
                self.app.frozen,
                self.app.silent,
                beside=lines.others(view.watching),
            )
        )
        self.query_one("#tabs", Bar).draw(*lines.tabs(view))
        for pane in Pane:
            self.set_class(view.pane is pane, f"-pane-{pane}")
            self.query_one(f"#caption-{pane}", Bar).draw(*lines.caption(view, pane))
            rows = self.query_one(f"#rows-{pane}", RowList)
            if rows.size.width:
                self.query_one(f"#columns-{pane}", Bar).draw(((columns.header(pane, rows.size.width), "label"),))
                rows.draw(wall)
        headline = self.query_one("#headline", Bar)
        same = len(view.identical(view.current)) if isinstance(view.current, Item) and view.current.held else 0
        key = keys.spelled(self.app.key_of("request.identical"))
        headline.draw(*lines.headline(view.current, wall, headline.size.width, same, key))
        text = self.query_one(TextView)
        shown = (view.pane, view.selected(view.pane))
        known = view.backgrounds.get(view.current.id) if view.current else None
        text.draw((view.current, known, view.filter.text, view.pane), same=shown == self._shown)
        self.app.ask_background()
        self._shown = shown
        self._notice()
        offered = (self.armed() is not None, self._filtering())
        if offered != self._offered:  # the footer is made anew by this: not on every tick
            self._offered = offered
            self.refresh_bindings()

    def _document(self, width: int) -> Document:
        view = self.app.view
        match view.current:
            case Item() as item:
                return request_document(item, width, view.backgrounds.get(item.id), self.app.daemon_time)
            case wire.SessionInfo() as session:
                return session_document(session, width)
            case _:
                return empty_document(NOTHING_MATCHES if view.filter.terms else NOTHING[view.pane], width)

    def _notice(self) -> None:
        """The row above the keys: the armed question, else what was told last; at the right what is still to read."""
        if not self.query("#notice"):
            return
        notice, now = self.query_one("#notice", Bar), self.app.clock()
        text = self.query_one(TextView)
        below, rest = text.below, text.rest
        right: Parts = ()
        if below:
            right = ((f" {amount(below, 'more row')} below: Space ", "warning"),)
        elif rest:
            right = ((f" {amount(rest, 'row')} about it below: Space ", "quiet"),)
        if (item := self.armed()) is not None:
            where = f"{cell(item.info.login, 16)}@{cell(item.info.target, 20)}"
            words = f" APPROVE {cell(item.id, 12)} on {where}? {self.app.armed_why}: y = yes, any other key = no"
            notice.draw(((words, "alarm"),), (), "alarm")
            return
        told = self.app.told if now - self.app.told_at < self.app.TOLD_SECONDS else None
        left: Parts = ((f" {told.words}", told.style),) if told else ()
        if told and not below and sum(len(words) for words, _ in left + right) > self.size.width:
            right = ()  # what has just happened matters more than that there is more to read about it
        notice.draw(left, right)

    def armed(self) -> Item | None:
        """The request that awaits a second key."""
        view = self.app.view
        current = view.current
        if isinstance(current, Item) and view.guard.armed(current.id, current.digest, self.app.clock()):
            return current
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The second key exists only while it is asked for, Esc while there is a filter; all else always does."""
        if action == "confirm":
            return self.armed() is not None
        return self._filtering() if action == "clear_filter" else True

    # --- moving

    def action_move(self, steps: int) -> None:
        self.app.view.move(steps, self.app.pressed)
        self.draw()

    def action_pane(self, pane: str) -> None:
        self.app.view.show(Pane(pane), self.app.pressed)
        self.draw()

    def action_pane_step(self, steps: int) -> None:
        panes = list(Pane)
        self.action_pane(panes[(panes.index(self.app.view.pane) + steps) % len(panes)])

    def action_order(self) -> None:
        self.app.view.cycle_order(self.app.pressed)
        self.draw()

    def action_page(self, pages: int) -> None:
        self.query_one(TextView).page(pages)

    def action_line(self, rows: int) -> None:
        self.query_one(TextView).line(rows)

    def action_edge(self, end: int) -> None:
        self.query_one(TextView).edge(end)

    @on(RowList.Picked)
    def picked(self, event: RowList.Picked) -> None:
        event.stop()
        self.app.view.select(event.pane, event.row, self.app.moment(event.time_pressed))
        self.draw()

    # --- the filter

    def _filtering(self) -> bool:
        """A filter is in force or being typed."""
        return bool(self.app.view.filter.terms) or (bool(self.query("#filter")) and self.query_one(Input).display)

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.disabled, field.display = False, True
        self.query_one("#notice", Bar).display = False
        field.focus()
        self.draw()

    @on(Input.Changed, "#filter")
    def filtered(self, event: Input.Changed) -> None:
        event.stop()
        self.app.view.set_filter(event.value, self.app.clock())
        self.draw()

    @on(Input.Submitted, "#filter")
    def filter_kept(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_filter()

    def action_clear_filter(self) -> None:
        """Whether it is being typed or not."""
        self.query_one(Input).value = ""
        self._close_filter()

    def _close_filter(self) -> None:
        field = self.query_one(Input)
        field.disabled, field.display = True, False
        self.query_one("#notice", Bar).display = True
        self.set_focus(None)
        self.draw()

    # --- other screens

    def action_open(self, name: str) -> None:
        self.app.push_screen(SCREENS[name]())

    def action_watch(self) -> None:
        current = self.app.view.current
        session = current.info.session if isinstance(current, Item) else current.id if current else ""
        if not session:
            self.app.tell("no session is selected", "warning")
            self.draw()
        else:
            self.app.watch_session(session)

    def action_replay(self) -> None:
        current = self.app.view.current
        session = current.info.session if isinstance(current, Item) else current.id if current else ""
        if not session:
            self.app.tell("no session is selected", "warning")
            self.draw()
        else:
            self.app.replay_session(session, current.id if isinstance(current, Item) else "")

    def action_reveal(self) -> None:
        current = self.app.view.current
        if isinstance(current, Item):
            self.app.push_screen(revealed.request(current.info))
        else:
            self.app.tell("no request is selected; v plays a session, and R reveals there", "warning")
            self.draw()

    def action_help(self) -> None:
        self.app.show_help()

    def action_reconnect(self) -> None:
        self.app.feed.hurry()

    def action_preferences(self) -> None:
        if self.app.view.barred or not self.app.feed.me:
            self.app.tell(f"nothing can be kept: {self.app.view.barred or 'not connected'}", "warning")
            self.draw()
        else:
            self.app.edit_preferences()

    def action_theme(self) -> None:
        self.app.next_theme()
        self.draw()
