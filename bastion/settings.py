"""TOML files whose keys stand in a table: each with its default and the check that its value passes. Pure but for
`read_file`.

Nothing is guessed: a key that is not in the table, a value of another type or out of its range, and broken TOML are
ConfigErrors with line and column.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastion.errors import ConfigError
from bastion.toml import Place, PlaceError, place_of, places

FILE_LIMIT = 1 << 20
"""Bytes of a configuration file; one that is written by hand has a few hundred."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Wrong(ValueError):
    """A value does not pass; the message says what would."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file."""

    field: str
    """Of Config."""
    default: Any
    """As it would be written in the file."""
    check: Callable[[object], Any]
    """The value for Config, or Wrong."""


# --- values ---------------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> int:
    """Seconds of `30s`, `10m`, `8h` or `7d`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text, re.ASCII)
    if match is None:
        raise ValueError("a time is a whole number and s, m, h or d: 30s, 10m, 8h, 7d")
    return int(match[1]) * _UNITS[match[2]]


def parse_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT`; port 0 takes any free one. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text, re.ASCII)
    if match is None or int(match[3]) > 65535:
        raise ValueError("HOST:PORT or [IPv6]:PORT, with a port of 65535 at most")
    return match[1] or match[2], int(match[3])


def text(value: object) -> str:
    """A check: any text."""
    if not isinstance(value, str):
        raise Wrong("a text in quotes")
    return value


def between(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Wrong(f"a whole number from {least} to {most}")
        return value

    return check


def mebibytes(least: int, most: int) -> Callable[[object], int]:
    """A check: so many MiB, as bytes."""
    check = between(least, most)
    return lambda value: check(value) << 20


def lasting(least: str, most: str) -> Callable[[object], float]:
    def check(value: object) -> float:
        try:
            seconds = parse_duration(text(value))
        except ValueError:
            raise Wrong(f'a time from "{least}" to "{most}"') from None
        if not parse_duration(least) <= seconds <= parse_duration(most):
            raise Wrong(f'a time from "{least}" to "{most}"')
        return float(seconds)

    return check


# --- files ----------------------------------------------------------------------------------------------------------


def read_file(path: Path) -> tuple[str, str]:
    """Text and SHA-256 (hex) of a configuration file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from None
    if len(data) > FILE_LIMIT:
        raise ConfigError(str(path), f"longer than {FILE_LIMIT} bytes")
    try:
        return data.decode("utf-8"), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        place = place_of(before, len(before))
        raise ConfigError(str(path), "not UTF-8", line=place.line, column=place.column) from None


def read(text: str, path: Path, keys: Mapping[str, Mapping[str, Key]]) -> dict[str, Any]:
    """Values by field, defaults filled in. `keys` is by section; the section "" is the top of the file.

    Raises ConfigError with line and column.
    """
    try:
        document = tomllib.loads(text)
        found = places(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), text, path) from None
    except (RecursionError, PlaceError):
        raise ConfigError(str(path), "nested too deeply") from None

    def wrong(names: tuple[str, ...], message: str, hint: str = "") -> ConfigError:
        place = found.get(names, Place(0, 0))
        return ConfigError(str(path), message, line=place.line, column=place.column, hint=hint)

    def take(names: tuple[str, ...], key: Key, value: object) -> None:
        try:
            values[key.field] = key.check(value)
        except Wrong as error:
            raise wrong(names, f"{names[-1]} must be {error}") from None

    values: dict[str, Any] = {}
    top = keys.get("", {})
    for section, content in document.items():
        if section in top:
            take((section,), top[section], content)
        elif section not in keys or not section:
            what = f"unknown section [{section}]" if isinstance(content, dict) else f"unknown key {section}"
            raise wrong((section,), what, _nearest(section, [*top, *filter(None, keys)]))
        elif not isinstance(content, dict):
            raise wrong((section,), f"[{section}] is a section, not a value")
        else:
            for name, value in content.items():
                if name not in keys[section]:
                    hint = _nearest(name, keys[section])
                    raise wrong((section, name), f"unknown key {name} in [{section}]", hint)
                take((section, name), keys[section][name], value)
    for section_keys in keys.values():
        for key in section_keys.values():
            values.setdefault(key.field, key.check(key.default))
    return values


def _syntax(message: str, text: str, path: Path) -> ConfigError:
    """tomllib names the place within its message only (attributes came with Python 3.14)."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return ConfigError(str(path), message)
    place = Place(int(match[2]), int(match[3])) if match[2] else place_of(text, len(text))
    words = match[1][:1].lower() + match[1][1:]
    return ConfigError(str(path), words, line=place.line, column=place.column)


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
