"""Requests and votes for a desk."""

from __future__ import annotations

import dataclasses

from bastion.desk import Desk
from bastion.model import Choice, Request, Vote
from tests.support.requests import REQUEST

TIMEOUT, TICKET = 60.0, 600.0


def make_request(name: str, *, identity: str = "agent-7", command: bytes = b"id", approvals: int = 1) -> Request:
    return dataclasses.replace(REQUEST, id=name, identity=identity, command=command, approvals=approvals)


def make_vote(request: Request, by: str = "ana", choice: Choice = Choice.APPROVE, *, digest: str = "") -> Vote:
    return Vote(request.id, digest or request.digest, choice, by, "because", "signature")


def submit(desk: Desk, request: Request, session: str = "s-1", now: float = 0.0) -> None:
    desk.submit(request, session=session, now=now, timeout=TIMEOUT)
