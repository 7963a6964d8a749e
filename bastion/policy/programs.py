"""What each program does, read from `facts/*.toml`. Pure apart from loading the package's own data, once, in `load`.

Theory of operation. A table per program, or per group of programs that are alike. Keys, all but `source` optional:

    source    where the facts come from: man page or documentation, with the version; never absent
    note      what a reader should know besides
    names     the programs that the table is about; otherwise the table's own name
    is        the action of running it (see facts/actions.toml); `read` is harmless, absent means unknown
    options   "any": reviewed, no option of it writes, runs or sends anything; otherwise unknown options count
    style     how it reads its options: gnu (anywhere), posix (before the first operand), word (`-name value`, no
              bundles), none (there are none)
    flags     harmless options without a value          values    harmless options with a value
    optional  harmless options whose value is attached  does      other options: `-o = "write="` takes a value,
                                                                  `-i = "edit?"` an attached one, `-d = "delete"` none
    operands  what the words mean, in order; `*` repeats; `last:` is the last word. Kinds: skip, read, host,
              argv (the rest is a command), shell (the rest is a shell's line), code:LANGUAGE, or an action
    unless    options that take the place of the first operand (`grep -e`)
    bare      the action when there is no operand
    stdin     none (ignores it), files (reads it without operands), code (as code, without operands),
              code:N (with fewer than N operands), always (as code), data (default)
    said      why, as a sentence, when stdin is code: "`{name}` reads its commands from stdin"
    stdin_not options with which stdin is no code       stdin_if  options with which it is
    adds      actions that every run adds (`sudo`: privilege)
    subs      sub-commands by action: read = "status, show, config get"; `*` and `?` are wildcards
    sub       sub-commands with facts of their own; they inherit the options
    secret    operands that make it read a secret (kubectl get secret)
    language  what its stdin is, when that is code: shell, psql, mysql, sqlite, redis, mongo

An option, sub-command or program that is not listed is never low.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from bastion.errors import ConfigError
from bastion.model import EffectKind, Reversible

STYLES = frozenset(("gnu", "posix", "word", "none", "tar"))
STDIN = frozenset(("none", "files", "data", "always-data", "code", "always", "dash"))
"""Besides `code:N`."""
SYSTEM_DIRECTORIES = frozenset(("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"))
"""A path in front of a program's name means the program only here (Filesystem Hierarchy Standard 3.0)."""
LIBRARY_DIRECTORIES = frozenset(
    ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh", "/usr/lib/git-core")
)
"""And here: what the servers of OpenSSH and git start themselves (Debian, Red Hat, BSD and SUSE)."""
KINDS = frozenset(("skip", "read", "host", "argv", "env-argv", "shell"))
"""What an operand can be, beside an action and `code:LANGUAGE`."""


@dataclass(frozen=True, slots=True)
class Option:
    """What one option does."""

    action: str
    value: str = ""
    """`=` takes a value, `?` may have one attached, empty takes none."""


@dataclass(slots=True)
class Branch:
    """Sub-commands below one word, as the facts spell them: `docker` -> `container` -> `ls`.

    All programs together have 170,000 branches, which took half of a start; so each grows when it is first asked, and
    only by one word.
    """

    table: Mapping[str, Any] | None = None
    spelled: Mapping[str, Any] = field(default_factory=dict)
    """A table whose sub-commands hang here."""
    _hung: list[tuple[list[str], Mapping[str, Any]]] = field(default_factory=list)
    _grown: tuple[dict[str, Branch], dict[str, Branch]] | None = None
    """By their words, and by their wildcards. Made in one piece of what does not change any more: a second thread that
    asks meanwhile makes the same."""

    def hang(self, words: list[str], table: Mapping[str, Any]) -> None:
        """Hangs a table below every path that the words spell; `a|b c` spells two. Before anything is asked."""
        if words:
            self._hung.append((words, table))
        else:
            self.table = table

    def __bool__(self) -> bool:
        """Something is below it."""
        return bool(self._hung) or any(True for _ in _paths(self.spelled))

    def below(self, word: str) -> Iterator[Branch]:
        """Where this word leads, the most certain first."""
        if self._grown is None:
            self._grown = self._grow()
        exact, wild = self._grown
        if word in exact:
            yield exact[word]
        for pattern, branch in wild.items():
            if fnmatchcase(word, pattern):
                yield branch

    def _grow(self) -> tuple[dict[str, Branch], dict[str, Branch]]:
        exact: dict[str, Branch] = {}
        wild: dict[str, Branch] = {}
        for words, table in (*_paths(self.spelled), *self._hung):
            for word in words[0].split("|"):
                among = wild if "*" in word or "?" in word else exact
                among.setdefault(word, Branch()).hang(words[1:], table)
        return exact, wild


