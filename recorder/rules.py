"""Did everything that ran have to be allowed, and was it? The order of causes, checked entry by entry. Pure.

    request.proposed   digest, verdict hold | allow | deny, approvals, groups, hash of the policy in force
      └─ request.decided (one per vote)   approve | deny: signed by an approver of that time, over this proposal's leaf,
      │                                   request and digest; expired | withdrawn: the daemon's
      └─ command.started   at most one; cause is an approving decision, or the proposal when its verdict is allow
           └─ command.finished   at most one

A command may start when as many distinct approvers approved as the proposal asks, nobody denied before, it had not
expired or been withdrawn, and the digest is the same all along. Nobody approves what they proposed, but an approver
who edited an agent's request may give one of its approvals: they signed the hash of the new command (`request.edited`),
what it was made from ends with that, and where the new one is of high risk, somebody else approves too.

`allow` by the whitelist needs a whitelist entry in force that an approver signed who is not revoked, for that identity
and login, that target or its environment, of a tier that is not below the command's, and where the request's content is
still there, for exactly that command or a pattern that matches it, with that code on stdin. `allow` by a rule of the
policy needs that policy in force (policies.py), and low or medium risk. Where policy names groups, who approves is in
all of them, or in one that the request went to before. The content must give the digest that was approved.

What this cannot see: whether the policy says what the verdict claims (its text is there to be read), whether a command
was rated rightly, or a hole stands in a wise place (both were shown to who
signed); a daemon that ran a command and wrote nothing; whether a vote's time was the approver's. A vote or
whitelist entry used after its own end is a note and not a violation: the daemon counts with the monotonic clock, and
the wall clock in the entries may have been set.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from recorder import patterns
from recorder import request as requests
from recorder.access import Access
from recorder.policies import Policies
from recorder.strict import is_hash
from recorder.votes import (
    DECISION,
    EDIT,
    EDIT_FIELDS,
    PREFERENCES,
    PREFERENCES_FIELDS,
    VOTE_FIELDS,
    WHITELIST,
    WHITELIST_FIELDS,
    People,
    Violation,
)

SLACK_US = 60_000_000
"""Microseconds that a wall clock may be off before a late vote is worth a note."""

DAY_US = 86_400_000_000
LONGEST_US = {"low": 0, "medium": 7 * DAY_US, "unrated": 7 * DAY_US}
"""How long a whitelist entry may last, by the tier that its signer was shown; 0: without an end. High: never."""

CLOCKS_US = 240_000_000
"""Microseconds by which the signer's clock may have been ahead: twice what the daemon allows."""

RANK = {"low": 0, "medium": 1, "unrated": 2, "high": 3}
"""Which tier is the higher one."""

OpenPayload = Callable[[str], bytes | None]
"""Gives a payload of the entry at hand, checked; None where it is not there."""


