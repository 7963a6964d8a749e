"""Domain types: frozen values that every other file speaks. Nothing here does I/O or imports anything of ours.

Words are those of the project's glossary (CONTRIBUTING.md): an *identity* connects, a *target* is a destination,
a *request* is one command awaiting judgement, an *assessment* is what risk found, a *verdict* is what policy says,
a *decision* is how a held request ended.

Bytes stay bytes: a command is what the client sent, undecoded. Text for people is made by `policy.visible`.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

COMMAND_LIMIT = 131_071
"""Bytes in one command. Linux refuses a single argument of more than 128 KiB (MAX_ARG_STRLEN, 32 pages, with its
NUL), and sshd hands the command to the login shell as one argument: a longer one could never run."""

CODE_STDIN_LIMIT = 1 << 20
"""Bytes of stdin read, shown and hashed for a command that reads code from it. More is refused, never cut."""


class IdentityKind(StrEnum):
    """What sort of thing connects."""

    AGENT = "agent"
    HUMAN = "human"
    CI = "ci"
    SERVICE = "service"


class Role(StrEnum):
    """What an identity may do on the control side. One with a role never reaches targets (P5)."""

    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Tier(StrEnum):
    """How risky a command is. UNRATED says that nobody judged it; it is never treated as low."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    UNRATED = "unrated"


class Reversible(StrEnum):
    """Whether what a command does can be undone."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


class EffectKind(StrEnum):
    """What a command does to the world, as the facts about programs name it."""

    READS = "reads"
    WRITES = "writes"
    DELETES = "deletes"
    EXECUTES = "executes"
    NETWORK = "network"
    PRIVILEGE = "privilege"
    SERVICE = "service"
    PACKAGE = "package"
    DATABASE = "database"
    CLUSTER = "cluster"
    VCS = "vcs"
    SECRET = "secret"  # noqa: S105 -- a kind of effect
    IRREVERSIBLE = "irreversible"


class RequestKind(StrEnum):
    """What is asked for."""

    EXEC = "exec"
    LINE = "line"
    """One item (a complete command, of one or more lines) of a governed shell."""
    STDIN = "stdin"
    """One item of stdin for a command that runs in a governed shell."""
    GRANT = "grant"
    """Time-boxed access to a target."""
    FORWARD = "forward"
    """One TCP connection from the target to a destination that policy names."""
    TRANSFER = "transfer"
    """Files that are read, or changes to files, over SFTP; the command is their description (bastion/sftp)."""


NO_STDIN = frozenset({RequestKind.GRANT, RequestKind.FORWARD, RequestKind.TRANSFER})
"""What is no command, and so reads nothing."""


class TtyMode(StrEnum):
    """What an agent may type into a command that runs on a terminal."""

    NONE = "none"
    """Nothing but the keys that end or stop it."""
    LINE = "line"
    """Lines, each of which is a request of its own."""
    VIEW = "view"
    """Single keys of a pager's list that only move about."""
    RAW = "raw"
    """Every key, ungoverned, recorded, for a limited time: a human granted it."""


class StdinMode(StrEnum):
    """What the command will read on stdin, as far as it is known when it is judged (in the digest)."""

    STREAM = "stream"
    """Data, streamed after approval; recorded, but not seen beforehand."""
    BUNDLED = "bundled"
    """The command reads code: all of stdin was read to its end, is shown, and is hashed into the request."""
    GATED = "gated"
    """On a terminal: each line is a request of its own, unless the command's mode says otherwise. Of a git push: the
    list of refs that it changes is one."""
    SECRET = "secret"  # noqa: S105 -- a kind of stdin
    """One line typed with echo off for root's own sudo, su or passwd: shown and kept as its length only."""


class Verdict(StrEnum):
    """What policy says of a request."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


class State(StrEnum):
    """Where a request is. HELD is the only one that can change; the others are how it ended."""

    HELD = "held"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    ALLOWED = "allowed"
    """Not held at all: policy or the whitelist let it through."""
    REFUSED = "refused"
    """Not held at all: policy or the channel table refused it."""


class Choice(StrEnum):
    """What an approver says."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One SSH public key of an identity."""

    fingerprint: str
    """OpenSSH's form: `SHA256:` and 43 base64 characters."""
    line: str
    """`algorithm base64`, as in authorized_keys, without options or comment."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who connects."""

    name: str
    kind: IdentityKind
    roles: frozenset[Role]
    keys: tuple[PublicKey, ...]
    revoked: str = ""
    """The reason, once revoked; empty while valid."""

    @property
    def decides(self) -> bool:
        """Belongs to the control side, and so never reaches a target."""
        return bool(self.roles)


