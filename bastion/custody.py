"""Keeping recordings, and letting go of them: redaction, legal holds, retention.

Theory of operation. What goes, goes with an entry that says so (recorder.tombstones), and by three ways only:

    redaction    people with the role admin signed an order; it is checked here as the verifier checks it, then carried
                 out. What a crash left of an order is done at the next start.
    retention    a recording is older than `[retention]` allows, its session is over and not held. The limits stand in
                 the ledger before anything goes by them.
    space        blocks of ciphertext that no row names any more go back to the file system, after each of the two

One of these at a time, in a thread: `_guard`. What is known of sessions is folded out of the ledger, from where the
last look ended. Files that were rendered from a recording (recorder.derived) go with it; they could not be read any
more.

Not protected: the clock is the host's; whoever sets it on makes recordings old. The entries show when it was.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastion.errors import Conflict, NotAllowed, NotFound, StoreError, UsageError
from bastion.model import Identity, Role
from bastion.policy.secrets import finder_of
from recorder import derived, redacting, space
from recorder.errors import RecorderError
from recorder.ledger import Draft, Ledger
from recorder.orders import Order, read_order
from recorder.reader import Reader
from recorder.redacting import Choose, NothingToRedact, Plan
from recorder.space import Freed
from recorder.store import Taking
from recorder.tombstones import CONFIGURED, DAY_US, DELETED, HELD, LIFTED, ORDERED
from recorder.votes import Violation

SECONDS = 30.0
"""For one entry to become durable."""

REASON_LIMIT = 1024
"""Characters of a reason: it stands in a ledger entry, for ever."""

ORDER_SECONDS = 7 * 86_400
"""For which an order may be carried out: time for a second person to look at it."""

CONTENT_STATES = frozenset({"held", "approved", "allowed"})
"""A request whose content is still needed: it can run yet."""

TYPES = ("target.added", "session.opened", "session.closed", "session.interrupted", DELETED, HELD, LIFTED)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many days recordings are kept; 0: for ever."""

    default: int = 0
    environments: tuple[tuple[str, int], ...] = ()

    def days(self, env: str) -> int:
        """For recordings of targets in that environment."""
        return dict(self.environments).get(env, self.default)

    def body(self) -> dict[str, Any]:
        """As it stands in the ledger."""
        return {"limits": dict(self.environments), "default": self.default}


