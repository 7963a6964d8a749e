"""Anchors: the ledger's head goes where this host cannot take it back, on a timer and before what is dangerous.

Theory of operation. Each anchor (a witness, a directory, a git remote) has a task that takes the newest head to it
every so often, if there is anything new since. What was taken is an entry `checkpoint.anchored`, with the witness's
cosignature. A failure is logged and tried again with the next turn: an anchor that is away stops nobody.

But for one thing (P4): where a witness is configured, a command of the high tier, or one that nobody rated, starts only
when the witness has signed a head that contains what allows it. `vouch` waits for that and raises when it cannot be
had. So such a command cannot be erased from the record by whoever takes this host over by means of it.

    {"anchor": SIZE:ROOT, "kind": witness | directory | git, "where": …, "cosignature": LINE or ""}
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from bastion.audit import DAEMON, Audit, Draft
from bastion.config import Config
from bastion.errors import BastionError, Unreachable
from bastion.model import Request, Tier
from bastion.offsite import DirectoryAnchor, GitAnchor
from bastion.witness.client import WitnessClient
from recorder.checkpoint import Checkpoint
from recorder.cosignature import parse_verifier_key
from recorder.errors import RecorderError
from recorder.prover import Prover

log = logging.getLogger(__name__)

VOUCHED = frozenset({Tier.HIGH, Tier.UNRATED})
"""Tiers whose commands wait for the witness. What nobody rated counts as the worst."""


class Anchor(Protocol):
    """A place for heads."""

    @property
    def kind(self) -> str: ...
    @property
    def where(self) -> str: ...
    def put(self, head: Checkpoint) -> str | None:
        """Take the head there; the cosignature, if there is one. Blocking. Raises BastionError, RecorderError."""


class WitnessAnchor:
    """A witness as an anchor."""

    kind = "witness"

    def __init__(self, client: WitnessClient, prover: Prover) -> None:
        self._client, self._prover = client, prover

    @property
    def where(self) -> str:
        """Its address."""
        return self._client.url

    def put(self, head: Checkpoint) -> str:
        """Its cosignature."""
        return self._client.cosign(head, self._prover.consistency)


class _Turn:
    """One anchor, and how far it has come."""

    def __init__(self, anchor: Anchor, seconds: float) -> None:
        self.anchor, self.seconds = anchor, seconds
        self.lock = asyncio.Lock()
        self.taken = 0
        """Size of the head that it took last."""


class Anchoring:
    """The anchors of one daemon."""

    def __init__(self, config: Config, writer: Audit, prover: Prover) -> None:
        """Raises UsageError."""
        self._writer = writer
        self._turns: list[_Turn] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._own: set[int] = set()
        """Sizes of heads whose last entry is one of ours: nothing new for the other anchors' timers."""
        self._witness: _Turn | None = None
        if config.witness_url:
            client = WitnessClient(config.witness_url, parse_verifier_key(config.witness_key))
            self._witness = _Turn(WitnessAnchor(client, prover), config.witness_seconds)
            self._turns.append(self._witness)
        if config.anchor_directory is not None:
            anchor = DirectoryAnchor(config.anchor_directory, config.store)
            self._turns.append(_Turn(anchor, config.anchor_seconds))
        if config.anchor_git:
            git = GitAnchor(config.anchor_git, config.state / "anchors")
            self._turns.append(_Turn(git, config.anchor_seconds))

    def start(self) -> None:
        """Begin; each anchor's first turn is at once."""
        loop = asyncio.get_running_loop()
        for turn in self._turns:
            self._tasks.append(loop.create_task(self._run(turn), name=f"anchor {turn.anchor.kind}"))

    async def close(self) -> None:
        """End. A turn at work is left to its thread."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def needed(self, request: Request) -> bool:
        """Must `vouch` be awaited before that request starts?"""
        return self._witness is not None and request.assessment.tier in VOUCHED

    async def vouch(self, request: Request) -> None:
        """Where there is a witness, and `request` is of a tier that needs it: have it sign a head with all that is in
        the ledger by now. Raises Unreachable when it does not, StoreError."""
        if self._witness is None or not self.needed(request):
            return
        wanted = self._writer.head().size
        try:
            await self._take(self._witness, wanted)
        except (BastionError, RecorderError) as error:
            raise Unreachable(
                f"{error}; a command of tier {request.assessment.tier.value} does not run without the witness"
            ) from None

    async def _run(self, turn: _Turn) -> None:
        while True:
            head = self._writer.head()
            if head.size > turn.taken and not self._nothing_new(turn.taken, head.size):
                try:
                    await self._take(turn, head.size)
                except (BastionError, RecorderError) as error:
                    log.error("anchor: %s", error)
            await asyncio.sleep(turn.seconds)

    def _nothing_new(self, taken: int, size: int) -> bool:
        """Are all entries since only about anchors?"""
        return taken > 0 and all(each in self._own for each in range(taken + 1, size + 1))

    async def _take(self, turn: _Turn, wanted: int) -> None:
        """Have the anchor take a head of at least that size, and say so in the ledger."""
        async with turn.lock:
            if turn.taken >= wanted:
                return  # somebody else's wish did it
            head = self._writer.head()
            anchor = turn.anchor
            line = await asyncio.to_thread(anchor.put, head)
            turn.taken = head.size
            body = {"anchor": head.anchor, "kind": anchor.kind, "where": anchor.where, "cosignature": line or ""}
            (entry,) = await self._writer.write(Draft("checkpoint.anchored", DAEMON, body))
            self._own = {each for each in self._own if each > self._slowest()} | {entry.seq + 1}

    def _slowest(self) -> int:
        return min(turn.taken for turn in self._turns)
