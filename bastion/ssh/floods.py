"""What is cheap to ask for and dear to do: how often a client may have it. Pure: time is passed in.

Two things are. A key exchange takes milliseconds of public-key work for a packet of a kilobyte; RFC 4253 section 9 lets
either side begin one at any time, and advises one an hour or a gigabyte. A refusal is an entry in the ledger, which is
synced to the disk and kept for ever. Everything else that a client can flood costs it as much as it costs the bastion.

OpenSSH's sshd limits neither; its PerSourcePenalties are for who fails to log in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

EXCHANGES, EXCHANGES_A_SECOND = 20, 1.0
"""Key exchanges that a client may begin at once, and for how long it then waits for each further one. Nobody needs
more: asyncssh and PuTTY begin one a gigabyte, OpenSSH with chacha20 too (ssh_config(5), RekeyLimit)."""

EXCHANGE_BYTES = 128 << 10
"""A client that moved so many bytes since the last one may exchange keys at any rate. One packet of the size that we
take: OpenSSH's client, which counts the bytes of a packet as blocks (packet.c, ssh_packet_need_rekeying), exchanges
keys after each one of an upload with `RekeyLimit 1M` and `2M`."""

REFUSALS, REFUSALS_A_SECOND = 64, 1.0
"""Refusals outside of sessions that are written for one identity at once, and from then on."""

IDENTITIES = 1024
"""Whose refusals are counted: who was refused something lately."""


@dataclass(slots=True)
class Bucket:
    """So many at once, and then so many a second."""

    size: float
    a_second: float
    _left: float = -1.0
    _since: float = 0.0

    def take(self, now: float) -> bool:
        """One of them; False when there is none. `now`: seconds that do not go back."""
        left = self.size if self._left < 0 else min(self.size, self._left + (now - self._since) * self.a_second)
        self._since = now
        self._left = left - 1 if left >= 1 else left
        return left >= 1


@dataclass(slots=True)
class KeyExchanges:
    """Those that one client begins on one connection."""

    _bucket: Bucket = field(default_factory=lambda: Bucket(EXCHANGES, EXCHANGES_A_SECOND))

    def begin(self, now: float, moved: int) -> bool:
        """Whether it may begin one, `moved` bytes after the last one."""
        return moved >= EXCHANGE_BYTES or self._bucket.take(now)


@dataclass(slots=True)
class Refusals:
    """What is written of them."""

    _identities: dict[str, tuple[Bucket, int]] = field(default_factory=dict)
    """By identity: what it has left, and how many were not written since the last one that was."""

    def words(self, identity: str, what: str, now: float) -> str:
        """What the ledger shall say of this one; empty for nothing. What was left out is told with the next."""
        bucket, unwritten = self._identities.pop(identity, (Bucket(REFUSALS, REFUSALS_A_SECOND), 0))
        written = bucket.take(now)
        self._identities[identity] = bucket, 0 if written else unwritten + 1
        while len(self._identities) > IDENTITIES:
            del self._identities[next(iter(self._identities))]
        if not written:
            return ""
        return f"{what}; before it {unwritten} more, not written" if unwritten else what
