"""A request to begin with. What a test is about it says itself: `replace(REQUEST, command=b"...")`.

It is in the past and over: created at 0, to be decided within a minute. Nobody rated it.
"""

from __future__ import annotations

from bastion.model import UNRATED, Request, RequestKind, StdinMode

REQUEST = Request(
    id="r-00000001",
    kind=RequestKind.EXEC,
    identity="agent-7",
    key="SHA256:x",
    session="s-1",
    target="web-1",
    host_keys=("ssh-ed25519 AAAA",),
    login="deploy",
    command=b"id",
    environment=(),
    stdin=StdinMode.STREAM,
    stdin_code=b"",
    reason="",
    rollback="",
    task="",
    assessment=UNRATED,
    approvals=1,
    created=0,
    expires=60_000_000,
)
