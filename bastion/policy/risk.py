"""How risky a command line is, and why. Pure.

Theory of operation. The line is parsed (shell.py), each simple command is read by the facts of its program (argv.py,
facts/*.toml), and everything that it does becomes a finding: options, operands, redirections, assignments, and what it
hands on: wrappers (`sudo`, `xargs`, `ssh`), shells' strings, SQL, sed and awk programs. The whole is the union of all
findings (score.py). Low is what remains when nothing was found that does more than read: every word that could matter
is constant and known. Nothing falls through to low: an unknown program, option, sub-command, function or construct is
a finding, and so is a failure in here.

What is not seen: which program of a name the target has, what variables, aliases and functions of a running shell
mean, where links lead, what a database's own functions do. What a glob or a variable stands for is seen only as a word
that may turn out to be an option.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from bastion.errors import ConfigError
from bastion.model import Assessment
from bastion.policy import languages, programs, score
from bastion.policy.argv import Invocation, read
from bastion.policy.keyvalue import KeyValue
from bastion.policy.languages import Act
from bastion.policy.places import Places
from bastion.policy.programs import Facts, Program
from bastion.policy.score import Finding
from bastion.policy.shell import Assignment, Block, Command, Node, Parsed, Pipeline, Redirect, parse
from bastion.policy.sql import DIALECTS, Sql
from bastion.policy.words import UNKNOWN, Word

DEPTH_LIMIT = 12
"""Commands inside commands (`sudo bash -c "ssh x 'docker exec …'"`); more is opaque."""

_HARSH = frozenset(("deletes", "irreversible"))
_DATABASES = frozenset(("psql", "mysql", "sqlite", "ansi", "redis", "mongo"))
_RESTS = frozenset(("xargs", "parallel", "flock"))
_OUTPUTS = frozenset((">", ">>", ">|", "&>", "&>>"))
_NO_PAGER = frozenset(("--no-pager", "-f", "--follow", "-n", "--lines", "-P"))
_NOWHERE = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2"))
_DECODERS = frozenset(("base64", "base32", "basenc", "xxd", "openssl", "gunzip", "zcat", "uudecode"))
_DOWNLOADS = frozenset(("download", "download-file", "connect", "listen", "remote", "lookup"))
_SENDS = frozenset(("send", "connect", "listen", "download", "download-file", "remote"))


def assess(command: bytes, *, language: str = "bash") -> Assessment:
    """What this command does, how risky that is. Raises ConfigError when the facts are not well-formed, else nothing.

    `language` is `bash`, or what a prompt takes: psql, mysql, sqlite, ansi (SQL of an unknown server), redis, mongo.
    """
    return loaded().assess(command, language)


@functools.cache
def loaded() -> Risk:
    """The classifier with the facts as packaged; read once. Raises ConfigError when they are not well-formed."""
    return Risk(programs.load())


@dataclass(frozen=True, slots=True)
class Input:
    """What a command's stdin is."""

    text: str | None = None
    """When it is written in the command line."""
    piped: bool = False
    """Comes from another command or a file."""
    fetched: bool = False
    decoded: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class _Where:
    """Surroundings of a command."""

    stdin: Input
    depth: int
    functions: frozenset[str]
    terminal: bool = True
    """Its output may go to a terminal, where programs open pagers."""


