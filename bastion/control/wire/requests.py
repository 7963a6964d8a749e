"""Requests: what a person is shown of one, and the calls that list, show and decide. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call
from bastion.model import Assessment, Effect, EffectKind, Request, RequestKind, Reversible, StdinMode, Tier, TtyMode


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A request and where it stands: all that is needed to recompute its digest, and all that a person is shown."""

    id: str
    state: str
    """model.State"""
    kind: str
    identity: str
    key: str
    session: str
    target: str
    env: str
    host_keys: list[str]
    login: str
    command: bytes
    environment: list[tuple[str, str]]
    stdin: str
    stdin_code: bytes
    reason: str
    rollback: str
    task: str
    tier: str
    score: int | None
    reasons: list[str]
    approvals: int
    created: int
    """Microseconds since the epoch, as all times here."""
    expires: int
    digest: str
    proposal: str
    """Leaf hash (hex) of its `request.proposed` entry: what a vote's statement names."""
    votes: list[VoteInfo] = []
    decided: int = 0
    """When it ended; 0 while held."""
    decision_reason: str = ""
    attached: bool = True
    """An agent is waiting for the outcome; otherwise an approval becomes a one-use ticket."""
    status: str = ""
    """How the command ended: `exit 0`, `signal TERM`, `not started: …`; empty before."""
    weights: list[int] = []
    """What each of `reasons` adds to the score."""
    reversible: str = Reversible.UNKNOWN.value
    effects: list[tuple[str, str]] = []
    """(kind, what): model.Effect."""
    verbs: list[str] = []
    rule: str = ""
    """What of the policy holds it."""
    emergency: str = ""
    """Why a human broke the glass; empty: nobody did."""
    approvers: list[str] = []
    """Groups: who approves is in all of them, or in one of `escalated`."""
    escalation: list[tuple[int, str]] = []
    """(seconds, group): from then on its members may decide, too."""
    escalated: list[str] = []
    """Groups that it went to by now."""
    cwd: str = ""
    sequence: int = 0
    parent: str = ""
    mode: str = TtyMode.NONE.value
    terminal: str = ""
    unsigned: list[str] = []
    """Chats whose buttons count for it."""
    author: str = ""
    """The approver who edited it; empty: it is as the agent sent it."""
    edits: str = ""
    """Id of the request that it was made from."""
    answers: str = ""
    """Likeness (hex) of what the agent asked for."""
    edited: str = ""
    """Id of the request that was made from this one, which ended with that."""
    snoozed: list[tuple[str, int]] = []
    """(approver, until): who does not want to be reminded of it until then."""
    context: list[tuple[str, str]] = []
    script: str = ""
    """The file on the target that the command runs."""
    script_code: bytes = b""
    """What it held."""
    """(name, text): what the governed shell said of the item's words."""

    @property
    def pushes(self) -> bool:
        """It is the list of refs of a `git push` (ssh/push.py): the only stdin of a command that is held whole."""
        return self.kind == RequestKind.STDIN and self.stdin == StdinMode.BUNDLED

    def effect_lines(self) -> list[str]:
        """One line a kind: `deletes: /srv/data`. What cannot be undone is left out: it is said with the risk."""
        kinds: dict[str, list[str]] = {}
        for kind, effect in self.effects:
            things, what = kinds.setdefault(kind, []), effect.replace("…", "<?>")  # what only run time knows
            if what and what not in things:
                things.append(what)
        kinds.pop("irreversible", None)
        return [kind + (f": {', '.join(things)}" if things else "") for kind, things in kinds.items()]

    def to_model(self) -> Request:
        """The request as the approver's own client understands it; its `digest` is computed afresh, here."""
        return Request(
            id=self.id,
            kind=RequestKind(self.kind),
            identity=self.identity,
            key=self.key,
            session=self.session,
            target=self.target,
            env=self.env,
            host_keys=tuple(self.host_keys),
            login=self.login,
            command=self.command,
            environment=tuple((name, value) for name, value in self.environment),
            stdin=StdinMode(self.stdin),
            stdin_code=self.stdin_code,
            reason=self.reason,
            rollback=self.rollback,
            task=self.task,
            emergency=self.emergency,
            assessment=Assessment(
                self.score,
                Tier(self.tier),
                tuple(self.reasons),
                tuple(self.weights),
                Reversible(self.reversible),
                tuple(Effect(EffectKind(kind), what) for kind, what in self.effects),
                tuple(self.verbs),
            ),
            approvals=self.approvals,
            created=self.created,
            expires=self.expires,
            rule=self.rule,
            approvers=tuple(self.approvers),
            escalation=tuple((seconds, group) for seconds, group in self.escalation),
            cwd=self.cwd,
            sequence=self.sequence,
            parent=self.parent,
            mode=TtyMode(self.mode),
            terminal=self.terminal,
            unsigned=tuple(self.unsigned),
            author=self.author,
            edits=self.edits,
            answers=self.answers,
            context=tuple((name, text) for name, text in self.context),
            script=self.script,
            script_code=self.script_code,
        )


class VoteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One vote as it was counted."""

    by: str
    choice: str
    """model.Choice"""
    reason: str
    at: int


class ListRequests(Call, frozen=True, kw_only=True, tag="list-requests"):
    """-> list[RequestInfo], newest last: all that are held, and the newest `limit` that ended. One answer carries about
    2 MiB; the rest comes by asking again with `after`, the last id so far, until nothing comes (Client.requests)."""

    state: str = ""
    limit: int = 200
    after: str = ""


class ShowRequest(Call, frozen=True, kw_only=True, tag="show-request"):
    """-> RequestInfo. `request` may be shortened while unique."""

    request: str
    reveal: bool = False
    """The caller shows it with the secrets in it: noted. The bytes are the same, since a digest is over all of them."""


class CastVote(Call, frozen=True, kw_only=True, tag="cast-vote"):
    """-> RequestInfo as it stands after the vote. `statement` is the exact text that was signed."""

    request: str
    statement: bytes
    signature: str


class Subscribe(Call, frozen=True, kw_only=True, tag="subscribe"):
    """-> null; then RequestChanged and SessionChanged are pushed, first one for each held request and open session."""
