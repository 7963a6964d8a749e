"""Several identical requests approved by one act: which they are, and how that is said. Pure.

Theory of operation. The set is fixed when the dialog opens: what comes later is not in it, however alike it is, and
what ends meanwhile falls out of it. Identical is what control/identical.py computes here, when a request is first seen.
Each gets a vote of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bastion.control.identical import MOST
from tui.items import Item
from tui.words import amount, cell, countdown, duration, ending


@dataclass(frozen=True, slots=True)
class Bulk:
    """The set."""

    items: tuple[Item, ...]
    """The one on display first."""
    beyond: int = 0
    """Identical ones that are left out, because there are too many for one act."""

    def now(self, known: Mapping[str, Item]) -> tuple[Item, ...]:
        """They, as they stand."""
        return tuple(known.get(item.id, item) for item in self.items)

    def rows(self, known: Mapping[str, Item], now: int) -> str:
        """One row a request. `now` is the bastion's time."""
        return "\n".join(_row(item, now) for item in self.now(known))


def gather(item: Item, others: tuple[Item, ...]) -> Bulk:
    """The one on display with as many of the others as one act may take."""
    room = MOST - 1
    return Bulk((item, *others[:room]), max(0, len(others) - room))


def _row(item: Item, now: int) -> str:
    info = item.info
    if item.trouble:
        return f"{cell(info.id, 12)}  TAMPERED: left out"
    if not item.held:
        return f"{cell(info.id, 12)}  {ending(info) or 'gone'}: left out"
    votes = f"  {len(info.votes)} of {amount(info.approvals, 'approval')}" if info.approvals > 1 else ""
    left = countdown(info.expires - now)
    return (
        f"{cell(info.id, 12)}  asked {duration(now - info.created)} ago, {left} left  {cell(info.session, 20)}{votes}"
    )
