"""The only writer of the ledger while the daemon runs: domain facts to entries.

Every method queues its entries at once and returns a future that is done when they are durable, so the order of calls
is the order of entries. What must not happen before an entry is durable awaits the future (P1). A failed write is not
retried: the ledger then refuses everything, the future raises StoreError, and the daemon stops taking commands (P4).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from bastion import history
from bastion.control import wire
from bastion.errors import StoreStopped
from bastion.model import Request, Vote
from bastion.policy.judge import Judgement
from bastion.policy.rules import Policy
from bastion.policy.secrets import overwrite
from recorder.checkpoint import Checkpoint
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.ledger import CAUSE_PREVIOUS, Draft, Job, Ledger

DAEMON = "bastion"
"""Actor of what the daemon does on its own."""
SETTLED_SECONDS = 2.0
"""For a commit, some milliseconds on a disk that works."""


class Audit:
    """Entries of one daemon."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._expected: set[asyncio.Future[Any]] = set()

    @property
    def origin(self) -> str:
        """Of the ledger; part of every signed statement."""
        return self._ledger.origin

    def head(self) -> Checkpoint:
        """The newest durable checkpoint."""
        return self._ledger.head()

    def head_note(self) -> str:
        """The newest signed checkpoint."""
        return self._ledger.head().note

    async def write(self, *drafts: Draft) -> Sequence[Entry]:
        """Commit these in one transaction; done when they are durable. Raises StoreError."""
        return await self.queue(*drafts)

    def queue(self, *drafts: Draft) -> Awaitable[Sequence[Entry]]:
        """As `write`, with the place of the entries fixed before this returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[Entry, ...]] = loop.create_future()

        def later(tell: Callable[[Any], None], outcome: object) -> None:
            """From the ledger's thread, which must not meet a loop that has closed meanwhile."""
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, future, tell, outcome)

        self._ledger.submit(Job(drafts, partial(later, future.set_result), partial(later, future.set_exception)))
        return _durable(future)

    def expect(self, writing: asyncio.Future[Any]) -> None:
        """Something of which an agent hears before it is durable: the end of its command."""
        self._expected.add(writing)
        writing.add_done_callback(self._expected.discard)

    async def settled(self) -> None:
        """What agents have heard of until now is durable: who asks is not told less than they were. Waits for
        SETTLED_SECONDS at most: a ledger that hangs must not hide the rest."""
        if self._expected:
            await asyncio.wait(self._expected, timeout=SETTLED_SECONDS)


def _tell(future: asyncio.Future[tuple[Entry, ...]], tell: Callable[[Any], None], outcome: object) -> None:
    if not future.done():  # nobody gave it up
        tell(outcome)


async def _durable(future: asyncio.Future[tuple[Entry, ...]]) -> Sequence[Entry]:
    try:
        return await future
    except RecorderError as error:
        raise StoreStopped(f"the ledger cannot be written: {error.message}", error.hint) from None


def session_opened(session: str, identity: str, key: str, target: str, login: str, client: str) -> Draft:
    """An agent opened a session channel on a target."""
    body = {"identity": identity, "key": key, "target": target, "login": login, "client": client}
    return Draft("session.opened", identity, body, session=session)


def session_closed(session: str, end: str) -> Draft:
    """It is over; `end` says why, in words."""
    return Draft("session.closed", DAEMON, {"end": _covered(end)}, session=session)


def session_interrupted(session: str) -> Draft:
    """The daemon had stopped while it was open."""
    return Draft("session.interrupted", DAEMON, {"end": "the bastion stopped"}, session=session)


def channel_refused(session: str, identity: str, what: str) -> Draft:
    """The channel table refused something that the agent asked for."""
    return Draft("channel.refused", identity, {"what": _covered(what)}, session=session)


