"""What ledgers under test are filled with: what a daemon writes, and what it never should."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.entry import Entry
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger

HOST = "bastion.example"


def ledger_key(seed: int = 7) -> LedgerKey:
    """A ledger key that is always the same."""
    return LedgerKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


@dataclass
class Person:
    """An approver with a real SSH key."""

    name: str
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    @property
    def line(self) -> str:
        return " ".join(self.key.export_public_key().decode().split()[:2])

    def sign(self, text: str, namespace: str = "decision@agent-bastion") -> str:
        return asyncssh.create_sshsig(self.key, text.encode(), namespace=namespace).decode()


@dataclass
class Story:
    """Writes what a daemon would write, or, where a test says so, what it never should."""

    ledger: Ledger
    ana: Person = field(default_factory=lambda: Person("ana"))
    ben: Person = field(default_factory=lambda: Person("ben"))

    def write(self, *drafts: Draft) -> Entry:
        return self.ledger.append(*drafts).result(30)[-1]

    def identity(self, person: Person, kind: str = "human", roles: tuple[str, ...] = ("approver",)) -> Entry:
        body = {"name": person.name, "kind": kind, "roles": list(roles), "keys": [person.line]}
        return self.write(Draft("identity.added", "local:0", body))

    def revoke(self, person: Person) -> Entry:
        return self.write(Draft("identity.revoked", "local:0", {"name": person.name, "reason": "left"}))

    def propose(self, request: str = "r-00000001", **changes: Any) -> Entry:
        body = {"digest": sha256(request.encode()).hexdigest(), "verdict": "hold", "approvals": 1, "identity": "fixer"}
        return self.write(Draft("request.proposed", "fixer", {**body, **changes}, session="s-1", request=request))

    def policy(
        self, text: str = 'policy "p" { }', *, groups: dict[str, list[str]] | None = None, digest: str = ""
    ) -> str:
        """A policy comes into force; its hash."""
        digest = digest or hashlib.sha256(text.encode()).hexdigest()
        body = {"name": "p", "digest": digest, "files": ["p"], "groups": groups or {}}
        payload = json.dumps({"p": text}).encode()
        self.loaded = self.write(Draft("policy.loaded", "bastion", body, payloads={"policy": payload}))
        return digest

    def vote(
        self,
        proposal: Entry,
        person: Person | None = None,
        verdict: str = "approve",
        /,
        namespace: str = "decision@agent-bastion",
        body: dict[str, Any] | None = None,
        **changes: str,
    ) -> Entry:
        person = person or self.ana
        statement = {
            "v": 1,
            "origin": self.ledger.origin,
            "proposal": proposal.leaf,
            "request": proposal.request,
            "digest": proposal.body["digest"],
            "choice": verdict,
            "reason": "",
            "expires": str(proposal.t + 60_000_000),
            "checkpoint": "0" * 64,
            **changes,
        }
        text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        said = {
            "digest": proposal.body["digest"],
            "choice": verdict,
            "by": person.name,
            "statement": text,
            "signature": person.sign(text, namespace),
            **(body or {}),
        }
        return self.write(
            Draft("request.decided", person.name, said, session="s-1", request=proposal.request, cause=proposal.leaf)
        )

    def end(self, proposal: Entry, choice: str) -> Entry:
        body = {"digest": proposal.body["digest"], "choice": choice, "by": ""}
        return self.write(
            Draft("request.decided", "bastion", body, session="s-1", request=proposal.request, cause=proposal.leaf)
        )

    def start(self, proposal: Entry, grounds: Entry, **changes: Any) -> Entry:
        body = {"digest": proposal.body["digest"], **changes}
        return self.write(
            Draft("command.started", "bastion", body, session="s-1", request=proposal.request, cause=grounds.leaf)
        )

    def finish(self, start: Entry, **more: Any) -> Entry:
        body = {"status": 0, **more}
        return self.write(
            Draft("command.finished", "bastion", body, session="s-1", request=start.request, cause=start.leaf)
        )

    def record(self, session: str, *frames: tuple[str, bytes], chunk_bytes: int = 64 * 1024) -> None:
        recording = self.ledger.recording(session, actor="bastion", notify=lambda: None, chunk_bytes=chunk_bytes)
        for kind, data in frames:
            recording.write(kind, data)
        recording.finish().result(30)

    def everything(self) -> None:
        """A held and approved command, one denied, one expired, payloads, and two recordings."""
        self.identity(self.ana)
        self.identity(self.ben)
        self.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-1"))
        first = self.propose("r-00000001")
        approval = self.vote(first)
        begun = self.start(first, approval)
        self.record("s-1", ("input", b"who"), ("output", b"root\r\n" * 300), ("stderr", b"warning"), ("exit", b"0"))
        self.finish(begun)
        second = self.propose("r-00000002", approvals=2)
        self.vote(second, self.ana)
        self.vote(second, self.ben, "deny")
        self.end(self.propose("r-00000003"), "expired")
        self.write(
            Draft("target.added", "local:0", {"name": "web-1"}, payloads={"note": b"secret\0bytes", "more": b""}),
        )
        self.record("s-2", ("output", b"\x1b[31mred\x1b[0m"))
        self.write(Draft("session.closed", "bastion", {"end": "done"}, session="s-1"))