@dataclass(frozen=True, slots=True)
class Target:
    """A configured destination."""

    name: str
    host: str
    port: int
    logins: tuple[str, ...]
    """Remote accounts that may be used; the first is the default."""
    env: str
    """Environment label, such as `production`."""
    host_keys: tuple[str, ...]
    """Pinned `algorithm base64` lines. Empty is never accepted for a connection."""
    credential: str
    """`key:FILE`: a private key on the bastion, mode 0600. `ca`: a certificate for each command."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a command does."""

    kind: EffectKind
    what: str
    """The path, host, service, package or table that it touches; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the risk classifier found."""

    score: int | None
    """0-100; None when nothing judged it."""
    tier: Tier
    reasons: tuple[str, ...]
    """Sentences for a person, the weightiest first."""
    weights: tuple[int, ...] = ()
    """What each reason adds to the score, in the same order."""
    reversible: Reversible = Reversible.UNKNOWN
    effects: tuple[Effect, ...] = ()
    verbs: tuple[str, ...] = ()
    """Words of the policy language for what it does: `restart`, `delete`, `drop_table` …"""


UNRATED = Assessment(None, Tier.UNRATED, ("nobody judged it",))


@dataclass(frozen=True, slots=True)
class Request:
    """One command awaiting judgement. Everything that a decision binds is in here, and in `digest`."""

    id: str
    """`r-` and 8 hex digits."""
    kind: RequestKind
    identity: str
    key: str
    """Fingerprint of the agent's key."""
    session: str
    """`s-` and 16 hex digits."""
    target: str
    host_keys: tuple[str, ...]
    """Pinned keys of the target when the request was made."""
    login: str
    command: bytes
    environment: tuple[tuple[str, str], ...]
    """What goes to the target beside the command, sorted by name."""
    stdin: StdinMode
    stdin_code: bytes
    """With BUNDLED: all of stdin. Otherwise empty."""
    reason: str
    rollback: str
    task: str
    assessment: Assessment
    approvals: int
    """Distinct humans needed."""
    created: int
    """Microseconds since the epoch."""
    expires: int
    """Microseconds since the epoch; what approvers see. Enforcement uses the monotonic clock."""
    env: str = ""
    """Environment label of the target."""
    rule: str = ""
    """What of the policy holds it, for people."""
    emergency: str = ""
    """Why a human breaks the glass (policy's break_glass); empty: nobody does."""
    approvers: tuple[str, ...] = ()
    """Groups: who approves is in all of them. Empty: any approver."""
    escalation: tuple[tuple[int, str], ...] = ()
    """(seconds, group): from then on its members may decide, too."""
    cwd: str = ""
    """Directory of the governed shell when the item was asked; empty for an exec."""
    sequence: int = 0
    """Number of the item in its shell, from 1; 0 outside one."""
    parent: str = ""
    """Id of the request whose command reads it: for an item of stdin, and for a line of a shell that a line started."""
    mode: TtyMode = TtyMode.NONE
    """What may be typed into the command once it runs, unless the approver says otherwise."""
    terminal: str = ""
    """TERM of the agent's terminal; empty without one."""
    script: str = ""
    """The file on the target that the command runs, as it names it; empty where it runs none, or none that is known."""
    script_code: bytes = b""
    """What that file held when the request was made; another content is not run."""
    unsigned: tuple[str, ...] = ()
    """Chats whose buttons count for it."""
    author: str = ""
    """The approver who edited it; empty: it is as the agent sent it."""
    edits: str = ""
    """Id of the request that it was made from, which ended with that."""
    answers: str = ""
    """Likeness of what the agent asked for: its outcome is the answer to that, too."""
    context: tuple[tuple[str, str], ...] = ()
    """(name, text): what the shell said of the item's words, for people. Not in the digest: the proposal's entry, which
    every vote names, commits to it."""
    digest: str = field(init=False, default="")
    likeness: str = field(init=False, default="")

    def __post_init__(self) -> None:
        what = self._what()
        object.__setattr__(self, "likeness", _digest(what))
        object.__setattr__(self, "digest", _digest({**what, **self._which()}))

    def on_terms(
        self,
        *,
        approvals: int,
        expires: int,
        rule: str,
        approvers: tuple[str, ...],
        escalation: tuple[tuple[int, str], ...],
        unsigned: tuple[str, ...],
    ) -> Request:
        """It with what the judgement asks for. As dataclasses.replace, which goes through all of `__init__` and makes
        the likeness anew, of which none of these is a part: that was a fifth of a decision."""
        terms = {
            "approvals": approvals,
            "expires": expires,
            "rule": rule,
            "approvers": approvers,
            "escalation": escalation,
            "unsigned": unsigned,
        }
        made = object.__new__(Request)
        for put, value in zip(_PUT, _GET(self), strict=True):
            put(made, value)
        for name, value in terms.items():
            object.__setattr__(made, name, value)
        object.__setattr__(made, "digest", _digest({**made._what(), **made._which()}))
        return made

    @property
    def seconds(self) -> int:
        """How long it is held at most."""
        return (self.expires - self.created) // 1_000_000

    @property
    def shelled(self) -> bool:
        """It has a mode: an item of a shell, or a command with a terminal."""
        return self.sequence > 0 or self.terminal != ""

    def _what(self: Any) -> dict[str, object]:
        """What would run: equal for a repeated, identical request of the same identity. `self`: see `digest_of`."""
        return {
            "v": 1,
            "kind": str(self.kind),
            "identity": self.identity,
            "key": self.key,
            "target": self.target,
            "host_keys": list(self.host_keys),
            "login": self.login,
            "command": hashlib.sha256(self.command).hexdigest(),
            "command_bytes": len(self.command),
            "environment": [list(pair) for pair in self.environment],
            "stdin": str(self.stdin),
            "stdin_code": hashlib.sha256(self.stdin_code).hexdigest(),
            "stdin_bytes": len(self.stdin_code),
            "cwd": self.cwd,
            "mode": str(self.mode),
            "terminal": self.terminal,
            **({"emergency": self.emergency} if self.emergency else {}),
        }

    def _which(self: Any) -> dict[str, object]:
        """Which asking of it: the request, its session, its words of intent and its end."""
        return {
            "id": self.id,
            "session": self.session,
            "reason": self.reason,
            "rollback": self.rollback,
            "task": self.task,
            "approvals": self.approvals,
            "created": str(self.created),
            "expires": str(self.expires),
            "sequence": str(self.sequence),
            "parent": self.parent,
            **({"script": self.script, "script_code": script_hash(self.script_code)} if self.script else {}),
            **({"author": self.author, "edits": self.edits, "answers": self.answers} if self.author else {}),
        }


