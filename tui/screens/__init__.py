"""Screens: what is drawn, and which keys act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from textual.screen import Screen

Result = TypeVar("Result")


@runtime_checkable
class Drawn(Protocol):
    """A screen that shows something of the view and can show it anew."""

    def draw(self) -> None:
        """Shows the view as it is now. May be called at any time, also before the screen is there and after."""


def leave(screen: Screen[Result], result: Result | None = None) -> None:
    """Closes a screen that is on top, with its result; one that has been closed already stays so.

    Textual's `dismiss` takes away whatever is on top. Of Enter and Esc in one go both come to a dialog, and the second
    would take the screen under it, until nothing is left but black.
    """
    if screen.is_active:
        screen.dismiss(result)
