"""Which program of a command reads statements from the terminal, and in which language. Pure.

Theory of operation. While a command of a governed shell runs, what the agent types is held line by line. A line for
`psql` is SQL and a line for `python3` is Python: judged as anything else it would be judged wrong. `repl_of` names the
program and its language where that is certain: the command is read in one way, exactly one of its programs can read
the terminal, that program is in PROGRAMS under a plain name, and each of its options is known. Everything else is
None: nobody knows what the line will mean, so it is never judged harmless.

The error that matters is to name a language for a line that something else will read, so the lists are of what is
known. `statement.py` says where a statement of a language ends.

Not seen: what the target has under that name, and what an approved statement does to its own program (a psql that was
told to start a shell reads shell; `statement.standing` says UNKNOWN after such a statement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bastion.policy.shell import Block, BlockKind, Command, Node, Parsed, Pipeline, parse
from bastion.policy.stdin import DATA, SYSTEM
from bastion.policy.words import Word


class Language(StrEnum):
    """What a line means to the program that reads it. The client's own commands (`\\!`, `.shell`) belong to it, so
    each SQL client is a language. The values are those that `risk.assess` takes."""

    BASH = "bash"
    PSQL = "psql"
    MYSQL = "mysql"
    SQLITE = "sqlite"
    PYTHON = "python"
    NODE = "node"
    RUBY = "ruby"
    PHP = "php"
    MONGOSH = "mongo"
    REDIS = "redis"
    BC = "bc"


@dataclass(frozen=True, slots=True)
class Repl:
    """A program that reads statements from the terminal."""

    program: str
    language: Language


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is told to read statements, or not to."""

    language: Language
    plain: frozenset[str] = frozenset()
    """Options without a value that leave it reading statements."""
    valued: frozenset[str] = frozenset()
    """The same with a value, in the next word or behind `=` (or, for a single letter, at once)."""
    operands: int = 0
    """Words that are no options and still leave it reading statements; one more is a script or a statement."""
    glued: frozenset[str] = frozenset()
    """Single letters whose value, if any, stands in the same word."""
    must: frozenset[str] = frozenset()
    """If not empty, it reads statements only with one of these."""


_PSQL = Program(
    Language.PSQL,
    _set("-a -A -b -e -E -H -n -q -s -t -w -W -x -X -z -0 -1 --echo-all --echo-errors --echo-queries --echo-hidden")
    | _set("--no-align --no-psqlrc --no-readline --quiet --single-step --tuples-only --expanded --html --csv")
    | _set("--no-password --password --single-transaction"),
    _set("-d -F -h -p -P -R -T -U --dbname --field-separator --host --port --pset --record-separator --username"),
    operands=2,
)
"""psql(1); -S ends a statement at each line, -c, -f and -l do not read the terminal, -v sets what statements expand."""

_MYSQL = Program(
    Language.MYSQL,
    _set("-A -B -E -n -p -q -r -s -t -v -w -C -U -N --no-auto-rehash --batch --vertical --unbuffered --password")
    | _set("--quick --raw --silent --table --verbose --wait --compress --safe-updates --skip-column-names"),
    _set("-h -P -u -S -D --host --port --user --socket --database --default-character-set --ssl-ca --ssl-mode"),
    operands=1,
    glued=_set("-p"),
)
"""mysql(1), mariadb(1); --delimiter would move the end of a statement, -e does not read the terminal."""

_SQLITE = Program(
    Language.SQLITE,
    _set("-batch -bail -box -column -csv -echo -header -noheader -html -interactive -json -line -list -markdown")
    | _set("-quote -readonly -safe -stats -table -tabs -nofollow"),
    _set("-separator -nullvalue -newline"),
    operands=1,
)
"""sqlite3(1); -cmd runs something first, and the second operand is a statement."""

_PYTHON = Program(Language.PYTHON, _set("-b -B -d -E -I -O -OO -q -s -S -u -v -i"), _set("-W -X"))
_NODE = Program(Language.NODE, _set("-i --interactive --no-warnings --experimental-repl-await"))
_SHELL = Program(Language.BASH, _set("-i -l -e -u -x --login --norc --noprofile --posix"))

