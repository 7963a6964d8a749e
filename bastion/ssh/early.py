"""Connections to targets that are made while a person decides, so that an approval waits for no key exchange.

Theory of operation. When a session's request is held, a connection to its target is begun: TCP, key exchange, host key
against the pinned ones, up to the moment when the target asks who is there. There it stays. No key signs anything and
no certificate is made before an approval is in the ledger: only then does `take` answer the target's question, with
what the start was given for it. So with either credential nobody is logged in on a target whose request is held.

    begun      held, and the session waits       one a session, and only where the bounds below have room
    taken      approved                          the question is answered, and it is a connection like any other
    dropped    denied, expired, withdrawn, the agent left, the session cut, the target removed, KEEP_SECONDS passed

What goes wrong before it is taken is nobody's to see: who is held learns nothing of a target that is down, and the
start dials as if there had been none. What goes wrong after, with a certificate, is the start's failure: a certificate
is made once (mint.py). With a key it is dialled again, since nothing was asked of the target yet; but a target that
said nothing in the time that one has to answer is not given that time twice.

The bounds are the targets': OpenSSH drops who is not logged in after LoginGraceTime (120 s), drops newcomers at random
beyond 10 of them (MaxStartups), and since 9.8 shuts addresses out whose connections log nobody in
(PerSourcePenalties: 15 s worth of penalties, each 1 to 10 s). A client that proposes and withdraws over and over must
not have the bastion shut out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncssh

from bastion.errors import BastionError, Unreachable
from bastion.model import Target
from bastion.ssh.minting import Certify

log = logging.getLogger(__name__)

KEEP_SECONDS = 25.0
"""From its beginning; below the LoginGraceTime of 30 s that some guides ask for."""

MOST = 64
"""At once, of all targets together."""

UNUSED, REFILL_SECONDS = 2, 10.0
"""Connections to one address that there may be, counting those that ended unused lately; after REFILL_SECONDS one of
these counts no more. At 5 s for each (failed authentication, the dearest that one can be taken for) two make 10 s of
the 15 that PerSourcePenalties allow."""

Dial = Callable[..., Awaitable[asyncssh.SSHClientConnection]]
"""(target, login, certify, waits=seconds) -> a connection; as dialling.dial."""

Address = tuple[str, int]


class Silent(Unreachable):
    """It was waited for an answer for as long as for that of any target."""


@dataclass(slots=True, eq=False)
class _Early:
    target: Target
    login: str
    asked: asyncio.Event
    """The target wants to know who is there."""
    answer: asyncio.Future[Certify]
    task: asyncio.Task[asyncssh.SSHClientConnection]
    timer: asyncio.TimerHandle | None = None

    async def certify(self, source: str) -> asyncssh.SSHKeyPair:
        """Not before there is an approval."""
        self.asked.set()
        return await (await self.answer)(source)


@dataclass(slots=True)
class Earlies:
    """All of one daemon."""

    dial: Dial
    seconds: float
    """For a target to answer."""
    _waiting: dict[str, _Early] = field(default_factory=dict)
    """By session."""
    _ending: set[asyncio.Task[asyncssh.SSHClientConnection]] = field(default_factory=set)
    _unused: dict[Address, tuple[float, float]] = field(default_factory=dict)
    """(how many lately, when that was)."""

    def begin(self, session: str, target: Target, login: str) -> bool:
        """Its request is held. False where nothing is begun: it has one, or the bounds are reached. Raises nothing."""
        address, loop = (target.host, target.port), asyncio.get_running_loop()
        there = sum((each.target.host, each.target.port) == address for each in self._waiting.values())
        if session in self._waiting or len(self._waiting) >= MOST or there + self._lately(address) > UNUSED - 1:
            return False
        asked, answer = asyncio.Event(), loop.create_future()

        async def connect() -> asyncssh.SSHClientConnection:
            return await self.dial(target, login, certify=early.certify, waits=KEEP_SECONDS + self.seconds)

        early = _Early(target, login, asked, answer, loop.create_task(connect(), name=f"early {target.name}"))
        early.task.add_done_callback(_seen)
        early.timer = loop.call_later(KEEP_SECONDS, self.drop, session)
        self._waiting[session] = early
        return True

    async def take(
        self, session: str, target: Target, login: str, certify: Certify
    ) -> asyncssh.SSHClientConnection | None:
        """The session's connection, logged in with what `certify` makes; None where there is none that lives. Raises
        Unreachable, HostKeyMismatch."""
        early = self._pop(session)
        if early is None:
            return None
        stands = False
        try:
            stands = (early.target, early.login) == (target, login) and await self._stands(early)
        finally:
            if not stands:
                self._end(early)
        if not stands:
            return None
        early.answer.set_result(certify)
        try:
            async with asyncio.timeout(self.seconds):
                return await early.task
        except TimeoutError:
            raise self._silent(target) from None

    def _silent(self, target: Target) -> Silent:
        return Silent(f"target {target.name} does not answer: no answer within {self.seconds:g} s")

    async def _stands(self, early: _Early) -> bool:
        """Whether the target asks who is there, and still does; where it is on its way there, that is waited for.
        Raises Silent."""
        asked = asyncio.ensure_future(early.asked.wait())
        try:
            done, _ = await asyncio.wait((asked, early.task), timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if not done:
            raise self._silent(early.target)
        return early.asked.is_set() and not early.task.done()

    def drop(self, session: str) -> None:
        """The session needs none any more."""
        if (early := self._pop(session)) is not None:
            self._end(early)

    def drop_target(self, name: str) -> None:
        """A target was removed."""
        for session in [session for session, early in self._waiting.items() if early.target.name == name]:
            self.drop(session)

    async def close(self) -> None:
        """End all of them."""
        for session in list(self._waiting):
            self.drop(session)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _pop(self, session: str) -> _Early | None:
        early = self._waiting.pop(session, None)
        if early is not None and early.timer is not None:
            early.timer.cancel()
        return early

    def _end(self, early: _Early) -> None:
        """Unused. Cancelling the dial closes its connection."""
        address, now = (early.target.host, early.target.port), asyncio.get_running_loop().time()
        self._unused[address] = self._lately(address) + 1, now
        early.answer.cancel()
        early.task.cancel()
        self._ending.add(early.task)
        early.task.add_done_callback(self._ending.discard)

    def _lately(self, address: Address) -> float:
        now = asyncio.get_running_loop().time()
        count, at = self._unused.pop(address, (0.0, now))
        count = max(0.0, count - (now - at) / REFILL_SECONDS)
        if count:
            self._unused[address] = count, now
        return count


def _seen(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """A failure while nobody waits is for the log alone."""
    if not task.cancelled() and (error := task.exception()) is not None:
        level = logging.INFO if isinstance(error, BastionError) else logging.ERROR
        log.log(level, "%s: %s", task.get_name(), error)
