"""One simple command read by the facts of its program: options, operands, sub-command. Pure.

Follows getopt(3) as GNU programs use it, or the program's own style (see programs.py). What the facts do not know is
listed, never guessed: an unknown option may take a value or not, so everything behind it is doubtful as well, and the
whole command counts as unknown. Abbreviated long options (`--outp` for `--output`) are resolved as getopt_long(3) does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from bastion.policy.programs import Option, Program
from bastion.policy.words import UNKNOWN, Word

REST = frozenset(("argv", "env-argv", "shell", "code:xargs", "code:parallel", "code:flock", "code:redis"))
"""Operand kinds that take all the words that are left."""


@dataclass(frozen=True, slots=True)
class Given:
    """One option that was given."""

    name: str
    option: Option
    value: Word | None


@dataclass(frozen=True, slots=True)
class Invocation:
    """A simple command as its program will read it."""

    program: Program
    path: str
    """Name with sub-commands: `docker container ls`."""
    options: tuple[Given, ...]
    operands: tuple[Word, ...]
    unknown: tuple[str, ...]
    """Options that the facts do not know."""
    unsure: tuple[Word, ...]
    """Words that may turn out to be options."""
    lost: str = ""
    """The sub-command that the facts do not know."""
    clauses: tuple[tuple[Word, ...], ...] = ()
    """Commands inside the expression: `find -exec … ;`."""
    separated: bool = False
    """`--` was given."""
    unlisted: tuple[str, ...] = ()
    """Options that the facts do not list, harmless where the program's `options` are "any"."""
    lists: bool = False
    """A word may turn out to be the option that names a list of files, all of which are read."""

    def has(self, names: frozenset[str]) -> bool:
        """Whether one of these options was given."""
        return any(given.name in names for given in self.options)

    def kinds(self) -> Iterator[tuple[str, Word | tuple[Word, ...]]]:
        """What each operand means by the program's `operands`; `argv` and `shell` come once, with all the rest."""
        kinds = list(self.program.operands)
        if kinds and self.program.unless and self.has(self.program.unless):
            kinds.pop(0)
        words = list(self.operands)
        last = next((kind for kind in kinds if kind.startswith("last:")), "")
        if last:
            kinds.remove(last)
            if words:
                yield last.removeprefix("last:"), words.pop()
        while words and kinds:
            kind = kinds[0].removesuffix("*")
            if kind in REST:
                yield kind, tuple(words)
                return
            yield kind, words.pop(0)
            if not kinds[0].endswith("*"):
                kinds.pop(0)


_NONE = Option("")


@dataclass(slots=True)
class _Scan:
    """The state of reading one command's words."""

    words: list[Word]
    options: list[Given] = field(default_factory=list)
    operands: list[Word] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unsure: list[Word] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    lists: bool = False


def read(program: Program, words: Sequence[Word]) -> Invocation:
    """Reads `words`, the first of which is the program's name."""
    scan = _Scan(list(words[1:]))
    if program.style == "tar" and scan.words and scan.words[0].text[:1].isalpha():
        first = scan.words[0]
        scan.words[0] = Word("-" + first.text, first.raw, first.glob, first.splits)
    path = program.name
    lost = ""
    clauses = _clauses(scan) if program.name in ("find", "gfind") else ()
    while program.branches:
        _options(program, scan, stop=True)
        if not scan.words:
            break
        word = scan.words[0]
        found = program.sub(word.text) if word.constant else None
        if found is None:
            if not program.action:
                lost = word.raw
            break
        doubtful = program.action and scan.unlisted and found.action == "read"
        if doubtful or (program.action == "read" and not found.action):
            break  # an operand: the sub-command is complete
        if scan.unlisted and not program.action:
            scan.unknown += scan.unlisted  # this word may be the value of one of them
        scan.words.pop(0)
        program = found
        path = f"{path} {word.text}"
    _options(program, scan, stop=program.style == "posix")
    operands = (*scan.operands, *scan.words)
    scan.unsure += [word for word in _spread(program, operands) if word not in scan.unsure]
    return Invocation(
        program,
        path,
        tuple(scan.options),
        operands,
        tuple(scan.unknown),
        tuple(scan.unsure),
        lost,
        clauses,
        any(word.text == "--" for word in words),
        tuple(scan.unlisted),
        scan.lists,
    )


_SAME = frozenset(("skip", "read", "host"))
"""Kinds of operands between which it does not matter which is which."""


def _spread(program: Program, operands: Sequence[Word]) -> list[Word]:
    """Words that may become several, where it matters how many: `uniq a*` overwrites its second name."""
    kinds = [kind.removeprefix("last:") for kind in program.operands]
    found = []
    for at, word in enumerate(operands):
        if not (word.glob or word.splits):
            continue
        rest = {kind.removesuffix("*") for kind in kinds[min(at, len(kinds) - 1) :]} if kinds else set()
        if len(rest) > 1 and not rest <= _SAME:
            found.append(word)
    return found


