"""Something with its secrets: it is asked for with `reveal`, which the bastion notes, shown, and gone with `back`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer

from bastion.control import wire
from tui import keys, revealing
from tui.paper import Document, Parts, Rows, field_rows
from tui.screens.records import Looking
from tui.widgets.bars import Bar
from tui.widgets.text import TextView


class RevealedScreen(Looking, inherit_bindings=False):
    """What one call answers."""

    heading = "REVEALED"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.REVEALED, keys.TEXT)

    def __init__(
        self, call: type[wire.Call], kind: Any, make: Callable[[Any, int], Document], **fields: object
    ) -> None:
        super().__init__()
        self._call, self._kind, self._make, self._fields = call, kind, make, fields
        self._found: Any = None

    def compose(self) -> ComposeResult:
        yield Bar("look-title")
        yield TextView(self.app.view, self._document, "look-text")
        yield Footer(show_command_palette=False)

    async def load(self) -> None:
        self._found = await self.app.feed.call(self._call, self._kind, reveal=True, **self._fields)

    def _document(self, width: int) -> Document:
        if self._found is None:
            return Document([Rows(field_rows("", self.problem, width, "quiet"))])
        return self._make(self._found, width)

    def draw(self) -> None:
        if self.query("#look-title"):
            right: Parts = ((f"{self.problem} ", "warning"),) if self.problem else ()
            self.query_one("#look-title", Bar).draw(((f" {self.heading} ", "alarm"),), right)
            self.query_one(TextView).draw((self._found is None, self.problem), same=True)


def request(info: wire.RequestInfo) -> RevealedScreen:
    """A request."""
    return RevealedScreen(wire.ShowRequest, wire.RequestInfo, revealing.request_document, request=info.id)


def entry(seq: int) -> RevealedScreen:
    """An entry of the ledger."""

    def made(found: list[wire.LedgerLine], width: int) -> Document:
        return revealing.entry_document(found[0], width) if found else Document(())

    return RevealedScreen(wire.ListLedger, list[wire.LedgerLine], made, after=seq - 1, limit=1)
