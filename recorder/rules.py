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

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from recorder import request as requests
from recorder.access import Access
from recorder.decisions import Decisions
from recorder.policies import Policies
from recorder.proposals import Judge, OpenPayload, Request, Requests, terms_of, texts_of
from recorder.rows import RowLike
from recorder.strict import is_hash
from recorder.votes import PREFERENCES, PREFERENCES_FIELDS, People, Violation
from recorder.whitelist import Whitelist


class Rules:
    """Feed it every entry in order. After a Violation it can go on with the next entry."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._people = People()
        self._policies = Policies()
        self._access = Access()
        self._whitelist = Whitelist(self._people)
        self._requests = Requests()
        self._known = self._requests.known
        self._decisions = Decisions(self._requests, self._people, self._policies, self._note)
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
            "whitelist.added": lambda row, _, __: self._whitelist.added(row),
            "whitelist.removed": lambda row, _, __: self._whitelist.removed(row),
            "preferences.set": self._preferences_set,
            "daemon.started": lambda _, __, ___: self._policies.started(),
            "policy.loaded": lambda row, _, payload: self._policies.loaded(row.body, payload("policy")),
            "group.set": lambda row, _, __: self._policies.group(row.body),
            "group.removed": lambda row, _, __: self._policies.no_group(row.body),
            "request.proposed": self._proposed,
            "request.edited": self._decisions.edited,
            "request.escalated": self._decisions.escalated,
            "request.decided": self._decisions.decided,
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

    # --- what stands still ------------------------------------------------------------------------------------

    def _preferences_set(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        _, said = self._people.signed(row.body, PREFERENCES, PREFERENCES_FIELDS)
        if said["origin"] != row.origin:
            raise Violation("the preferences were signed for another ledger")
        if said["text"] != row.body.get("text"):
            raise Violation("the preferences are not those that were signed")

    def _target_added(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        self._access.environments[str(row.body.get("name"))] = str(row.body.get("env"))

    def _target_removed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        gone = row.body.get("name")
        self._access.target_removed(str(gone))
        self._whitelist.target_removed(gone)

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
        request = self._known.get(str(row.body["request"]))
        if request is None or request.terms.kind != "grant":
            raise Violation("a grant names a request that did not ask for one")
        self._decisions.check_approved(request, row.cause, "a grant was given")
        if request.started:
            raise Violation("a second grant for one request")
        if (row.body.get("identity"), row.body.get("target")) != (request.terms.identity, request.terms.target):
            raise Violation("a grant for somebody or something else than was asked for")
        request.started = row.cause
        return request.command

    # --- requests ---------------------------------------------------------------------------------------------

    def _proposed(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        body = row.body
        digest, verdict, approvals = body.get("digest"), body.get("verdict"), body.get("approvals")
        if not row.request or row.request in self._known:
            raise Violation("a request is proposed without an id of its own")
        if not is_hash(digest) or verdict not in ("hold", "allow", "deny"):
            raise Violation("a request without digest or verdict")
        if verdict == "hold" and (type(approvals) is not int or approvals < 1):
            raise Violation("a held request that needs no approval")
        content = payload("content")
        said = requests.parse(content) if content is not None else None
        if said is not None:
            requests.check(said, row.request, digest, body)
        author = self._decisions.author(row, said)
        groups = texts_of(body, "approvers", "approvers")
        if body.get("policy", "") != self._policies.digest and "policy" in body:
            raise Violation("judged by another policy than the one in force")
        terms = terms_of(row, author, groups, texts_of(body, "unsigned", "chats"))
        command = said.command if said is not None and terms.kind == "grant" else None
        self._known[row.request] = Request(leaf, digest, terms, str(body.get("parent", "")), command)
        if verdict == "allow":
            self._allowed(row, said)

    def _allowed(self, row: RowLike, said: requests.Content | None) -> None:
        if not row.body.get("emergency"):
            self._access.check_allowed(str(row.body.get("target")))
        word, _, name = str(row.body.get("rule")).partition(" ")
        if word == "policy":
            self._allowed_by_policy(row.body)
            return
        if word != "whitelist":
            raise Violation("allowed by neither the policy nor the whitelist")
        env = self._access.environments.get(str(row.body.get("target")))
        if note := self._whitelist.check(name, row, env, said):
            self._note(note)

    def _allowed_by_policy(self, body: Mapping[str, Any]) -> None:
        """By a rule of the policy in force, and of no high risk but in an emergency."""
        if not body.get("policy"):
            raise Violation("allowed by a policy, and none was in force")
        if body.get("emergency"):
            self._note("glass was broken: humans did at once what takes an approval")
        elif body.get("tier") not in ("low", "medium"):
            raise Violation("policy let a command through that is of high risk, or that nobody rated")
        self._note("commands were let through by policy, which no person signed")

    # --- what runs --------------------------------------------------------------------------------------------

    def _started(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._requests.find(row)
        if request.parent:
            raise Violation("a line of stdin was started as a command")
        self._go(request, row, leaf)
        granted = row.body.get("mode", "")
        if granted != _narrowest(request.modes or (request.terms.mode,)):
            raise Violation(f"what may be typed into a command ({granted}) is not what was approved")

    def _sent(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        """A line of stdin went to a running command: with an approval of its own."""
        request = self._requests.find(row)
        parent = self._known.get(request.parent)
        if parent is None or not parent.started or parent.finished or row.body.get("parent") != request.parent:
            raise Violation("a line was sent to a command that does not run")
        self._go(request, row, leaf)

    def _go(self, request: Request, row: RowLike, leaf: str) -> None:
        """It may go to the target now, and only once."""
        if request.started:
            raise Violation(f"request {row.request} was started before")
        request.started = leaf
        if request.terms.kind == "grant":
            raise Violation("a request for access was started as a command")
        if request.ended or request.edited:
            raise Violation(f"a command was started that had been {request.ended or 'edited'}")
        if request.terms.emergency:
            self._note("commands were started in an emergency, whatever was frozen or took a grant")
        elif note := self._access.check_start(request.terms.identity, request.terms.target, row.t):
            self._note(note)
        match request.terms.verdict:
            case "allow":
                if row.cause != request.leaf:
                    raise Violation("the start does not answer its proposal")
            case "hold":
                self._decisions.check_approved(request, row.cause, "a command was started")
            case _:
                raise Violation("a command was started that policy had denied")

    def _finished(self, row: RowLike, leaf: str, payload: OpenPayload) -> None:
        request = self._known.get(row.request)
        if request is None or not request.started or row.cause != request.started:
            raise Violation("a command finished that was not started")
        if request.finished:
            raise Violation(f"request {row.request} finished before")
        request.finished = True

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


WIDTH = ("", "none", "view", "line", "raw")
"""Modes, the narrowest first."""


@lru_cache(maxsize=256)
def _narrowest(modes: tuple[str, ...]) -> str:
    """The mode that all of these grant. Raises Violation."""
    if any(mode not in WIDTH for mode in modes):
        raise Violation("a mode that is not known")
    return min(modes, key=WIDTH.index)
