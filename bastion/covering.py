"""What people are shown, with secrets covered: `visible` and `visible_line` as policy.visible has them.

The console, the command line and notifications show what came from elsewhere through these two. The key of the marks
(policy/masking.py) is made by chance when this process first covers something: it is the one value that lives here and
not with whoever builds the program, because a text that is shown in some forgotten place must be covered there too.

`revealing` lets texts through as they are, for a verb or view whose caller asked for that; whoever asks, asks the
daemon too, which notes it in the ledger (control/viewing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import uuid4

from bastion.policy import visible as plain
from bastion.policy.masking import Masks
from bastion.policy.secrets import overwrite

LEAST = 8
"""Characters of a text in which a secret can stand with what says that it is one."""

_open: list[bool] = []


@cache
def masks() -> Masks:
    """This process's."""
    return Masks(uuid4().bytes + uuid4().bytes)


@contextmanager
def revealing(yes: bool = True) -> Iterator[None]:
    """Inside, `visible` and `visible_line` cover nothing, if `yes`."""
    if yes:
        _open.append(True)
    try:
        yield
    finally:
        if yes:
            _open.pop()


def visible(data: bytes | str, *, newlines: bool = True) -> str:
    """As policy.visible, with secrets covered."""
    if _open or len(data) < LEAST:
        return plain.visible(data, newlines=newlines)
    return masks().visible(data, newlines=newlines)


def describe(data: bytes | str) -> plain.Visible:
    """As policy.visible, with secrets covered."""
    return replace(plain.describe(data), text=visible(data))


def visible_line(data: bytes | str, width: int) -> str:
    """As policy.visible_line, with secrets covered."""
    if _open or len(data) < LEAST:
        return plain.visible_line(data, width)
    return masks().line(data, width)


def overwritten(data: bytes) -> bytes:
    """The same number of bytes, with stars for secrets: where the bytes have to be some of a command."""
    return data if _open or len(data) < LEAST else overwrite(data)


def text(data: str) -> str:
    """The text as it is but for its secrets; for values of JSON."""
    return data if _open or len(data) < LEAST else masks().text(data)


def value(data: Any) -> Any:
    """The same in all texts of a JSON value."""
    return data if _open else masks().value(data)
