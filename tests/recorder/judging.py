"""Stories that end with the entry that a verifier must name, or that are fine; and what several tests tell."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from bastion.history import pack
from bastion.model import UNRATED, Request, RequestKind, StdinMode
from recorder.ledger import Draft
from recorder.verify import Verdict, verify
from tests.recorder.stories import Person, Story

Tell = Callable[[Callable[[Story], object]], Path]


def bad(told: Tell, what: Callable[[Story], Any], words: str) -> None:
    """The story ends with the entry that must be named, for this reason and no other."""
    ends: list[int] = []

    def tell(story: Story) -> None:
        story.identity(story.ana)
        story.identity(story.ben)
        ends.append(what(story).seq)

    report = verify(told(tell))
    assert report.verdict is Verdict.TAMPER
    assert [problem.seq for problem in report.problems] == ends, report.problems
    assert words in report.message


def good(told: Tell, what: Callable[[Story], Any]) -> tuple[str, ...]:
    def tell(story: Story) -> None:
        story.identity(story.ana)
        story.identity(story.ben)
        what(story)

    report = verify(told(tell))
    assert report.verdict is Verdict.OK, report.problems
    return report.notes[:-1]


CODE = sha256(b"\0code").hexdigest()


SIGNED = ("code", "command", "env", "expires", "identity", "login", "pattern", "target", "tier")


def whitelisting(story: Story, body: dict[str, Any] | None = None, **changes: str) -> Any:
    said = {
        "origin": story.ledger.origin,
        "command": base64.b64encode(b"uptime").decode(),
        "pattern": "",
        "identity": "fixer",
        "target": "web-1",
        "env": "",
        "login": "deploy",
        "code": CODE,
        "tier": "low",
        "expires": "0",
        "checkpoint": "0" * 64,
        **changes,
    }
    text = json.dumps({**said, "v": 1}, sort_keys=True, separators=(",", ":"))
    fields = {name: said[name] for name in SIGNED}
    signed = {"by": "ana", "statement": text, "signature": story.ana.sign(text, "whitelist@agent-bastion")}
    return story.write(Draft("whitelist.added", "ana", {"id": "w-1", **fields, **signed, **(body or {})}))


def request(command: bytes = b"uptime", **changes: Any) -> Request:
    """As the daemon would make it."""
    fields: dict[str, Any] = {
        "id": "r-00000001", "kind": RequestKind.EXEC, "identity": "fixer", "key": "SHA256:x", "session": "s-1",
        "target": "web-1", "host_keys": ("ssh-ed25519 AAAA",), "login": "deploy", "command": command,
        "environment": (("LANG", "C"), ("é", "\u202e")), "stdin": StdinMode.BUNDLED, "stdin_code": b"\0code",
        "reason": "because", "rollback": "", "task": "t", "assessment": UNRATED, "approvals": 1, "created": 2**60,
        "expires": 2**61, "env": "prod",
    }  # fmt: skip
    return Request(**{**fields, **changes})


def proposed(story: Story, made: Request, content: Request | None = None, **changes: Any) -> Any:
    body = {
        "digest": made.digest, "verdict": "allow", "rule": "whitelist w-1", "identity": made.identity,
        "target": made.target, "login": made.login, "approvals": made.approvals, "tier": "low",
    }  # fmt: skip
    draft = Draft(
        "request.proposed",
        made.identity,
        {**body, **changes},
        session="s-1",
        request=made.id,
        payloads={"content": pack(content or made)},
    )
    return story.write(draft)


def guard(story: Story) -> None:
    story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "prod"}))
    story.write(Draft("access.configured", "bastion", {"grants": ["prod"]}))


def grant(story: Story, /, actor: str = "local:0", cause: str = "", **changes: Any) -> Any:
    body = {
        "id": "g-1", "identity": "fixer", "target": "web-1", "seconds": 1800, "added": "1000000",
        "expires": "1801000000", "reason": "r", "by": "local:0", "request": "", **changes,
    }  # fmt: skip
    return story.write(Draft("grant.added", actor, body, cause=cause))


def run(story: Story, **changes: Any) -> Any:
    first = story.propose("r-00000009", target="web-1", **changes)
    return story.start(first, story.vote(first))


def later(story: Story) -> dict[str, str]:
    now = story.identity(Person("cas")).t
    return {"added": str(now), "expires": str(now + 1_800_000_000)}


def asked(story: Story, **changes: Any) -> Any:
    """A request for access, with its content."""
    made = request(b"request-access web-1 --for 1800s", kind=RequestKind.GRANT, login="", stdin_code=b"", **changes)
    return proposed(story, made, verdict="hold", kind="grant")
