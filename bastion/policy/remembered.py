"""Functions of a command's bytes alone, whose answers to short ones are kept. Pure.

Whether it is a transfer, reads code, runs a file: several steps ask the same of the same line, and an agent sends the
same line again and again. What they answer depends on nothing but the line, and is never changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

KEPT = 256
"""Answers of each function. With lines of SHORT they are 256 KiB of each at most; the parse keeps 128 trees."""
SHORT = 512
"""Bytes of a line whose answers are kept; as shell.SHORT."""


def remembered(function: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """It, asked once for a short line while it is among the last KEPT."""
    kept = functools.lru_cache(maxsize=KEPT)(function)

    @functools.wraps(function)
    def answer(command: bytes) -> T:
        return kept(command) if len(command) <= SHORT else function(command)

    return answer
