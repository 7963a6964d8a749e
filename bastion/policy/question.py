"""What policy is asked about one request: the facts, prepared so that rules can look at them. Pure.

Theory of operation. What a command does comes from the risk classifier (verbs, effects, tier); what it says comes
from the parsed line: each simple command as its words, in every reading that a pattern could mean. A command behind a
wrapper (`sudo`, `env`, `timeout`, `xargs` …) is read with and without it, and a word that is itself a command line
(`sh -c '…'`, `ssh host '…'`) is parsed again. For what is forbidden every reading counts. For what is allowed only the
plain one does: no wrapper, no redirection, no variable, no substitution.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from bastion.model import (
    Assessment,
    Effect,
    EffectKind,
    IdentityKind,
    Request,
    RequestKind,
    Reversible,
    StdinMode,
    Tier,
)
from bastion.policy import moving, walking
from bastion.policy.argv import read
from bastion.policy.findings import OPEN
from bastion.policy.places import unrooted
from bastion.policy.programs import load
from bastion.policy.rules import Subject
from bastion.policy.shell import Block, BlockKind, Command, Node, Parsed, Pipeline, parse
from bastion.policy.transfers import unseen
from bastion.policy.usage import Usage
from bastion.policy.words import UNKNOWN, Word

_WRAPPERS = (
    "sudo doas su runuser pkexec env nice ionice chrt taskset timeout nohup setsid stdbuf time xargs parallel watch "
    "chroot unshare nsenter systemd-run at batch flock script strace ltrace unbuffer expect find exec command builtin "
    "eval sh bash dash ash zsh ksh mksh fish tcsh busybox ssh docker podman nerdctl kubectl oc lxc machinectl"
)
WRAPPERS = frozenset(_WRAPPERS.split())
"""Programs that run what stands behind them. More do; the classifier knows them, and what it says counts as well."""

_TRANSFERRED = re.compile(rb"sftp: (?:read )?([0-9]{1,6}) (?:file|change)s?[:\n]")

_WHEREVER = re.compile(r"/proc/[^/]+/(?:task/[^/]+/)?(?:cwd|fd|map_files)/(?![012]$)")
"""Names of files that lie anywhere (proc(5))."""
_REPLACES = ("-I", "-i", "-J", "--r")
"""Options of xargs by which its input stands anywhere in a word."""

WRAPPED_LIMIT = 24
"""Words behind a wrapper at which its command may begin; one with more cannot be compared with certainty."""

NESTED_LIMIT = 3
"""Command lines inside words that are read: `ssh a 'sudo sh -c "…"'` has two."""

READINGS_LIMIT = 5_000
"""Readings of one line; a script of a thousand lines has that many."""

_SYSTEM = frozenset(("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"))
_QUIET = frozenset(("/dev/null",))


@dataclass(frozen=True)
class Question:
    """One request, as policy sees it."""

    identity: str
    identity_kind: IdentityKind
    target: str
    env: str
    login: str
    assessment: Assessment
    kind: RequestKind = RequestKind.EXEC
    command: bytes | None = None
    """None: an action that is described and not written down as a command."""
    unseen: bool = False
    """What comes on stdin is part of it, and the assessment does not cover it."""
    paths: tuple[str, ...] = ()
    """Files that it touches, beside what the assessment says."""
    hosts: tuple[str, ...] = ()
    activities: frozenset[str] = frozenset()
    """Activities and categories that the author of an action named."""
    files: int = 0
    """How many it touches, with those that its session touched before."""
    task: str = ""
    reason: str = ""
    rollback: str = ""
    emergency: str = ""
    """Why a human breaks the glass; empty: nobody does."""
    usage: Usage = field(default_factory=Usage)
    shell: str = "sh"
    """What reads commands on the target (policy/dialects.py); empty: not known."""
    request: Request | None = None
    """As far as it is known; what is asked for then gets approvals, rule and end of the judgement."""

    @property
    def subject(self) -> Subject:
        """Who, and where."""
        return Subject(self.identity, self.identity_kind, self.target, self.env, self.login)

    # --- what the classifier says ---------------------------------------------------------------------------------

    @property
    def opaque(self) -> bool:
        """Nobody can say what it does: no rule may allow it."""
        return (
            self.assessment.tier is Tier.UNRATED
            or self.unseen
            or (self.command is not None and self.kind is not RequestKind.STDIN and self._parsed is None)
        )  # a forward has no line that parses

    @cached_property
    def tags(self) -> frozenset[str]:
        """Every word of the vocabulary that is true of it, but categories."""
        found = {*self.assessment.verbs, *(effect.kind.value for effect in self.assessment.effects), *self.activities}
        tier = self.assessment.tier
        found.add(Tier.HIGH.value if tier is Tier.UNRATED else tier.value)
        if self.assessment.reversible is Reversible.NO or EffectKind.IRREVERSIBLE in self._kinds:
            found.add("irreversible")
        if self.assessment.reversible is Reversible.YES:
            found.add("reversible")
        if self.opaque:
            found.add("opaque")
        found.add("anything")
        return frozenset(found)

    @cached_property
    def _kinds(self) -> frozenset[EffectKind]:
        return frozenset(effect.kind for effect in self.assessment.effects)

    @cached_property
    def changes(self) -> tuple[Effect, ...]:
        """Effects that do more than read."""
        secret = {effect.what for effect in self.assessment.effects if effect.kind is EffectKind.SECRET}
        return tuple(
            effect for effect in self.assessment.effects if effect.kind is not EffectKind.READS or effect.what in secret
        )

    # --- what the line says ---------------------------------------------------------------------------------------

    @cached_property
    def _parsed(self) -> Parsed | None:
        if self.command is None or self.kind in (RequestKind.STDIN, RequestKind.FORWARD):
            return None
        parsed = parse(self.command)
        return parsed if isinstance(parsed, Parsed) else None

    @cached_property
    def readings(self) -> tuple[tuple[Word, ...], ...]:
        """Every simple command in every reading, for what is forbidden."""
        if self._parsed is None:
            return ()
        found: list[tuple[Word, ...]] = []
        for reading in _readings(self._parsed, 0):
            found.append(reading)
            if len(found) >= READINGS_LIMIT:
                break
        return tuple(found)

    @cached_property
    def commands(self) -> tuple[tuple[Word, ...], ...]:
        """The readings, and those with sub-commands also without the options in front: `git -C /x push` is a push."""
        return (*self.readings, *filter(None, map(_without_options, self.readings)))

    @cached_property
    def heads(self) -> frozenset[str]:
        """Last names of the first words of all readings: what runs, roughly."""
        return frozenset(words[0].text.rpartition("/")[2] for words in self.readings)

    @cached_property
    def uncertain(self) -> bool:
        """Some reading is not known: what is forbidden may be among what is not seen."""
        if self.kind is RequestKind.STDIN and self.request is not None and self.request.stdin is StdinMode.BUNDLED:
            return False  # the list of a push: its refs are all that it touches, and the assessment names each
        return (
            (self.command is not None and self._parsed is None)
            or len(self.readings) >= READINGS_LIMIT
            or any(len(words) > WRAPPED_LIMIT and program(words[0]) in WRAPPERS for words in self.readings)
        )

    @cached_property
    def certain(self) -> bool:
        """Every word is read as what it will be."""
        return not self.uncertain and not self.vague and all(word.constant for words in self.readings for word in words)

    @cached_property
    def plain(self) -> tuple[tuple[str, ...], ...] | None:
        """The words of each simple command, if the line is nothing but such commands in lists and pipes; else None."""
        if self._parsed is None or self._parsed.functions:
            return None
        found: list[tuple[str, ...]] = []
        return tuple(found) if _plain(self._parsed.root, found) and found else None

    @cached_property
    def effects(self) -> dict[str, list[Effect]]:
        """What it does, by kind."""
        found: dict[str, list[Effect]] = {}
        for effect in self.assessment.effects:
            found.setdefault(effect.kind.value, []).append(effect)
        return found

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """Every text that may be a path, as far as it is constant."""
        found = {*self.paths}
        found.update(effect.what for effect in self.assessment.effects if effect.what)
        for words in self.readings:
            for word in words:
                if word.constant:
                    found.update(_paths_in(word.text))
        found.update(self._redirected(constant=True))
        found.update(moving.located(tuple(found), self.directories))
        found.update(filter(None, map(unrooted, tuple(found))))
        return tuple(found)

    def gaps(self, kind: str) -> bool:
        """Whether it does this to files that no word of the line names, such as what xargs reads; `path`: anything.
        What `find … -print0 | xargs -0` hands on lies below where find begins."""
        return bool(self._gaps) if kind == "path" else kind in self._gaps

    @cached_property
    def _gaps(self) -> frozenset[str]:
        """Kinds of effects of which that is true."""
        placed = any(
            words[0].text.endswith("xargs") and any(word.text.startswith(_REPLACES) for word in words[1:])
            for words in self.readings
        )
        return frozenset(
            effect.kind.value
            for effect in self.assessment.effects
            if OPEN in effect.what and (effect.what != f"./{OPEN}" or placed or not self.walked)
        )

    @cached_property
    def mentioned(self) -> tuple[str, ...]:
        """What may be read although no fact says so: every path in it that is not known to be changed."""
        changed = {effect.what for effect in self.assessment.effects if effect.kind is not EffectKind.READS}
        return tuple(path for path in self.touched if path not in changed)

    @cached_property
    def vague(self) -> tuple[str, ...]:
        """Words with a shell's pattern or a variable in them, which may turn out to be any path that fits."""
        found: set[str] = set()
        for words in self.readings:
            for word in words:
                if not word.constant:
                    found.update(_paths_in(word.text))
        found.update(self._redirected(constant=False))
        found.update(moving.located(tuple(found), self.directories))
        found.update(f"{UNKNOWN}{path}" for path in self.touched if _WHEREVER.match(path))
        unclear = tuple(each for each in self.directories if moving.unclear(each))
        found.update(moving.located(self.touched, unclear) if unclear else ())
        return tuple(found)

    @cached_property
    def walked(self) -> tuple[str, ...]:
        """Where commands that go down into directories may begin."""
        found: set[str] = set()
        for words in self.readings:
            if walking.walks(words):
                found.update(walking.places(words))
        if not found:
            return ()
        absolute = {path for path in found if path.startswith("/")}
        relative = found - absolute
        return tuple(absolute | (set(moving.located(relative, self.directories)) or relative))

    @cached_property
    def directories(self) -> tuple[str, ...]:
        """What the current directory may be: the shell's own, where known, and wherever the line goes."""
        start = (self.request.cwd,) if self.request is not None and self.request.cwd else ()
        return moving.directories(self.readings, start)

    def _redirected(self, *, constant: bool) -> Iterator[str]:
        for command in self._parsed.commands() if self._parsed is not None else ():
            for redirect in command.redirects:
                word = redirect.word
                if word is not None and not redirect.operator.startswith("<<") and word.constant is constant:
                    yield word.text

    @classmethod
    def of(cls, request: Request, kind: IdentityKind, usage: Usage | None = None, shell: str = "sh") -> Question:
        """Of a request as it is before it was judged."""
        return cls(
            identity=request.identity,
            identity_kind=kind,
            target=request.target,
            env=request.env,
            login=request.login,
            assessment=request.assessment,
            kind=request.kind,
            command=None if request.kind is RequestKind.TRANSFER else request.command,  # which is no command line
            unseen=request.stdin is StdinMode.STREAM and unseen(request.command),
            task=request.task,
            reason=request.reason,
            rollback=request.rollback,
            emergency=request.emergency,
            usage=usage or Usage(),
            shell=shell,
            files=_transferred(request),
            request=request,
        )


