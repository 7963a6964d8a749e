"""Does a whitelisted pattern, as an approver signed it, match the command that ran? Pure.

A second implementation, apart from the bastion's: the verifier takes nobody's word. A pattern is literal text with
holes:

    tail -n {number} {path below /var/log/nginx}

A hole is a whole word; `{{` and `}}` are literal braces. The text must be equal byte for byte, and what stands in a
hole is a word of its kind, out of characters that no shell gives a meaning to. That is all there is to compare:
nothing is parsed as a shell would, since words of these characters cannot change how the rest is read.

What this cannot check: whether the place of a hole was a wise one. The approver signed the very text of the pattern.
"""

from __future__ import annotations

from recorder.votes import Violation

_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset(b"0123456789")
_ALNUM = _LOWER | _DIGITS | frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PART = _ALNUM | frozenset(b"._+@-")
_WORD = _PART | frozenset(b"/")

KINDS: dict[str, tuple[frozenset[int], frozenset[int], frozenset[int], int, int]] = {
    "number": (_DIGITS, _DIGITS, _DIGITS, 1, 18),
    "unit": (_ALNUM | {95}, _ALNUM | frozenset(b"_.@-"), _ALNUM | frozenset(b"_.@-"), 1, 255),
    "container": (_ALNUM, _ALNUM | frozenset(b"_.-"), _ALNUM | frozenset(b"_.-"), 1, 255),
    "package": (_LOWER | _DIGITS, _LOWER | _DIGITS | frozenset(b"_-"), _LOWER | _DIGITS, 1, 255),
    "host": (_ALNUM, _ALNUM | frozenset(b".-"), _ALNUM, 1, 255),
    "name": (_LOWER | _DIGITS, _LOWER | _DIGITS | frozenset(b".-"), _LOWER | _DIGITS, 1, 255),
    "commit": (_DIGITS | frozenset(b"abcdef"),) * 3 + (7, 40),
}
"""By kind: what a word begins with, consists of and ends with; its least and greatest length."""

PATH_LIMIT = 4080
"""Bytes of a path in a hole."""

Part = bytes | tuple[str, str]
"""Literal text, or a hole: its kind, and the directory that a path is below."""


def parts(text: str) -> list[Part]:
    """A pattern's text and holes in turn, text first and last. Raises Violation."""
    found: list[Part] = []
    literal, rest = "", text
    while rest:
        head, rest = rest[0], rest[1:]
        if head not in "{}":
            literal += head
        elif rest[:1] == head:
            literal, rest = literal + head, rest[1:]
        elif head == "{" and "}" in rest:
            inside, _, rest = rest.partition("}")
            found += [literal.encode(), _hole(inside)]
            literal = ""
        else:
            raise Violation("a whitelist pattern with a brace that stands alone")
    found.append(literal.encode())
    first = found[0]
    if len(found) < 3 or not isinstance(first, bytes) or not first or first.isspace():
        raise Violation("a whitelist pattern without a hole, or with one for the program")
    return found


def _hole(inside: str) -> tuple[str, str]:
    kind, below, directory = inside.partition(" below ")
    if kind == "path" and below and _is_path(directory.encode()):
        return kind, directory
    if kind in KINDS and not below:
        return kind, ""
    raise Violation(f"a whitelist pattern with a hole of an unknown kind: {inside[:60]}")


def matches(text: str, command: bytes) -> bool:
    """Whether the command is one of the pattern's. Raises Violation for what is no pattern."""
    at = 0
    found = parts(text)
    for number, part in enumerate(found):
        if isinstance(part, bytes):
            edges = (number == 0 or not part or part[0] not in _WORD) and (
                number == len(found) - 1 or part.endswith((b" ", b"\t"))
            )
            if not edges:
                raise Violation("a whitelist pattern in which a hole is no whole word")
            if not command.startswith(part, at):
                return False
            at += len(part)
        else:
            end = at
            while end < len(command) and command[end] in _WORD:
                end += 1
            if not _admits(part, command[at:end]):
                return False
            at = end
    return at == len(command)


def _admits(hole: tuple[str, str], word: bytes) -> bool:
    kind, directory = hole
    if kind == "path":
        return word.startswith(directory.encode() + b"/") and len(word) <= PATH_LIMIT and _is_path(word)
    first, inner, last, least, most = KINDS[kind]
    return least <= len(word) <= most and word[0] in first and word[-1] in last and inner.issuperset(word)


def _is_path(word: bytes) -> bool:
    names = word.split(b"/")
    return (
        len(names) > 1
        and names[0] == b""
        and all(name not in (b"", b".", b"..") and _PART.issuperset(name) for name in names[1:])
    )
