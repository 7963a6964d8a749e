"""How somebody wants their console, as a small text: theme, what approves high risk, keys. Pure.

    theme = bastion-light
    confirm = target
    request.approve = f2

One `name = value` a line, the names of client.toml. The bastion keeps the text for `ssh -t bastion@HOST`, where the
client's file is not at hand, and takes it only with its owner's signature: who could map somebody else's keys could
have them approve what they meant to read. Here only the form is checked; which keys and themes there are, the console
knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINES_LIMIT = 200
"""Lines; the console has about 120 keys."""
TEXT_LIMIT = 4096
"""Characters: it stands in a ledger entry (16 KiB) twice, beside its signature."""

NAME = re.compile(r"[a-z]{1,20}(?:\.[a-z_]{1,30})?", re.ASCII)
VALUE = re.compile(r"[!-~](?:[ -~]{0,78}[!-~])?", re.ASCII)
"""Printable ASCII: names of keys and themes are."""


class PreferencesError(ValueError):
    """The text is not of that form."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """One person's."""

    theme: str = ""
    """Empty: the console's own."""
    confirm: str = ""
    """`key` or `target`; empty: the console's own."""
    keys: tuple[tuple[str, str], ...] = ()
    """(id, keys), by id."""

    @property
    def keymap(self) -> dict[str, str]:
        """Keys by id, as the console takes them."""
        return dict(self.keys)

    def text(self) -> str:
        """In its one canonical form."""
        rows = [("theme", self.theme), ("confirm", self.confirm), *self.keys]
        return "".join(f"{name} = {value}\n" for name, value in rows if value)


def parse(text: str) -> Preferences:
    """What the text says. Raises PreferencesError."""
    if len(text) > TEXT_LIMIT or text.count("\n") > LINES_LIMIT:
        raise PreferencesError(f"more than {TEXT_LIMIT} characters or {LINES_LIMIT} lines")
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = (part.strip(" ") for part in line.partition("="))
        if not line.strip(" "):
            continue
        if not equals or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise PreferencesError(f"line {number} is not `name = value`, such as request.approve = f2")
        if "." not in name and name not in ("theme", "confirm"):
            raise PreferencesError(f"line {number}: {name} is neither theme nor confirm nor the id of a key")
        if name in found:
            raise PreferencesError(f"line {number}: {name} stands there twice")
        found[name] = value
    theme, confirm = found.pop("theme", ""), found.pop("confirm", "")
    if confirm not in ("", "key", "target"):
        raise PreferencesError("confirm is key or target")
    return Preferences(theme, confirm, tuple(sorted(found.items())))