@dataclass(frozen=True, slots=True)
class Old:
    """A recording whose time is over."""

    session: str
    env: str
    ended: int
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A session whose recording must stay."""

    session: str
    reason: str
    by: str
    since: int


@dataclass(slots=True)
class _Known:
    env: str
    opened: int
    ended: int = 0
    deleted: bool = False


Check = Callable[[bytes, str, Iterable[Identity]], Identity | None]
"""(statement, signature, identities): whose signature it is, if it is one of theirs."""


class Custody:
    """Of one store. Every call but `holds` may take long and is made from a thread."""

    def __init__(self, ledger: Ledger, reader: Reader, store: Path, limits: Limits, *, people: int) -> None:
        """`people`: how many must have signed a redaction."""
        self._ledger, self._reader, self._store = ledger, reader, store
        self.limits, self.people = limits, people
        self._guard = threading.RLock()
        self._seen = -1
        self._environments: dict[str, str] = {}
        self._sessions: dict[str, _Known] = {}
        self._holds: dict[str, Hold] = {}

    # --- what is known ------------------------------------------------------------------------------------------------

    def fold(self) -> None:
        """Take what has come since. Raises StoreError."""
        with self._guard, _told():
            for entry in self._reader.entries(after=self._seen, types=TYPES):
                self._step(entry.type, entry.session, entry.t, entry.actor, entry.body)
                self._seen = entry.seq

    def _step(self, kind: str, session: str, t: int, actor: str, body: Mapping[str, Any]) -> None:
        match kind:
            case "target.added":
                self._environments[str(body.get("name"))] = str(body.get("env"))
            case "session.opened":
                self._sessions[session] = _Known(self._environments.get(str(body.get("target")), ""), t)
            case "session.closed" | "session.interrupted" if session in self._sessions:
                self._sessions[session].ended = t
            case "retention.deleted" if session in self._sessions:
                self._sessions[session].deleted = True
            case "hold.placed":
                name = str(body["session"])
                self._holds[name] = Hold(name, str(body.get("reason", "")), actor, t)
            case "hold.lifted":
                self._holds.pop(str(body["session"]), None)
            case _:
                pass

    def _of(self, session: str) -> _Known:
        self.fold()
        known = self._sessions.get(session)
        if known is None:
            raise NotFound(f"no session {session!r}", "`bastion session list` names them; here the whole id is needed")
        return known

    # --- holds --------------------------------------------------------------------------------------------------------

    def holds(self) -> list[Hold]:
        """Those in force, the oldest first."""
        self.fold()
        return sorted(self._holds.values(), key=lambda hold: hold.since)

    def hold(self, session: str, reason: str, actor: str) -> Hold:
        """Keep its recording, whatever its age, until that is lifted. Raises NotFound, Conflict, UsageError."""
        with self._guard:
            known = self._of(session)
            if session in self._holds:
                raise Conflict(f"session {session} is held already: {self._holds[session].reason}")
            if known.deleted:
                raise Conflict(f"the recording of {session} was deleted at the end of its time")
            self._write(Draft(HELD, actor, {"session": session, "reason": checked_reason(reason)}))
            self.fold()
            return self._holds[session]

    def release(self, session: str, reason: str, actor: str) -> Hold:
        """Lift it. Raises NotFound, UsageError, StoreError."""
        with self._guard:
            self.fold()
            hold = self._holds.get(session)
            if hold is None:
                raise NotFound(f"session {session} is not held", "`bastion session holds` lists those that are")
            self._write(Draft(LIFTED, actor, {"session": session, "reason": checked_reason(reason)}))
            self.fold()
            return hold

    # --- redaction ----------------------------------------------------------------------------------------------------

    def plan(self, session: str, choose: Choose) -> Plan:
        """What of a session's recording would go. Raises NotFound, Conflict, StoreError."""
        self._redactable(session)
        with _told():
            return redacting.plan(self._reader, session, choose)

    def _redactable(self, session: str) -> None:
        known = self._of(session)
        if known.deleted:
            raise Conflict(f"the recording of {session} was deleted at the end of its time")
        if not known.ended:
            raise Conflict(f"session {session} goes on", "it can be redacted when it has ended")
        if session in self._holds:
            raise Conflict(f"session {session} is held: {self._holds[session].reason}", "nothing may go from it")

    def contents(self, session: str, requests: Iterable[str], state: Callable[[str], str]) -> tuple[int, ...]:
        """Numbers of the proposals whose content would go. Raises NotFound, Conflict, StoreError."""
        found: list[int] = []
        for request in requests:
            with _told():
                proposal = next(iter(self._reader.entries(types=("request.proposed",), request=request, limit=1)), None)
            if proposal is None or proposal.session != session:
                raise NotFound(f"request {request} is not of session {session}")
            if state(request) in CONTENT_STATES and not self._ran(request):
                raise Conflict(f"request {request} can still run", "its content is what would run")
            found.append(proposal.seq)
        return tuple(sorted(set(found)))

    def _ran(self, request: str) -> bool:
        with _told():
            ends = ("command.finished", "request.restored")
            return any(entry.type == "command.finished" for entry in self._reader.entries(types=ends, request=request))

    def redact(
        self, statement: bytes, signatures: list[str], admins: Iterable[Identity], check: Check, caller: str, now: int
    ) -> Order:
        """Carry out an order, once it is checked; `caller` must have signed it, empty: whoever brings it. Raises
        UsageError, NotAllowed, Conflict, NotFound, StoreError."""
        try:
            order = read_order(statement)
        except Violation as error:
            raise UsageError(f"the order does not read: {error}") from None
        signed: dict[str, str] = {}
        for signature in signatures:
            signer = check(statement, signature, admins)
            if signer is None:
                raise NotAllowed("a signature is not an admin's", "sign with the key of an identity with that role")
            signed[signer.name] = signature
        if len(signed) < self.people:
            raise NotAllowed(f"{len(signed)} of {self.people} people have signed the order", "`people` in [redaction]")
        if caller and caller not in signed:
            raise NotAllowed(f"{caller} brought an order that others signed")
        checked_reason(order.reason)
        with self._guard:
            self._check(order, statement, now)
            said = [{"by": name, "signature": signature} for name, signature in sorted(signed.items())]
            with _told():
                redacting.carry_out(self._ledger, self._reader, order, statement.decode(), said)
                space.free(self._store)
            self._forget_rendered([order.session])
        return order

    def _check(self, order: Order, statement: bytes, now: int) -> None:
        if order.origin != self._ledger.origin:
            raise Conflict("the order is for another bastion's ledger")
        if now > order.expires:
            raise Conflict("the order is void by now", "make it anew")
        self._redactable(order.session)
        with _told():
            known = any(
                entry.body.get("statement") == statement.decode()
                for entry in self._reader.entries(types=(ORDERED,), session=order.session)
            )
        if known:
            raise Conflict("the order was carried out before")

    def requests(self, contents: Iterable[int]) -> list[str]:
        """The requests that these entries proposed. Raises StoreError."""
        with _told():
            return [self._reader.entry(seq).request for seq in contents]

    def finish(self) -> int:
        """Do what a crash left of orders; how many chunks and contents. Raises StoreError."""
        with self._guard, _told():
            return redacting.unfinished(self._ledger, self._reader)

    # --- retention ----------------------------------------------------------------------------------------------------

    def announce(self) -> None:
        """The limits in force, in the ledger before anything goes by them. Raises StoreError."""
        with self._guard, _told():
            last = next((entry.body for entry in self._reader.newest(CONFIGURED)), Limits().body())
            if dict(last) != self.limits.body():
                self._write(Draft(CONFIGURED, "bastion", self.limits.body()))

    def old(self, now: int) -> list[Old]:
        """Recordings whose time is over, the oldest first. Raises StoreError."""
        self.fold()
        found: list[Old] = []
        for session, known in list(self._sessions.items()):
            days = self.limits.days(known.env)
            over = days and known.ended and now - known.ended >= days * DAY_US
            if over and not known.deleted and session not in self._holds and self._recorded(session):
                found.append(Old(session, known.env, known.ended))
        return sorted(found, key=lambda old: old.ended)

    def _recorded(self, session: str) -> bool:
        with _told():
            found = any(True for _ in self._reader.entries(types=(redacting.CHUNK,), session=session, limit=1))
        if not found:
            self._sessions.pop(session, None)  # nothing was recorded, and nothing will be
        return found

    def expire(self, now: int, stop: Callable[[], bool] = lambda: False) -> tuple[list[Old], Freed]:
        """Delete them, and give the space back; what went. Raises StoreError."""
        gone: list[Old] = []
        with self._guard:
            self.announce()
            for each in self.old(now):
                if stop():
                    break
                with _told():
                    redacting.expire(self._ledger, self._reader, each.session, "bastion")
                gone.append(each)
            self._forget_rendered([each.session for each in gone])
            self.fold()
            with _told():
                return gone, space.free(self._store)

    def _forget_rendered(self, sessions: Iterable[str]) -> None:
        for session in sessions:
            with contextlib.suppress(OSError):
                (self._store.parent / derived.DIRECTORY / derived.name_of(session)).unlink(missing_ok=True)

    def _write(self, draft: Draft) -> None:
        with _told():
            self._ledger.take(Taking(), draft).result(SECONDS)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The recorder's failures as ours."""
    try:
        yield
    except NothingToRedact as error:
        raise NotFound(error.message, error.hint) from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    except TimeoutError:
        raise StoreError(f"the ledger was not written within {SECONDS:.0f} s", "is the disk failing?") from None


def checked_reason(reason: str) -> str:
    """A reason that can stand in the ledger for ever. Raises UsageError."""
    if not reason.strip() or len(reason) > REASON_LIMIT:
        raise UsageError(f"a reason of 1 to {REASON_LIMIT} characters is needed")
    if finder_of().find(reason.encode("utf-8", "replace")):
        raise UsageError(
            "the reason looks as if it held a secret", "it stands in the ledger for ever: say it otherwise"
        )
    return reason


def secrets_in(data: bytes) -> list[tuple[int, int]]:
    """Where secrets stand, for redacting.where."""
    return [(span.start, span.end) for span in finder_of().find(data)]


def admins_of(identities: Iterable[Identity]) -> list[Identity]:
    """Who may sign an order now."""
    return [each for each in identities if Role.ADMIN in each.roles and not each.revoked]
