"""What the bastion of `tui/sample_bastion.py` answers to calls about the past, access, the policy and the ledger."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bastion.control import wire

DAY = 86_400_000_000
MINUTE = 60_000_000

DAMAGE = (
    ("read files and logs", "low", "allow", 0),
    ("restart a service", "medium", "hold", 1),
    ("install packages", "medium", "hold", 1),
    ("delete files", "high", "hold", 2),
    ("drop a table", "high", "hold", 2),
    ("read secrets", "high", "deny", 0),
    ("erase a disk", "high", "deny", 0),
)
"""(class of damage, tier, verdict, approvals)."""

POLICY = """\
policy "shop" {
  version 1
  allow read on production
  hold restart, deploy
  approvals 2 for delete, drop_table
  never wipe
  freeze friday 16:00 .. monday 08:00 on production
}
"""
SENTENCES = (
    ("", "Policy shop. Whatever no rule allows is held for a person; deny beats hold, hold beats allow."),
    ("policy.bastion:3", "runs without asking: read, in production, if it is not of high risk"),
    ("policy.bastion:4", "waits for a person: restart, deploy"),
    ("policy.bastion:5", "two people approve: delete, drop_table"),
    ("policy.bastion:6", "is denied, and no approval or emergency lifts it: wipe"),
)


def background(info: wire.RequestInfo, earlier: list[wire.RequestInfo], now: int) -> wire.BackgroundInfo:
    """Of a request: the earlier ones that begin with the same word, and what its agent may do."""
    word = info.command.split()[:1]
    like = [each for each in reversed(earlier) if each.command.split()[:1] == word]
    same = [each for each in like if each.command == info.command]
    past = [
        wire.PastInfo(
            request=each.id,
            state=each.state,
            at=each.decided,
            by=[vote.by for vote in each.votes],
            reason=each.decision_reason,
            status=each.status,
            identity=each.identity,
            login=each.login,
            target=each.target,
            command=each.command,
            same=each in same,
        )
        for each in like[:5]
    ]
    shell = [wire.FrameInfo(at=0, kind="output", data=SHELL)] if info.sequence else []
    return wire.BackgroundInfo(
        past=past,
        same_approved=sum(each.state == "approved" for each in same),
        same_denied=sum(each.state == "denied" for each in same),
        looked_at=len(earlier),
        approved=next((each for each in like if each.state == "approved"), None),
        terminal=shell,
        access=wire.AccessInfo(
            identity=info.identity, kind="agent", target=info.target, env=info.env, access="granted",
            until=now + 26 * MINUTE, grant="g-19ac03ee", whitelist=["systemctl status {unit}"],
        ),
        damage=[
            wire.DamageInfo(name=name, tier=tier, verdict=verdict, approvals=approvals, rule="")
            for name, tier, verdict, approvals in DAMAGE
        ],
    )  # fmt: skip


SHELL = b"""nginx: configuration file /etc/nginx/nginx.conf test is successful\r
$ systemctl status nginx --no-pager | head -3\r
\x1b[31m*\x1b[0m nginx.service - A high performance web server\r
     Active: failed (Result: exit-code) since Sat 2026-11-21 10:02:11 UTC\r
"""


def policy() -> wire.PolicyInfo:
    """The one in force."""
    return wire.PolicyInfo(
        name="shop",
        digest="4be0" * 16,
        texts=[("policy.bastion", POLICY)],
        sentences=list(SENTENCES),
        freezes=[],
    )


def whitelist(now: int) -> list[wire.WhitelistInfo]:
    """Two entries, and one whose end has come."""
    common: dict[str, Any] = {"identity": "claude-ops", "login": "root", "by": "ana"}
    return [
        wire.WhitelistInfo(
            id="w-0a1b2c3d", command=b"systemctl status nginx", pattern="systemctl status {unit}", target="web-1",
            expires=0, tier="low", **common,
        ),
        wire.WhitelistInfo(
            id="w-77e0d112", command=b"nginx -t", target="", env="staging", expires=now + 3 * DAY, tier="low", **common
        ),
        wire.WhitelistInfo(
            id="w-5c00aa19", command=b"docker restart api", target="web-2", expires=now - DAY, tier="medium",
            in_force=False, **common,
        ),
    ]  # fmt: skip


def grants(now: int) -> list[wire.GrantInfo]:
    """One that somebody approved, and one of the host's administrator."""
    return [
        wire.GrantInfo(
            id="g-19ac03ee", identity="claude-ops", target="web-1", added=now - 4 * MINUTE, expires=now + 26 * MINUTE,
            reason="INC-2291: 502 since 10:02", by="ana", request="r-04c2e811", in_force=True,
        ),
        wire.GrantInfo(
            id="g-e0417b02", identity="disk-janitor", target="backup-1", added=now - DAY, expires=now + DAY,
            reason="weekly clean-up", by="local:0", request="", in_force=True,
        ),
    ]  # fmt: skip


def ledger(now: int) -> list[wire.LedgerLine]:
    """The newest entries."""
    kinds = (
        ("session.opened", "claude-ops", "", {"target": "web-1"}),
        ("request.proposed", "claude-ops", "r-7f3a0c11", {"verdict": "hold", "tier": "medium"}),
        ("request.decided", "ana", "r-b7702e15", {"choice": "approve", "by": "ana"}),
        ("command.started", "bastion", "r-b7702e15", {"target": "backup-1"}),
        ("command.finished", "bastion", "r-b7702e15", {"status": "0"}),
    )
    return [
        wire.LedgerLine(
            seq=207 + at,
            leaf=f"{at + 10:02x}" * 32,
            entry=json.dumps(
                {"seq": str(207 + at), "t": str(now - (5 - at) * MINUTE), "type": kind, "actor": actor,
                 "session": "", "request": request, "body": body}
            ).encode(),
        )
        for at, (kind, actor, request, body) in enumerate(kinds)
    ]  # fmt: skip


def stats(now: int) -> wire.StatsInfo:
    """Of a month in a small team."""
    tally = [("claude-ops", 812, 131, 120, 8, 3), ("deploy-bot", 240, 64, 63, 1, 0), ("log-reader", 1310, 5, 2, 3, 0)]
    tallies = [
        wire.TallyInfo(name=name, requests=requests, held=held, approved=approved, denied=denied, expired=expired)
        for name, requests, held, approved, denied, expired in tally
    ]
    return wire.StatsInfo(
        since=now - 30 * DAY, until=now, entries=9120, requests=2362, allowed=2108, held=200, refused=54, approved=185,
        denied=12, expired=3, withdrawn=0, waiting=4, reviews=197, p50=6_400_000, p95=31_000_000, longest=58_000_000,
        rules=[("policy.bastion:3: allow read on production", 2011), ("whitelist w-0a1b2c3d", 97)],
        refusals=[("policy.bastion:6: never wipe", 2)], days=[], identities=tallies, environments=[],
        approvers=[
            wire.ApproverInfo(name="ana", approved=101, denied=11, quick=2, unsigned=0, p50=7_100_000, p95=30_000_000,
                              warning=""),
            wire.ApproverInfo(name="bob", approved=84, denied=1, quick=61, unsigned=0, p50=1_400_000, p95=9_000_000,
                              warning="approves 3 of 4 requests within 2 s: hardly read"),
        ],
        commands=[
            wire.AskingInfo(command=b"systemctl reload nginx", identity="claude-ops", login="root", target="web-1",
                            tier="medium", held=38, settles=38, line="systemctl reload nginx  claude-ops  root@web-1",
                            why=""),
            wire.AskingInfo(command=b"rm -rf /srv/tmp/build", identity="deploy-bot", login="deploy", target="web-2",
                            tier="high", held=12, settles=0, line="", why="what is rated high is never remembered"),
        ],
        notes=[],
    )  # fmt: skip


def freeze(call: wire.SetFreeze, by: str, now: int) -> wire.FreezeInfo:
    """As it stands from now on."""
    return wire.FreezeInfo(
        id="f-0c19e2b7", scope=call.scope, name=call.name, mode=call.mode, reason=call.reason, by=by, since=now
    )


def edited(info: wire.RequestInfo, command: bytes, author: str, id: str) -> wire.RequestInfo:
    """The request that stands in the place of another."""
    made = msgspec.structs.replace(info, id=id, command=command, author=author, edits=info.id, votes=[], digest="")
    return msgspec.structs.replace(made, digest=made.to_model().digest)


def watching(people: list[str], now: int) -> wire.PresenceChanged:
    """Who watches the queue."""
    return wire.PresenceChanged(
        people=[
            wire.PresenceInfo(name=name, decides=True, consoles=1, since=now - 600_000_000, active=now - 5_000_000)
            for name in people
        ]
    )
