"""Sessions and their recordings: list, read, search, watch, kill. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session channel of an agent."""

    id: str
    identity: str
    key: str
    target: str
    login: str
    client: str
    """Address and port of the agent's end."""
    state: str
    """open, closed, interrupted"""
    opened: int
    closed: int
    """0 while open."""
    end: str
    """Why it ended, in words; empty while open."""
    requests: list[str]
    output_bytes: int
    mode: str = ""
    """`view` or `raw` while keys pass to its command; empty otherwise."""
    until: int = 0
    """When that ends."""


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """One line that holds what was searched for."""

    at: int
    """When, microseconds since the epoch."""
    session: str
    request: str
    """That ran then; empty: none."""
    identity: str
    login: str
    target: str
    where: str
    """`command` or `screen`."""
    line: str
    """The line, cut round the hit where it is long. As it was: not harmless yet."""
    tier: str
    decision: str
    offset: int
    """Microseconds since the recording began: where a replay opens."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    hits: list[SearchHit]
    """The newest sessions' first; within one by time."""
    sessions: int
    """That were searched."""
    complete: bool
    notes: list[str]
    """What was not searched, and why, in words."""
    before: int = 0
    """Not complete: the call's `before` to go on with."""


class FrameInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded frame."""

    at: int
    """Microseconds since the recording began."""
    kind: str
    """output, stderr, input, resize, marker, exit"""
    data: bytes


class ListSessions(Call, frozen=True, kw_only=True, tag="list-sessions"):
    """-> list[SessionInfo], newest last."""

    limit: int = 200


class ShowSession(Call, frozen=True, kw_only=True, tag="show-session"):
    """-> SessionInfo."""

    session: str


class ReadRecording(Call, frozen=True, kw_only=True, tag="read-recording"):
    """-> list[FrameInfo] from frame number `after`, at most about 1 MiB; empty at the end of what is durable."""

    session: str
    after: int = 0
    reveal: bool = False
    """With the secrets in it; for auditors and admins, and noted."""


class SearchSessions(Call, frozen=True, kw_only=True, tag="search-sessions"):
    """-> SearchResult. Of the newest sessions back; empty filters match everything."""

    text: str
    """Case does not count."""
    identity: str = ""
    target: str = ""
    since: int = 0
    """Microseconds since the epoch."""
    until: int = 0
    """0: now."""
    tier: str = ""
    decision: str = ""
    """A model.State of the request that the line belongs to."""
    before: int = 0
    """Only sessions that began by then: SearchResult.before, to go on."""
    limit: int = 100
    session: str = ""
    """Only this one."""


class WatchSession(Call, frozen=True, kw_only=True, tag="watch-session"):
    """-> SessionInfo; then SessionOutput is pushed until it ends or the connection closes."""

    session: str
    reveal: bool = False
    """As in ReadRecording."""


class UnwatchSession(Call, frozen=True, kw_only=True, tag="unwatch-session"):
    """-> null."""

    session: str


class KillSession(Call, frozen=True, kw_only=True, tag="kill-session"):
    """-> SessionInfo."""

    session: str
    reason: str = ""


class EndKeys(Call, frozen=True, kw_only=True, tag="end-keys"):
    """-> SessionInfo; keys pass no more to the command that runs in this shell, which goes on line by line."""

    session: str
    reason: str = ""
