"""The tools' end of the control protocol: calls and their answers, pushes, and votes signed by a person's own key.

Theory of operation. A `Client` owns one Link and one task, which reads: an answer wakes the call that waits for its
id, a push goes into a bounded queue. When the stream ends, for whatever reason, every waiting call and every reader of
`pushes` gets Unreachable, and so does whoever comes later: a Client is used once, a reconnection makes a new one.

What is signed is made here, out of what was displayed: `vote` takes the RequestInfo that the person saw, computes its
digest itself, and refuses if the daemon stated another one. The daemon can lose a vote; it cannot turn it into another.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

import asyncssh
import msgspec

from bastion.control import statements, wire
from bastion.control.endpoints import Endpoint, Link, Local
from bastion.control.lines import LineReader, abort
from bastion.control.pins import Pins
from bastion.control.signers import Signer
from bastion.errors import BastionError, Conflict, HeadMismatch, Unreachable, UsageError
from bastion.model import Choice

CALL_SECONDS = 60.0
"""For one answer. The slowest call, check-target, may take several times the 10 s of its connection."""

PUSH_LIMIT = 8192
"""Pushes that nobody has taken yet. Eight times what the daemon queues: past it this client is at fault."""

PREFER_SECONDS = 600
"""How long signed preferences may be on their way."""

HANG_UP_SECONDS = 2.0
"""For closing in good order; then the connection is cut."""

NAME = "agent-bastion"
"""What `hello` says of the client; for the daemon's log only."""

T = TypeVar("T")


