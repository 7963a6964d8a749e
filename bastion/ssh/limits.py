"""How many connections and failed logins there may be. Pure: time is passed in.

A client's successful login costs nothing; a failed one costs a token of its address, and an address without tokens is
turned away before the key exchange, which is what costs the bastion time. Tokens come back evenly over a minute.
OpenSSH has MaxStartups and, since 9.8, PerSourcePenalties for the same.

No one may lock out the others: one address has at most half of the places for logging in, one agent at most half of
all connections, and agents together leave some of them to people, who must get in when agents run wild.
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
    _waiting: dict[object, str] = field(default_factory=dict)
    """By connection: its address."""
    _agents: dict[object, str] = field(default_factory=dict)
    """By connection that logged in: its identity, but for those of people who decide or audit."""
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)

    def admit(self, connection: object, address: str, now: float) -> str:
        """A connection comes in: empty if it may stay, else why not."""
        if len(self._open) >= self.connections:
            return f"{self.connections} connections are open already"
        if len(self._waiting) >= self.unauthenticated:
            return f"{self.unauthenticated} connections are logging in already"
        if sum(each == address for each in self._waiting.values()) >= max(1, self.unauthenticated // 2):
            return f"too many connections from {address} are logging in already"
        if self._left(address, now) < 1:
            return f"more than {self.failures_per_minute} failed logins a minute from {address}"
        self._open.add(connection)
        self._waiting[connection] = address
        return ""

    def logged_in(self, connection: object, identity: str, *, decides: bool) -> str:
        """It proved who it is: empty if it may stay, else why not."""
        if not decides:
            if len(self._agents) >= self.connections - max(1, self.connections // 8):
                return f"{len(self._agents)} connections of agents are open already"
            if sum(each == identity for each in self._agents.values()) >= max(1, self.connections // 2):
                return f"too many connections of {identity} are open already"
            self._agents[connection] = identity
        del self._waiting[connection]
        return ""

    def closed(self, connection: object, address: str, now: float) -> None:
        """It went away; if it never logged in, that was a failed login."""
        self._open.discard(connection)
        self._agents.pop(connection, None)
        if self._waiting.pop(connection, None) is not None:
            self._tokens[address] = (self._left(address, now) - 1, now)
            while len(self._tokens) > ADDRESSES_REMEMBERED:
                del self._tokens[next(iter(self._tokens))]

    def _left(self, address: str, now: float) -> float:
        tokens, since = self._tokens.pop(address, (float(self.failures_per_minute), now))
        tokens = min(self.failures_per_minute, tokens + max(0.0, now - since) * self.failures_per_minute / 60)
        if tokens < self.failures_per_minute:
            self._tokens[address] = (tokens, now)
        return tokens