def _clauses(scan: _Scan) -> tuple[tuple[Word, ...], ...]:
    """Takes the commands of find's -exec out of the words (find(1), ACTIONS)."""
    found = []
    rest: list[Word] = []
    words = scan.words
    at = 0
    while at < len(words):
        if words[at].text not in _EXECS:
            rest.append(words[at])
            at += 1
            continue
        end = at + 1
        while (
            end < len(words) and words[end].text != ";" and not (words[end].text == "+" and words[end - 1].text == "{}")
        ):
            end += 1
        found.append(tuple(words[at + 1 : end]))
        at = end + 1
    scan.words = rest
    return tuple(found)


_EXECS = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def _options(program: Program, scan: _Scan, *, stop: bool) -> None:
    """Takes options off `scan.words`; with `stop` up to the first operand, otherwise operands too."""
    while scan.words:
        word = scan.words[0]
        text = word.text
        if text == "--" and program.style != "none":
            scan.words.pop(0)
            if stop:
                return
            scan.operands += scan.words
            scan.words = []
        elif program.style != "none" and len(text) > 1 and text[0] == "-":
            scan.words.pop(0)
            if not _option(program, scan, word):
                scan.operands.append(word)
        elif stop:
            _doubt(program, scan, word)
            return
        else:
            scan.words.pop(0)
            _doubt(program, scan, word)
            scan.operands.append(word)


def _doubt(program: Program, scan: _Scan, word: Word) -> None:
    """A word that may turn out to be an option, where that matters."""
    if word.may_be_option and program.style != "none":
        scan.lists = scan.lists or program.lists_names
        if program.risky_options:
            scan.unsure.append(word)


def _option(program: Program, scan: _Scan, word: Word) -> bool:
    """One word that begins with a dash; False when it is an operand after all."""
    text = word.text
    table = program.options
    name, equals, value = text.partition("=")
    known = table.get(text) or (table.get(name) if equals else None)
    if known is not None and (text.startswith("--") or program.style == "word" or len(name) == 2):
        if equals and text not in table:
            scan.options.append(Given(name, known, _part(word, value)))
        else:
            scan.options.append(Given(text, known, _value(program, known, scan)))
        return True
    if text.startswith("--") or program.style == "word":
        full = _unabbreviated(program, name)
        if full:
            return _option(program, scan, Word(full + equals + value, word.raw, word.glob, word.splits))
        hidden = any(option.action and known.startswith(name) for known, option in table.items())
        if equals:
            scan.options.append(Given(name, _NONE, _part(word, value)))
        return _unlisted(program, scan, name, hidden)
    return _bundle(program, scan, word)


def _unabbreviated(program: Program, name: str) -> str:
    """The one listed option that `--na` can stand for (getopt_long(3)), or nothing.

    When the program has another that is not listed, it refuses the abbreviation as ambiguous and does nothing.
    """
    if program.style == "word" or len(name) < 4 or UNKNOWN in name:
        return ""
    found = [known for known in program.options if known.startswith(name)]
    return found[0] if len(found) == 1 else ""


def _bundle(program: Program, scan: _Scan, word: Word) -> bool:
    """`-abc`: letters one by one, until one takes a value."""
    text = word.text
    if text[1:].isdigit() and "-NUM" in program.options:
        return True
    for at in range(1, len(text)):
        letter = f"-{text[at]}"
        known = program.options.get(letter)
        rest = text[at + 1 :]
        if known is None:
            hidden = any(program.options.get(f"-{later}", _NONE).action for later in rest)
            return _unlisted(program, scan, letter if at > 1 or len(text) == 2 else text, hidden)
        if not known.value:
            scan.options.append(Given(letter, known, None))
            continue
        value = _part(word, rest) if rest else (_value(program, known, scan) if known.value == "=" else None)
        scan.options.append(Given(letter, known, value))
        return True
    return True


def _unlisted(program: Program, scan: _Scan, name: str, hidden: bool) -> bool:
    """An option that is not in the table; `hidden`: it may be one that matters, abbreviated or bundled."""
    scan.unlisted.append(name.replace(UNKNOWN, "…"))
    if hidden or not program.any_option or (UNKNOWN in name and program.risky_options):
        scan.unknown.append(name.replace(UNKNOWN, "…"))
    return True


def _value(program: Program, known: Option, scan: _Scan) -> Word | None:
    """The next word, for an option that takes one. An unquoted expansion may be no word at all, or two; names of files
    may be several, and the second an option."""
    if known.value != "=" or not scan.words:
        return None
    word = scan.words.pop(0)
    if word.may_be_option and (word.splits or _spells(program, word)):
        scan.unsure.append(word)
    return word


def _spells(program: Program, glob: Word) -> bool:
    """Whether a file's name could be an option that matters: where options are whole words, `*.log` is none of find's.
    What a bracket takes depends on the locale."""
    if program.style != "word" or "[" in glob.text:
        return True
    names = {name for name, option in program.options.items() if option.action} | _EXECS
    return any(fnmatchcase(name, glob.text) for name in names)


def _part(word: Word, text: str) -> Word:
    return Word(text, text, word.glob, word.splits)