_GET = operator.attrgetter(*Request.__slots__)
_PUT: tuple[Callable[[Request, object], None], ...] = tuple(
    getattr(Request, name).__set__ for name in Request.__slots__
)
"""For `on_terms`: one call for all fields, and a call for each."""


def script_hash(code: bytes) -> str:
    """SHA-256 (hex) of a script's content, as sha256sum(1) prints it."""
    return hashlib.sha256(code).hexdigest()


def digest_of(asked: Any) -> str:
    """The digest that the request has whose fields these are, by the same names, with words in place of enums: as it
    travels (control.wire.RequestInfo). Without making the request: a command waits for it."""
    return _digest({**Request._what(asked), **Request._which(asked)})


_canonical = msgspec.json.Encoder(order="sorted").encode


def _digest(value: dict[str, object]) -> str:
    """SHA-256 over canonical JSON (RFC 8785 profile: ASCII keys, no floats, 64-bit numbers as strings)."""
    return hashlib.sha256(_canonical(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class Vote:
    """One approver's signed word on one request."""

    request: str
    digest: str
    """Of the request as the approver's own client computed it from what it displayed."""
    choice: Choice
    by: str
    """Identity name, taken from the signing key."""
    reason: str
    signature: str
    """SSHSIG, armoured; namespace `decision@agent-bastion`."""
    mode: TtyMode | None = None
    """What may be typed into the command, where the approver chose it; None: what the request asks for."""
    seconds: int = 0
    """How long keys may pass, with RAW or VIEW; 0: the usual."""
    via: str = ""
    """The chat in which it was pressed, unsigned; empty: it is signed."""
    via_user: str = ""
    """Who pressed it there, as the chat calls them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a held request ended."""

    request: str
    digest: str
    state: State
    by: tuple[str, ...]
    """Approvers who approved, or the one who denied; empty for EXPIRED and WITHDRAWN."""
    reason: str
    mode: TtyMode | None = None
    """The narrowest that the approvers chose; None: what the request asks for."""
    seconds: int = 0
    """How long keys may pass, with RAW or VIEW; 0: the usual."""
