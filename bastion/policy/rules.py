"""A policy as values: what language.py makes of a text, and judge.py reads. Pure.

Every clause says where it holds (`Where`): conditions on who, where and when it is asked, and the sections around it
(`deploy { … }`), which are conditions on what is asked. Order in the file never matters: deny beats hold beats allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bastion.model import IdentityKind, Verdict
from bastion.policy import globs
from bastion.policy.forwards import Destination
from bastion.policy.tokens import Place

FORWARD_SECONDS = 3600
"""How long a forward lasts where the policy does not say."""
FORWARD_MOST = 8 * 3600
"""How long it may last at most: a working day, as a grant by default."""

TIMEOUT_LEAST, TIMEOUT_MOST = 30, 600
"""Seconds that a request may be held: less and nobody can read it, more and agents' tools have long given up."""

APPROVALS_MOST = 5
"""Distinct humans, as in bastion.toml."""

DAY = 86_400


class Action(StrEnum):
    """What a rule says."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"
    NEVER = "never"
    """As deny, and break_glass does not lift it."""


class Field(StrEnum):
    """What a condition looks at."""

    IDENTITY = "identity"
    KIND = "kind"
    GROUP = "group"
    TARGET = "target"
    ENVIRONMENT = "environment"
    LOGIN = "login"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Condition:
    """One of these patterns matches."""

    field: Field
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """What a request does: a word alone, or a word with a text."""

    word: str
    """A verb, tier, kind of effect, category …; or `command`, `path`, `host`, a kind of effect with a text."""
    text: str = ""

    def __str__(self) -> str:
        return f'{self.word} "{self.text}"' if self.text else self.word


@dataclass(frozen=True, slots=True)
class Where:
    """Under what circumstances a clause holds, and where it stands."""

    conditions: tuple[Condition, ...]
    sections: tuple[Selector, ...]
    place: Place
    text: str
    """The statement as written, for people."""
    asks: bool = field(init=False, default=True, compare=False, repr=False)
    """It holds for some commands or tasks only; of most clauses there is nothing to ask but who and where."""

    def __post_init__(self) -> None:
        asks = bool(self.sections) or any(condition.field is Field.TASK for condition in self.conditions)
        object.__setattr__(self, "asks", asks)

    @property
    def name(self) -> str:
        """How the clause is named in verdicts and in the ledger."""
        words = self.text if len(self.text) <= 120 else f"{self.text[:119]}…"
        return f"policy {self.place}: {words}"


@dataclass(frozen=True, slots=True)
class Rule:
    """allow, hold, deny, never."""

    where: Where
    action: Action
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many distinct humans."""

    where: Where
    count: int
    group: str
    """They must be in it; empty: any approver."""
    selectors: tuple[Selector, ...]
    """Empty: whatever is asked."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long a request is held at most."""

    where: Where
    seconds: int
    selectors: tuple[Selector, ...]
    approves: bool = False
    """`timeout approve` was written: lint refuses it, and nothing obeys it."""


CHATS = ("slack", "console")
"""Where people may decide without a signature, where policy accepts it: a chat's buttons, and the console that the
bastion serves over ssh, without a forwarded ssh-agent."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Buttons of a chat count, for what is of low or medium risk."""

    where: Where
    chat: str
    """Of CHATS."""
    selectors: tuple[Selector, ...]


WHEN_ABSENT = 0
"""Seconds of an escalation that waits for no time, but for nobody to be there."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who may decide, too, after a while."""

    where: Where
    seconds: int
    """WHEN_ABSENT: as soon as nobody watches the queue who may decide it."""
    group: str