def proposed(request: Request, judgement: Judgement) -> Draft:
    """A request was judged; the bytes of all of it stand in the payload."""
    body: Mapping[str, Any] = {
        "digest": request.digest,
        "kind": request.kind.value,
        "verdict": judgement.verdict.value,
        "rule": judgement.rule,
        "why": _short(judgement.reason),
        "identity": request.identity,
        "key": request.key,
        "target": request.target,
        "env": request.env,
        "login": request.login,
        "stdin": request.stdin.value,
        **({"mode": request.mode.value, "parent": request.parent} if request.shelled else {}),
        "tier": request.assessment.tier.value,
        "score": request.assessment.score,
        "approvals": request.approvals,
        "approvers": list(request.approvers),
        "policy": judgement.policy,
        "emergency": judgement.emergency,
        **({"unsigned": list(request.unsigned)} if request.unsigned else {}),
        **({"author": request.author, "edits": request.edits} if request.author else {}),
        "expires": str(request.expires),
    }
    payloads = {"content": history.pack(request)}
    return Draft(
        "request.proposed",
        request.author or request.identity,
        body,
        session=request.session,
        request=request.id,
        payloads=payloads,
    )


def attached(request: Request, session: str, proposal: str) -> Draft:
    """A later session took up a request that its client had left behind."""
    body = {"digest": request.digest}
    return Draft("request.attached", request.identity, body, session=session, request=request.id, cause=proposal)


def voted(request: Request, vote: Vote, statement: bytes, proposal: str) -> Draft:
    """One person's signed word, or what they pressed in a chat, which nobody signed."""
    body = {
        "digest": vote.digest,
        "choice": vote.choice.value,
        "by": vote.by,
        "reason": _short(vote.reason),
        **({"mode": vote.mode.value, "seconds": str(vote.seconds)} if vote.mode is not None else {}),
        "statement": statement.decode(),
        "signature": vote.signature,
        **({"via": vote.via, "via_user": vote.via_user} if vote.via else {}),
    }
    return Draft("request.decided", vote.by, body, session=request.session, request=request.id, cause=proposal)


def edited(original: wire.RequestInfo, request: Request, statement: bytes, signature: str, reason: str) -> Draft:
    """An approver wrote another command in place of the agent's; their signed word for it. `request` is the new one."""
    body = {
        "digest": original.digest,
        "by": request.author,
        "to": request.id,
        "command": hashlib.sha256(request.command).hexdigest(),
        "reason": _short(reason),
        "statement": statement.decode(),
        "signature": signature,
    }
    return Draft(
        "request.edited", request.author, body, session=original.session, request=original.id, cause=original.proposal
    )


def edit_refused(original: wire.RequestInfo, request: Request, judgement: Judgement) -> Draft:
    """Policy denies what an approver wrote; the original stays held."""
    body = {
        "digest": original.digest,
        "by": request.author,
        "command": hashlib.sha256(request.command).hexdigest(),
        "rule": judgement.rule,
        "why": _short(judgement.reason),
    }
    return Draft(
        "edit.refused", request.author, body, session=original.session, request=original.id, cause=original.proposal
    )


def snoozed(info: wire.RequestInfo, by: str, until: int) -> Draft:
    """Somebody does not want to be reminded of it for a while."""
    body = {"digest": info.digest, "by": by, "until": str(until)}
    return Draft("request.snoozed", by, body, session=info.session, request=info.id, cause=info.proposal)


def raised(info: wire.RequestInfo, by: str, reason: str) -> Draft:
    """Somebody asks others to decide it."""
    body = {"digest": info.digest, "by": by, "reason": _short(reason)}
    return Draft("request.raised", by, body, session=info.session, request=info.id, cause=info.proposal)


def restored(info: wire.RequestInfo) -> Draft:
    """The daemon started again, and the request is at the desk as it was."""
    body = {"digest": info.digest, "state": info.state}
    return Draft("request.restored", DAEMON, body, session=info.session, request=info.id, cause=info.proposal)


def escalated(request: Request, group: str, proposal: str) -> Draft:
    """Nobody decided in time: from now on the members of a further group may."""
    body = {"digest": request.digest, "group": group}
    return Draft("request.escalated", DAEMON, body, session=request.session, request=request.id, cause=proposal)


