"""What each program does, read from `facts/*.toml`. Pure apart from loading the package's own data, once, in `load`.

Theory of operation. A table per program, or per group of programs that are alike. Keys, all optional:

    note      where the facts come from (man page, version)
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

STYLES = frozenset(("gnu", "posix", "word", "none", "tar"))
SYSTEM_DIRECTORIES = frozenset(("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"))
"""A path in front of a program's name means the program only here (Filesystem Hierarchy Standard 3.0)."""


@dataclass(frozen=True, slots=True)
class Option:
    """What one option does."""

    action: str
    value: str = ""
    """`=` takes a value, `?` may have one attached, empty takes none."""


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
    subs: Mapping[str, Program] = field(default_factory=dict)
    wild: tuple[tuple[str, Program], ...] = ()
    """Sub-commands with wildcards, in order."""

    @property
    def has_subs(self) -> bool:
        """Its first operand names a sub-command."""
        return bool(self.subs or self.wild)

    @property
    def risky_options(self) -> bool:
        """Some option of it matters, so a word that may turn out to be an option does too."""
        return not self.any_option or any(option.action not in ("", "read") for option in self.options.values())

    def sub(self, word: str) -> Program | None:
        """The sub-command of that name."""
        found = self.subs.get(word)
        if found is not None:
            return found
        return next((program for pattern, program in self.wild if fnmatchcase(word, pattern)), None)


@dataclass(frozen=True, slots=True)
class Action:
    """What running something means for a person."""

    name: str
    weight: int
    """0-100; see facts/actions.toml."""
    say: str
    """Sentence; `{what}` is what it touches."""
    effects: tuple[str, ...]
    reversible: str
    """yes, partly or no"""
    verb: str = ""
    """The name in the policy language (`restart`, `drop_table`)."""
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


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that stands in `facts/*.toml`."""

    programs: Mapping[str, Program]
    actions: Mapping[str, Action]
    places: tuple[Place, ...]
    tables: Mapping[str, Mapping[str, Any]]
    """Tables of embedded languages and environment variables, as they stand."""

    def program(self, word: str) -> Program | None:
        """The facts of a command word; None when it is unknown or stands in no system directory."""
        directory, slash, name = word.rpartition("/")
        if slash and directory not in SYSTEM_DIRECTORIES:
            return None
        return self.programs.get(name)


@functools.cache
def load() -> Facts:
    """The facts as packaged; the same frozen value at every call. Raises ConfigError when they contradict themselves."""
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
    for file, content in raw.items():
        if file in ("actions", "places") or file.startswith("table_"):
            continue
        for key, table in content.items():
            built = _program(f"{file}.toml", key, table, Program(""), actions)
            for name in str(table.get("names", key)).split():
                if name in programs:
                    raise ConfigError(f"{file}.toml", f"{name} stands in two tables")
                programs[name] = replace(built, name=name)
    return Facts(programs, actions, places, tables)


_KEYS = frozenset(
    "note names is options style flags values optional does operands unless bare stdin said stdin_not stdin_if adds "
    "subs sub secret language".split()
)
_KINDS = frozenset(("skip", "read", "host", "argv", "env-argv", "shell"))


def _program(
    file: str, key: str, table: Mapping[str, Any], parent: Program, actions: Mapping[str, Action]
) -> Program:
    unknown = set(table) - _KEYS
    if unknown:
        raise ConfigError(file, f"[{key}] has keys that mean nothing: {', '.join(sorted(unknown))}")
    options = dict(parent.options) | dict(_options(table))
    operands = tuple(str(table.get("operands", "")).split())
    program = Program(
        name=key,
        action=str(table.get("is", "")),
        options=options,
        any_option=table.get("options", "any" if parent.any_option else "") == "any",
        style=str(table.get("style", parent.style)),
        operands=operands,
        unless=_set(table, "unless"),
        bare=str(table.get("bare", "")),
        stdin=str(table.get("stdin", parent.stdin)),
        said=str(table.get("said", parent.said)),
        stdin_not=_set(table, "stdin_not") | parent.stdin_not,
        stdin_if=_set(table, "stdin_if") | parent.stdin_if,
        adds=tuple(str(table.get("adds", "")).split()),
        secret=tuple(str(table.get("secret", "")).split()) or parent.secret,
        language=str(table.get("language", parent.language)),
    )
    kinds = {operand.removesuffix("*").removeprefix("last:") for operand in operands}
    kinds = {kind for kind in kinds if kind not in _KINDS and not kind.startswith("code:")}
    used = {program.action, program.bare, *program.adds, *kinds, *(option.action for option in options.values())} - {""}
    missing = {action for action in used if action not in actions and not action.startswith("code:")} - _KINDS - {"unknown"}
    if missing or program.style not in STYLES:
        raise ConfigError(file, f"[{key}] names what does not exist: {', '.join(sorted(missing)) or program.style}")
    return _with_subs(file, key, table, program, actions)


def _with_subs(
    file: str, key: str, table: Mapping[str, Any], program: Program, actions: Mapping[str, Action]
) -> Program:
    tree: dict[str, Any] = {}
    for action, patterns in table.get("subs", {}).items():
        if action not in actions:
            raise ConfigError(file, f"[{key}.subs] names what does not exist: {action}")
        for pattern in str(patterns).replace("\n", ",").split(","):
            if pattern.strip():
                _place_sub(tree, pattern.split(), {"is": action})
    for pattern, facts in table.get("sub", {}).items():
        _place_sub(tree, pattern.split(), facts)
    if not tree:
        return program
    return _grow(file, key, tree, program, actions)


def _place_sub(tree: dict[str, Any], words: list[str], facts: Mapping[str, Any]) -> None:
    """Hangs the facts below every path that the words spell; `a|b c` spells two."""
    for word in words[0].split("|"):
        node = tree.setdefault(word, {})
        if len(words) == 1:
            node["facts"] = facts
        else:
            _place_sub(node.setdefault("children", {}), words[1:], facts)


def _grow(
    file: str, key: str, tree: Mapping[str, Any], program: Program, actions: Mapping[str, Action]
) -> Program:
    exact: dict[str, Program] = {}
    wild: list[tuple[str, Program]] = []
    for word, node in tree.items():
        name = f"{key} {word}"
        child = _program(file, name, node.get("facts", {}), program, actions)
        if "children" in node:
            child = _grow(file, name, node["children"], child, actions)
        if "*" in word:
            wild.append((word, child))
        else:
            exact[word] = child
    return replace(program, subs=exact, wild=tuple(wild))


def _options(table: Mapping[str, Any]) -> Iterator[tuple[str, Option]]:
    for key, value in (("flags", ""), ("values", "="), ("optional", "?")):
        for name in str(table.get(key, "")).split():
            yield name, Option("", value)
    for names, action in table.get("does", {}).items():
        value = action[-1] if action[-1] in "=?" else ""
        for name in names.split():
            yield name, Option(action.rstrip("=?"), value)


def _set(table: Mapping[str, Any], key: str) -> frozenset[str]:
    return frozenset(str(table.get(key, "")).split())


def _action(name: str, table: Mapping[str, Any]) -> Action:
    return Action(
        name,
        int(table["weight"]),
        str(table["say"]),
        tuple(str(table.get("effects", "")).split()),
        str(table.get("reversible", "yes")),
        str(table.get("verb", "")),
        bool(table.get("path", False)),
        bool(table.get("code", False)),
    )


def _place(name: str, table: Mapping[str, Any]) -> Place:
    return Place(
        name, int(table["weight"]), str(table["say"]), tuple(table["patterns"]), bool(table.get("changes", True))
    )
