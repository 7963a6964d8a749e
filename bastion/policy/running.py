"""One program with its words, read by its facts: what it does, and what it hands on. Pure.

Theory of operation. argv.py reads the words as the program would; then every option, operand and the stdin is looked
up in the facts, and gives findings. An operand may be a path, a command of its own (`sudo`, `xargs`, `find -exec`), a
shell's line (`bash -c`, `ssh`), or text of an embedded language (sed, awk, SQL …; see `_SPECIAL` and `_LANGUAGES`).
Nothing falls through to harmless: what the facts do not know is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import pairwise

from bastion.errors import ConfigError
from bastion.policy import languages
from bastion.policy.argv import REST, Given, Invocation, read
from bastion.policy.findings import Finder, Finding
from bastion.policy.keyvalue import KeyValue
from bastion.policy.languages import Act
from bastion.policy.programs import Facts, Program
from bastion.policy.sql import DIALECTS, Sql
from bastion.policy.surroundings import Input, Where
from bastion.policy.variables import Variables
from bastion.policy.words import UNKNOWN, Word

DEPTH_LIMIT = 12
"""Commands inside commands (`sudo bash -c "ssh x 'docker exec …'"`); more is opaque."""

WORDS_LIMIT = 2_000
"""Words of one command that are judged, so that 128 KiB of them take no second; people write a dozen."""
TEXT_LIMIT = 8_000
"""Characters of databases' languages in one line that are parsed: sqlglot takes up to 0.3 ms for each of them."""

DATABASES = frozenset(("psql", "mysql", "sqlite", "ansi", "redis", "mongo"))
_RESTS = frozenset(("xargs", "parallel", "flock"))
_NO_PAGER = frozenset(("--no-pager", "-f", "--follow", "-n", "--lines", "-P"))
_SENDS = frozenset(("send", "connect", "listen", "download", "download-file", "remote"))
_STDIN = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
_HELP = frozenset(("--help", "--version"))
_STRINGS = frozenset(("sed", "awk", "perl", "python", "other"))


class Listed(list[Finding]):
    """The answer of an option that makes its program only list, with what listing does."""


LISTED = Listed()