class LimitKind(StrEnum):
    """What is counted."""

    REQUESTS = "rate"
    TARGETS = "max_targets"
    FILES = "max_files"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many, per identity, within so many seconds (FILES: in one request, or one session of transfers)."""

    where: Where
    kind: LimitKind
    most: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which only reads flow. Between two moments, or every week."""

    where: Where
    reason: str
    begins: int = 0
    """Microseconds since the epoch; with `ends` 0 it recurs."""
    ends: int = 0
    days: frozenset[int] = frozenset()
    """Monday is 0; empty: every day."""
    minutes: tuple[int, int] = (0, 1440)
    """Of the day, UTC: from, to (not included); from > to goes over midnight, and `days` names where it begins."""

    def holds(self, now: int) -> bool:
        """Whether it is in force at `now`, microseconds since the epoch."""
        if self.ends:
            return self.begins <= now < self.ends
        minute, day = now // 60_000_000 % 1440, (now // 1_000_000 // DAY + 3) % 7  # 1970-01-01 was a Thursday
        first, last = self.minutes
        if first <= last:
            return first <= minute < last and self._on(day)
        return (minute >= first and self._on(day)) or (minute < last and self._on((day - 1) % 7))

    def _on(self, day: int) -> bool:
        return not self.days or day in self.days


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an agent must say: reason, rollback or task."""

    where: Where
    what: str
    pattern: str
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class GrantRule:
    """Whether reaching a target takes a grant."""

    where: Where
    required: bool
    longest: int
    """Seconds that one may last; 0: as the bastion has it."""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Humans who may, in an emergency and with a reason, do what is held, denied or frozen; not what is never."""

    where: Where
    group: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Where a forward may lead from a target, once a person approved it."""

    where: Where
    destinations: tuple[Destination, ...]
    seconds: int
    """Of one connection; then it is cut."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Secrets in what a command prints are overwritten in what the agent gets (policy/secrets.py)."""

    where: Where


@dataclass(frozen=True, slots=True)
class Recording:
    """What is allowed or approved here runs only while it is recorded."""

    where: Where


@dataclass(frozen=True, slots=True)
class Test:
    """An assertion in the file: this action gets that verdict."""

    name: str
    facts: Mapping[str, tuple[str, ...]]
    """As written in the block, by word."""
    verdict: Verdict
    approvals: int
    """0: not looked at."""
    place: Place


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks, and where: what conditions look at."""

    identity: str
    kind: IdentityKind
    target: str
    env: str
    login: str


@dataclass(frozen=True, slots=True)
class Clauses:
    """Those of a policy, or those that concern one subject."""

    rules: tuple[Rule, ...] = ()
    approvals: tuple[Approvals, ...] = ()
    timeouts: tuple[Timeout, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    accepts: tuple[Accept, ...] = ()
    limits: tuple[Limit, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    grants: tuple[GrantRule, ...] = ()
    break_glass: tuple[BreakGlass, ...] = ()
    recordings: tuple[Recording, ...] = ()
    masks: tuple[Mask, ...] = ()
    forwards: tuple[Forward, ...] = ()


SUBJECTS_REMEMBERED = 1024
"""Subjects whose clauses are kept; a subject is an identity at a target, and both are entries of the ledger."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy, complete."""

    name: str
    digest: str
    """SHA-256 (hex) of the file; with included files, of the lines `SHA-256  NAME` of all of them, sorted."""
    files: tuple[str, ...] = ()
    """As included; the policy's own first. Empty: built in."""
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    clauses: Clauses = Clauses()
    tests: tuple[Test, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of its files, by name."""
    default_approvals: int = 1
    """Where no clause says: [approval] of bastion.toml."""
    default_timeout: int = 60
    """Seconds; likewise."""
    _known: dict[Subject, Clauses] = field(default_factory=dict, compare=False, repr=False)

    def concerning(self, subject: Subject) -> Clauses:
        """The clauses whose conditions on who and where hold; those on the task are left to be asked."""
        known = self._known.get(subject)
        if known is None:
            if len(self._known) >= SUBJECTS_REMEMBERED:
                self._known.clear()
            known = self._known[subject] = Clauses(
                *(
                    tuple(each for each in getattr(self.clauses, name) if self._concerns(each.where, subject))
                    for name in Clauses.__slots__
                )
            )
        return known

    def _concerns(self, where: Where, subject: Subject) -> bool:
        return all(self._met(condition, subject) for condition in where.conditions)

    def _met(self, condition: Condition, subject: Subject) -> bool:
        match condition.field:
            case Field.IDENTITY:
                value = subject.identity
            case Field.KIND:
                value = subject.kind.value
            case Field.TARGET:
                value = subject.target
            case Field.ENVIRONMENT:
                value = subject.env
            case Field.LOGIN:
                value = subject.login
            case Field.GROUP:
                return any(subject.identity in self.groups.get(name, ()) for name in condition.patterns)
            case Field.TASK:
                return True
        return any(globs.text(pattern, value) for pattern in condition.patterns)


def on_task(where: Where, task: str) -> bool:
    """Whether the clause's conditions on the task hold."""
    for condition in where.conditions:
        if condition.field is Field.TASK and not any(globs.text(pattern, task) for pattern in condition.patterns):
            return False
    return True


def built_in(approvals: int = 1, timeout: int = 60) -> Policy:
    """Without a policy file everything is held that is not whitelisted."""
    return Policy("built in", "", default_approvals=approvals, default_timeout=timeout)