PROGRAMS: dict[str, Program] = {
    "psql": _PSQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite3": _SQLITE,
    "python": _PYTHON,
    "python3": _PYTHON,
    "node": _NODE,
    "nodejs": _NODE,
    "irb": Program(Language.RUBY, _set("-f --simple-prompt --noecho --nomultiline --nocolorize --noautocomplete")),
    "php": Program(Language.PHP, _set("-a --interactive -n"), must=_set("-a --interactive")),
    "mongosh": Program(
        Language.MONGOSH,
        _set("--quiet --norc --nodb --ipv6 --tls --retryWrites"),
        _set(
            "--host --port -u --username -p --password --authenticationDatabase --authenticationMechanism --tlsCAFile"
        ),
        operands=1,
    ),
    "redis-cli": Program(
        Language.REDIS,
        _set("--raw --no-raw --csv --json --no-auth-warning --tls -2 -3"),
        _set("-h -p -s -a -u -n -t --user --pass --cacert --cert --key --sni"),
    ),
    "bc": Program(Language.BC, _set("-l -q -s -w -i --mathlib --quiet --standard --warn --interactive")),
    **dict.fromkeys(("bash", "sh", "dash", "ash", "ksh", "zsh"), _SHELL),
}
"""By name. mongosh's operand is an address; a file would run, so one that ends like a script is none."""

SCRIPTS = (".js", ".mongodb")
"""Ends of an operand that mongosh would run as a script."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program that runs the rest of its words with its own terminal."""

    plain: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    verb: str = ""
    """Its first word (`docker exec`)."""
    operands: int = 0
    """Words between its options and what it runs (the container)."""
    shell: frozenset[str] = field(default_factory=frozenset)
    """Options with which it starts a login shell when nothing else is named."""


WRAPPERS: dict[str, Wrapper] = {
    "sudo": Wrapper(_set("-n -E -H -i -s -b -k"), _set("-u -g --user --group"), shell=_set("-i -s")),
    "nohup": Wrapper(),
    "time": Wrapper(_set("-p")),
    "nice": Wrapper(frozenset(), _set("-n")),
    "docker": Wrapper(_set("-i -t -it -ti --interactive --tty"), _set("-u -w --user --workdir"), "exec", 1),
    "podman": Wrapper(_set("-i -t -it -ti --interactive --tty"), _set("-u -w --user --workdir"), "exec", 1),
    "kubectl": Wrapper(_set("-i -t -it -ti --stdin --tty"), _set("-n -c --namespace --container --context"), "exec", 1),
}
"""Environment variables that these set (`docker exec -e`, `env A=b`) could change what runs, so they are not here."""

_SILENT = (
    "[ : arch basename cd date df dirname du echo exit false free getent groups hostname id kill ls mkdir mktemp nproc "
    "popd printenv printf ps pushd pwd readlink realpath rmdir seq sleep stat sync test touch true tty ulimit "
    "umask uname uptime users wait whoami"
)
SILENT = frozenset(_SILENT.split())
"""Programs and builtins that never read their stdin: what is typed while they run is read by what comes after."""

VARIABLES = ("PG", "MYSQL_", "LANG", "LC_", "TERM", "TZ")
"""How names of variables begin that may be set for the program: they say where it connects and how it looks."""


def repl_of(command: bytes) -> Repl | None:
    """What reads statements from the terminal while `command` runs; None when that is nothing, or not certain.
    Never raises."""
    parsed = parse(command)
    if not isinstance(parsed, Parsed) or parsed.functions:
        return None
    readers = _readers(parsed.root)
    return _reader(readers[0]) if readers is not None and len(readers) == 1 else None


