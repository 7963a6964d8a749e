"""How many connections and failed logins there may be. Pure: time is passed in.

A client's successful login costs nothing; a failed one costs a token of its address, and an address without tokens is
turned away before the key exchange, which is what costs the bastion time. Tokens come back evenly over a minute.
OpenSSH has MaxStartups and, since 9.8, PerSourcePenalties for the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ADDRESSES_REMEMBERED = 4096
"""Addresses with fewer tokens than the full number; beyond that the longest unseen are forgotten."""


@dataclass(slots=True)
class LoginLimits:
    """Bookkeeping of one listener."""

    failures_per_minute: int
    connections: int
    unauthenticated: int
    """Connections that have not logged in yet, all addresses together."""
    _open: set[object] = field(default_factory=set)
    _waiting: set[object] = field(default_factory=set)
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)

    def admit(self, connection: object, address: str, now: float) -> str:
        """A connection comes in: empty if it may stay, else why not."""
        if len(self._open) >= self.connections:
            return f"{self.connections} connections are open already"
        if len(self._waiting) >= self.unauthenticated:
            return f"{self.unauthenticated} connections are logging in already"
        if self._left(address, now) < 1:
            return f"more than {self.failures_per_minute} failed logins a minute from {address}"
        self._open.add(connection)
        self._waiting.add(connection)
        return ""

    def logged_in(self, connection: object) -> None:
        """It proved who it is."""
        self._waiting.discard(connection)

    def closed(self, connection: object, address: str, now: float) -> None:
        """It went away; if it never logged in, that was a failed login."""
        self._open.discard(connection)
        if connection in self._waiting:
            self._waiting.discard(connection)
            self._tokens[address] = (self._left(address, now) - 1, now)
            while len(self._tokens) > ADDRESSES_REMEMBERED:
                del self._tokens[next(iter(self._tokens))]

    def _left(self, address: str, now: float) -> float:
        tokens, since = self._tokens.pop(address, (float(self.failures_per_minute), now))
        tokens = min(self.failures_per_minute, tokens + max(0.0, now - since) * self.failures_per_minute / 60)
        if tokens < self.failures_per_minute:
            self._tokens[address] = (tokens, now)
        return tokens
