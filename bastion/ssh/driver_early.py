"""What a target says before its shell is ready: start-up files on the terminal, the control program, and what says
instead that there will be no shell. Bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bastion.gate import driver
from bastion.policy.visible import visible_line

EARLY_LIMIT = 1 << 16
"""Bytes that the target's start-up files may print."""

SAID_WIDTH = 300
"""Characters of what the target said instead of starting, in the reason."""


def whole_lines(text: bytes) -> bytes:
    """Without the unfinished line at the end, and the echo of our first one before it."""
    text = text[: text.rfind(b"\n") + 1]
    return text[: text.rfind(b"\n", 0, -1) + 1] if text.rstrip().endswith(driver.UNEDITED.encode()) else text


class Early:
    """Kept until the shell is ready."""

    def __init__(self) -> None:
        self._text = {False: bytearray(), True: bytearray()}
        self._control = bytearray()

    def add(self, data: bytes, *, error: bool) -> bool:
        """On the terminal, or a stream; False where it is too much."""
        text = self._text[error]
        text += data
        if len(text) <= EARLY_LIMIT:
            return True
        del text[EARLY_LIMIT:]
        return False

    def lines(self, *, whole: bool) -> Iterator[tuple[bool, bytes]]:
        """What the start-up files printed; with `whole` without the unfinished line at the end, which is the prompt."""
        for error, early in self._text.items():
            text = bytes(early)
            if whole:
                text = whole_lines(text)
            if text:
                yield error, text

    def control(self, data: bytes, first: str) -> int | None:
        """From the control program: its process id, once its one line says that it has opened the pipe."""
        self._control += data[: EARLY_LIMIT - len(self._control)]
        match = re.search(rb"^K;(\d{39});(\d{1,10})$", bytes(self._control), re.MULTILINE)
        return int(match[2]) if match is not None and match[1].decode() == first else None

    def words(self) -> str:
        """What the target said instead, for people."""
        said = bytes(self._text[False] + self._text[True] + self._control).replace(b"\r", b"").strip()
        return f": {visible_line(said, SAID_WIDTH)}" if said else ""