class RowLike(Protocol):
    """What is needed of an entry; recorder.strict.Row and recorder.entry.Entry have it."""

    @property
    def seq(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def t(self) -> int: ...
    @property
    def actor(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def body(self) -> Any: ...


Judge = Callable[[Any, str, OpenPayload], None]


class _Request(msgspec.Struct, gc=False):
    """What is known of one. Its sets are made when there is something in them: most requests need none."""

    leaf: str
    digest: str
    verdict: str
    approvals: int
    proposers: frozenset[str]
    groups: tuple[str, ...] = ()
    """Who approves is in all of them …"""
    escalated: tuple[str, ...] = ()
    """… or in one of these."""
    approvers: frozenset[str] = frozenset()
    kind: str = ""
    identity: str = ""
    target: str = ""
    emergency: bool = False
    """Somebody broke the glass."""
    command: bytes | None = None
    """Of a request for a grant, where its content is still there."""
    approving: frozenset[str] = frozenset()
    """Leaves of the approving decisions."""
    ended: str = ""
    """denied, expired or withdrawn."""
    started: str = ""
    """Leaf of its `command.started`."""
    finished: bool = False
    parent: str = ""
    """Of a line of stdin: the request of the command that reads it."""
    mode: str = ""
    """What may be typed into it once it runs, as it was asked for; empty outside a shell."""
    modes: tuple[str, ...] = ()
    """As the approvers said."""
    tier: str = ""
    unsigned: frozenset[str] = frozenset()
    """Chats whose buttons count."""
    edited: bool = False
    """Another request was made from it, and answers for it."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """What an approver signed to stand in place of an agent's command, until it is proposed."""

    of: str
    """Id of the request that it was made from."""
    by: str
    command: str
    """SHA-256 (hex)."""


@dataclass(frozen=True, slots=True)
class _Whitelisted:
    command: bytes
    pattern: str
    identity: str
    target: str
    env: str
    login: str
    code: str
    tier: str
    expires: int
    by: str


class Rules:
    """Feed it every entry in order. After a Violation it can go on with the next entry."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._people = People()
        self._policies = Policies()
        self._requests: dict[str, _Request] = {}
        self._edits: dict[str, _Edit] = {}
        self._whitelist: dict[str, _Whitelisted] = {}
        self._access = Access()
        self.table: dict[str, Judge] = {
            "identity.added": lambda row, _, __: self._people.add(row.body),
            "identity.revoked": self._identity_revoked,
            "access.configured": lambda row, _, __: self._access.configured(row.body),
            "grant.added": self._grant_added,
            "grant.expired": lambda row, _, __: self._access.ended(row.body),
            "grant.revoked": lambda row, _, __: self._access.ended(row.body),
            "freeze.set": lambda row, _, __: self._access.frozen(row.body),
            "freeze.lifted": lambda row, _, __: self._access.lifted(row.body),
            "target.added": self._target_added,
            "target.removed": self._target_removed,
            "whitelist.added": self._whitelist_added,
            "whitelist.removed": self._whitelist_removed,
            "preferences.set": self._preferences_set,
            "daemon.started": lambda _, __, ___: self._policies.started(),
            "policy.loaded": lambda row, _, payload: self._policies.loaded(row.body, payload("policy")),
            "group.set": lambda row, _, __: self._policies.group(row.body),
            "group.removed": lambda row, _, __: self._policies.no_group(row.body),
            "request.proposed": self._proposed,
            "request.edited": self._edited,
            "request.escalated": self._escalated,
            "request.decided": self._decided,
            "command.started": self._started,
            "command.finished": self._finished,
            "stdin.sent": self._sent,
        }
        """What judges an entry, by type: row, leaf (hex), payloads. Each raises Violation."""

    @property
    def people(self) -> People:
        """As of now."""
        return self._people

    @property
    def environments(self) -> dict[str, str]:
        """Of targets, as of now."""
        return self._access.environments

    def feed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """Take one entry; nothing is done with one of a type that `table` does not have. Raises Violation."""
        rule = self.table.get(row.type)
        if rule is not None:
            rule(row, leaf, payload)

    # --- whitelist --------------------------------------------------------------------------------------------

    def _whitelist_added(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        body = row.body
        by, said = self._people.signed(body, WHITELIST, WHITELIST_FIELDS)
        if said["origin"] != row.origin:
            raise Violation("the whitelist statement was made for another ledger")
        for name in sorted(WHITELIST_FIELDS - {"checkpoint", "origin", "v"}):
            if said[name] != body.get(name):
                raise Violation(f"the whitelist entry's {name} is not the one that was signed")
        if not isinstance(body.get("id"), str) or body["id"] in self._whitelist:
            raise Violation("the whitelist entry has no id of its own")
        try:
            command = base64.b64decode(said["command"], validate=True)
        except (binascii.Error, ValueError):
            raise Violation("the whitelisted command is no base64") from None
        if bool(said["target"]) == bool(said["env"]):
            raise Violation("the whitelist entry is for no target and no environment, or for both")
        if said["pattern"] and not patterns.matches(said["pattern"], command):
            raise Violation("the whitelist entry's pattern does not match the command that it was made from")
        self._check_lasting(row, said)
        self._whitelist[body["id"]] = _Whitelisted(
            command=command,
            pattern=said["pattern"],
            identity=said["identity"],
            target=said["target"],
            env=said["env"],
            login=said["login"],
            code=said["code"],
            tier=said["tier"],
            expires=int(said["expires"]),
            by=by,
        )

    def _check_lasting(self, row: RowLike, said: dict[str, str]) -> None:
        if said["tier"] not in LONGEST_US:
            raise Violation(f"a command of tier {said['tier']} was whitelisted")
        if said["pattern"] and said["tier"] == "unrated":
            raise Violation("a pattern was whitelisted that nobody had rated")
        longest, ends = LONGEST_US[said["tier"]], int(said["expires"])
        if longest and (not ends or ends > row.t + longest + CLOCKS_US):
            raise Violation(f"a whitelist entry of tier {said['tier']} lasts longer than it may")

    def _preferences_set(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        _, said = self._people.signed(row.body, PREFERENCES, PREFERENCES_FIELDS)
        if said["origin"] != row.origin:
            raise Violation("the preferences were signed for another ledger")
        if said["text"] != row.body.get("text"):
            raise Violation("the preferences are not those that were signed")

    def _whitelist_removed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        if self._whitelist.pop(str(row.body.get("id")), None) is None:
            raise Violation("a whitelist entry is removed that is not there")

    def _target_added(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        self._access.environments[str(row.body.get("name"))] = str(row.body.get("env"))

    def _target_removed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        gone = row.body.get("name")
        self._access.target_removed(str(gone))
        self._whitelist = {key: entry for key, entry in self._whitelist.items() if entry.target != gone}

    # --- access -----------------------------------------------------------------------------------------------

    def _identity_revoked(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        self._people.revoke(row.body)
        self._access.identity_revoked(str(row.body.get("name")))

    def _grant_added(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        asked: bytes | None = None
        if row.body.get("request"):
            asked = self._asked(row)
        elif not row.actor.startswith("local:"):
            raise Violation("a grant that nobody asked for and no administrator gave")
        else:
            self._note("grants were given by the host's administrator, which no person signed")
        self._access.granted(row.body, asked)

    def _asked(self, row: RowLike) -> bytes | None:
        """The text of the approved request that a grant names; None where its content is gone. Raises Violation."""
        request = self._requests.get(str(row.body["request"]))
        if request is None or request.kind != "grant":
            raise Violation("a grant names a request that did not ask for one")
        self._check_approved(request, row.cause, "a grant was given")
        if request.started:
            raise Violation("a second grant for one request")
        if (row.body.get("identity"), row.body.get("target")) != (request.identity, request.target):
            raise Violation("a grant for somebody or something else than was asked for")
        request.started = row.cause
        return request.command

    def _check_approved(self, request: _Request, cause: str, what: str) -> None:
        if request.ended:
            raise Violation(f"{what} that had been {request.ended}")
        if cause not in request.approving:
            raise Violation(f"{what} without an approval of its request")
        approvers = {name for name in request.approvers if self._people.counts(name)}
        if len(approvers) < request.approvals:
            gone = " by approvers who were not revoked" if len(approvers) < len(request.approvers) else ""
            raise Violation(f"{what} with {len(approvers)} of {request.approvals} approvals{gone}")

    # --- requests ---------------------------------------------------------------------------------------------

    def _proposed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        body = row.body
        digest, verdict, approvals = body.get("digest"), body.get("verdict"), body.get("approvals")
        if not row.request or row.request in self._requests:
            raise Violation("a request is proposed without an id of its own")
        if not is_hash(digest) or verdict not in ("hold", "allow", "deny"):
            raise Violation("a request without digest or verdict")
        if verdict == "hold" and (type(approvals) is not int or approvals < 1):
            raise Violation("a held request that needs no approval")
        content = payload("content")
        said = requests.parse(content) if content is not None else None
        if said is not None:
            requests.check(said, row.request, digest, body)
        author = self._author(row, said)
        who = [row.actor, identity] if isinstance(identity := body.get("identity"), str) else [row.actor]
        proposers = frozenset(who if not author else [name for name in who if name != author])
        groups = _groups(body)
        if body.get("policy", "") != self._policies.digest and "policy" in body:
            raise Violation("judged by another policy than the one in force")
        self._requests[row.request] = _Request(
            leaf,
            str(digest),
            verdict,
            int(approvals or 0),
            proposers,
            groups,
            parent=str(body.get("parent", "")),
            mode=str(body.get("mode", "")),
            kind=str(body.get("kind", "")),
            tier=str(body.get("tier", "")),
            unsigned=_chats(body),
            identity=str(body.get("identity", "")),
            target=str(body.get("target", "")),
            command=said.command if said is not None and body.get("kind") == "grant" else None,
            emergency=bool(body.get("emergency")) and verdict == "allow",
        )
        if verdict == "allow":
            self._allowed(row, said)

    def _edited(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """An approver wrote another command in place of an agent's."""
        request = self._find(row)
        if row.cause != request.leaf or request.verdict != "hold" or request.ended:
            raise Violation("a request was edited that was not held")
        by, said = self._people.signed(row.body, EDIT, EDIT_FIELDS)
        wanted = {"origin": row.origin, "proposal": request.leaf, "request": row.request, "digest": request.digest}
        for name, value in {**wanted, "command": row.body.get("command")}.items():
            if said[name] != value:
                raise Violation(f"{by} signed another {name} than the entry has")
        request.edited = True
        self._edits[str(row.body.get("to"))] = _Edit(row.request, by, said["command"])

    def _author(self, row: RowLike, said: requests.Content | None) -> str:
        """The approver who made this request from an agent's; empty for an agent's own. Raises Violation."""
        body = row.body
        edit = self._edits.pop(row.request, None)
        if edit is None:
            if body.get("author") or body.get("edits"):
                raise Violation("a request names an author who signed nothing")
            return ""
        if (body.get("author"), body.get("edits")) != (edit.by, edit.of):
            raise Violation("an edited request names another author, or another request that it was made from")
        if said is not None and hashlib.sha256(said.command).hexdigest() != edit.command:
            raise Violation(f"the command of an edited request is not the one that {edit.by} signed")
        if body.get("verdict") == "allow":
            raise Violation("an edited request was let through without an approval")
        if body.get("verdict") == "hold" and body.get("tier") not in ("low", "medium") and body.get("approvals") == 1:
            raise Violation(f"{edit.by} could approve alone what they wrote, and it is of high risk")
        return edit.by

    def _allowed(self, row: RowLike, said: requests.Content | None) -> None:
        if not row.body.get("emergency"):
            self._access.check_allowed(str(row.body.get("target")))
        word, _, name = str(row.body.get("rule")).partition(" ")
        if word == "policy":
            self._allowed_by_policy(row.body)
            return
        if word != "whitelist":
            raise Violation("allowed by neither the policy nor the whitelist")
        entry = self._whitelist.get(name)
        if entry is None:
            raise Violation(f"allowed by whitelist entry {name}, which is not in force")
        if not self._people.counts(entry.by):
            raise Violation(f"whitelist entry {name} was signed by {entry.by}, who was revoked before its use")
        self._check_scope(row.body, name, entry)
        if said is not None:
            _check_command(said, name, entry)
        if entry.expires and row.t > entry.expires + SLACK_US:
            self._note("whitelist entries were used after their end, by the wall clock")

    def _allowed_by_policy(self, body: Any) -> None:
        """By a rule of the policy in force, and of no high risk but in an emergency."""
        if not body.get("policy"):
            raise Violation("allowed by a policy, and none was in force")
        if body.get("emergency"):
            self._note("glass was broken: humans did at once what takes an approval")
        elif body.get("tier") not in ("low", "medium"):
            raise Violation("policy let a command through that is of high risk, or that nobody rated")
        self._note("commands were let through by policy, which no person signed")

    def _check_scope(self, body: Any, name: str, entry: _Whitelisted) -> None:
        """The entry is for this identity, login, and target or environment, and the command is not rated higher."""
        if (entry.identity, entry.login) != (body.get("identity"), body.get("login")):
            raise Violation(f"whitelist entry {name} is for another identity, target or login")
        if entry.target and entry.target != body.get("target"):
            raise Violation(f"whitelist entry {name} is for another identity, target or login")
        if entry.env and entry.env != self._access.environments.get(str(body.get("target"))):
            raise Violation(f"whitelist entry {name} is for another environment than the target's")
        if RANK.get(body.get("tier", "unrated"), 9) > RANK[entry.tier]:
            raise Violation(f"whitelist entry {name} let a command through that is rated higher than it was")

    def _decided(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._find(row)
        if row.cause != request.leaf:
            raise Violation("the decision answers another entry than its request's proposal")
        choice = row.body.get("choice")
        if choice in ("expired", "withdrawn"):
            request.ended = request.ended or choice
            return
        if choice not in ("approve", "deny"):
            raise Violation("a decision without a choice")
        if row.body.get("via"):
            self._pressed(request, row, leaf)
            return
        by, said = self._people.signed(row.body, DECISION, VOTE_FIELDS)
        wanted = {"origin": row.origin, "proposal": request.leaf, "request": row.request, "digest": request.digest}
        for name, value in {**wanted, "choice": choice}.items():
            if said[name] != value:
                raise Violation(f"{by} signed another {name} than the entry has")
        if by in request.proposers:
            raise Violation(f"{by} decided a request of their own")
        if request.verdict != "hold":
            raise Violation("a vote on a request that was not held")
        if row.t > int(said["expires"]) + SLACK_US:
            self._note("votes were counted after their end, by the wall clock")
        if choice == "deny":
            request.ended = request.ended or "denied"
        else:
            self._check_group(request, by)
            if said.get("mode", "") != row.body.get("mode", "") or said.get("seconds") != row.body.get("seconds"):
                raise Violation(f"{by} signed another mode than the entry has")
            request.approvers |= {by}
            request.approving |= {leaf}
            request.modes += (said.get("mode", "") or request.mode,)

    def _pressed(self, request: _Request, row: RowLike, leaf: str) -> None:
        """A button in a chat: nobody signed it, so it counts only where the proposal says so, and for little."""
        by, choice = str(row.body.get("by")), row.body.get("choice")
        if row.body["via"] not in request.unsigned or row.body.get("signature"):
            raise Violation("an unsigned decision where policy accepts none")
        if request.tier not in ("low", "medium"):
            raise Violation("an unsigned decision on something of high risk, or that nobody rated")
        if not self._people.counts(by):
            raise Violation(f"pressed for {by}, who is no approver, or was revoked")
        if by in request.proposers:
            raise Violation(f"{by} decided a request of their own")
        if request.verdict != "hold":
            raise Violation("a vote on a request that was not held")
        where = "on the bastion's own console" if row.body["via"] == "console" else "in a chat"
        self._note(f"decisions were made {where}, which no person signed")
        if choice == "deny":
            request.ended = request.ended or "denied"
            return
        self._check_group(request, by)
        request.approvers |= {by}
        request.approving |= {leaf}
        request.modes += (request.mode,)

    def _check_group(self, request: _Request, by: str) -> None:
        """Raises Violation."""
        inside = all(by in self._policies.members(group) for group in request.groups)
        if not inside and not any(by in self._policies.members(group) for group in request.escalated):
            raise Violation(f"{by} approved, and is not in group {' and '.join(request.groups)}")

    def _escalated(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._find(row)
        if row.cause != request.leaf or request.verdict != "hold" or not isinstance(row.body.get("group"), str):
            raise Violation("a request is escalated that was not held, or to nobody")
        request.escalated += (row.body["group"],)

    def _started(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._find(row)
        if request.parent:
            raise Violation("a line of stdin was started as a command")
        self._go(request, row, leaf)
        granted = row.body.get("mode", "")
        if granted != _narrowest(request.modes or (request.mode,)):
            raise Violation(f"what may be typed into a command ({granted}) is not what was approved")

    def _sent(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """A line of stdin went to a running command: with an approval of its own."""
        request = self._find(row)
        parent = self._requests.get(request.parent)
        if parent is None or not parent.started or parent.finished or row.body.get("parent") != request.parent:
            raise Violation("a line was sent to a command that does not run")
        self._go(request, row, leaf)

    def _go(self, request: _Request, row: RowLike, leaf: str) -> None:
        """It may go to the target now, and only once."""
        if request.started:
            raise Violation(f"request {row.request} was started before")
        request.started = leaf
        if request.kind == "grant":
            raise Violation("a request for access was started as a command")
        if request.ended or request.edited:
            raise Violation(f"a command was started that had been {request.ended or 'edited'}")
        if request.emergency:
            self._note("commands were started in an emergency, whatever was frozen or took a grant")
        elif note := self._access.check_start(request.identity, request.target, row.t):
            self._note(note)
        match request.verdict:
            case "allow":
                if row.cause != request.leaf:
                    raise Violation("the start does not answer its proposal")
            case "hold":
                self._check_approved(request, row.cause, "a command was started")
            case _:
                raise Violation("a command was started that policy had denied")

    def _finished(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._requests.get(row.request)
        if request is None or not request.started or row.cause != request.started:
            raise Violation("a command finished that was not started")
        if request.finished:
            raise Violation(f"request {row.request} finished before")
        request.finished = True

    def _find(self, row: RowLike) -> _Request:
        """The request that a decision or start is about, by an equal digest. Raises Violation."""
        request = self._requests.get(row.request)
        if request is None:
            raise Violation(f"request {row.request!r} was never proposed")
        if row.body.get("digest") != request.digest:
            raise Violation(f"the digest is not that of request {row.request}")
        return request

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _check_command(said: requests.Content, name: str, entry: _Whitelisted) -> None:
    """The entry is for what the request's content is."""
    if entry.pattern:
        if not patterns.matches(entry.pattern, said.command):
            raise Violation(f"whitelist entry {name} has a pattern that does not match the command")
    elif said.command != entry.command:
        raise Violation(f"whitelist entry {name} is for another command")
    if entry.code != requests.code(said):
        raise Violation(f"whitelist entry {name} is for other code on stdin or in a script")


def _chats(body: Any) -> frozenset[str]:
    chats = body.get("unsigned", [])
    if chats == []:
        return frozenset()
    if not isinstance(chats, list) or not all(isinstance(chat, str) for chat in chats):
        raise Violation("a request whose chats cannot be read")
    return frozenset(chats)


def _groups(body: Any) -> tuple[str, ...]:
    groups = body.get("approvers", [])
    if groups == []:
        return ()
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Violation("a request whose approvers cannot be read")
    return tuple(groups)


WIDTH = ("", "none", "view", "line", "raw")
"""Modes, the narrowest first."""


def _narrowest(modes: tuple[str, ...]) -> str:
    """The mode that all of these grant. Raises Violation."""
    if any(mode not in WIDTH for mode in modes):
        raise Violation("a mode that is not known")
    return min(modes, key=WIDTH.index)