def policy_loaded(policy: Policy) -> Draft:
    """A policy came into force; its text is the payload, and gives its hash."""
    body = {
        "name": _short(policy.name),
        "digest": policy.digest,
        "files": list(policy.files),
        "groups": {name: sorted(members) for name, members in policy.groups.items()},
    }
    texts = json.dumps(dict(policy.texts), ensure_ascii=False).encode()
    return Draft("policy.loaded", DAEMON, body, payloads={"policy": texts})


def policy_failed(file: str, error: str, kept: str) -> Draft:
    """A changed policy was broken; `kept` is the hash of the one that stays in force."""
    return Draft("policy.failed", DAEMON, {"file": _short(file), "error": _short(error), "kept": kept})


def ended(request_id: str, session: str, digest: str, choice: str, reason: str, proposal: str) -> Draft:
    """A request ended without a person: `choice` is expired or withdrawn."""
    body = {"digest": digest, "choice": choice, "by": "", "reason": _covered(reason)}
    return Draft("request.decided", DAEMON, body, session=session, request=request_id, cause=proposal)


def vote_voided(request_id: str, session: str, digest: str, by: str, proposal: str) -> Draft:
    """A held request lost the vote of an approver who was revoked."""
    body = {"digest": digest, "by": by}
    return Draft("vote.voided", DAEMON, body, session=session, request=request_id, cause=proposal)


def started(request: Request, session: str, grounds: str, mode: str = "") -> Draft:
    """The approved bytes are about to go to the target. `grounds` is the leaf of the entry that allows it; `mode`, in a
    shell, what may be typed into it."""
    body = {"digest": request.digest, "target": request.target, "login": request.login}
    if mode:
        body["mode"] = mode
    return Draft("command.started", DAEMON, body, session=session, request=request.id, cause=grounds)


def sent(request: Request, session: str, grounds: str) -> Draft:
    """An approved line of stdin is about to go to the running command. `grounds` is the leaf that allows it."""
    body = {"digest": request.digest, "parent": request.parent}
    return Draft("stdin.sent", DAEMON, body, session=session, request=request.id, cause=grounds)


def shell_opened(session: str, target: str, login: str, program: bytes) -> Draft:
    """A governed shell is about to be started with a certificate; `program` is the certificate's command."""
    body = {"target": target, "login": login, "program": hashlib.sha256(program).hexdigest()}
    return Draft("shell.opened", DAEMON, body, session=session)


def script_read(session: str, target: str, login: str, path: str, program: bytes) -> Draft:
    """A file that a command would run is about to be read; `program` is the certificate's command."""
    digest = hashlib.sha256(program).hexdigest()
    body = {"target": target, "login": login, "path": _short(path), "program": digest}
    return Draft("script.read", DAEMON, body, session=session)


def login_shell(session: str, target: str, login: str, shell: str) -> Draft:
    """What reads commands on a target was asked, since policy would let one run by itself."""
    return Draft("target.shell", DAEMON, {"target": target, "login": login, "shell": shell}, session=session)


def spoofed(session: str, count: int) -> Draft:
    """The target sent marks that the driver did not make, so many by now; they were taken out."""
    return Draft("shell.spoofed", DAEMON, {"count": count}, session=session)


def finished(request: Request, session: str, body: Mapping[str, Any], start: str) -> Draft:
    """The command ended: status or signal, a note if it did not end by itself, hashes and sizes of its streams."""
    return Draft("command.finished", DAEMON, body, session=session, request=request.id, cause=start)


def _covered(text: str) -> str:
    """Of words that the daemon puts together from what others sent: an entry is for ever, a secret is not for it."""
    return _covered_word(text) if len(text) <= WORD else _overwritten(text)


WORD = 64
"""Characters of words that say the same again and again, such as `exit 0`: what is covered of them is kept."""


def _overwritten(text: str) -> str:
    return _short(overwrite(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace"))


_covered_word = lru_cache(maxsize=64)(_overwritten)


def _short(text: str) -> str:
    """At most 1,024 characters, the cut said: an entry has at most 16 KiB."""
    return text if len(text) <= 1024 else f"{text[:1000]}… (+{len(text) - 1000} characters)"


__all__ = ["CAUSE_PREVIOUS", "DAEMON", "Audit", "Draft", "Entry"]
