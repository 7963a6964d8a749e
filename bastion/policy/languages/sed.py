"""sed: the small part of its language that matters. Pure.

It answers `run-code` where it loses the thread. POSIX sed and GNU's commands `e w W` (sed(1), GNU sed 4.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bastion.policy.languages import Act, Lost


def sed(script: str) -> list[Act]:
    """What a sed script does beside editing the stream (GNU sed 4.9)."""
    try:
        return list(_sed(script))
    except (Lost, IndexError):
        return [("run-code", "a sed script that cannot be followed")]


_SIMPLE = frozenset("=dDgGhHnNpPxzF")

_TEXT = frozenset("aic")

_LABEL = frozenset(":btT")


def _sed(script: str) -> Iterator[Act]:  # noqa: PLR0912, PLR0915 - one scan, a case a command
    at, size = 0, len(script)
    while at < size:
        char = script[at]
        if char in " \t\n;{}":
            at += 1
            continue
        if char == "#":
            end = script.find("\n", at)
            at = size if end < 0 else end
            continue
        at = _addresses(script, at)
        if at >= size:
            raise Lost
        command = script[at]
        at += 1
        if command in "{}" or command in _SIMPLE:
            continue
        if command in "qQlL":
            at = _skip(script, at, " \t0123456789")
        elif command in _LABEL:
            at = _label(script, at, closing=command != ":")
        elif command in _TEXT:
            at = _text(script, at)
        elif command in "rR":
            end = _find(script, at, "\n")
            yield "read", script[at:end].strip()
            at = end
        elif command in "wW":
            end = _find(script, at, "\n")
            yield from _written(script[at:end].strip())
            at = end
        elif command == "y":
            delimiter = script[at]
            at = _delimited(script, at + 1, delimiter, plain=True)
            at = _delimited(script, at, delimiter, plain=True)
        elif command == "s":
            delimiter = script[at]
            at = _delimited(script, at + 1, delimiter)
            at = _delimited(script, at, delimiter, plain=True)
            while at < size and script[at] not in " \t\n;}#":
                flag = script[at]
                at += 1
                if flag == "e":
                    yield "run-code", "what a sed substitution makes"
                elif flag == "w":
                    end = _find(script, at, "\n")
                    yield from _written(script[at:end].strip())
                    at = end
                elif flag not in "gpiImM0123456789":
                    raise Lost
        elif command == "e":
            yield "run-code", "a command of a sed script"
            at = _find(script, at, "\n")
        else:
            raise Lost


def _written(name: str) -> Iterator[Act]:
    if name not in ("/dev/stdout", "/dev/stderr"):
        yield "write", name


def _addresses(script: str, at: int) -> int:
    for _ in range(2):
        at = _address(script, at)
        at = _skip(script, at, " \t")
        if script[at : at + 1] != ",":
            break
        at = _skip(script, at + 1, " \t+~")
    return _skip(script, at, " \t!")


def _address(script: str, at: int) -> int:
    char = script[at : at + 1]
    if char.isdigit() or char == "$":
        return _skip(script, at, "0123456789$~")
    if char in ("/", "\\"):
        delimiter = char
        if char == "\\":
            at += 1
            delimiter = script[at]
        at = _delimited(script, at + 1, delimiter)
        return _skip(script, at, "IM")
    return at


def _delimited(script: str, at: int, delimiter: str, *, plain: bool = False) -> int:
    """Behind the next delimiter that is not escaped. One inside brackets is left to a person, but for `plain` text."""
    if delimiter in "\\\n":
        raise Lost
    bracket = False
    while at < len(script):
        char = script[at]
        if char == "\\":
            at += 2
            continue
        if char == "[" and not bracket and not plain:
            bracket = True
        elif char == "]" and bracket:
            bracket = False
        elif char == delimiter:
            if bracket:
                raise Lost
            return at + 1
        at += 1
    raise Lost


_LABELLED = re.compile(r"[ \t]*(?:[\w.-]+[ \t]*)?", re.ASCII)


def _label(script: str, at: int, *, closing: bool) -> int:
    """Behind a label and the blanks that end it. GNU takes what follows a blank for the next command, without a `;`."""
    match = _LABELLED.match(script, at)
    end = match.end() if match else at
    if script[end : end + 1] not in ("", "\n", ";") and not (closing and script[end] == "}"):
        raise Lost
    return end


def _text(script: str, at: int) -> int:
    """The text of `a`, `i`, `c`: to the end of the line that does not end in a backslash. Of two, the one quotes the
    other, and the text ends; which of more is which depends on what stands before them."""
    while True:
        end = _find(script, at, "\n")
        if end >= len(script) or script[end - 1] != "\\":
            return end
        if script[end - 2] == "\\":
            raise Lost
        at = end + 1


def _find(script: str, at: int, signs: str) -> int:
    while at < len(script) and script[at] not in signs:
        at += 1
    return at


def _skip(script: str, at: int, signs: str) -> int:
    while at < len(script) and script[at] in signs:
        at += 1
    return at