@dataclass(frozen=True, slots=True)
class Program:
    """The facts of one program or sub-command."""

    name: str
    action: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    any_option: bool = False
    style: str = "gnu"
    operands: tuple[str, ...] = ()
    unless: frozenset[str] = frozenset()
    bare: str = ""
    stdin: str = "data"
    said: str = ""
    stdin_not: frozenset[str] = frozenset()
    stdin_if: frozenset[str] = frozenset()
    adds: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    language: str = ""
    branches: tuple[Branch, ...] = ()
    """Where sub-commands are looked up, the most certain first."""
    risky_options: bool = True
    """Some option of it matters, so a word that may turn out to be an option does too."""
    lists_names: bool = False
    """Some option of it reads the files that a list names; a word that may turn out to be it reads any file."""
    known: dict[str, Program | None] = field(default_factory=dict, compare=False)
    """Sub-commands that were looked up before; filled as they are asked for."""

    def sub(self, word: str) -> Program | None:
        """The sub-command of that name: its facts on top of these."""
        if word in self.known:
            return self.known[word]
        found = [below for branch in self.branches for below in branch.below(word)]
        if not found:
            return None
        at = next((at for at, branch in enumerate(found) if branch.table is not None), 0)
        table = found[at].table or {}
        if table.get("is") not in (None, "", "read"):
            found = found[: at + 1]  # settled: no wildcard turns `vm delete` into a list by the name `list`
        program = _derived(f"{self.name} {word}", table, self, tuple(found))
        if len(self.known) < KNOWN_LIMIT:
            self.known[word] = program
        return program


KNOWN_LIMIT = 1_000
"""Sub-commands that one program remembers; wildcards would let a stream of invented names fill the memory."""


@dataclass(frozen=True, slots=True)
class Action:
    """What running something means for a person."""

    name: str
    weight: int
    """0-100; see facts/actions.toml."""
    say: str
    """Sentence; `{what}` is what it touches."""
    effects: tuple[EffectKind, ...]
    reversible: Reversible
    verbs: tuple[str, ...] = ()
    """Words of the policy language for it (`restart`, `drop_table`)."""
    path: bool = False
    """It touches files: where they are matters."""
    code: bool = False
    """It runs what is in the file that it names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A class of paths."""

    name: str
    weight: int
    """Added to what touches it."""
    say: str
    patterns: tuple[str, ...]
    changes: bool = True
    """Matters to what writes or deletes; otherwise to what reads."""
    writes: int | None = None
    """Added instead to what writes without deleting."""
    verbs: tuple[str, ...] = ()
    """Words of the policy language for what touches it (`auth`, `billing`)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that stands in `facts/*.toml`."""

    programs: Mapping[str, Program]
    actions: Mapping[str, Action]
    places: tuple[Place, ...]
    tables: Mapping[str, Mapping[str, Any]]
    """Tables of embedded languages and environment variables, as they stand."""
    codes: frozenset[str]
    """Embedded languages that the programs' tables name."""

    def program(self, word: str) -> Program | None:
        """The facts of a command word; None when it is unknown or stands in no system directory."""
        directory, slash, name = word.rpartition("/")
        if slash and directory not in SYSTEM_DIRECTORIES | LIBRARY_DIRECTORIES:
            return None
        return self.programs.get(name)


