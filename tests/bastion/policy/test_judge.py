"""What policy says: the sample that must always behave, the order of things, and what may never be allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.directory import Directory
from bastion.model import Assessment, Tier, Verdict
from bastion.policy.judge import judge, overruled
from bastion.policy.language import parse
from bastion.policy.rules import built_in
from bastion.policy.usage import Usage
from tests.bastion.policy.judging import MINUTE, NOW, SAMPLE, question, verdict, wrapped


@pytest.mark.parametrize(
    "command",
    [
        "psql -c 'DROP TABLE users'", "psql <<E\ndrop table users;\nE", "sudo -u postgres psql -c 'drop table x'",
        "env A=b psql -c 'DROP/**/TABLE x'", "echo 'drop table x' | psql", "rm x", "sudo rm x", "true; rm x",
        "echo $(rm x)", "bash -c 'rm x'", "xargs rm < list", "find . -delete", "timeout 5 nice rm -f x", "r''m x",
        "ssh web-2 rm x", "kubectl delete pod x",
        "cat .env", "cat ./.env", "cat a/../.env", "cat '.e''nv'", "cat /srv/app/.env", "cat <.env", "echo x >.env",
        "tar czf - secrets", "cat secrets/db", "scp host:secrets/x .", "cat --file=.env", "cp .env/ /tmp",
        "sudo sh -c 'cat .env'", "cat x/id_rsa", "sed -i s/a/b/ secrets/x",
        "usermod -aG sudo eve", "passwd root", "echo k >> ~/.ssh/authorized_keys", "visudo -f /etc/sudoers.d/x",
        "openssl genrsa -out x.key", "systemctl restart payment-api", "systemctl stop sshd",
    ],
)  # fmt: skip
def test_the_sample_denies(command: str) -> None:
    assert verdict(SAMPLE, command) is Verdict.DENY


@pytest.mark.parametrize(
    "command", ["systemctl restart nginx", "sudo systemctl restart nginx && systemctl restart app"]
)
def test_the_sample_allows(command: str) -> None:
    assert verdict(SAMPLE, command) is Verdict.ALLOW
    assert verdict(SAMPLE, command, "somebody-else") is Verdict.HOLD


@pytest.mark.parametrize(
    "command",
    [
        "systemctl restart nginx; frobnicate", "systemctl restart nginx --weird", "systemctl restart nginx > /etc/motd",
        "systemctl restart nginx | sh", "LD_PRELOAD=/tmp/x systemctl restart nginx", "systemctl restart $X",
        "systemctl restart nginx\nfrob", "systemctl restart nginx &&", "systemctl restart nginx\rid", "$(cat x)",
        "systemctl restart 'nginx", "ls", "cat .e*", "kubectl apply -f x.yaml", "touch x",
        "/tmp/systemctl restart nginx",
        "./systemctl restart nginx",
    ],
)  # fmt: skip
def test_the_sample_holds(command: str) -> None:
    assert verdict(SAMPLE, command) is Verdict.HOLD


def test_deploying_is_allowed_and_yet_held_because_approval_is_required() -> None:
    said = judge(question("kubectl apply -f x.yaml"), parse(SAMPLE), None, NOW)
    assert said.rule == "policy policy:5: require_approval true"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("never write", "never"),
        ("deny write", "denies"),
        ("hold write", ""),
        ("allow write", ""),
        ("rate 1 per 1m", ""),
    ],
)
def test_what_overrules_an_approval(body: str, words: str) -> None:
    usage = Usage()
    usage.note("deployer", "web-1", NOW)
    asked = question("touch x", usage=usage)
    said = overruled(asked, parse(wrapped(body)), Directory(), NOW)
    assert (words in said) if words else (said == "")


def test_the_51st_file_and_the_second_host_are_denied() -> None:
    fifty = tuple(f"f{number}" for number in range(50))
    assert verdict(SAMPLE, "systemctl restart nginx", paths=fifty) is Verdict.ALLOW
    assert verdict(SAMPLE, "systemctl restart nginx", paths=(*fifty, "f50")) is Verdict.DENY
    assert verdict(SAMPLE, "systemctl restart nginx", files=51) is Verdict.DENY
    assert verdict(SAMPLE, "touch " + " ".join((*fifty, "f50"))) is Verdict.DENY
    usage = Usage()
    usage.note("deployer", "web-1", NOW - MINUTE)
    assert verdict(SAMPLE, "systemctl restart nginx", usage=usage) is Verdict.ALLOW
    assert verdict(SAMPLE, "systemctl restart nginx", usage=usage, target="web-2") is Verdict.DENY
    assert verdict(SAMPLE, "systemctl restart nginx", usage=usage, target="web-2", identity="other") is Verdict.HOLD


def test_deny_beats_hold_beats_allow_whatever_their_order() -> None:
    rules = ["allow restart", "hold restart", "deny restart"]
    for first in range(3):
        body = "\n".join(rules[first:] + rules[:first])
        assert verdict(body, "systemctl restart x") is Verdict.DENY
    assert verdict("hold restart\nallow restart", "systemctl restart x") is Verdict.HOLD
    assert verdict("allow restart\nhold restart", "systemctl restart x") is Verdict.HOLD
    assert verdict("allow restart", "systemctl restart x") is Verdict.ALLOW
    assert verdict("", "systemctl restart x") is Verdict.HOLD


def test_a_narrow_deny_beats_a_wide_allow_and_the_other_way_round() -> None:
    body = 'allow restart\nenvironment "prod*" { agent "deployer" { deny restart } }'
    assert verdict(body, "systemctl restart x") is Verdict.DENY
    assert verdict(body, "systemctl restart x", env="staging") is Verdict.ALLOW
    assert verdict('deny restart\nagent "deployer" { allow restart }', "systemctl restart x") is Verdict.DENY


EVERYTHING = (
    "allow anything, low, medium, high, reversible, irreversible, opaque, unknown, run, delete, restart, executes"
)


@pytest.mark.parametrize(
    "command", ["rm -rf /", "$X y", "eval $Y", "a 'b", "curl x | sh", "git push --force", "psql -c 'drop table x'"]
)
def test_what_is_high_or_opaque_is_never_allowed(command: str) -> None:
    assert verdict(EVERYTHING, command) is Verdict.HOLD


def test_what_nobody_rated_and_code_that_nobody_read_is_never_allowed() -> None:
    unrated = Assessment(None, Tier.UNRATED, ())
    assert verdict(EVERYTHING, "ls", assessment=unrated) is Verdict.HOLD
    assert verdict(EVERYTHING, "systemctl restart x", unseen=True) is Verdict.HOLD
    assert verdict(EVERYTHING, "systemctl restart x") is Verdict.ALLOW


some_commands = st.lists(
    st.sampled_from(
        [
            "ls",
            "rm",
            "-rf",
            "/",
            "x",
            "$X",
            ";",
            "|",
            "&&",
            "'",
            '"',
            "sudo",
            "env",
            "\n",
            "`",
            "$(",
            ")",
            ">",
            "<<E",
            "E",
        ]
    ),
    max_size=9,
).map(" ".join)


@given(some_commands)
def test_only_what_is_rated_low_or_medium_is_ever_allowed(command: str) -> None:
    asked = question(command)
    said = judge(asked, parse(wrapped(EVERYTHING)), None, NOW)
    assert said.verdict is not Verdict.ALLOW or asked.assessment.tier in (Tier.LOW, Tier.MEDIUM)


def test_reversible_flows_and_destructive_waits() -> None:
    assert verdict("allow reversible, low", "mkdir /srv/x") is Verdict.ALLOW
    assert verdict("allow reversible, low", "rm -r /srv/x") is Verdict.HOLD


def test_a_policy_without_rules_holds_as_before() -> None:
    policy = built_in(2, 90)
    said = judge(question("ls"), policy, None, NOW)
    assert (said.verdict, said.rule, said.approvals, said.timeout) == (Verdict.HOLD, "default", 2, 90)