class Runner:
    """Programs, by the facts. `line` judges a shell's line inside a word."""

    def __init__(self, facts: Facts, finder: Finder, line: Callable[[str, Where], list[Finding]]) -> None:
        self.finder = finder
        self.variables = Variables(facts.tables["env"])
        self._facts = facts
        self._line = line
        self._sql = Sql(facts.tables["sql"])
        self._keyvalue = KeyValue(facts.tables["keyvalue"])
        unknown = facts.codes - _SPECIAL.keys() - _LANGUAGES.keys() - DATABASES - _RESTS
        if unknown:
            raise ConfigError("facts", f"languages that nothing reads: {', '.join(sorted(unknown))}")

    def knows(self, name: str) -> bool:
        """A program of that name has facts."""
        return self._facts.program(name) is not None

    def run(self, words: Sequence[Word], where: Where) -> list[Finding]:
        """A program with its words, however it came to be run."""
        if where.depth > DEPTH_LIMIT:
            return [self.finder.find("opaque", "commands inside commands, too deep")]
        if len(words) > WORDS_LIMIT:
            return [self.finder.find("opaque", f"a command of more than {WORDS_LIMIT:,} words")]
        head = words[0]
        if not head.constant or not head.text:
            return [self.finder.find("opaque", f"which program it runs is known only when it runs: {head.raw}")]
        if head.text in where.functions:
            return []  # its body was judged where it stands
        program = self._facts.program(head.text)
        if program is None:
            by_path = "/" in head.text
            return [self.finder.find("program-by-path" if by_path else "unknown-program", head.text)]
        return self._invocation(read(program, words), words, where)

    def variable(self, name: str, value: str, *, exported: bool) -> list[Finding]:
        """A variable that is set; a value that names a secret counts, because it will be read."""
        action = self.variables.action(name, value, exported=exported)
        found = [self.finder.find(action, name.replace(UNKNOWN, "…"))] if action else []
        return found + (self.finder.reading(Word(value, value)) if UNKNOWN not in value else [])

    def typed(self, language: str, text: str) -> list[Finding]:
        """Text of a database's language."""
        if language not in DATABASES:
            return [self.finder.find("opaque", f"{language} is not judged")]
        return self._effects(self._database(language, text, Where(Input())))

    # ------------------------------------------------------------------ one program

    def _invocation(self, given: Invocation, words: Sequence[Word], where: Where) -> list[Finding]:
        if len(words) > 1 and words[-1].text in _HELP and len(given.path.split()) == len(words) - 1:
            return self._input(given, where) if where.stdin.piped else []  # some do not know the word, and read on
        program, find = given.program, self.finder.find
        found: list[Finding] = []
        lists = False
        for one in given.options:
            effects = self._option(given, one, where)
            lists = lists or isinstance(effects, Listed)
            found += effects
        for kind, operand in given.kinds():
            if lists and not given.unlisted and kind in self.finder.actions:  # `gzip -l FILE` leaves the file alone
                kind = "read" if self.finder.actions[kind].path else "skip"  # noqa: PLW2901
            effects = self._operand(given, kind, operand, where)
            lists = lists or isinstance(effects, Listed)
            found += effects
        found += [find("unknown-option", f"{given.path} {name}") for name in given.unknown]
        found += [find("unknown-argument", word.raw) for word in given.unsure]
        found += [find(_less(action, given), given.path) for action in program.adds]
        found += self._itself(given, found, where, lists=lists)
        if any(one.option.action == "code:rehearsal" and _is_set(one.value) for one in given.options):
            found = [find("rehearsal", given.path) if _plain(finding) else finding for finding in found]
        found += self._clauses(given, where)
        return found + self._input(given, where)

    def _itself(self, given: Invocation, found: Sequence[Finding], where: Where, *, lists: bool) -> list[Finding]:
        """What running it does, beside what its options and operands do."""
        program = given.program
        if given.lost:
            return [self.finder.find("unknown-command", f"{given.path} {given.lost}")]
        base = program.action or "unknown-command"
        if lists and not given.unlisted:
            base = "read"
        elif not (given.operands or given.clauses or given.unlisted or given.has(program.unless)) and program.bare:
            base = program.bare
        if any(fnmatchcase(word.text.lower(), pattern) for word in given.operands for pattern in program.secret):
            base = "read-secret"
        if base in ("pager", "paged") and (where.captured or given.has(_NO_PAGER)):
            base = "read"
        if base == "interactive" and where.stdin.piped and _takes_code(given):
            base = "read"  # what it reads is judged instead
        alone = not (given.options or given.operands or where.captured or where.stdin.piped)  # shows everything
        if base == "pager" and not (where.terminal or alone):
            base = "read"
        if base == "read":
            return []
        handed = any(finding.action.name.startswith(base) for finding in found)
        covered = any(kind.removesuffix("*").removeprefix("last:") == base for kind in program.operands)
        read = any(kind.startswith("code:") and kind not in REST for kind in program.operands)
        if ((covered or read) and handed) or (covered and given.operands):
            return []
        things = tuple(word.text for word in given.operands)
        hosts = tuple(word.text for kind, word in given.kinds() if kind == "host" and isinstance(word, Word))
        if base == "session-change":  # its words are numbers, masks and signals, and no files
            return [self.finder.find(base, " ".join(things) or given.path, ("this shell",))]
        return [self.finder.find(base, " ".join(things) or given.path, hosts or things)]

    def _clauses(self, given: Invocation, where: Where) -> list[Finding]:
        """The commands of `find -exec`."""
        found = self.hoard(given.operands, where.directories) if given.clauses else []
        for clause in given.clauses:
            words = tuple(_anchored(word) for word in clause) if anchored(given.operands) else clause
            if not words:
                found.append(self.finder.find("unknown-option", "-exec without a command"))
            else:
                found += self.handed(words, where)
        return found

    def _option(self, given: Invocation, one: Given, where: Where) -> list[Finding]:
        action, value = one.option.action, one.value
        if one.option.value != "=" and value is not None and value.text == "false":
            return []  # `--dry-run=false`; but `-f false` is a file of that name
        if not action or action == "read":
            return [] if value is None else self.finder.reading(value, where.directories)
        if value is not None:
            return self._operand(given, action, value, where)
        if action.startswith("code:"):
            return self._operand(given, action, Word("", ""), where)
        paths = self._paths(given) if self.finder.actions[action].path else []
        if paths:
            return [found for word in paths for found in self.finder.path(action, word, where.directories)]
        things = tuple(word.text for word in given.operands)
        return [self.finder.find(action, " ".join(things) or given.path, things)]

    def _paths(self, given: Invocation) -> list[Word]:
        """The operands that are paths; of a program that does not say, all of them."""
        if not given.program.operands:
            return list(given.operands)
        return [
            word
            for kind, word in given.kinds()
            if isinstance(word, Word)
            and (kind == "read" or (kind in self.finder.actions and self.finder.actions[kind].path))
        ]

    def _operand(self, given: Invocation, kind: str, operand: Word | tuple[Word, ...], where: Where) -> list[Finding]:
        """What one operand, or the rest of them, means."""
        if isinstance(operand, tuple):
            return self._rest(given, kind, operand, where)
        if kind in ("skip", "host"):
            return []
        if kind == "shell":
            return self.string(operand, where)
        if kind.startswith("code:"):
            return self._embedded(given, kind.removeprefix("code:"), operand, where)
        action = self.finder.actions[kind]
        if action.path or action.code:
            return self.finder.path(kind, operand, where.directories)
        things = ("this shell",) if kind == "session-change" else ()
        return [self.finder.find(kind, operand.text, things)]

    def _rest(self, given: Invocation, kind: str, words: tuple[Word, ...], where: Where) -> list[Finding]:
        """Operands that are a command."""
        if kind == "env-argv":
            return self._with_environment(given, words, where)
        if kind == "argv" and len(words) == 1 and any(one.option.action == "code:lookup" for one in given.options):
            return []  # `command -v rm` only says where it is; with more words somebody means something else
        if kind == "argv":
            if given.program.action == "elsewhere" and words[0].text == "--":
                words = words[1:]
            return self.handed(words, where) if words else []
        if kind == "shell":
            if len(words) == 1:
                return self.string(words[0], where)
            return self.string(Word(" ".join(word.text for word in words), given.path), where)
        if kind == "code:redis":
            return self._effects(self._keyvalue.redis([word.text for word in words]))
        if kind == "code:flock":
            if words[0].text in ("-c", "--command") and len(words) > 1:
                return self.string(words[1], where)
            return self.handed(words, where)
        if kind == "code:xargs":
            return self.handed(_fed(given, words, where.stdin), where)
        found = [self.finder.find("unknown-input", " ".join(word.text for word in words))]
        return found + self._parallel(words, where)

    def _with_environment(self, given: Invocation, words: tuple[Word, ...], where: Where) -> list[Finding]:
        """`env NAME=value … command`; `-S` puts more words in front (env(1))."""
        found: list[Finding] = []
        for one in given.options:
            if one.option.action != "code:env-split":
                continue
            text = one.value.text if one.value is not None else UNKNOWN
            if re.search(rf"[\\$'\"#{UNKNOWN}]", text):
                return [self.finder.find("opaque", "words that env -S makes of a string")]
            words = (*(Word(part, part) for part in text.split()), *words)
        while words and not words[0].text.startswith(UNKNOWN) and "=" in words[0].text:
            name, _, value = words[0].text.partition("=")
            found += self.variable(name, value, exported=True)
            words = words[1:]
        if not words:
            return [*found, self.finder.find("show-environment")]
        return found + self.handed(words, where)

    def _parallel(self, words: tuple[Word, ...], where: Where) -> list[Finding]:
        ends = [at for at, word in enumerate(words) if word.text.startswith(":::")]
        line = " ".join(word.text for word in (words[: ends[0]] if ends else words))
        return self.string(Word(line, line), where) if line else [self.finder.find("run-input", "parallel")]

    def handed(self, words: Sequence[Word], where: Where) -> list[Finding]:
        """A command that another one runs. Placeholders stand for words that only run time knows."""
        known = [_placeholder(word, "{}") for word in words]
        return self.run(known, replace(where, depth=where.depth + 1, functions=frozenset()))

    def string(self, word: Word, where: Where) -> list[Finding]:
        """A shell's line inside a word."""
        if UNKNOWN in word.text or word.glob:
            return [self.finder.find("opaque", f"a command that is known only when it runs: {word.raw}")]
        return self._line(word.text, replace(where, depth=where.depth + 1, functions=frozenset()))

    # ------------------------------------------------------------------ stdin

    def _input(self, given: Invocation, where: Where) -> list[Finding]:
        """What its stdin makes of it, when that is code."""
        program, stdin = given.program, where.stdin
        language = program.language
        if stdin.secret and program.action in _SENDS:
            return [self.finder.find("send-secret", given.path)]
        if program.name == "xargs" and stdin.hoard:
            return [self.finder.find("read-secret", "files whose names it reads from its input")]
        if program.name == "xargs":
            return [] if given.operands or stdin.piped else [self.finder.find("unknown-input", given.path)]
        if (program.name == "parallel" and given.operands) or not _takes_code(given):
            return []
        if stdin.text is not None and language and UNKNOWN not in stdin.text:
            if language == "shell":
                return self._line(stdin.text, replace(where, stdin=Input(), depth=where.depth + 1))
            return self._effects(self._database(language, stdin.text, where))
        if stdin.fetched:
            return [self.finder.find("run-download", given.path)]
        if language in DATABASES:
            return [self.finder.find("database-unread" if stdin.piped else "database-shell", given.path)]
        return [self.finder.find("run-hidden" if stdin.decoded else "run-input", given.path)]

    # ------------------------------------------------------------------ embedded languages

    def _embedded(self, given: Invocation, language: str, word: Word, where: Where) -> list[Finding]:
        special = _SPECIAL.get(language)
        if special is not None:
            return special(self, given, word, where)
        simple = _LANGUAGES.get(language)
        if simple is not None:
            if UNKNOWN in word.text and language in _STRINGS:
                return [self.finder.find("run-code", f"{language} code that is known only when it runs")]
            return self._effects(simple(word.text), where)
        found = self._effects(self._database(language, word.text, where), where)
        if language in DIALECTS and not found and self._sql.several(word.text, language):
            return [self.finder.find("database-several", word.text)]
        return found

    def _database(self, language: str, text: str, where: Where) -> list[Act]:
        where.spent.text += len(text)
        if where.spent.text > TEXT_LIMIT:
            return [("database-unread", f"more than {TEXT_LIMIT:,} characters of it")]
        if language == "redis":
            return self._keyvalue.redis_lines(text)
        if language == "mongo":
            return self._keyvalue.mongo(text)
        return self._sql.judge(text, language)

    def _effects(self, effects: Iterable[Act], where: Where | None = None) -> list[Finding]:
        found: list[Finding] = []
        directories = where.directories if where is not None else ()
        for name, what in effects:
            if name == "listed":
                return LISTED
            path = self.finder.actions[name].path
            found += self.finder.path(name, Word(what, what), directories) if path else [self.finder.find(name, what)]
        return found

    def _only_lists(self, _given: Invocation, _word: Word, _where: Where) -> list[Finding]:
        return LISTED

    def _paged_list(self, given: Invocation, _word: Word, where: Where) -> list[Finding]:
        """A listing of everything, which goes to a pager by itself: `dpkg -l`, `dmesg -H`."""
        if where.captured or given.operands or given.has(_NO_PAGER | {"--nopager"}):
            return LISTED
        return Listed([self.finder.find("paged", given.path)])

    def _dry(self, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
        return [] if given.has(frozenset(("-f", "--force"))) else LISTED

    def _later(self, _given: Invocation, _word: Word, _where: Where) -> list[Finding]:
        """Settled when the rest has been found."""
        return []

    def _env_split(self, given: Invocation, _word: Word, where: Where) -> list[Finding]:
        """`env -S STRING` without further words; with them it is read where they are."""
        return [] if given.operands else self._with_environment(given, (), where)

    def _firewall_list(self, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
        """Without -n it asks name servers about every address."""
        numeric = given.has(frozenset(("-n", "--numeric")))
        return LISTED if numeric else Listed([self.finder.find("lookup", "addresses in the rules")])

    def _trapped(self, given: Invocation, word: Word, where: Where) -> list[Finding]:
        """`''` ignores the signals behind it and `-`, or nothing in front of them, puts them back (bash(1)): neither
        runs anything. What else stands there is code for later."""
        if word.text in ("", "-") or (len(given.operands) == 1 and word.constant and word.text.isalnum()):
            return []
        return [self.finder.find("session-hook", word.text), *self.string(word, where)]

    def _checkout(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """Paths behind a branch or `--` are overwritten (git-checkout(1))."""
        if given.separated or (len(given.operands) > 1 and word is not given.operands[0]):
            return [self.finder.find("vcs-discard", word.text)]
        return self._effects(languages.checkout(word.text))

    def _restore(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """Changes that are not committed are lost, unless only the index is restored (git-restore(1))."""
        index_only = given.has(frozenset(("-S", "--staged"))) and not given.has(frozenset(("-W", "--worktree")))
        return [self.finder.find("vcs-local" if index_only else "vcs-discard", word.text)]

    def _shell_next(self, given: Invocation, _word: Word, where: Where) -> list[Finding]:
        """`bash -c STRING`: the string is the first operand."""
        if not given.operands or not given.operands[0].text:
            return [self.finder.find("unknown-option", f"{given.path} -c without a command")]
        return self.string(given.operands[0], where)

    def _sudo_shell(self, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
        return [] if given.operands else [self.finder.find("become-root", given.path)]

    def _remote_copy(self, given: Invocation, word: Word, where: Where) -> list[Finding]:
        if given.has(frozenset(("--list-only",))):
            return self._remote_read(given, word, where)
        if languages.remote_path(word.text):
            return [self.finder.find("send", word.text)]
        return self.finder.path("copy", word, where.directories)

    def _remote_read(self, _given: Invocation, word: Word, where: Where) -> list[Finding]:
        if languages.remote_path(word.text):
            return [self.finder.find("download", word.text)]
        return self.finder.path("read", word, where.directories)

    def _declared(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """`export NAME=value`, `declare NAME`."""
        name, equals, value = word.text.partition("=")
        array = any(one.name in ("-a", "-A") for one in given.options)
        if word.splits or (equals and value.startswith("(")) or (array and UNKNOWN in value):
            return [self.finder.find("evaluates", word.raw)]  # '(…)' is read as an array, and expanded
        return self.variable(name, value, exported=False)

    def _exported(self, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """`docker exec -e NAME=value`: for the command that follows."""
        name, _, value = word.text.partition("=")
        return self.variable(name, value, exported=True)

    def _pack(self, given: Invocation, _word: Word, where: Where) -> list[Finding]:
        """`tar -c`: the archive is written, what goes into it is read (tar(1)); `-` is stdout."""
        files = [one.value for one in given.options if one.name in ("-f", "--file") and one.value is not None]
        if not files:
            return [self.finder.find("create", "the default archive")]
        return [found for file in files for found in self.finder.path("create", file, where.directories)]

    def _url(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """A service of the target itself is asked, and answers: `curl localhost/health`."""
        elsewhere = given.has(_DIVERTS) or _OWN_URL.fullmatch(word.text) is None
        return [self.finder.find("download" if elsewhere else "ask-local", word.text)]

    def _service(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """`service NAME ACTION`: the action says what, the name of which service."""
        return [self.finder.find(name, given.operands[0].text) for name, _ in languages.service(word.text)]

    def _tree(self, given: Invocation, word: Word, where: Where) -> list[Finding]:
        """Every file below a directory is read. A whole tree (`/`, `/home`) holds secrets somewhere, which is not
        counted; a directory that holds them itself (`~/.ssh`, `/etc`) is."""
        below = [word] if word.text else self._paths(given)
        here = self.finder.reading(word, where.directories) if word.text else []
        return here + [found for each in below for found in self.inside(each, where.directories)]

    def inside(self, directory: Word, directories: tuple[str, ...] = ()) -> list[Finding]:
        """What is found when whatever lies in a directory is read."""
        if not directory.text.strip("/"):
            return []
        return self.finder.reading(Word(f"{directory.text.rstrip('/')}/{UNKNOWN}", directory.raw), directories)

    def hoard(self, operands: Sequence[Word], directories: tuple[str, ...] = ()) -> list[Finding]:
        """What `find` names is read by another command, and it starts where little but secrets lies (`~/.ssh`). `/etc`
        holds much besides."""
        starts = [word for word in operands if not word.text.rstrip("/").endswith(("/etc", "/etc/security"))]
        return [found for word in starts for found in self.inside(word, directories)]

    def _variable(self, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """A name that a builtin assigns to: `read NAME`, `printf -v NAME`."""
        return self.variable(word.text, UNKNOWN, exported=False)

    def _tested(self, given: Invocation, word: Word, _where: Where) -> list[Finding]:
        """`test -v NAME` evaluates the name's subscript (bash(1) CONDITIONAL EXPRESSIONS)."""
        words = given.operands
        names = [after for before, after in pairwise(words) if before.text in _TESTS]
        unsure = any(one.splits for one in words) and any("[" in one.text[1:] for one in words)
        if (word in names and not _NAME.fullmatch(word.text)) or (unsure and word is words[0]):
            return [self.finder.find("evaluates", word.raw)]
        return []

    def _remote_line(self, given: Invocation, word: Word, where: Where) -> list[Finding]:
        """`ansible -a`: a module's arguments; for shell and command modules a command line."""
        return self.string(word, where) if given.program.name == "ansible" else []

    def _psql_variable(self, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
        harmless = word.text.startswith(("ON_ERROR_STOP", "QUIET", "ECHO")) and UNKNOWN not in word.text
        return [] if harmless else [self.finder.find("database-unread", f"variable {word.text}")]


_NAME = re.compile(r"\w+(?:\[\d+\])?")
_PLAIN_USER = re.compile(r"[a-z_][a-z0-9_-]*")
_OWN_URL = re.compile(r"(?:https?://)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:[/?#][^@]*)?", re.IGNORECASE)
_DIVERTS = frozenset(("-x", "--proxy", "--resolve", "--connect-to", "-L", "--location", "--interface", "--unix-socket"))
"""Options of curl(1) by which a request goes elsewhere than its URL says."""
_TESTS = frozenset(("-v", "-R"))


def _less(action: str, given: Invocation) -> str:
    """Another user's rights are less than root's: `sudo -u postgres`."""
    users = [one.value.text for one in given.options if one.name in ("-u", "--user") and one.value is not None]
    if action == "privilege" and users and all(_PLAIN_USER.fullmatch(user) and user != "root" for user in users):
        return "another-user"
    return action


def _takes_code(given: Invocation) -> bool:
    """Whether it reads code from its stdin, by its facts."""
    program: Program = given.program
    rule = program.stdin
    if given.has(program.stdin_if):
        return True
    if rule not in ("data", "files", "none", "always-data") and any(
        one.value is not None and one.value.text in _STDIN for one in given.options
    ):
        return True
    if given.has(program.stdin_not):
        return False
    if rule == "always":
        return True
    if rule == "code":
        return not given.operands or given.operands[0].text in _STDIN
    if rule.startswith("code:"):
        return len(given.operands) < int(rule.removeprefix("code:"))
    return rule == "dash" and any(word.text in _STDIN for word in given.operands)


def _is_set(value: Word | None) -> bool:
    return value is None or value.text not in ("none", "false")


def _plain(finding: Finding) -> bool:
    """Something that a rehearsal leaves out: not code, not what could not be read."""
    return not finding.action.name.startswith(("unknown", "opaque", "run-", "read", "environment", "evaluates"))


def anchored(operands: Sequence[Word]) -> bool:
    """What find prints begins with its starting point, which is no option."""
    starts = [word for word in operands if word.text[:1] not in "(!,"]
    return bool(starts) and all(word.constant and word.text[:1] in ("/", ".", "~") for word in starts)


def _anchored(word: Word) -> Word:
    return Word(word.text.replace("{}", f"./{UNKNOWN}"), word.raw) if word.text.startswith("{}") else word


def _placeholder(word: Word, sign: str) -> Word:
    """`{}` of find and xargs -I, as a word of which only its surroundings are known."""
    if sign not in word.text:
        return word
    return Word(word.text.replace(sign, UNKNOWN), word.raw, word.glob, word.splits)


def _fed(given: Invocation, words: Sequence[Word], stdin: Input) -> tuple[Word, ...]:
    """The command that xargs runs: its words, and those that come from its input (xargs(1))."""
    signs = [
        one.value.text if one.value is not None and one.value.text else "{}"
        for one in given.options
        if one.name in ("-I", "-i", "-J", "--replace")
    ]
    if signs:
        for sign in signs:
            words = [_placeholder(word, sign) for word in words]
        return tuple(words)
    if stdin.anchored and given.has(frozenset(("-0", "--null"))):
        return (*words, Word(f"./{UNKNOWN}", "(from its input)"))
    return (*words, Word(UNKNOWN, "(from its input)", splits=True))


_LANGUAGES: dict[str, Callable[[str], list[Act]]] = {
    "sed": languages.sed,
    "awk": languages.awk,
    "pager": languages.pager,
    "date": languages.date,
    "dd": languages.dd,
    "tput": languages.tput,
    "mongo-target": languages.mongo_target,
    "output": languages.output,
    "header": languages.header,
    "curl-format": languages.curl_format,
    "manifest": languages.manifest,
    "response": languages.response,
    "git-object": languages.git_object,
    "nft": languages.nft,
    "assigned": languages.assigned,
    "archive": languages.archive,
    "parted": languages.parted,
    "set-option": languages.set_option,
    "python": languages.code,
    "perl": languages.code,
    "other": languages.code,
    "ssh-option": languages.ssh_option,
    "git-config": languages.git_config,
    "refspec": languages.refspec,
    "container-mount": languages.container_mount,
    "sysctl": languages.sysctl,
    "kill": languages.kill,
    "replicas": languages.replicas,
    "http-method": languages.http_method,
    "conninfo": languages.conninfo,
    "tmux-format": languages.tmux_format,
    "mysqladmin": languages.mysqladmin,
    "yq": languages.yq,
    "aws-parameter": languages.aws_parameter,
}

_SPECIAL: dict[str, Callable[[Runner, Invocation, Word, Where], list[Finding]]] = {
    "only-lists": Runner._only_lists,
    "lookup": Runner._only_lists,
    "restore": Runner._restore,
    "paged-list": Runner._paged_list,
    "dry": Runner._dry,
    "rehearsal": Runner._later,
    "env-split": Runner._env_split,
    "firewall-list": Runner._firewall_list,
    "checkout": Runner._checkout,
    "shell-next": Runner._shell_next,
    "sudo-shell": Runner._sudo_shell,
    "remote-copy": Runner._remote_copy,
    "remote-read": Runner._remote_read,
    "assignment": Runner._declared,
    "url": Runner._url,
    "pack": Runner._pack,
    "service": Runner._service,
    "tree": Runner._tree,
    "trap": Runner._trapped,
    "variable": Runner._variable,
    "environment": Runner._exported,
    "test": Runner._tested,
    "remote-line": Runner._remote_line,
    "psql-variable": Runner._psql_variable,
}
