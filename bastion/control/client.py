"""The tools' end of the control protocol: connecting, and votes signed by a person's own key.

What is signed is made here, out of what was displayed: `vote` takes the RequestInfo that the person saw, computes its
digest itself, and refuses if the daemon stated another one. The daemon can lose a vote; it cannot turn it into another.
How a connection works is conversation.py's.
"""

from __future__ import annotations

import base64
import hashlib
import time

from bastion.control import statements, wire
from bastion.control.conversation import Conversation, greet, hang_up
from bastion.control.endpoints import Endpoint, Link, Local
from bastion.control.lines import LineReader
from bastion.control.pins import Pins
from bastion.control.signers import Signer
from bastion.errors import Conflict, HeadMismatch, UsageError
from bastion.model import Choice

PREFER_SECONDS = 600
"""How long signed preferences may be on their way."""


class Client(Conversation):
    """One connection to a daemon. Make it with `Client.open`, end it with `close` or as an async context manager."""

    def __init__(self, link: Link, welcome: wire.Welcome, lines: LineReader, signer: Signer | None, name: str) -> None:
        super().__init__(link, welcome, lines, name)
        self.signer = signer
        """The key that votes are signed with; None: this client cannot vote, but where policy accepts it unsigned."""
        self.unsigned = False
        """A vote without a key is sent unsigned: of the console that the daemon serves itself."""

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
            welcome = await greet(link, lines, str(endpoint))
        except BaseException:
            await hang_up(link)
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

    # --- what people do ---------------------------------------------------------------------------------------------

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
        # no field of it is called `seconds`, which alone is a number
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