class Risk:
    """The classifier: facts, ready for use. One value serves all threads."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._places = Places(facts.places)
        self._sql = Sql(facts.tables["sql"])
        self._keyvalue = KeyValue(facts.tables["keyvalue"])
        self._harmless: list[str] = list(facts.tables["env"]["harmless"])
        self._code: list[str] = list(facts.tables["env"]["code"])
        unknown = facts.codes - _SPECIAL.keys() - _LANGUAGES.keys() - _DATABASES - _RESTS
        if unknown:
            raise ConfigError("facts", f"languages that nothing reads: {', '.join(sorted(unknown))}")

    def assess(self, command: bytes, language: str = "bash") -> Assessment:
        """The assessment of one command, or of one input of another language's prompt. Never raises."""
        try:
            return score.assess(self.findings(command) if language == "bash" else self._typed(command, language))
        except Exception:  # noqa: BLE001 - a mistake in here must not let anything pass
            return score.assess([self._find("opaque", "the risk classifier failed on it")])

    def _typed(self, text: bytes, language: str) -> list[Finding]:
        """What is typed at the prompt of a database client."""
        if language not in _DATABASES:
            return [self._find("opaque", f"{language} is not judged")]
        return self._effects(self._language(language, text.decode()))

    def findings(self, command: bytes, *, stdin: Input | None = None, depth: int = 0) -> list[Finding]:
        """Everything that was found."""
        parsed = parse(command)
        if not isinstance(parsed, Parsed):
            return [self._find("opaque", f"this line {parsed.reason}")]
        where = _Where(stdin or Input(), depth, parsed.functions)
        return self._node(parsed.root, where)

    # ------------------------------------------------------------------ structure

    def _node(self, node: Node, where: _Where) -> list[Finding]:
        match node:
            case Command():
                return self._command(node, where)
            case Pipeline():
                return self._pipeline(node, where)
            case Block():
                return self._block(node, where)

    def _pipeline(self, node: Pipeline, where: _Where) -> list[Finding]:
        found: list[Finding] = []
        stdin = where.stdin
        for part in node.parts:
            last = part is node.parts[-1]
            here = self._node(part, replace(where, stdin=stdin, terminal=where.terminal and last))
            found += here
            stdin = self._output(part, here, stdin)
        return found

    def _output(self, part: Node, findings: list[Finding], stdin: Input) -> Input:
        """What the next command of a pipeline reads."""
        names = {finding.action.name for finding in findings}
        name = part.words[0].text.rpartition("/")[2] if isinstance(part, Command) and part.words else ""
        text = _printed(part) if isinstance(part, Command) else None
        if name == "cat" and isinstance(part, Command) and len(part.words) == 1:
            text = next((one.word.text for one in part.redirects if one.operator[:2] == "<<" and one.word), stdin.text)
        return Input(
            text=text,
            piped=True,
            fetched=stdin.fetched or bool(names & _DOWNLOADS),
            decoded=stdin.decoded or name in _DECODERS,
            secret=stdin.secret or "read-secret" in names,
        )

    def _block(self, node: Block, where: _Where) -> list[Finding]:
        found: list[Finding] = []
        for word in node.words:
            found += self._word(word, where)
        inner = replace(where, stdin=self._redirected(node.redirects, where.stdin))
        for redirect in node.redirects:
            found += self._redirect(redirect, where)
        for part in node.parts:
            found += self._node(part, inner)
        if node.evaluates:
            found.append(self._find("evaluates"))
        return found

    def _word(self, word: Word, where: _Where) -> list[Finding]:
        """What the substitutions of a word run."""
        inner = replace(where, depth=where.depth + 1, terminal=False)
        return [finding for part in word.inner for finding in self._node(part, inner)]

    def _command(self, node: Command, where: _Where) -> list[Finding]:
        if where.depth > DEPTH_LIMIT:
            return [self._find("opaque", "commands inside commands, too deep")]
        found: list[Finding] = []
        for assignment in node.assignments:
            found += self._word(assignment.value, where)
            found += self._assignment(assignment, node.words)
        for redirect in node.redirects:
            if redirect.word is not None:
                found += self._word(redirect.word, where)
            found += self._redirect(redirect, where)
        for word in node.words:
            found += self._word(word, where)
        if node.words:
            stdin = self._redirected(node.redirects, where.stdin)
            to_file = any(one.operator in _OUTPUTS and one.fd in ("", "1") for one in node.redirects)
            found += self._run(node.words, replace(where, stdin=stdin, terminal=where.terminal and not to_file))
        return found

    # ------------------------------------------------------------------ redirections, assignments

    def _redirected(self, redirects: Iterable[Redirect], stdin: Input) -> Input:
        for redirect in redirects:
            if redirect.operator in ("<<", "<<-", "<<<") and redirect.word is not None and redirect.fd in ("", "0"):
                stdin = Input(text=redirect.word.text, piped=True)
            elif redirect.operator in ("<", "<>") and redirect.fd in ("", "0"):
                secret = redirect.word is not None and self._places.of_read(redirect.word.text) is not None
                stdin = Input(piped=True, secret=secret)
        return stdin

    def _redirect(self, redirect: Redirect, where: _Where) -> list[Finding]:
        word, operator = redirect.word, redirect.operator
        if word is None or operator in ("<<", "<<-", "<<<"):
            return []
        text = word.text
        if operator in (">&", "<&") and (text.isdigit() or text == "-"):
            return []
        if text in _NOWHERE:
            return []
        if text.startswith(("/dev/tcp/", "/dev/udp/")):
            return [self._find("connect" if operator == "<" else "send", text)]
        if operator in ("<", "<&"):
            return self._path("read", word)
        if text == "/dev/fd/63":
            return []
        found = self._path("write", word)
        if where.stdin.secret and text.startswith("/dev/"):
            found.append(self._find("send-secret", text))
        return found

    def _assignment(self, assignment: Assignment, words: Sequence[Word]) -> list[Finding]:
        name = assignment.name
        both = f"{name}={assignment.value.text}"
        if any(fnmatchcase(name, pattern) or both == pattern for pattern in self._harmless):
            return []
        if name == "IFS" and words and words[0].text == "read":
            return []
        if any(fnmatchcase(name, pattern) for pattern in self._code):
            return [self._find("environment-code", name)]
        return [self._find("environment", name)] if words else []

    # ------------------------------------------------------------------ one program

    def _run(self, words: Sequence[Word], where: _Where) -> list[Finding]:
        """A program with its words, however it came to be run."""
        if where.depth > DEPTH_LIMIT:
            return [self._find("opaque", "commands inside commands, too deep")]
        head = words[0]
        if not head.constant or not head.text:
            return [self._find("opaque", f"which program it runs is known only when it runs: {head.raw}")]
        if head.text in where.functions:
            return []
        program = self._facts.program(head.text)
        if program is None:
            by_path = "/" in head.text
            return [self._find("program-by-path" if by_path else "unknown-program", head.text)]
        return self._invocation(read(program, words), words, where)

    def _invocation(  # noqa: PLR0912 - what its facts say, in order
        self, given: Invocation, words: Sequence[Word], where: _Where
    ) -> list[Finding]:
        program = given.program
        if len(words) > 1 and words[-1].text in ("--help", "--version") and len(given.path.split()) == len(words) - 1:
            return []
        found: list[Finding] = []
        base = program.action
        lists = False
        for one in given.options:
            effects = self._option(given, one.option.action, one.value, where)
            lists = lists or effects is _LISTED
            found += effects
        for kind, operand in given.kinds():
            effects = self._operand(given, kind, operand, where)
            lists = lists or effects is _LISTED
            found += effects
        what = " ".join(word.text for word in given.operands) or given.path
        found += [self._find("unknown-option", f"{given.path} {name}") for name in given.unknown]
        found += [self._find("unknown-argument", word.raw) for word in given.unsure]
        found += [self._find(action, given.path) for action in program.adds]
        if given.lost:
            found.append(self._find("unknown-command", f"{given.path} {given.lost}"))
        elif lists and not given.unlisted:
            base = "read"
        elif not given.operands and program.bare and not (given.has(program.unless) or given.clauses or given.unlisted):
            base = program.bare
        elif not base:
            base = "unknown-command"
        if any(fnmatchcase(word.text, pattern) for word in given.operands for pattern in program.secret):
            base = "read-secret"
        handed = {finding.action.name for finding in found}
        if base == "pager" and (not where.terminal or given.has(_NO_PAGER)):
            base = "read"
        if base not in ("", "read") and not given.lost and not (base in handed and base in program.operands):
            covered = any(kind.removesuffix("*").removeprefix("last:") == base for kind in program.operands)
            if not (covered and given.operands):
                found.append(self._find(base, what))
        if any(one.option.action == "code:rehearsal" and _is_set(one.value) for one in given.options):
            found = [self._find("rehearsal", given.path) if _plain(finding) else finding for finding in found]
        anchored = bool(given.operands) and all(word.constant and word.text[:1] in "./~" for word in given.operands[:1])
        for clause in given.clauses:
            clause = tuple(_anchored(word) for word in clause) if anchored else clause  # noqa: PLW2901
            found += (
                self._handed(clause, where) if clause else [self._find("unknown-option", "-exec without a command")]
            )
        found += self._input(given, where)
        return found

    def _input(self, given: Invocation, where: _Where) -> list[Finding]:
        """What its stdin makes of it, when that is code."""
        program, stdin = given.program, where.stdin
        names = program.language
        if stdin.secret and program.action in _SENDS:
            return [self._find("send-secret", given.path)]
        if program.name == "xargs":
            return [] if given.operands or stdin.piped else [self._find("unknown-input", given.path)]
        if program.name == "parallel" and given.operands:
            return []
        if not _takes_code(given):
            return []
        if stdin.text is not None and names:
            if names == "shell":
                return self._shell(stdin.text, replace(where, stdin=Input(), depth=where.depth + 1))
            return self._effects(self._language(names, stdin.text))
        if stdin.fetched:
            return [self._find("run-download", given.path)]
        if names in _DATABASES:
            return [self._find("database-unread" if stdin.piped else "database-shell", given.path)]
        if stdin.decoded:
            return [self._find("run-hidden", given.path)]
        return [self._find("run-input", given.path)]

    def _option(self, given: Invocation, action: str, value: Word | None, where: _Where) -> list[Finding]:
        if not action:
            return []
        if action == "read" and value is None:
            return []
        if value is not None and value.text == "false":
            return []
        if value is not None:
            return self._operand(given, action, value, where)
        if action.startswith("code:"):
            return self._operand(given, action, Word("", ""), where)
        path = self._facts.actions[action].path
        if path and given.operands:
            return [finding for word in given.operands for finding in self._path(action, word)]
        what = " ".join(word.text for word in given.operands) or given.path
        return [self._find(action, what)]

    def _operand(self, given: Invocation, kind: str, operand: Word | tuple[Word, ...], where: _Where) -> list[Finding]:
        """What one operand, or the rest of them, means."""
        if isinstance(operand, tuple):
            return self._rest(given, kind, operand, where)
        if kind in ("skip", "host"):
            return []
        if kind == "shell":
            return self._string(operand, where)
        if kind.startswith("code:"):
            return self._embedded(given, kind.removeprefix("code:"), operand, where)
        action = self._facts.actions[kind]
        if action.path or action.code:
            return self._path(kind, operand)
        return [self._find(kind, operand.text)]

    def _rest(self, given: Invocation, kind: str, words: tuple[Word, ...], where: _Where) -> list[Finding]:
        """Operands that are a command."""
        found: list[Finding] = []
        if kind == "env-argv":
            while words and not words[0].text.startswith(UNKNOWN) and "=" in words[0].text:
                name, _, value = words[0].text.partition("=")
                found += self._assignment(Assignment(name, Word(value, words[0].raw)), words)
                words = words[1:]
            if not words:
                return [*found, self._find("show-environment")]
            return found + self._handed(words, where)
        if kind == "argv":
            if len(words) > 0 and given.program.action == "elsewhere" and words[0].text == "--":
                words = words[1:]
            return self._handed(words, where) if words else []
        if kind == "shell":
            if len(words) == 1:
                return self._string(words[0], where)
            return self._string(Word(" ".join(word.text for word in words), given.path), where)
        if kind == "code:redis":
            return self._effects(self._keyvalue.redis([word.text for word in words]))
        if kind == "code:flock":
            if words[0].text in ("-c", "--command") and len(words) > 1:
                return self._string(words[1], where)
            return self._handed(words, where)
        if kind == "code:xargs":
            return self._handed((*words, Word(UNKNOWN, "(from its input)", splits=True)), where)
        return [self._find("unknown-input", " ".join(word.text for word in words)), *self._parallel(words, where)]

    def _parallel(self, words: tuple[Word, ...], where: _Where) -> list[Finding]:
        ends = [at for at, word in enumerate(words) if word.text.startswith(":::")]
        line = " ".join(word.text for word in (words[: ends[0]] if ends else words))
        return self._string(Word(line, line), where) if line else [self._find("run-input", "parallel")]

    def _handed(self, words: Sequence[Word], where: _Where) -> list[Finding]:
        """A command that another one runs. Placeholders stand for words that only run time knows."""
        known = [_placeholder(word) for word in words]
        return self._run(known, replace(where, depth=where.depth + 1, functions=frozenset()))

    def _string(self, word: Word, where: _Where) -> list[Finding]:
        """A shell's line inside a word."""
        if UNKNOWN in word.text:
            return [self._find("opaque", f"a command that is known only when it runs: {word.raw}")]
        return self._shell(word.text, replace(where, depth=where.depth + 1))

    def _shell(self, text: str, where: _Where) -> list[Finding]:
        if where.depth > DEPTH_LIMIT:
            return [self._find("opaque", "commands inside commands, too deep")]
        return self.findings(text.encode(), stdin=where.stdin, depth=where.depth)

    # ------------------------------------------------------------------ embedded languages

    def _embedded(self, given: Invocation, language: str, word: Word, where: _Where) -> list[Finding]:
        special = _SPECIAL.get(language)
        if special is not None:
            return special(self, given, word, where)
        simple = _LANGUAGES.get(language)
        if simple is not None:
            if UNKNOWN in word.text and language in ("sed", "awk", "perl", "python", "other"):
                return [self._find("run-code", f"{language} code that is known only when it runs")]
            return self._effects(simple(word.text))
        found = self._effects(self._language(language, word.text))
        several = language in DIALECTS and self._sql.several(word.text, language)
        if several and not found:
            return [self._find("database-several", word.text)]
        return found

    def _language(self, language: str, text: str) -> list[Act]:
        if language == "redis":
            return self._keyvalue.redis_lines(text)
        if language == "mongo":
            return self._keyvalue.mongo(text)
        return self._sql.judge(text, language)

    def _only_lists(self, _given: Invocation, _word: Word, _where: _Where) -> list[Finding]:
        return _LISTED

    def _dry(self, given: Invocation, _word: Word, _where: _Where) -> list[Finding]:
        return [] if given.has(frozenset(("-f", "--force"))) else _LISTED

    def _rehearsal(self, _given: Invocation, _word: Word, _where: _Where) -> list[Finding]:
        """Settled when the rest has been found."""
        return []

    def _firewall_list(self, given: Invocation, _word: Word, _where: _Where) -> list[Finding]:
        """Without -n it asks name servers about every address."""
        return (
            _LISTED if given.has(frozenset(("-n", "--numeric"))) else [self._find("lookup", "addresses in the rules")]
        )

    def _checkout(self, given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        """Paths behind a branch or `--` are overwritten (git-checkout(1))."""
        if given.separated or (len(given.operands) > 1 and word is not given.operands[0]):
            return [self._find("vcs-discard", word.text)]
        return self._effects(languages.checkout(word.text))

    def _restore(self, given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        """Changes that are not committed are lost, unless only the index is restored (git-restore(1))."""
        index_only = given.has(frozenset(("-S", "--staged"))) and not given.has(frozenset(("-W", "--worktree")))
        return [self._find("vcs-local" if index_only else "vcs-discard", word.text)]

    def _shell_next(self, given: Invocation, _word: Word, where: _Where) -> list[Finding]:
        """`bash -c STRING`: the string is the first operand."""
        if not given.operands or not given.operands[0].text:
            return [self._find("unknown-option", f"{given.path} -c without a command")]
        return self._string(given.operands[0], where)

    def _sudo_shell(self, given: Invocation, _word: Word, _where: _Where) -> list[Finding]:
        return [] if given.operands else [self._find("become-root", given.path)]

    def _remote_copy(self, _given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        if languages.remote_path(word.text):
            return [self._find("send", word.text)]
        return self._path("copy", word)

    def _remote_read(self, _given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        if languages.remote_path(word.text):
            return [self._find("download", word.text)]
        return self._path("read", word)

    def _declared(self, _given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        """`export NAME=value`."""
        name, equals, value = word.text.partition("=")
        if UNKNOWN in name or "[" in name:
            return [self._find("evaluates", word.raw)]
        return self._assignment(Assignment(name, Word(value, word.raw)), ()) if equals else []

    def _remote_line(self, given: Invocation, word: Word, where: _Where) -> list[Finding]:
        """`ansible -a`: a module's arguments; for shell and command modules a command line."""
        return self._string(word, where) if given.program.name == "ansible" else []

    def _psql_variable(self, _given: Invocation, word: Word, _where: _Where) -> list[Finding]:
        harmless = word.text.startswith(("ON_ERROR_STOP", "QUIET", "ECHO")) and UNKNOWN not in word.text
        return [] if harmless else [self._find("database-unread", f"variable {word.text}")]

    def _effects(self, effects: Iterable[Act]) -> list[Finding]:
        found: list[Finding] = []
        for name, what in effects:
            if name == "listed":
                return _LISTED
            action = self._facts.actions[name]
            found += self._path(name, Word(what, what)) if action.path else [self._find(name, what)]
        return found

    # ------------------------------------------------------------------ findings

    def _path(self, name: str, word: Word) -> list[Finding]:
        """An action on a path: where it points counts."""
        action = self._facts.actions[name]
        text = word.text
        if text in _NOWHERE or (text == "-" and not action.code):
            return []
        if name == "read":
            place = self._places.of_read(text, glob=word.glob)
            if place is not None:
                return [replace(self._find("read-secret", text), place=place.say)]
            return [Finding(action, text, "", 0)]
        if text.startswith(("/dev/tcp/", "/dev/udp/")):
            return [self._find("send", text)]
        place = self._places.of_change(text)
        if place is None and text.startswith(UNKNOWN) and "deletes" in action.effects:
            return [Finding(action, text, "known only when it runs", max(action.weight, score.HIGH))]
        if place is None:
            return [self._find(name, text)]
        gentle = place.writes is not None and not _HARSH & set(action.effects) and "recursively" not in action.say
        weight = action.weight + (place.writes if gentle and place.writes is not None else place.weight)
        if place.weight < 0:
            weight = max(weight, score.MEDIUM)
        return [Finding(action, text, place.say, min(weight, 100))]

    def _find(self, name: str, what: str = "") -> Finding:
        action = self._facts.actions[name]
        return Finding(action, what, "", action.weight)


_LISTED: list[Finding] = []
"""The answer, by identity, of an option that makes its program only list."""


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


def _anchored(word: Word) -> Word:
    """What find puts for `{}` begins with its starting point, which is no option."""
    return Word(word.text.replace("{}", f"./{UNKNOWN}"), word.raw) if word.text.startswith("{}") else word


_STDIN = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))


def _placeholder(word: Word) -> Word:
    """`{}` of find and xargs -I, as a word of which only its surroundings are known."""
    if "{}" not in word.text:
        return word
    return Word(word.text.replace("{}", UNKNOWN), word.raw)


def _printed(command: Command) -> str | None:
    """What `echo` or `printf` of constant words prints, near enough for judging it as code; None when not known."""
    if not command.words or command.redirects:
        return None
    name, *rest = command.words
    if name.text not in ("echo", "printf") or not all(word.constant for word in rest):
        return None
    texts = [word.text for word in rest]
    if name.text == "echo":
        plain = [text for text in texts if text not in ("-n", "-e", "-E", "-ne", "-en")]
        text = " ".join(plain)
        return text if "\\" not in text else None
    if not texts:
        return ""
    form, *values = texts
    if form.replace("%s", "").replace("\\n", "").count("%") or "\\" in form.replace("\\n", ""):
        return None
    form = form.replace("\\n", "\n")
    count = form.count("%s")
    if not count:
        return form
    lines = []
    for at in range(0, max(len(values), 1), count):
        part = form
        for value in (values[at : at + count] + [""] * count)[:count]:
            part = part.replace("%s", value, 1)
        lines.append(part)
    return "".join(lines)


_LANGUAGES: dict[str, Callable[[str], list[Act]]] = {
    "sed": languages.sed,
    "awk": languages.awk,
    "pager": languages.pager,
    "date": languages.date,
    "dd": languages.dd,
    "subscript": languages.subscript,
    "tput": languages.tput,
    "python": languages.code,
    "perl": languages.code,
    "other": languages.code,
    "ssh-option": languages.ssh_option,
    "git-config": languages.git_config,
    "refspec": languages.refspec,
    "container-mount": languages.container_mount,
    "sysctl": languages.sysctl,
    "kill": languages.kill,
    "service": languages.service,
    "replicas": languages.replicas,
    "http-method": languages.http_method,
    "conninfo": languages.conninfo,
}

_SPECIAL: dict[str, Callable[[Risk, Invocation, Word, _Where], list[Finding]]] = {
    "only-lists": Risk._only_lists,
    "lookup": Risk._only_lists,
    "dry": Risk._dry,
    "rehearsal": Risk._rehearsal,
    "firewall-list": Risk._firewall_list,
    "checkout": Risk._checkout,
    "restore": Risk._restore,
    "shell-next": Risk._shell_next,
    "sudo-shell": Risk._sudo_shell,
    "remote-copy": Risk._remote_copy,
    "remote-read": Risk._remote_read,
    "assignment": Risk._declared,
    "remote-line": Risk._remote_line,
    "psql-variable": Risk._psql_variable,
}
