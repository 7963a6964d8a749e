"""One program with its words, read by its facts: what it does, and what it hands on. Pure.

Theory of operation. argv.py reads the words as the program would; then every option, operand and the stdin is looked
up in the facts, and gives findings. An operand may be a path, a command of its own (`sudo`, `xargs`, `find -exec`), a
shell's line (`bash -c`, `ssh`), or text of an embedded language (sed, awk, SQL …; see special.py).
Nothing falls through to harmless: what the facts do not know is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from bastion.errors import ConfigError
from bastion.policy.argv import REST, Given, Invocation, read
from bastion.policy.findings import Finder, Finding
from bastion.policy.handing import anchored, fed, from_here, placeholder
from bastion.policy.keyvalue import KeyValue
from bastion.policy.languages import Act
from bastion.policy.programs import Facts, Program
from bastion.policy.special import LANGUAGES, LISTED, NO_PAGER, SPECIAL, Listed
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
_SENDS = frozenset(("send", "connect", "listen", "download", "download-file", "remote"))
_FETCHERS = frozenset("pip pip2 pip3 npm yarn pnpm gem helm cargo dnf yum zypper skopeo xmllint".split())  # noqa: SIM905 - a table
"""Programs whose reads go to whichever place a word names."""
_AWAY = re.compile(r"(?:[\w.-]+[=,])?(?:[a-z][a-z0-9+.-]*://|git[+@]|(?:github|gitlab|bitbucket|gist):)", re.IGNORECASE)
_REGISTRY = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/", re.IGNORECASE)
_STDIN = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
_HELP = frozenset(("--help", "--version"))
_STRINGS = frozenset(("sed", "awk", "perl", "python", "other"))


class Runner:
    """Programs, by the facts. `line` judges a shell's line inside a word."""

    def __init__(self, facts: Facts, finder: Finder, line: Callable[[str, Where], list[Finding]]) -> None:
        self.finder = finder
        self.variables = Variables(facts.tables["env"])
        self._facts = facts
        self._line = line
        self._sql = Sql(facts.tables["sql"])
        self._keyvalue = KeyValue(facts.tables["keyvalue"])
        unknown = facts.codes - SPECIAL.keys() - LANGUAGES.keys() - DATABASES - _RESTS
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
        return self.effects_of(self._database(language, text, Where(Input())))

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
        for said, operand in given.kinds():
            kind = said
            if lists and not given.unlisted and said in self.finder.actions:  # `gzip -l FILE` leaves the file alone
                kind = "read" if self.finder.actions[said].path else "skip"
            effects = self._operand(given, kind, operand, where)
            lists = lists or isinstance(effects, Listed)
            found += effects
        found += [find("unknown-option", f"{given.path} {name}") for name in given.unknown]
        found += [find("unknown-argument", word.raw) for word in given.unsure]
        if given.lists:
            found += self.finder.path("read", Word(UNKNOWN, UNKNOWN))
        found += [find(_less(action, given), given.path) for action in program.adds]
        found += self._itself(given, found, where, lists=lists)
        found += self._fetched(given)
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
        if base in ("pager", "paged") and (where.captured or given.has(NO_PAGER)):
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

    def _fetched(self, given: Invocation) -> list[Finding]:
        """A place in the network that a word names, for a program that goes there with what only looks like a query."""
        asks = given.program.action == "package-query"
        if not asks and given.path.split()[0] not in _FETCHERS:
            return []
        words = [*given.operands, *(one.value for one in given.options if one.value is not None)]
        away = [word.text for word in words if _AWAY.match(word.text) or (asks and _REGISTRY.match(word.text))]
        if asks and given.path.startswith("npm "):  # `USER/NAME` is a repository, whose scripts run
            away += [word.text for word in given.operands if "/" in word.text and word.text[0] not in "@./~"]
        return [self.finder.find("connect", text) for text in dict.fromkeys(away)]

    def _clauses(self, given: Invocation, where: Where) -> list[Finding]:
        """The commands of `find -exec`."""
        found = self.hoard(given.operands, where.directories) if given.clauses else []
        for clause in given.clauses:
            words = tuple(from_here(word) for word in clause) if anchored(given.operands) else clause
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
            if value is None:
                return []
            reads = action == "read" or value.text.startswith(("~/", "./", "../")) or re.match("/.", value.text)
            return (self.finder.path("read", value, where.directories) if reads else []) or self.finder.reading(
                value, where.directories
            )
        if value is not None:
            return self._operand(given, action, value, where)
        if action.startswith("code:"):
            return self._operand(given, action, Word("", ""), where)
        paths = self.paths(given) if self.finder.actions[action].path else []
        if paths:
            return [found for word in paths for found in self.finder.path(action, word, where.directories)]
        things = tuple(word.text for word in given.operands)
        return [self.finder.find(action, " ".join(things) or given.path, things)]

    def paths(self, given: Invocation) -> list[Word]:
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
            return self.with_environment(given, words, where)
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
            return self.effects_of(self._keyvalue.redis([word.text for word in words]))
        if kind == "code:flock":
            if words[0].text in ("-c", "--command") and len(words) > 1:
                return self.string(words[1], where)
            return self.handed(words, where)
        if kind == "code:xargs":
            return self.handed(fed(given, words, where.stdin), where)
        found = [self.finder.find("unknown-input", " ".join(word.text for word in words))]
        return found + self._parallel(words, where)

    def with_environment(self, given: Invocation, words: tuple[Word, ...], where: Where) -> list[Finding]:
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
        known = [placeholder(word, "{}") for word in words]
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
            return self.effects_of(self._database(language, stdin.text, where))
        if stdin.fetched:
            return [self.finder.find("run-download", given.path)]
        if language in DATABASES:
            return [self.finder.find("database-unread" if stdin.piped else "database-shell", given.path)]
        return [self.finder.find("run-hidden" if stdin.decoded else "run-input", given.path)]

    # ------------------------------------------------------------------ embedded languages

    def _embedded(self, given: Invocation, language: str, word: Word, where: Where) -> list[Finding]:
        special = SPECIAL.get(language)
        if special is not None:
            return special(self, given, word, where)
        simple = LANGUAGES.get(language)
        if simple is not None:
            if UNKNOWN in word.text and language in _STRINGS:
                return [self.finder.find("run-code", f"{language} code that is known only when it runs")]
            return self.effects_of(simple(word.text), where)
        found = self.effects_of(self._database(language, word.text, where), where)
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

    def effects_of(self, effects: Iterable[Act], where: Where | None = None) -> list[Finding]:
        found: list[Finding] = []
        directories = where.directories if where is not None else ()
        for name, what in effects:
            if name == "listed":
                return LISTED
            path = self.finder.actions[name].path
            found += self.finder.path(name, Word(what, what), directories) if path else [self.finder.find(name, what)]
        return found

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


_PLAIN_USER = re.compile(r"[a-z_][a-z0-9_-]*")


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
