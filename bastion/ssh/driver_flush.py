"""Emptying the terminal's input between two commands: what was typed and not read must not reach the next one.

Theory of operation. Only when something was sent to the terminal since the last time. The driver on the target puts the
terminal into raw mode and says so (Flushing), we send a line of random digits, it drops all input up to that line
(Flushed). Another process may read that line off the terminal: it is sent again, and then the flush is repeated, since
one may be left over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bastion import ids
from bastion.gate import frames

FLUSH_SECONDS = 30.0
"""Until a flush ends. It takes milliseconds, unless somebody on the target keeps the terminal."""

TOKEN_SECONDS = 1.0
"""Until the line that ends a flush is sent again: another process may have read it off the terminal."""


class Unflushed(Exception):
    """The terminal's input cannot be emptied, for this reason."""


@dataclass(slots=True)
class _Round:
    """A flush under way."""

    result: asyncio.Future[bool | None]
    """Whether it is clean; None where nobody will tell any more."""
    reports: set[str]
    """Nonces of its reports: the first, and those asked for again."""
    repeated: bool = False
    """A token was sent twice, so one may be left over."""


class Flusher:
    """`expect` as of frames.Marks; `to_control` and `to_terminal` write to these channels."""

    def __init__(
        self,
        expect: Callable[[str, str], None],
        to_control: Callable[[bytes], None],
        to_terminal: Callable[[bytes], None],
    ) -> None:
        self._expect, self._to_control, self._to_terminal = expect, to_control, to_terminal
        self.dirty = False
        """Something was sent to the terminal since it was last empty."""
        self._round: _Round | None = None
        self._tokens: dict[str, str] = {}

    @property
    def works(self) -> bool:
        """A flush is under way."""
        return self._round is not None

    async def flush(self, wanted: Callable[[], bool]) -> None:
        """Drop what was typed and not read, while that is `wanted`; left for the next time where it is stopped. Raises
        Unflushed."""
        while self.dirty and wanted():
            self._round = _Round(asyncio.get_running_loop().create_future(), set())
            self.ask()
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    clean = await self._round.result
            except TimeoutError:
                raise Unflushed("the terminal's input cannot be emptied: something on the target keeps it") from None
            if clean and not self._round.repeated:
                self.dirty = False
            self._round = None
            if clean is None:
                return
            if not clean and wanted():
                raise Unflushed("the terminal's input cannot be emptied: the target has no working stty")

    def ask(self) -> None:
        """Ask for it, or once more where an interrupt may have eaten our line."""
        if self._round is None:
            return
        mark, token, report = ids.nonce(), ids.nonce(), ids.nonce()
        self._expect("F", mark)
        self._expect("W", report)
        self._tokens[mark] = token
        self._round.reports.add(report)
        self._to_control(frames.flush(mark, token, report))

    def flushing(self, mark: str) -> bool:
        """The terminal takes everything as it comes; whether this was asked for."""
        token = self._tokens.pop(mark, None)
        if token is None:
            return False
        self._to_terminal(token.encode() + b"\n")
        if self._round is not None:
            asyncio.get_running_loop().call_later(TOKEN_SECONDS, self._again, self._round, token)
        return True

    def _again(self, flush: _Round, token: str) -> None:
        if not flush.result.done():
            flush.repeated = True
            self._to_terminal(token.encode() + b"\n")
            asyncio.get_running_loop().call_later(TOKEN_SECONDS, self._again, flush, token)

    def flushed(self, report: str, clean: bool) -> None:
        """How it ended."""
        if self._round is not None and report in self._round.reports and not self._round.result.done():
            self._round.result.set_result(clean)

    def stop(self) -> None:
        """The shell that should have told has ended. What was typed may still be there: the terminal stays dirty."""
        if self._round is not None and not self._round.result.done():
            self._round.result.set_result(None)
