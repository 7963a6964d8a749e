"""Whether a line of a governed shell can run beside that shell, in a process of its own. Pure.

Theory of operation. What policy or the whitelist allows was judged by its words, and a shell can make something else of
them: aliases, functions, PATH, traps. So such a line does not run in the shell at all, but as a command of its own in
the shell's directory, where words mean what they always do. That is right only for a line that asks nothing of the
shell and leaves nothing in it: constant words, no variable, no function, no builtin that changes the shell, nothing in
the background. For all others a person decides.

`cd` is the exception that a shell cannot do without: it changes nothing but the directory. It runs in the shell where
the shell itself says that the word is its builtin and that no trap is set.
"""

from __future__ import annotations

import shlex

from bastion.policy.shell import Block, BlockKind, Command, Node, Parsed, Pipeline, parse
from bastion.policy.words import Word

_BUILTINS = (
    ". : alias bg bind break builtin caller case cd command compgen complete compopt continue coproc declare dirs "
    "disown enable eval exec exit export fc fg getopts hash history jobs kill let local logout mapfile popd pushd read "
    "readarray readonly return select set shift shopt source suspend times trap type typeset ulimit umask unalias "
    "unset wait"
)
KEPT = frozenset(_BUILTINS.split())
"""Builtins (bash(1), SHELL BUILTIN COMMANDS) that look at the shell, or leave something in it."""

_PLACES = frozenset({BlockKind.LIST, BlockKind.NEGATION})


def aside(command: bytes) -> bool:
    """Whether the line means the same outside its shell, and leaves nothing behind in it."""
    parsed = parse(command)
    return (
        isinstance(parsed, Parsed)
        and not parsed.functions
        and not _background(command)
        and bool(parsed.root.parts)
        and _node(parsed.root)
    )


def there(cwd: str, command: bytes) -> bytes:
    """What is sent to run it: the line behind a change to the shell's directory."""
    return f"cd {shlex.quote(cwd)} || exit 125\n".encode() + command


def changes_directory(command: bytes) -> bool:
    """Whether the line is `cd`, with a constant directory at most."""
    parsed = parse(command)
    if not isinstance(parsed, Parsed) or parsed.functions or _background(command) or len(parsed.root.parts) != 1:
        return False
    only = parsed.root.parts[0]
    if not isinstance(only, Command) or only.assignments or only.redirects or not 1 <= len(only.words) <= 2:
        return False
    return only.words[0].raw == "cd" and all(_constant(word) for word in only.words)


def _background(command: bytes) -> bool:
    """An `&` that is not one of `&&`, `>&`, `&>` or `<&`, quoted ones too: the parsed line does not tell."""
    rest = command
    for pair in (b"&&", b">&", b"&>", b"<&"):
        rest = rest.replace(pair, b"")
    return b"&" in rest


def _node(node: Node) -> bool:
    match node:
        case Command():
            plain = all(_constant(word) for word in node.words) and not node.assignments
            words = [each.word for each in node.redirects if each.word is not None]
            return plain and bool(node.words) and node.words[0].text not in KEPT and all(map(_constant, words))
        case Pipeline():
            return all(_node(part) for part in node.parts)
        case Block():
            return node.kind in _PLACES and not node.redirects and all(_node(part) for part in node.parts)


def _constant(word: Word) -> bool:
    """Globs are the target's files, in the shell or out of it."""
    return not word.splits and not word.inner and "\0" not in word.text and "$" not in word.raw and "`" not in word.raw