def _transferred(request: Request) -> int:
    """How many files a transfer says that it reads or changes, in the first line of its description."""
    found = _TRANSFERRED.match(request.command) if request.kind is RequestKind.TRANSFER else None
    return int(found[1]) if found else 0


def program(word: Word) -> str:
    """The name of the program that a first word runs; as written where it is not in a system directory."""
    directory, _, name = word.text.rpartition("/")
    return name if directory in _SYSTEM or not directory else word.text


def _without_options(words: tuple[Word, ...]) -> tuple[Word, ...] | None:
    """Program, sub-command and what follows; None where the facts know of no sub-command or nothing is in front."""
    facts = load().program(words[0].text) if words[0].constant and len(words) > 2 else None
    if facts is None or not facts.branches or not words[1].text.startswith("-"):
        return None
    names = read(facts, words).path.split()[1:]
    at, found = 1, [words[0]]
    for name in names:
        while at < len(words) and words[at].text != name:
            at += 1
        found.extend(words[at : at + 1])
        at += 1
    return (*found, *words[at:]) if len(found) > 1 else None


def _readings(parsed: Parsed, depth: int) -> Iterator[tuple[Word, ...]]:
    for command in parsed.commands():
        words = command.words
        if not words:
            continue
        yield words
        if program(words[0]) not in WRAPPERS and posixpath.basename(words[0].text) not in WRAPPERS:
            continue
        for at in range(1, min(len(words), WRAPPED_LIMIT + 1)):
            yield words[at:]
        if depth >= NESTED_LIMIT:
            continue
        for word in words[1 : WRAPPED_LIMIT + 1]:
            if word.constant and any(mark in word.text for mark in " \t\n;|&<>$`"):
                inner = parse(word.text.encode("utf-8", "surrogateescape"))
                if isinstance(inner, Parsed):
                    yield from _readings(inner, depth + 1)


def _plain(node: Node, found: list[tuple[str, ...]]) -> bool:
    match node:
        case Command(words=words, assignments=(), redirects=redirects):
            for redirect in redirects:
                word = redirect.word
                duplicate = redirect.operator in (">&", "<&") and word is not None and word.text in ("1", "2")
                quiet = redirect.operator in (">", "<", "2>", "&>") and word is not None and word.text in _QUIET
                if not duplicate and not quiet:
                    return False
            if not words or not all(word.constant and not word.inner and not word.splits for word in words):
                return False
            found.append((program(words[0]), *(word.text for word in words[1:])))
            return True
        case Pipeline(parts=parts) | Block(kind=BlockKind.LIST, parts=parts, words=(), redirects=(), evaluates=False):
            return all(_plain(part, found) for part in parts)
        case _:
            return False


def _paths_in(text: str) -> Iterator[str]:
    """The text, and what stands behind `=` or `:` in it (`--file=X`, `host:X`)."""
    yield text
    if text.startswith("-") and "/" in text:
        yield text[text.index("/") :]
    for mark in ("=", ":", "@"):
        if mark in text:
            yield text.split(mark, 1)[1]
            yield text.rsplit(mark, 1)[1]
