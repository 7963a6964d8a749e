"""Screens: what is drawn, and which keys act on it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Drawn(Protocol):
    """A screen that shows something of the view and can show it anew."""

    def draw(self) -> None:
        """Shows the view as it is now. May be called at any time, also before the screen is there and after."""
