"""Our two themes. Textual's others work too, and `ansi-dark` and `ansi-light` use the terminal's own sixteen colours.

Few colours, each with one meaning: red is danger or an end, amber asks for care, green went well, blue is where you
are. Every one of them repeats a word.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="bastion-dark",
    dark=True,
    primary="#5fafff",
    secondary="#87afd7",
    accent="#5fd7d7",
    foreground="#d7dae0",
    background="#14171c",
    surface="#1b1f26",
    panel="#262c36",
    success="#87d787",
    warning="#ffc861",
    error="#ff6e67",
)
LIGHT = Theme(
    name="bastion-light",
    dark=False,
    primary="#0050b3",
    secondary="#3b5b7f",
    accent="#006c75",
    foreground="#1f2329",
    background="#fbfbfa",
    surface="#f0f0ee",
    panel="#e0e2e5",
    success="#1d6b1f",
    warning="#8a5300",
    error="#b3201a",
)
THEMES = (DARK, LIGHT)
