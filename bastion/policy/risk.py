"""How risky a command line is, and why. Pure.

Theory of operation. The line is parsed (shell.py), each simple command is read by the facts of its program (argv.py,
running.py, facts/*.toml), and everything that it does becomes a finding: options, operands, redirections, assignments,
and what it hands on: wrappers (`sudo`, `xargs`, `ssh`), shells' strings, SQL, sed and awk programs. The whole is the
union of all findings (score.py). Low is what remains when nothing was found that does more than read: every word that
could matter is constant and known. Nothing falls through to low: an unknown program, option, sub-command or construct
is a finding, and so is a failure in here.

What is not seen: which program of a name the target has, what variables, aliases and functions of a running shell
mean, what a repository's own settings make git run, where links lead, what a database's own functions do, and that a
login shell may be no bash. What a variable stands for is seen only as a word that may turn out to be an option, or as a
gap in the name of a secret.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import replace

from bastion.model import Assessment, Tier
from bastion.policy import moving, programs, score, transfers
from bastion.policy.argv import read
from bastion.policy.findings import MEDIUM, NOWHERE, SOCKETS, Finder, Finding
from bastion.policy.handing import anchored
from bastion.policy.nodes import commands
from bastion.policy.places import Places, normal
from bastion.policy.programs import Facts
from bastion.policy.running import DEPTH_LIMIT, Runner
from bastion.policy.shell import (
    Assignment,
    Block,
    BlockKind,
    Command,
    Node,
    Parsed,
    Pipeline,
    Redirect,
    parse,
)
from bastion.policy.surroundings import Input, Where
from bastion.policy.words import UNKNOWN, Word

FINDINGS_LIMIT = 5_000
"""Findings of one line. All of them are listed as effects, because policy looks for paths among them; what has more is
opaque as a whole."""
KEPT = 1_024
"""Assessments that are remembered: an agent runs the same commands again and again, and the same command always gets
the same one, whoever asks."""
KEPT_BYTES, KEPT_EFFECTS = 1_024, 64
"""Of a larger command, or with more effects, none is: 1,024 of them must not fill the memory."""
_OUTPUTS = frozenset((">", ">>", ">|", "&>", "&>>"))
_INPUTS = frozenset(("<", "<>", "<&", "<<", "<<-", "<<<"))
_REPLACES = frozenset(("exec", "command", "builtin", "time", "--", "-p"))
_DECODERS = frozenset(("base64", "base32", "basenc", "xxd", "openssl", "gunzip", "zcat", "uudecode"))
_DOWNLOADS = frozenset(("download", "download-file", "connect", "listen", "remote", "lookup"))
_BACKGROUND = re.compile(rb"(?<![&<>|])&(?![&>])")
"""A lone `&`: what stands before it happens in another shell."""


def assess(
    command: bytes, stdin: bytes = b"", *, language: str = "bash", terminal: bool = False, cwd: str = ""
) -> Assessment:
    """What this command does and how risky that is. Raises ConfigError when the facts are not well-formed.

    `stdin` is what it will read there, when that was read and bound beforehand. `language` is `bash`, or what a prompt
    takes: psql, mysql, sqlite, ansi (SQL of an unknown server), redis, mongo. `terminal`: it runs on one. `cwd`: the
    directory that it starts in, when that is known.
    """
    return loaded().assess(command, stdin, language=language, terminal=terminal, cwd=cwd)


@functools.cache
def loaded() -> Risk:
    """The classifier with the facts as packaged; read once. Raises ConfigError when they are not well-formed."""
    return Risk(programs.load())


class _TooLarge(Exception):
    """To be remembered."""

    def __init__(self, said: Assessment) -> None:
        self.said = said


class Risk:
    """The classifier: facts, ready for use. One value serves all threads."""

    def __init__(self, facts: Facts) -> None:
        self._finder = Finder(facts.actions, Places(facts.places))
        self._runner = Runner(facts, self._finder, self._shell)
        names = facts.tables["names"]
        self._kept = functools.lru_cache(maxsize=KEPT)(self._keepable)
        self._production = re.compile(rf"(?i)(?<![a-z])(?:{'|'.join(map(re.escape, names['production']))})(?![a-z])")

    def assess(
        self, command: bytes, stdin: bytes = b"", *, language: str = "bash", terminal: bool = False, cwd: str = ""
    ) -> Assessment:
        """The assessment of one command, or of one input of another language's prompt. Never raises."""
        if len(command) + len(stdin) + len(cwd) > KEPT_BYTES:
            return self._assess(command, stdin, language, terminal, cwd)
        try:
            return self._kept(command, stdin, language, terminal, cwd)
        except _TooLarge as large:
            return large.said

    def _keepable(self, command: bytes, stdin: bytes, language: str, terminal: bool, cwd: str) -> Assessment:
        """For the cache, which keeps nothing of what raises."""
        said = self._assess(command, stdin, language, terminal, cwd)
        if len(said.effects) + len(said.reasons) > KEPT_EFFECTS:
            raise _TooLarge(said)
        return said

    def _assess(self, command: bytes, stdin: bytes, language: str, terminal: bool, cwd: str) -> Assessment:
        try:
            if language != "bash":
                return score.assess(self._runner.typed(language, command.decode()))
            given = _bound(stdin) if stdin else Input()
            directories = (normal(cwd),) if cwd else ()
            where = Where(given, directories=directories, terminal=terminal)
            moves = transfers.recognise(command)
            found = self.findings(command if moves is None else moves.like, where)
            if moves is not None and not moves.reads:
                found.append(self._finder.find("unseen", moves.words))
            if len(found) > FINDINGS_LIMIT:
                found = [self._finder.find("opaque", f"it does more than {FINDINGS_LIMIT:,} things")]
            said = score.assess(found)
            if moves is not None and moves.kind is transfers.Kind.PUSH and said.tier is Tier.LOW:
                said = replace(said, reasons=(moves.words,), weights=(0,))
            return said
        except Exception:  # noqa: BLE001 - a mistake in here must not let anything pass
            return score.assess([self._finder.find("opaque", "the risk classifier failed on it")])

    def findings(self, command: bytes, where: Where) -> list[Finding]:
        """Everything that was found."""
        parsed = parse(command)
        if not isinstance(parsed, Parsed):
            return [self._finder.find("opaque", f"this line {parsed.reason}")]
        directories = moving.directories((each.words for each in parsed.commands()), where.directories)
        if directories != where.directories:
            where = replace(where, directories=directories)
        found: list[Finding] = []
        defined: frozenset[str] = frozenset()
        certain = b"unset" not in command and not _BACKGROUND.search(command)
        for part in parsed.root.parts:
            here = where if where.functions == defined else replace(where, functions=defined)
            found += self._node(part, here)
            if certain and isinstance(part, Block) and part.kind is BlockKind.FUNCTION:
                defined |= {part.words[0].text}  # from here on, and for certain: not behind `if`, `&&`, in `( )`
        gaps = any(one.action.name == "read" and UNKNOWN in one.what for one in found)
        return found + self._named(parsed) if gaps else found

    def _named(self, parsed: Parsed) -> list[Finding]:
        """Secrets whose names stand in a line that reads files of which the names are known only when it runs."""
        for command in parsed.commands():
            for word in (*command.words[1:], *(one.word for one in command.redirects if one.word is not None)):
                if found := self._finder.naming(word):
                    return found
        return []

    def _shell(self, text: str, where: Where) -> list[Finding]:
        """A shell's line inside a word."""
        if where.depth > DEPTH_LIMIT:
            return [self._finder.find("opaque", "commands inside commands, too deep")]
        return self.findings(text.encode(), where)

    # ------------------------------------------------------------------ structure

    def _node(self, node: Node, where: Where) -> list[Finding]:
        match node:
            case Command():
                return self._command(node, where)
            case Pipeline():
                return self._pipeline(node, where)
            case Block():
                return self._block(node, where)

    def _pipeline(self, node: Pipeline, where: Where) -> list[Finding]:
        found: list[Finding] = []
        stdin = where.stdin
        for position, part in enumerate(node.parts, 1):
            last = position == len(node.parts)
            here = self._node(part, where.reads(stdin, captured=where.captured or not last))
            found += here
            stdin = self._output(part, here, where.reads(stdin, captured=where.captured))
        return found

    def _output(self, part: Node, findings: list[Finding], where: Where) -> Input:
        """What the next command of a pipeline reads."""
        names = {finding.action.name for finding in findings}
        stdin = where.stdin
        plain = isinstance(part, Command) and bool(part.words) and part.words[0].text not in where.functions
        name = part.words[0].text.rpartition("/")[2] if isinstance(part, Command) and plain else ""
        text = None
        if isinstance(part, Command) and name in ("echo", "printf"):
            text = _printed(part)
        elif isinstance(part, Command) and name == "cat" and len(part.words) == 1:
            text = self._redirected(part.redirects, stdin, where).text
        return Input(
            text=text,
            piped=True,
            fetched=stdin.fetched or bool(names & _DOWNLOADS),
            decoded=stdin.decoded or name in _DECODERS,
            secret=stdin.secret or "read-secret" in names,
            hoard=stdin.hoard or self._names_secrets(part, where),
            anchored=isinstance(part, Command) and name == "find" and self._names_files(part),
        )

    def _names_secrets(self, part: Node, where: Where) -> bool:
        """`find ~/.ssh …`, `sudo ls ~/.ssh`: what it names is secret, in whichever command it ends."""
        if not isinstance(part, Command):
            return any(self._names_secrets(each, where) for each in part.parts)
        words = [word for word in part.words[1:] if "/" in word.text and not word.text.startswith("-")]
        return bool(self._runner.hoard(words, where.directories))

    def _names_files(self, part: Command) -> bool:
        """`find ./x … -print0`: names that begin as they should, each ended by NUL."""
        words = [word.text for word in part.words]
        program = programs.load().program("find")
        if program is None or words[-1] != "-print0" or any(word.startswith(("-printf", "-exec")) for word in words):
            return False
        given = read(program, part.words)
        return not given.unknown and not given.unsure and anchored(given.operands)

    def _block(self, node: Block, where: Where) -> list[Finding]:
        found: list[Finding] = []
        for word in node.words:
            found += self._word(word, where)
        if node.variable:
            found += self._runner.variable(node.variable, UNKNOWN, exported=False)
            found += [one for word in node.words if word.constant for one in self._finder.reading(word)]
        if node.kind is BlockKind.FUNCTION and self._runner.knows(node.words[0].text):
            found.append(self._finder.find("shadow", node.words[0].text))
        if node.kind is BlockKind.FUNCTION and _calls(node, node.words[0].text):
            found.append(self._finder.find("recursion", node.words[0].text))
        inner = where.reads(self._redirected(node.redirects, where.stdin, where), captured=where.captured)
        for redirect in node.redirects:
            if redirect.word is not None:
                found += self._word(redirect.word, where)
            found += self._redirect(redirect, where)
        for part in node.parts:
            found += self._node(part, inner)
        if node.evaluates:
            found.append(self._finder.find("evaluates"))
        return found

    def _word(self, word: Word, where: Where) -> list[Finding]:
        """What the substitutions of a word run."""
        if not word.inner:
            return []
        inner = replace(where, depth=where.depth + 1, captured=True)
        return [finding for part in word.inner for finding in self._node(part, inner)]

    def _command(self, node: Command, where: Where) -> list[Finding]:
        if where.depth > DEPTH_LIMIT:
            return [self._finder.find("opaque", "commands inside commands, too deep")]
        found: list[Finding] = []
        for assignment in node.assignments:
            found += self._word(assignment.value, where)
            found += self._assignment(assignment, node)
        for redirect in node.redirects:
            if redirect.word is not None:
                found += self._word(redirect.word, where)
            found += self._redirect(redirect, where)
        for word in node.words:
            found += self._word(word, where)
        if node.words:
            stdin = self._redirected(node.redirects, where.stdin, where)
            to_file = any(one.operator in _OUTPUTS and one.fd in ("", "1") for one in node.redirects)
            found += self._runner.run(node.words, where.reads(stdin, captured=where.captured or to_file))
        texts = {word.text for word in node.words}
        if node.redirects and "exec" in texts and texts <= _REPLACES:
            found.append(self._replaced(node))
        if any(finding.weight >= MEDIUM for finding in found):
            found += self._names(node)
        return found

    def _replaced(self, node: Command) -> Finding:
        """`exec <FILE` without a command: the shell itself goes on reading there (bash(1) exec)."""
        stdin = any(one.operator in _INPUTS and one.fd in ("", "0") for one in node.redirects)
        return self._finder.find("session-hook" if stdin else "session-change", "exec")

    def _names(self, node: Command) -> list[Finding]:
        """Production by its name, in a word of what changes something."""
        for word in node.words[1:]:
            if self._production.search(word.text):
                return [self._finder.find("production", word.text)]
        return []

    # ------------------------------------------------------------------ redirections, assignments

    def _redirected(self, redirects: Iterable[Redirect], stdin: Input, where: Where) -> Input:
        for redirect in redirects:
            if redirect.fd not in ("", "0") or redirect.word is None:
                continue
            if redirect.operator in ("<<", "<<-", "<<<"):
                stdin = Input(text=redirect.word.text, piped=True)
            elif redirect.operator in ("<", "<>", "<&"):
                fetched = redirect.word.text.startswith(SOCKETS)
                secret = bool(self._finder.reading(redirect.word, where.directories))
                stdin = Input(piped=True, secret=secret, fetched=fetched)
        return stdin

    def _redirect(self, redirect: Redirect, where: Where) -> list[Finding]:
        word, operator = redirect.word, redirect.operator
        if word is None or operator in ("<<", "<<-", "<<<"):
            return []
        text = word.text
        if operator in (">&", "<&") and re.fullmatch(r"\d+-?|-", text):
            return []
        if text in NOWHERE:
            return []
        if text.startswith(SOCKETS):
            return [self._finder.find("connect" if operator == "<" else "send", text)]
        if operator in ("<", "<&"):
            return self._finder.path("read", word, where.directories)
        if text == "/dev/fd/63" and word.inner:
            return []
        found = self._finder.path("write", word, where.directories)
        if where.stdin.secret and text.startswith("/dev/"):
            found.append(self._finder.find("send-secret", text))
        return found

    def _assignment(self, assignment: Assignment, node: Command) -> list[Finding]:
        if assignment.name == "IFS" and (not node.words or node.words[0].text == "read"):
            return []
        return self._runner.variable(assignment.name, assignment.value.text, exported=bool(node.words))


def _calls(node: Node, name: str) -> bool:
    """A function that calls itself: `:(){ :|:& }` fills the machine with processes."""
    return any(command.words and command.words[0].text == name for command in commands(node))


def _bound(stdin: bytes) -> Input:
    """stdin that was read beforehand; what is not UTF-8 is not followed."""
    try:
        return Input(text=stdin.decode(), piped=True)
    except UnicodeDecodeError:
        return Input(piped=True)


def _printed(command: Command) -> str | None:
    """What `echo` or `printf` of constant words prints, near enough for judging it as code; None when not known."""
    if command.redirects or command.assignments or not all(word.constant for word in command.words):
        return None
    name, *texts = (word.text for word in command.words)
    if name == "echo":
        if texts[:1] == ["-n"]:
            texts.pop(0)
        text = " ".join(texts)
        return None if "\\" in text or text.startswith("-") else text
    if not texts or texts[0].startswith("-"):
        return None
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
