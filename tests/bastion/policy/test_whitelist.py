"""What may be remembered, and which entry lets a request through: by tier, place, code, end and signer."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bastion.directory import Directory
from bastion.model import UNRATED, Assessment, Request, StdinMode, Tier
from bastion.policy import whitelist
from bastion.policy.pattern import PatternError
from bastion.policy.whitelist import LONGEST, RANK, checked, find, propose, too_long
from bastion.whitelisted import WhitelistEntry
from recorder.whitelist import LONGEST_US
from recorder.whitelist import RANK as VERIFIER_RANK
from tests.bastion.control.conftest import request

LOW, MEDIUM, HIGH = (Assessment(score, tier, ()) for score, tier in ((5, Tier.LOW), (40, Tier.MEDIUM), (80, Tier.HIGH)))
TAIL = b"tail -n 100 /var/log/nginx/error.log"


def patterns(command: bytes, assessment: Assessment = LOW) -> list[str]:
    return [each.pattern for each in propose(command, assessment).candidates]


def test_proposals_are_the_exact_command_and_its_places() -> None:
    assert patterns(TAIL) == [
        "",
        "tail -n {number} {path below /var/log/nginx}",
        "tail -n {number} {path below /var/log}",
        "tail -n {number} /var/log/nginx/error.log",
        "tail -n 100 {path below /var/log/nginx}",
        "tail -n 100 {path below /var/log}",
    ]
    assert propose(TAIL, LOW).candidates[1].words == "this command with any number, any path below /var/log/nginx"


def test_every_proposal_is_accepted_and_matches_its_command() -> None:
    for command in (TAIL, b"sudo systemctl restart nginx", b"docker logs --tail 5 web | grep x", b"rm -f /tmp/a/b"):
        for text in patterns(command)[1:]:
            assert checked(command, text, MEDIUM).matches(command)


@pytest.mark.parametrize(
    ("command", "assessment", "longest", "many"),
    [
        (b"docker restart web", LOW, 0, 2),
        (b"docker restart web", MEDIUM, 7 * 86400, 2),
        (b"docker restart web", UNRATED, 7 * 86400, 1),
        (b"uptime", LOW, 0, 1),
    ],
)
def test_how_long_and_how_wide(command: bytes, assessment: Assessment, longest: int, many: int) -> None:
    proposal = propose(command, assessment)
    assert (proposal.refused, proposal.longest, len(proposal.candidates)) == ("", longest, many)


@pytest.mark.parametrize(
    ("command", "assessment"),
    [(b"docker restart web", HIGH), (b"a 'b", LOW), (b"a \x1b", LOW), (b"\xff", LOW), (b"./x.sh", LOW), (b"sh x", LOW)],
)
def test_what_is_never_remembered(command: bytes, assessment: Assessment) -> None:
    assert propose(command, assessment).refused
    assert propose(command, assessment).candidates == ()
    with pytest.raises(PatternError):
        checked(command, "docker restart {container}", assessment)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (b"docker restart web", "docker {name} web"),
        (b"docker restart web", "docker restart {unit}"),
        (b"docker restart web", "docker stop {container}"),
        (b"docker restart --signal KILL web", "docker restart --signal KILL {container}"),
        (b"bash -c 'docker restart web '", "bash -c 'docker restart {container} '"),
        (b"echo web", "echo {container}"),
        (b"cat /etc/passwd", "cat {path below /var}"),
        (b"docker restart web # web x", "docker restart web # {container} x"),
        (b"docker restart 'a web b'", "docker restart 'a {container} b'"),
        (b"tail -n 100 /var/log/a > /var/log/b", "tail -n 100 /var/log/a > {path below /var}"),
    ],
)
def test_a_pattern_of_an_approvers_own_may_only_do_what_could_be_proposed(command: bytes, text: str) -> None:
    with pytest.raises(PatternError):
        checked(command, text, LOW)


def test_a_wider_directory_may_be_named() -> None:
    assert checked(b"cat /var/log/a", "cat {path below /var}", LOW).matches(b"cat /var/lib/x")


def test_a_pattern_of_what_nobody_rated_is_refused() -> None:
    with pytest.raises(PatternError, match="nobody rated"):
        checked(b"docker restart web", "docker restart {container}", UNRATED)


@pytest.mark.parametrize(
    ("tier", "seconds", "fine"),
    [
        (Tier.LOW, 0, True), (Tier.MEDIUM, 7 * 86400, True), (Tier.MEDIUM, 7 * 86400 + 1, False),
        (Tier.MEDIUM, 0, False), (Tier.UNRATED, 0, False), (Tier.HIGH, 1, False),
    ],
)  # fmt: skip
def test_too_long(tier: Tier, seconds: int, fine: bool) -> None:
    assert (too_long(tier, seconds) == "") is fine


def test_the_verifier_has_the_same_limits() -> None:
    assert {tier.value: seconds * 1_000_000 for tier, seconds in LONGEST.items()} == LONGEST_US
    assert {tier.value: rank for tier, rank in RANK.items()} == VERIFIER_RANK


# --- use -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.apply("identity.added", {"name": "ana", "kind": "human", "roles": ["approver"], "keys": []})
    made.apply("identity.added", {"name": "agent", "kind": "agent", "roles": [], "keys": []})
    return made


def add(directory: Directory, command: bytes, **changes: Any) -> WhitelistEntry:
    fields = {
        "id": "w-1", "identity": "agent", "target": "web-1", "login": "root", "by": "ana", "expires": 0,
        "tier": Tier.LOW,
    }  # fmt: skip
    entry = WhitelistEntry(command=command, **{**fields, **changes})
    directory.approved.add(entry)
    return entry


def ask(command: bytes, **changes: Any) -> Request:
    from dataclasses import replace

    fields = {"command": command, "stdin": StdinMode.STREAM, "stdin_code": b"", "assessment": LOW}
    return replace(request(), **{**fields, **changes})


def test_found(directory: Directory) -> None:
    exact = add(directory, b"uptime")
    pattern = add(directory, TAIL, id="w-2", pattern="tail -n {number} {path below /var/log}")
    assert find(directory, ask(b"uptime"), 1) is exact
    assert find(directory, ask(TAIL), 1) is pattern
    assert find(directory, ask(b"tail -n 7 /var/log/x"), 1) is pattern


@pytest.mark.parametrize(
    "changes",
    [
        {"command": b"uptime "}, {"identity": "other"}, {"target": "web-2"}, {"login": "deploy"},
        {"assessment": MEDIUM}, {"assessment": HIGH}, {"assessment": UNRATED},
        {"stdin": StdinMode.BUNDLED, "stdin_code": b"x"},
    ],
)  # fmt: skip
def test_not_found(directory: Directory, changes: dict[str, Any]) -> None:
    add(directory, b"uptime")
    assert find(directory, ask(b"uptime"), 1) is not None
    assert find(directory, ask(**{"command": b"uptime", **changes}), 1) is None


@pytest.mark.parametrize(
    "command",
    [
        b"tail -n 7 /etc/shadow", b"tail -n 7 -f /var/log/x", b"tail -n -f /var/log/x",
        b"tail -n 7 /var/log/../../etc/x",
        b"tail -n 7 /var/log/x /etc/shadow", b"tail -n 7 /var/log/x; id", b"tail -n 7 /var/log/x\n",
        b"tail -n 7 /var/log/*",
        b"tail -n 7 '/var/log/x'", b"tail  -n 7 /var/log/x", b"A=1 tail -n 7 /var/log/x",
        b"tail -n 7 /var/log/x >/etc/y",
    ],
)  # fmt: skip
def test_what_a_generalisation_does_not_cover(directory: Directory, command: bytes) -> None:
    add(directory, TAIL, pattern="tail -n {number} {path below /var/log}")
    assert find(directory, ask(command), 1) is None


def test_a_generalised_command_that_is_rated_higher_is_held(directory: Directory) -> None:
    add(directory, TAIL, pattern="tail -n {number} {path below /var/log}", tier=Tier.LOW)
    assert find(directory, ask(b"tail -n 7 /var/log/secret", assessment=MEDIUM), 1) is None


def test_an_unrated_entry_lets_a_rated_command_through_but_never_a_high_one(directory: Directory) -> None:
    add(directory, b"uptime", tier=Tier.UNRATED)
    assert find(directory, ask(b"uptime", assessment=MEDIUM), 1)
    assert find(directory, ask(b"uptime", assessment=UNRATED), 1)
    assert find(directory, ask(b"uptime", assessment=HIGH), 1) is None


def test_for_an_environment(directory: Directory) -> None:
    add(directory, b"uptime", target="", env="production")
    assert find(directory, ask(b"uptime", target="web-9"), 1)
    assert find(directory, ask(b"uptime", target="web-9", env="staging"), 1) is None


def test_bound_to_code_on_stdin(directory: Directory) -> None:
    add(directory, b"cat", code=hashlib.sha256(b"x").hexdigest())
    assert find(directory, ask(b"cat", stdin=StdinMode.BUNDLED, stdin_code=b"x"), 1)
    assert find(directory, ask(b"cat", stdin=StdinMode.BUNDLED, stdin_code=b"y"), 1) is None
    assert find(directory, ask(b"cat"), 1) is None


def test_over_at_its_end(directory: Directory) -> None:
    add(directory, b"uptime", expires=10)
    assert find(directory, ask(b"uptime"), 9)
    assert find(directory, ask(b"uptime"), 10) is None


def test_out_of_force_once_its_signer_is_revoked(directory: Directory) -> None:
    add(directory, b"uptime")
    directory.apply("identity.revoked", {"name": "ana", "reason": "left"})
    assert find(directory, ask(b"uptime"), 1) is None


def test_a_second_entry_counts_where_the_first_does_not(directory: Directory) -> None:
    add(directory, b"uptime", expires=10)
    second = add(directory, b"uptime", id="w-2")
    assert find(directory, ask(b"uptime"), 10) is second


def test_code_hash() -> None:
    assert whitelist.code_hash(ask(b"x")) == ""
    assert whitelist.code_hash(ask(b"x", stdin=StdinMode.BUNDLED, stdin_code=b"a")) == hashlib.sha256(b"a").hexdigest()
