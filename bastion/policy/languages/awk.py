"""awk: the small part of its language that matters. Pure.

It answers `run-code` where it loses the thread. POSIX awk and gawk's `system`, pipes, redirections, `getline`, `@load`,
indirect calls (gawk(1)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bastion.policy.languages import Act, Lost

_AWK = re.compile(
    r"""(?P<blank>[ \t\r\\]+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<number>0x[0-9a-fA-F]+|[0-9.]+(?:[eE][-+]?\d+)?)
      |(?P<name>@?[A-Za-z_]\w*)|(?P<sign>\|&|\|\||&&|>>|[-+*/%^=!<>]=|\+\+|--|\*\*|[-+*%^!<>|?:=(){}\[\],;$~&\n@/])""",
    re.VERBOSE | re.DOTALL,
)

_AWK_DANGER = {
    "system": "run-code", "getline": "", "close": "", "fflush": "", "@load": "load-library", "@include": "run-script",
    "@namespace": "",
}  # fmt: skip

_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:\^?\]?)(?:[^\]\\\n]|\\.)*\])*/")


def awk(program: str) -> list[Act]:
    """What an awk program does beside printing: runs commands, writes files, loads code."""
    try:
        return list(_awk(program))
    except Lost:
        return [("run-code", "an awk program that cannot be followed")]


def _awk(program: str) -> Iterator[Act]:  # noqa: PLR0912, PLR0915 - one scan, a case a token
    at, size = 0, len(program)
    operand = False
    depth = 0
    printing = -1
    while at < size:
        if program[at] == "/" and not operand:
            regex = _REGEX.match(program, at)
            if regex is None:
                raise Lost
            at, operand = regex.end(), True
            continue
        match = _AWK.match(program, at)
        if match is None:
            raise Lost
        kind, text = match.lastgroup, match[0]
        start, at = at, match.end()
        if kind == "blank":
            continue
        if kind == "name":
            if _AWK_DANGER.get(text):
                yield _AWK_DANGER[text], f"a command of an awk program ({text})"
            if text.startswith("@") and text not in _AWK_DANGER:
                yield "run-code", "an indirect call of an awk program"
            if text in ("ARGV", "ARGC"):
                yield "unknown-input", "files that an awk program names"
            if text == "getline" and program[:start].rstrip().endswith("|"):
                yield "run-code", "a command of an awk program"
            if text == "getline":
                yield from _getline(program[at:])
            if text in ("print", "printf"):
                printing = depth
            operand = text not in ("print", "printf", "return", "in", "case", "do", "else", "delete", "exit")
        elif kind in ("string", "number"):
            operand = True
            if text.startswith(('"/', '"~')):
                yield "read", text[1:-1]  # it may be opened by getline
        elif text == "/" and operand and _after_parenthesis(program, start):
            raise Lost
        else:
            if text in ("(", "[", "{"):
                depth += 1
            elif text in (")", "]", "}"):
                depth -= 1
            if text in (";", "}"):  # not a newline: behind a comma or a backslash the statement goes on
                printing = -1
            if text in ("|", "|&"):
                yield "run-code", "a command of an awk program"
            if text in (">", ">>") and printing >= 0 and depth <= printing:
                target = re.match(r'\s*"([^"\\]*)"\s*(?=[;}\n]|$)', program[at:])
                if target is not None and target[1] == "/dev/stderr":
                    yield "plain-effect", "standard error of an awk program"
                elif target is None or target[1] not in ("/dev/stdout", "/dev/null"):
                    yield "write", target[1] if target else "a file named by an awk program"
            operand = text in (")", "]", "$", "++", "--")
            if text == "$":
                operand = False


def _getline(rest: str) -> Iterator[Act]:
    """`getline x < FILE`: a file that only run time knows can be a secret, and gawk's `/inet/` is the network."""
    source = re.match(r"\s*(?:[A-Za-z_]\w*|\$\w+)?\s*<\s*(.*)", rest, re.DOTALL)
    if source is None:
        return
    literal = re.match(r'"([^"\\]*)"\s*(?=[;)}\n]|$)', source[1])
    if literal is None:
        yield "unknown-input", "a file named by an awk program"
    elif literal[1].startswith("/inet"):
        yield "connect", literal[1]


def _after_parenthesis(program: str, at: int) -> bool:
    """After `)` a slash may divide or begin an expression; only a grammar could tell."""
    return program[:at].rstrip(" \t").endswith(")")
