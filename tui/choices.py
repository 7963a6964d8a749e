"""What somebody may choose of the console: which themes, keys and ways to confirm there are. Pure."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES

from bastion import errors
from bastion.control.preferences import Preferences
from bastion.covering import visible_line
from tui import keys
from tui.themes import THEMES


def known_theme(theme: str) -> str:
    """The theme, if there is one of that name; empty is none. Raises UsageError."""
    known = {*BUILTIN_THEMES, *(own.name for own in THEMES)}
    if theme and theme not in known:
        raise errors.UsageError(f"no theme {visible_line(theme, 40)}", f"one of {', '.join(sorted(known))}")
    return theme


def typed(confirm: str) -> bool:
    """Whether high risk takes the target's name, typed, by the word of a configuration. Raises UsageError."""
    if confirm not in ("", "key", "target"):
        raise errors.UsageError(f"confirm is {visible_line(confirm, 40)}", "key or target")
    return confirm == "target"


def check_look(wanted: Preferences) -> None:
    """Raises UsageError for keys, a theme or a `confirm` that this console does not know."""
    keys.checked(wanted.keymap)
    known_theme(wanted.theme)
    typed(wanted.confirm)
