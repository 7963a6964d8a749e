"""`client.toml`: which bastion a person's tools lead to and with which key, and how the console looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bastion.settings import Key

CLIENT_FILE = "client.toml"


class _Unread(dict[str, "Key"]):
    """A section that only the console reads: its names are known where Textual is, which takes a while to load."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Key:
        from bastion.settings import Key, text

        return Key(f"keys.{name}", "", text)


def read(path: Path, sections: dict[str, dict[str, Key]] | None = None) -> dict[str, str]:
    """`client.toml`, empty if there is none. Raises ConfigError."""
    from bastion import settings

    if not path.exists():
        return {}
    text, _ = settings.read_file(path)
    return settings.read(text, path, {"": client_keys(), "keys": _Unread(), **(sections or {})})


def console_look() -> tuple[str, dict[str, str], str]:
    """Theme, keys and `confirm` of the console, as client.toml has them. Raises ConfigError."""
    from bastion import config

    found = read(config.xdg() / CLIENT_FILE, {"keys": console_keys()})
    mapped = {id: found[key.field] for id, key in console_keys().items() if found.get(key.field)}
    return found.get("theme", ""), mapped, found.get("confirm", "")


def console_keys() -> dict[str, Key]:
    """The keys of client.toml's section [keys]: one for each key of the console."""
    from bastion.settings import Key, text
    from tui.keys import GROUPS

    return {key.id: Key(f"keys.{key.id}", "", text) for _, group in GROUPS for key in group}


def client_keys() -> dict[str, Key]:
    """The keys of client.toml."""
    from bastion.settings import Key, Wrong, parse_listen, text

    def one_of(*words: str) -> Callable[[object], str]:
        def check(value: object) -> str:
            if value not in words:
                raise Wrong(" or ".join(filter(None, words)))
            return text(value)

        return check

    def bastion(value: object) -> str:
        try:
            parse_listen(text(value))
        except ValueError as error:
            if value != "":
                raise Wrong(str(error)) from None
        return text(value)

    return {
        "bastion": Key("bastion", "", bastion),
        "key": Key("key", "", text),
        "host_key": Key("host_key", "", text),
        "theme": Key("theme", "", text),
        "confirm": Key("confirm", "", one_of("", "key", "target")),
    }