class Client:
    """One connection to a daemon. Make it with `Client.open`, end it with `close` or as an async context manager."""

    def __init__(self, link: Link, welcome: wire.Welcome, lines: LineReader, signer: Signer | None, name: str) -> None:
        self.welcome = welcome
        """Who the daemon takes us for, the ledger's origin and its newest checkpoint."""
        self.signer = signer
        """The key that votes are signed with; None: this client cannot vote, but where policy accepts it unsigned."""
        self.unsigned = False
        """A vote without a key is sent unsigned: of the console that the daemon serves itself."""
        self._link = link
        self._name = name
        self._lines = lines
        self._next_id = 1
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._pushes: deque[wire.Push] = deque()
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._lost = ""
        """Why the connection is no more; empty while it is."""
        self._task = asyncio.get_running_loop().create_task(self._read(), name="control client")

    @classmethod
    async def open(cls, endpoint: Endpoint, *, signer: Signer | None = None, pins: Pins | None = None) -> Client:
        """Connect and greet. `signer` signs votes; over SSH it defaults to the key that logged in.

        With `pins`, which every tool of a person has, the daemon must prove that its ledger continues the one that
        was seen before. Raises Unreachable, HostKeyMismatch, HeadMismatch, NotAllowed, or whatever the daemon refuses
        with.
        """
        link = await endpoint.dial()
        try:
            lines = LineReader(link.reader)
            welcome = await _greet(link, lines, str(endpoint))
        except BaseException:
            await _hang_up(link)
            raise
        client = cls(link, welcome, lines, signer or link.signer, str(endpoint))
        if pins is not None:
            try:
                await client._hold_to(pins, "" if isinstance(endpoint, Local) else str(endpoint))
            except BaseException:
                await client.close()
                raise
        return client

    async def _hold_to(self, pins: Pins, address: str) -> None:
        """Raises HeadMismatch."""
        pinned = pins.wanted(self.welcome.origin)
        found = await self.call(wire.ProveHead, wire.HeadProof, size=pinned.size if pinned else 0)
        pin = pins.check(address, found, pinned)
        if pin.origin != self.welcome.origin:
            raise HeadMismatch("the bastion proves the head of another ledger than the one it named")

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Waiting calls get Unreachable."""
        self._lose("closed")
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await _hang_up(self._link)

    # --- calls --------------------------------------------------------------------------------------------------

    async def call(
        self, call_type: type[wire.Call], result_type: type[T], /, *, seconds: float = CALL_SECONDS, **fields: object
    ) -> T:
        """Make one call and wait for its answer, at most `seconds`.

        `result_type` is what the call's docstring names (types.NoneType for null). Raises the bastion.errors class
        that the daemon failed with; Unreachable when the connection is lost or nothing comes in time; UsageError
        when the call does not fit a message.
        """
        call_id, self._next_id = self._next_id, self._next_id + 1
        try:
            data = wire.encode(call_type(id=call_id, **fields))
        except (wire.WireError, UnicodeEncodeError) as error:
            raise UsageError(f"this cannot be sent: {error}") from None
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            async with asyncio.timeout(seconds):
                await self._send(data)
                raw = await future
        except TimeoutError:
            raise Unreachable(f"{self._name} did not answer within {seconds:.0f} s") from None
        finally:
            self._waiting.pop(call_id, None)
        try:
            result: T = wire.convert(raw, result_type)
        except wire.WireError as error:
            raise Unreachable(f"{self._name} answered with something else: {error}") from None
        return result

    async def pushes(self) -> AsyncIterator[wire.Push]:
        """What the daemon pushes after `subscribe` and `watch-session`, as it comes; for one reader at a time.

        Never ends by itself: raises Unreachable when the connection is lost.
        """
        while True:
            while self._pushes:
                yield self._pushes.popleft()
            if self._lost:
                raise self._unreachable()
            self._news.clear()
            await self._news.wait()

    async def requests(self, state: str = "", limit: int = 200) -> list[wire.RequestInfo]:
        """All that are held and the newest `limit` that ended, newest last; the pages of `list-requests` put together.

        Raises as `call` does.
        """
        rows: list[wire.RequestInfo] = []
        after = ""
        while True:
            page = await self.call(wire.ListRequests, list[wire.RequestInfo], state=state, limit=limit, after=after)
            known = {row.id for row in rows}
            rows += [row for row in page if row.id not in known]
            if not page or page[-1].id in known:  # nothing new: a daemon that repeats itself does not keep us
                return rows
            after = page[-1].id

    async def vote(
        self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0
    ) -> wire.RequestInfo:
        """Sign and cast a vote on the request that was displayed, which is `info`; returns how it stands then. `mode`
        grants another mode (model.TtyMode) than the request asks for, `seconds` how long keys may pass; 0: the usual.

        Raises Conflict when `info` is not what the daemon says it is or has been decided, UsageError without a key.
        """
        signer = None if self.signer is None and self.unsigned else self._signer()
        digest = _digest(info)
        statement = _encode(
            statements.VoteStatement(
                origin=self.welcome.origin,
                proposal=info.proposal,
                request=info.id,
                digest=digest,
                choice=choice,
                reason=reason,
                expires=info.expires,
                checkpoint=self._checkpoint(),
                mode=mode,
                seconds=str(seconds) if mode else "",
            )
        )
        signature = await signer.sign(statement, wire.DECISION_NAMESPACE) if signer is not None else ""
        return await self.call(
            wire.CastVote, wire.RequestInfo, request=info.id, statement=statement, signature=signature
        )

    async def edit(self, info: wire.RequestInfo, command: bytes, reason: str = "") -> wire.RequestInfo:
        """Sign another command in place of the one of `info`, as it was displayed; the new request, held, which stands
        in its place and which nobody has approved yet: show it, then `vote` on it.

        Raises Conflict when `info` is not what the daemon says it is or has ended, UsageError for a command that cannot
        stand there or without a key, NotAllowed where policy denies it.
        """
        signer = self._signer()
        statement = _encode(
            statements.EditStatement(
                origin=self.welcome.origin,
                proposal=info.proposal,
                request=info.id,
                digest=_digest(info),
                command=hashlib.sha256(command).hexdigest(),
                reason=reason,
                expires=info.expires,
                checkpoint=self._checkpoint(),
            )
        )
        signature = await signer.sign(statement, wire.EDIT_NAMESPACE)
        made = await self.call(
            wire.EditRequest,
            wire.RequestInfo,
            request=info.id,
            command=command,
            statement=statement,
            signature=signature,
        )
        if made.command != command or made.edits != info.id:
            raise Conflict("the bastion made another request than the one that was signed", "do not approve it")
        return made

    async def whitelist(
        self, command: bytes, identity: str, target: str, login: str, expires: int | None
    ) -> wire.WhitelistInfo:
        """Sign and add a whitelist entry for exactly `command` on one target; `expires` as `remember` has it.

        Raises UsageError without a key, NotAllowed, NotFound, Conflict.
        """
        self._signer()
        return await self.remember(
            await self.propose(command=command, identity=identity, target=target, login=login), expires=expires
        )

    async def propose(self, **fields: str | bytes) -> wire.ProposalInfo:
        """What may be remembered of a request, or of a command: see wire.ProposeWhitelist. Raises as `call` does."""
        return await self.call(wire.ProposeWhitelist, wire.ProposalInfo, **fields)  # type: ignore[arg-type]

    async def remember(
        self, proposal: wire.ProposalInfo, *, pattern: str = "", everywhere: bool = False, expires: int | None = None
    ) -> wire.WhitelistInfo:
        """Sign and add a whitelist entry out of what was proposed and shown.

        `pattern`: a candidate's, or an approver's own; empty: exactly the command. `everywhere`: in the target's whole
        environment. `expires` in microseconds since the epoch, 0: no end, None: the latest that its tier may have.
        Raises UsageError without a key or for what may not be remembered, NotAllowed, NotFound, Conflict.
        """
        signer = self._signer()
        if proposal.refused:
            raise UsageError(proposal.refused)
        on_target = bool(proposal.target) and not everywhere
        statement = _encode(
            statements.WhitelistStatement(
                origin=self.welcome.origin,
                command=base64.b64encode(proposal.command).decode(),
                pattern=pattern,
                identity=proposal.identity,
                target=proposal.target if on_target else "",
                env="" if on_target else proposal.env,
                login=proposal.login,
                code=proposal.code,
                tier=proposal.tier,
                expires=proposal.until if expires is None else expires,
                checkpoint=self._checkpoint(),
            )
        )
        signature = await signer.sign(statement, wire.WHITELIST_NAMESPACE)
        return await self.call(wire.AddWhitelist, wire.WhitelistInfo, statement=statement, signature=signature)

    async def prefer(self, text: str) -> wire.PreferencesInfo:
        """Sign and keep how the caller wants the console over ssh; `text` as control.preferences writes it, empty:
        nothing. Raises UsageError without a key or for what does not read, NotAllowed, Conflict.
        """
        signer = self._signer()
        statement = _encode(
            statements.PreferencesStatement(
                origin=self.welcome.origin,
                text=text,
                expires=time.time_ns() // 1000 + PREFER_SECONDS * 1_000_000,
                checkpoint=self._checkpoint(),
            )
        )
        signature = await signer.sign(statement, wire.PREFERENCES_NAMESPACE)
        return await self.call(wire.SetPreferences, wire.PreferencesInfo, statement=statement, signature=signature)

    def _signer(self) -> Signer:
        if self.signer is None:
            raise UsageError("no key to sign with", "--key FILE names an approver's key")
        return self.signer

    def _checkpoint(self) -> str:
        return hashlib.sha256(self.welcome.checkpoint.encode()).hexdigest()

    # --- the stream ---------------------------------------------------------------------------------------------

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            if self._lost:
                raise self._unreachable()
            try:
                self._link.writer.write(data)
                await self._link.writer.drain()
            except (OSError, asyncssh.Error) as error:
                self._lose(str(error) or type(error).__name__)
                raise self._unreachable() from None

    async def _read(self) -> None:
        try:
            while True:
                line = await self._lines.next()
                if line is None:
                    self._lose("it closed the connection")
                    return
                match wire.decode_answer(line):
                    case wire.Reply() as reply:
                        self._settle(reply.id, reply.result, None)
                    case wire.Failed(id=None) as failed:
                        self._lose(failed.message)
                        return
                    case wire.Failed(id=call_id) as failed:
                        self._settle(call_id, None, wire.failure(failed))
                    case wire.Welcome():
                        self._lose("it sent a second welcome")
                        return
                    case push:
                        if len(self._pushes) >= PUSH_LIMIT:
                            self._lose("this program does not keep up with what is pushed")
                            return
                        self._pushes.append(push)
                        self._news.set()
        except wire.WireError as error:
            self._lose(f"it sent no message of this protocol: {error}")
        except (OSError, EOFError, asyncssh.Error) as error:
            self._lose(str(error) or type(error).__name__)
        finally:
            self._lose("the reader ended")
            abort(self._link.writer)

    def _settle(self, call_id: int | None, result: msgspec.Raw | None, error: BastionError | None) -> None:
        future = self._waiting.get(call_id) if call_id is not None else None
        if future is None or future.done():
            return  # its caller has given up
        if error is not None:
            future.set_exception(error)
        elif result is not None:
            future.set_result(result)

    def _lose(self, why: str) -> None:
        """Note that the connection is no more; the first reason stays."""
        if self._lost:
            return
        self._lost = why
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._unreachable())
        self._news.set()

    def _unreachable(self) -> Unreachable:
        return Unreachable(f"lost the connection to {self._name}: {self._lost}")


def _digest(info: wire.RequestInfo) -> str:
    """Of what was displayed, computed here. Raises Conflict when it is not what the daemon says it is."""
    try:
        digest = info.to_model().digest
    except ValueError as error:
        raise Conflict(f"request {info.id} is of a kind that this release cannot show: {error}") from None
    if digest != info.digest or not info.proposal:
        raise Conflict(
            f"request {info.id} is not what the daemon says it is: its digest differs",
            "nothing was signed; do not decide it before somebody has looked at the bastion",
        )
    return digest


def _encode(statement: statements.Statement) -> bytes:
    try:
        return statements.encode(statement)
    except UnicodeEncodeError:  # a lone surrogate: what a terminal in another encoding makes of an umlaut
        raise UsageError("the reason is no text in UTF-8") from None


async def _greet(link: Link, lines: LineReader, name: str) -> wire.Welcome:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            link.writer.write(wire.encode(wire.Hello(wire.VERSION, NAME)))
            await link.writer.drain()
            line = await lines.next()
        answer = wire.decode_answer(line) if line is not None else None
    except wire.WireError as error:
        raise Unreachable(f"{name} does not speak the control protocol: {error}") from None
    except (OSError, EOFError, asyncssh.Error) as error:
        raise Unreachable(f"{name} did not greet: {str(error) or type(error).__name__}") from None
    match answer:
        case wire.Welcome(version=wire.VERSION):
            return answer
        case wire.Failed():
            raise wire.failure(answer)
        case None:
            raise Unreachable(f"{name} closed the connection")
        case _:
            raise Unreachable(f"{name} does not speak the control protocol")


async def _hang_up(link: Link) -> None:
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            await link.hang_up()
    except TimeoutError:
        abort(link.writer)