def _readers(node: Node) -> list[Command] | None:
    """The commands of a list that could read code from the terminal; None when that is not certain."""
    match node:
        case Command():
            return [] if _is_one_of(SILENT, node) else [node]
        case Pipeline(parts=(first, *later)):
            rest_is_data = all(isinstance(each, Command) and _is_one_of(DATA, each) for each in later)
            return _readers(first) if rest_is_data else None
        case Block(kind=BlockKind.LIST, redirects=()):
            inner = [_readers(part) for part in node.parts]
            return None if None in inner else [each for found in inner for each in found or ()]
        case _:
            return None


def silent(command: bytes) -> bool:
    """Nothing of this line reads the terminal, for certain. Never raises."""
    parsed = parse(command)
    return isinstance(parsed, Parsed) and not parsed.functions and _readers(parsed.root) == []


def _is_one_of(names: frozenset[str], command: Command) -> bool:
    """It is one of these programs, for certain."""
    if not command.words or command.assignments or _substitutes(command):
        return False
    directory, _, name = command.words[0].text.rpartition("/")
    return command.words[0].constant and directory in SYSTEM and name in names


def _substitutes(command: Command) -> bool:
    """Runs other commands for its words, and these have the terminal too."""
    return any(word.inner for word in command.words) or any(each.value.inner for each in command.assignments)


def _reader(command: Command) -> Repl | None:
    if _substitutes(command) or any(each.fd in ("", "0") and "<" in each.operator for each in command.redirects):
        return None
    if any(each.word is not None and each.word.inner for each in command.redirects):
        return None
    if not all(each.name.startswith(VARIABLES) for each in command.assignments):
        return None
    return _unwrapped(command.words)


def _unwrapped(words: Sequence[Word]) -> Repl | None:
    while words:
        head, rest = words[0], words[1:]
        directory, _, name = head.text.rpartition("/")
        if not head.constant or directory not in SYSTEM:
            return None
        if name == "su" and all(word.constant and word.text in ("-", "-l", "root") for word in rest):
            return Repl("su", Language.BASH)
        wrapper = WRAPPERS.get(name)
        if wrapper is None:
            return _program(name, rest)
        if wrapper.verb:
            if not rest or rest[0].text != wrapper.verb:
                return None
            rest = rest[1:]
        split = _options(rest, wrapper.plain, wrapper.valued)
        if split is None:
            return None
        options, rest = split
        if not rest and wrapper.shell & set(options):
            return Repl(name, Language.BASH)
        words = rest[wrapper.operands :]
        if words and words[0].text == "--":
            words = words[1:]
    return None


def _options(
    words: Sequence[Word], plain: frozenset[str], valued: frozenset[str], glued: frozenset[str] = frozenset()
) -> tuple[list[str], Sequence[Word]] | None:
    """(options, the rest from the first word that is none); None when one is not known or not constant."""
    options: list[str] = []
    while words and (words[0].text.startswith("-") or words[0].may_be_option) and words[0].text not in ("-", "--"):
        word = words[0]
        if not word.constant or word.splits:
            return None
        name, equals, _ = word.text.partition("=")
        if word.text in plain or (equals and name in valued and name.startswith("--")):
            words = words[1:]
        elif word.text in valued and len(words) > 1 and not words[1].splits:
            words = words[2:]
        elif word.text[:2] in valued | glued and len(word.text) > 2 and not word.text.startswith("--"):
            name, words = word.text[:2], words[1:]
        else:
            return None
        options.append(name)
    return options, words


def _program(name: str, words: Sequence[Word]) -> Repl | None:
    program = PROGRAMS.get(name)
    if program is None:
        return None
    given: list[str] = []
    operands: list[Word] = []
    while words:
        split = _options(words, program.plain, program.valued, program.glued)
        if split is None:
            return None
        options, words = split
        given += options
        if words:
            operands.append(words[0])
            words = words[1:]
    if len(operands) > program.operands or any(word.splits or word.glob for word in operands):
        return None
    if any(word.text in ("-", "--") or word.text.endswith(SCRIPTS) for word in operands):
        return None
    if program.must and not program.must & set(given):
        return None
    return Repl(name, program.language)