@functools.cache
def load() -> Facts:
    """The facts as packaged; the same frozen value at every call. Raises ConfigError when they are not well-formed."""
    raw: dict[str, dict[str, Any]] = {}
    for file in sorted(resources.files("bastion.policy").joinpath("facts").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            raw[file.name.removesuffix(".toml")] = tomllib.loads(file.read_text(encoding="utf-8"))
    return build(raw)


def build(raw: Mapping[str, Mapping[str, Any]]) -> Facts:
    """Facts from parsed files: `actions`, `places`, names starting `table_`, and programs. Raises ConfigError."""
    actions = {name: _action(name, table) for name, table in raw["actions"].items()}
    places = tuple(_place(name, table) for name, table in raw["places"].items())
    tables = {name.removeprefix("table_"): table for name, table in raw.items() if name.startswith("table_")}
    programs: dict[str, Program] = {}
    codes: set[str] = set()
    for file, content in raw.items():
        if file in ("actions", "places") or file.startswith("table_"):
            continue
        for key, table in content.items():
            codes |= _checked(f"{file}.toml", key, table, actions)
            if not table.get("source"):
                raise ConfigError(f"{file}.toml", f"[{key}] does not say where its facts come from", hint="source = …")
            built = _derived(key, table, Program(""), ())
            for name in str(table.get("names", key)).split():
                if name in programs:
                    raise ConfigError(f"{file}.toml", f"{name} stands in two tables")
                programs[name] = replace(built, name=name, known={})
    return Facts(programs, actions, places, tables, frozenset(codes))


_TEXTS = frozenset(
    (  # noqa: SIM905 - a table
        "source note names is options style flags values optional operands unless bare stdin said stdin_not stdin_if "
        "adds secret language"
    ).split()
)
_TABLES = frozenset(("does", "subs", "sub"))
_ARGUMENT = frozenset(("argv", "env-argv", "shell", "skip", "host"))


def _checked(file: str, key: str, table: Any, actions: Mapping[str, Action]) -> set[str]:
    """The embedded languages that a table names. Raises ConfigError where it is not well-formed."""
    if not isinstance(table, dict):
        raise ConfigError(file, f"{key} is not a table")
    wrong = {name for name in table if name not in _TEXTS and name not in _TABLES}
    wrong |= {name for name in _TEXTS & set(table) if not isinstance(table[name], str)}
    wrong |= {name for name in _TABLES & set(table) if not isinstance(table[name], dict)}
    if wrong:
        raise ConfigError(file, f"[{key}] has keys that mean nothing: {', '.join(sorted(wrong))}")
    if table.get("style", "gnu") not in STYLES:
        raise ConfigError(file, f"[{key}] has an unknown style: {table['style']}")
    stdin = table.get("stdin", "data")
    if stdin not in STDIN and not (stdin.startswith("code:") and stdin.removeprefix("code:").isdigit()):
        raise ConfigError(file, f"[{key}] has an unknown stdin: {stdin}")
    if table.get("options", "any") != "any":
        raise ConfigError(file, f"[{key}] has unknown options: {table['options']}")
    used = {table.get("is", ""), table.get("bare", ""), *table.get("adds", "").split(), *table.get("subs", {})}
    operands = {kind.removesuffix("*").removeprefix("last:") for kind in table.get("operands", "").split()}
    does = {action.rstrip("=?") for action in table.get("does", {}).values()}
    codes = {name.removeprefix("code:") for name in operands | does if name.startswith("code:")}
    missing = {
        name
        for name in used | (operands - KINDS) | (does - _ARGUMENT)
        if name and name not in actions and not name.startswith("code:")
    }
    if missing:
        raise ConfigError(file, f"[{key}] names actions that do not exist: {', '.join(sorted(missing))}")
    for pattern, below in table.get("sub", {}).items():
        codes |= _checked(file, f"{key} {pattern}", below, actions)
    return codes


def _derived(name: str, table: Mapping[str, Any], parent: Program, branches: tuple[Branch, ...]) -> Program:
    """A program's facts on top of its parent's."""
    own = dict(_options(table))
    options = {**parent.options, **own} if own else parent.options
    anything = table.get("options", "any" if parent.any_option else "") == "any"
    tree = Branch(spelled=table)
    return Program(
        name=name,
        action=table.get("is", ""),
        options=options,
        any_option=anything,
        style=table.get("style", parent.style),
        operands=tuple(table.get("operands", "").split()),
        unless=_set(table, "unless"),
        bare=table.get("bare", ""),
        stdin=table.get("stdin", parent.stdin),
        said=table.get("said", parent.said),
        stdin_not=_set(table, "stdin_not") | parent.stdin_not,
        stdin_if=_set(table, "stdin_if") | parent.stdin_if,
        adds=tuple(table.get("adds", "").split()),
        secret=tuple(table.get("secret", "").split()) or parent.secret,
        language=table.get("language", parent.language),
        branches=tuple(one for one in (tree, *branches) if one),
        risky_options=not anything
        or any(option.action not in ("", "read", "code:tree", "code:names") for option in options.values()),
        lists_names=any(option.action == "code:names" for option in options.values()),
    )


def _paths(table: Mapping[str, Any]) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """The words of each sub-command that a table spells, and its facts; `sub` beats `subs`, being later."""
    for action, patterns in table.get("subs", {}).items():
        for pattern in str(patterns).replace("\n", ",").split(","):
            if pattern.strip():
                yield pattern.split(), {"is": action}
    for pattern, facts in table.get("sub", {}).items():
        if pattern.strip():
            yield pattern.split(), facts


def _options(table: Mapping[str, Any]) -> Iterator[tuple[str, Option]]:
    for key, value in (("flags", ""), ("values", "="), ("optional", "?")):
        for name in table.get(key, "").split():
            yield name, Option("", value)
    for names, action in table.get("does", {}).items():
        value = action[-1] if action[-1] in "=?" else ""
        for name in names.split():
            yield name, Option(action.rstrip("=?"), value)


def _set(table: Mapping[str, Any], key: str) -> frozenset[str]:
    return frozenset(table.get(key, "").split())


def _action(name: str, table: Mapping[str, Any]) -> Action:
    try:
        action = Action(
            name,
            int(table["weight"]),
            str(table["say"]),
            tuple(EffectKind(word) for word in table.get("effects", "").split()),
            Reversible(table.get("reversible", "yes")),
            tuple(table.get("verb", "").split()),
            bool(table.get("path", False)),
            bool(table.get("code", False)),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError("actions.toml", f"[{name}] is not well-formed: {error}") from error
    if not 0 <= action.weight <= 100:
        raise ConfigError("actions.toml", f"[{name}] has a weight outside 0-100")
    return action


def _place(name: str, table: Mapping[str, Any]) -> Place:
    try:
        return Place(
            name,
            int(table["weight"]),
            str(table["say"]),
            tuple(str(pattern) for pattern in table["patterns"]),
            bool(table.get("changes", True)),
            table.get("writes"),
            tuple(str(table.get("verb", "")).split()),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError("places.toml", f"[{name}] is not well-formed: {error}") from error
