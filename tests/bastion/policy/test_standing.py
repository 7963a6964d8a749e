"""Access as it stands, and what policy makes of each class of damage."""

from __future__ import annotations

import pytest

from bastion.directory import Directory
from bastion.model import Verdict
from bastion.policy.language import parse
from bastion.policy.rules import built_in
from bastion.policy.standing import CLASSES, blast, standing, standings, unused, uses


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.apply("identity.added", {"name": "ana", "kind": "human", "roles": ["approver"], "keys": []})
    for name in ("a", "b"):
        made.apply("identity.added", {"name": name, "kind": "agent", "roles": [], "keys": []})
    for name, env in (("web-1", "production"), ("stage-1", "staging")):
        body = {"name": name, "address": "h", "logins": ["root"], "env": env, "host_keys": [], "credential": "key:/k"}
        made.apply("target.added", body)
    made.apply("access.configured", {"grants": ["production"]})
    body = made.plan_grant("g-1", "a", "web-1", seconds=60, reason="r", by="local:0", request="", now=1_000_000)
    made.apply("grant.added", body)
    return made


def test_who_could_reach_what(directory: Directory) -> None:
    def how(now: int) -> list[tuple[str, str, str]]:
        return [(each.identity.name, each.target.name, each.access) for each in standings(directory, now)]

    assert how(2_000_000) == [
        ("a", "web-1", "granted"), ("a", "stage-1", "open"), ("b", "web-1", "asks"), ("b", "stage-1", "open"),
    ]  # fmt: skip
    assert how(61_000_000)[0] == ("a", "web-1", "asks")
    directory.apply("freeze.set", directory.plan_freeze("f-1", "all", "", "refuse", "x", by="ana", now=1))
    assert {each[2] for each in how(2_000_000)} == {"frozen"}
    directory.apply("identity.revoked", directory.plan_revocation("a", "x"))
    assert {each[0] for each in how(2_000_000)} == {"b"}


def test_the_built_in_policy_holds_every_class(directory: Directory) -> None:
    found = blast(directory.identities["a"], directory.targets["web-1"], built_in(2, 60), 1)
    assert [each.name for each in found] == list(CLASSES)
    assert {(each.verdict, each.approvals) for each in found} == {(Verdict.HOLD, 2)}


def test_a_policy_tells_the_classes_apart(directory: Directory) -> None:
    policy = parse(
        'policy "p" {\n version 1\n allow low\n agent "a" {\n allow restart\n deny drop_table\n }\n}\n', "p.bastion"
    )
    verdicts = {
        name: {each.name: each.verdict for each in blast(directory.identities[name], target, policy, 1)}
        for name in ("a", "b")
        for target in [directory.targets["stage-1"]]
    }
    assert verdicts["a"]["drop data"] is Verdict.DENY
    assert verdicts["a"]["restart services"] is Verdict.ALLOW
    assert verdicts["b"]["restart services"] is Verdict.HOLD
    assert verdicts["a"]["delete files for good"] is Verdict.HOLD


def test_unused(directory: Directory) -> None:
    assert [each.id for each in unused(directory, 5, {}, {})] == ["g-1"]
    assert unused(directory, 2_000_000, {}, {("a", "web-1"): 2_000_000}) == []
    (late,) = unused(directory, 9_000_000, {}, {("a", "web-1"): 2_000_000})
    assert late.used == 2_000_000
    (before,) = unused(directory, 1, {}, {("a", "web-1"): 500})  # under an earlier grant: that is no use of this one
    assert before.used == 0


def test_uses() -> None:
    entries = [
        ("request.proposed", "r-1", 1, {"identity": "a", "target": "t", "rule": "whitelist w-1"}),
        ("command.started", "r-1", 2, {}),
        ("request.proposed", "r-2", 3, {"identity": "a", "target": "t", "rule": "default"}),
        ("command.started", "r-9", 4, {}),
    ]
    assert uses(entries) == ({"w-1": 1}, {("a", "t"): 2})


def test_a_standing_names_what_is_whitelisted(directory: Directory) -> None:
    from tests.bastion.test_directory import remembered

    entry = remembered(b"id", identity="a", target="", env="staging")
    directory.apply("whitelist.added", directory.plan_whitelist(entry, "s"))
    found = standing(directory, directory.identities["a"], directory.targets["stage-1"], 1)
    assert [each.id for each in found.whitelist] == ["w-1"]
    assert standing(directory, directory.identities["a"], directory.targets["web-1"], 1).whitelist == ()
