"""Setting a variable: which make programs run or load something, and which mean nothing to anybody. Pure.

What counts is the name (facts/table_env.toml), and of a locale's the value, which can change what the next line means.
A name with a subscript is evaluated as arithmetic, where `a[$(cmd)]`
runs (bash(1) ARRAYS). A variable set on its own, whose name no program obeys, changes nothing by itself; what uses it
later is judged as unknown there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any

from bastion.policy.words import UNKNOWN

LOCALE = re.compile(
    r"(?:C(?:\.(?:UTF-?8|utf-?8))?|POSIX|[a-z]{2,3}(?:_[A-Z]{2})?\.(?:UTF-?8|utf-?8)(?:@[a-z]{1,16})?)?", re.ASCII
)
"""Locales in which bytes mean to a shell what they mean here: those of ASCII and UTF-8. In others (GBK, Big5; `zh_TW`
without a codeset is Big5) a backslash or `|` can be the second half of a character, and quotes nothing: bash reads
characters. A name with a codeset is good for that codeset only (glibc, setlocale(3))."""
_LOCALES = re.compile(r"LANG|LC_\w+", re.ASCII)

_SUBSCRIPT = re.compile(r"\w+\[(?:\d+|[@*])\]")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Variables:
    """The table, compiled."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._plain = frozenset(name for name in table["harmless"] if "=" in name)
        self._harmless = _any([name for name in table["harmless"] if "=" not in name])
        self._code = _any(table["code"])

    def action(self, name: str, value: str, *, exported: bool) -> str:
        """The action of setting it, empty for none; `exported`: a program gets it in its environment. UNKNOWN stands
        for what only run time knows."""
        base = name.partition("[")[0].removesuffix("+")
        if UNKNOWN in name or not _NAME.fullmatch(base):
            return "evaluates"
        if _LOCALES.fullmatch(base):
            return "" if base == name and LOCALE.fullmatch(value) else "environment-code"
        if base == "LANGUAGE" and "/" in value:
            return "environment-code"  # a file of messages, which programs take for formats
        if (base == name and self._harmless.fullmatch(base)) or f"{name}={value}" in self._plain:
            return ""
        if self._code.fullmatch(base):
            return "environment-code"
        if "[" in name and not _SUBSCRIPT.fullmatch(name.removesuffix("+")):
            return "evaluates"
        return "environment" if exported else ""


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)")
