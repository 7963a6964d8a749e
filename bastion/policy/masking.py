"""Text that a person is shown, with the secrets in it covered. Pure.

Theory of operation. What is covered stays told apart (P6): instead of a secret stands its kind, its length and a short
keyed hash of it, as a mark of policy/visible.py:

    mysql -u app -p⟨secret mysql-password, 7 bytes, #5d1f09ac⟩ db

Nothing that an agent sends can imitate the mark, since both brackets, where an agent sends them, are shown by name. Two
texts that differ in a secret only differ in the hash (HASH bytes of BLAKE2b under the viewer's own random key, so that
nobody can look for two secrets of equal hash, or try passwords against one on a photographed screen). So the display
stays injective but for a chance of one in 2^32 that nobody can steer. Whoever must read the bytes asks for them: that
is noted in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from bastion.policy.secrets import Finder, Span, finder_of
from bastion.policy.visible import CLOSE, OPEN, fitted, pieces

HASH = 4
"""Bytes of the hash in a mark: eight digits are compared at a glance."""
MASK_LIMIT = 256
"""Marks of one text whose secrets are told apart one by one; what is behind is covered as one."""


class Masks:
    """Covers secrets for one viewer."""

    def __init__(self, key: bytes, finder: Finder | None = None) -> None:
        """`key`: up to 64 random bytes, of this viewer only."""
        self._key, self._finder = key, finder

    def find(self, data: bytes) -> list[Span]:
        """The secrets in `data`."""
        return (self._finder or finder_of()).find(data)

    def mark(self, secret: bytes, name: str) -> str:
        """What stands for a secret."""
        digest = hashlib.blake2b(secret, digest_size=HASH, key=self._key).hexdigest()
        return f"{OPEN}secret {name}, {len(secret)} byte{'' if len(secret) == 1 else 's'}, #{digest}{CLOSE}"

    def visible(self, data: bytes | str, *, newlines: bool = True) -> str:
        """As policy.visible, with secrets covered."""
        return "".join(shown for shown, _ in self._pieces(data, newlines))

    def line(self, data: bytes | str, width: int) -> str:
        """As policy.visible_line, with secrets covered. Never cuts inside a mark."""
        return fitted(self._pieces(data, newlines=False), width)

    def _pieces(self, data: bytes | str, newlines: bool) -> Iterator[tuple[str, int]]:
        raw = _bytes(data)
        at = 0
        for span in self._spans(raw):
            yield from pieces(_text(raw[at : span.start]), newlines, followed=True)
            yield self.mark(raw[span.start : span.end], span.rule.name), span.end - span.start
            at = span.end
        yield from pieces(_text(raw[at:]) if at else data if isinstance(data, str) else _text(data), newlines)

    def _spans(self, raw: bytes) -> list[Span]:
        spans = self.find(raw)
        if len(spans) <= MASK_LIMIT:
            return spans
        rest = spans[MASK_LIMIT - 1 :]
        return [*spans[: MASK_LIMIT - 1], Span(rest[0].start, rest[-1].end, rest[0].rule)]

    def text(self, data: str) -> str:
        """The text as it is but for its secrets: for values of JSON. In a text that is no display a mark can be the
        agent's own, so it says only that something was covered here, and proves nothing."""
        raw, parts, at = _bytes(data), list[str](), 0
        for span in self._spans(raw):
            parts += [_text(raw[at : span.start]), self.mark(raw[span.start : span.end], span.rule.name)]
            at = span.end
        return "".join([*parts, _text(raw[at:])]) if at else data

    def value(self, value: Any) -> Any:
        """The same in every text of a JSON value, but for the names of fields."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(each) for each in value]
            case dict():
                return {name: self._named(str(name), each) for name, each in value.items()}
        return value

    def _named(self, name: str, value: Any) -> Any:
        """A field's value: `{"password": "x"}` says by its name what it is."""
        if not isinstance(value, str) or not value:
            return self.value(value)
        start = len(_bytes(f'{name}: "'))
        found = self.find(_bytes(f'{name}: "{value}"'))
        if any(span.start == start for span in found):
            return self.mark(_bytes(value), found[0].rule.name)
        return self.text(value)


def _bytes(data: bytes | str) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte: as Python's own JSON decoder lets through
        return data.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
