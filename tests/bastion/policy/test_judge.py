"""What policy says: the sample that must always behave, the order of things, and what may never be allowed."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.directory import Directory
from bastion.model import Assessment, IdentityKind, Request, RequestKind, Tier, Verdict
from bastion.policy.judge import Escalation, Judgement, judge, overruled
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.policy.risk import assess
from bastion.policy.rules import built_in
from bastion.policy.usage import Usage
from tests.support.requests import REQUEST

SAMPLE = """
policy "production" {
  version 1
  deploy {
    require_approval true
    block_paths ".env", "secrets/**", "**/id_rsa"
    max_files 50
  }
  agent "deployer" {
    allow restart, deploy, rollback
    deny delete, db_migrate, drop_table
    blast_radius single_host
  }
  remediation {
    block_categories auth, crypto, billing
    require_approval true
  }
}
"""
NOW = 1_700_000_000_000_000
MINUTE = 60_000_000


def question(command: str, who: str = "deployer", **more: Any) -> Question:
    facts: dict[str, Any] = {
        "identity": who,
        "identity_kind": IdentityKind.AGENT,
        "target": "web-1",
        "env": "production",
        "login": "deploy",
        "assessment": assess(command.encode("utf-8", "surrogateescape")),
        "command": command.encode("utf-8", "surrogateescape"),
    }
    return Question(**facts | more)


def verdict(policy: str, command: str, who: str = "deployer", **more: Any) -> Verdict:
    return judge(question(command, who, **more), parse(wrapped(policy)), None, NOW).verdict


def wrapped(body: str) -> str:
    return body if "policy " in body else f'policy "p" {{\nversion 1\n{body}\n}}'


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


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git pull origin main", Verdict.ALLOW),
        ("/usr/bin/git pull", Verdict.ALLOW),
        ("git pull && git pull", Verdict.ALLOW),
        ("git pull; rm x", Verdict.HOLD),
        ("git pull $(id)", Verdict.HOLD),
        ("git pull > x", Verdict.HOLD),
        ("git pull 2>&1", Verdict.ALLOW),
        ("GIT_SSH_COMMAND=x git pull", Verdict.HOLD),
        ("sudo git pull", Verdict.HOLD),
        ("/tmp/git pull", Verdict.HOLD),
        ("gitx pull", Verdict.HOLD),
        ('"git pull"', Verdict.HOLD),
        ("echo git pull", Verdict.HOLD),
        ("git push origin", Verdict.DENY),
        ("sudo -n git push", Verdict.DENY),
        ("sh -c 'git push'", Verdict.DENY),
        ("ssh x 'sudo git push'", Verdict.DENY),
        ("git pull && git push", Verdict.DENY),
        ("$(git push)", Verdict.DENY),
        ("git 'push'", Verdict.DENY),
        ("/usr/bin/git push", Verdict.DENY),
        ("echo 'git push'", Verdict.HOLD),
        ("git -C /srv push", Verdict.DENY),
        ("git --git-dir=/srv/.git --no-pager -c a.b=c push origin", Verdict.DENY),
        ("sudo git -C push push", Verdict.DENY),
        ("git -C push status", Verdict.HOLD),
    ],
)
def test_command_patterns_are_about_parsed_commands(command: str, expected: Verdict) -> None:
    assert verdict('allow command "git pull **"\nnever command "git push **"', command) is expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cat /srv/secret/a", Verdict.DENY),
        ("cd /srv && cat secret/a", Verdict.DENY),
        ("cd /srv/secret; cat a", Verdict.DENY),
        ("cd / && cd srv && cat secret/a", Verdict.DENY),
        ("cd /srv; (cd secret; cat a)", Verdict.DENY),
        ("env -C /srv cat secret/a", Verdict.DENY),
        ("sh -c 'cd /srv && cat secret/a'", Verdict.DENY),
        ("cd /srv && cat s*/a", Verdict.HOLD),
        ("cd $X && cat secret/a", Verdict.HOLD),
        ("cd /sr* && cat secret/a", Verdict.HOLD),
        ("cd /srv && cat other/a", Verdict.ALLOW),
    ],
)
def test_what_is_forbidden_below_a_directory_is_so_from_within_it(command: str, expected: Verdict) -> None:
    assert verdict('allow low\ndeny path "/srv/secret/**"', command) is expected


@pytest.mark.parametrize(
    "command",
    [
        "cd /etc/ssh && sed -i s/a/b/ sshd_config", "systemctl restart ssh.service", "service billing restart",
        "systemctl stop billing-api.service", "cd /srv/billing && touch x", "touch src/auth/login.py", "certbot renew",
    ],
)  # fmt: skip
def test_categories_are_of_commands_and_of_paths(command: str) -> None:
    assert verdict("allow low, medium\ndeny auth, crypto, billing", command) is Verdict.DENY
    assert verdict("allow low, medium", command) is not Verdict.DENY


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("grep -r key /srv", Verdict.HOLD),
        ("grep -nr key /srv", Verdict.HOLD),
        ("grep --recur key /", Verdict.HOLD),
        ("cd /srv && grep -r key", Verdict.HOLD),
        ("cd /srv && grep -r key .", Verdict.HOLD),
        ("find /srv -name a", Verdict.HOLD),
        ("tar cf - -C/srv .", Verdict.HOLD),
        ("ls -lR /srv", Verdict.HOLD),
        ("ls -R /sr*", Verdict.HOLD),
        ("sudo -n find / -name a", Verdict.HOLD),
        ("sh -c 'cd /srv; find .'", Verdict.HOLD),
        ("grep -r key /srv/app/../", Verdict.HOLD),
        ("grep -r key", Verdict.HOLD),  # from where, nobody knows
        ("grep -r key /srv/secret/deep", Verdict.DENY),
        ("grep -r /srv/app", Verdict.HOLD),  # that is the pattern
        ("grep -r -e /srv/app", Verdict.HOLD),
        ("find -path /srv/app", Verdict.HOLD),
        ("cd /var/log && grep -r key /srv/app", Verdict.ALLOW),
        ("cd /var/log && find . -name a", Verdict.ALLOW),
        ("ls -l /srv", Verdict.ALLOW),
        ("ls -lr /srv", Verdict.ALLOW),
        ("sort -r /srv/list", Verdict.ALLOW),
        ("grep key /srv/list", Verdict.ALLOW),
        ("find /var/log -mtime -1", Verdict.ALLOW),
        ("du -sh /srv/app/x", Verdict.ALLOW),
    ],
)
def test_what_is_forbidden_may_be_met_on_the_way_down(command: str, expected: Verdict) -> None:
    assert verdict('allow low\ndeny path "/srv/secret/**"', command) is expected


def test_effects_with_places() -> None:
    body = 'allow writes "/srv/app/**"'
    assert verdict(body, "touch /srv/app/x") is Verdict.ALLOW
    for command in (
        "touch /srv/app/../x",
        "touch /srv/x",
        "touch /srv/app/x /etc/y",
        "touch /srv/app/$X",
        "rm /srv/app/x",
    ):
        assert verdict(body, command) is Verdict.HOLD, command
    assert verdict('deny writes "/etc/**"\nallow medium', "touch /etc/x") is Verdict.DENY
    assert verdict('deny host "*.evil.example"\nallow medium', "curl https://x.evil.example/a") is Verdict.DENY


def test_reversible_flows_and_destructive_waits() -> None:
    assert verdict("allow reversible, low", "mkdir /srv/x") is Verdict.ALLOW
    assert verdict("allow reversible, low", "rm -r /srv/x") is Verdict.HOLD


def test_a_policy_without_rules_holds_as_before() -> None:
    policy = built_in(2, 90)
    said = judge(question("ls"), policy, None, NOW)
    assert (said.verdict, said.rule, said.approvals, said.timeout) == (Verdict.HOLD, "default", 2, 90)


# --- terms ------------------------------------------------------------------------------------------------------------


def terms(body: str, command: str, **more: Any) -> Judgement:
    return judge(question(command, **more), parse(wrapped(body)), None, NOW)


def test_the_highest_number_the_shortest_time_and_all_the_groups() -> None:
    body = """
    group dba "ana", "ben"
    approvals 1
    approvals 2 for irreversible
    timeout 5m
    high { timeout 2m
           escalate after 1m to sre
           escalate after 3m to boss }
    drop_table { approvals 1 from dba }
    environment "production" { approvals 1 from sre }
    recording required
    """
    said = terms(body, "psql -c 'drop table x'")
    assert (said.approvals, said.approvers, said.timeout) == (2, ("dba", "sre"), 120)
    assert [(each.seconds, each.group) for each in said.escalation] == [(60, "sre")]  # 3m would be after the end
    assert said.recording
    said = terms(body, "touch x", env="staging")
    assert (said.approvals, said.approvers, said.timeout, said.escalation) == (1, (), 300, ())


def test_what_nobody_rated_counts_as_high_for_the_terms() -> None:
    unrated = Assessment(None, Tier.UNRATED, ())
    assert terms("approvals 2 for high", "ls", assessment=unrated).approvals == 2


def request_for(command: bytes) -> Request:
    return dataclasses.replace(
        REQUEST, identity="deployer", command=command, assessment=assess(command), created=NOW, expires=NOW + MINUTE,
        env="production",
    )  # fmt: skip


def test_what_is_forbidden_is_so_from_the_directory_of_the_shell() -> None:
    policy = parse(wrapped('allow low\ndeny path "/srv/secret/**"'))

    def said(cwd: str) -> Verdict:
        asked = dataclasses.replace(request_for(b"cat secret/a"), cwd=cwd)
        return judge(Question.of(asked, IdentityKind.AGENT), policy, None, NOW).verdict

    assert [said(cwd) for cwd in ("/srv", "/srv/other", "/srv/other/..")] == [Verdict.DENY, Verdict.ALLOW, Verdict.DENY]


@pytest.mark.parametrize("command", [b"rsync --server -logDtpre.iLsfxCIvu . /srv/app/x", b"scp -t /srv/app/x"])
def test_no_rule_allows_what_is_not_seen(command: bytes) -> None:
    """The path is where an honest client begins: what it sends can name others."""
    policy = parse(wrapped('allow writes "/srv/app/**", write, reversible'))
    question = Question.of(request_for(command), IdentityKind.AGENT)
    assert question.opaque
    assert judge(question, policy, None, NOW).verdict is Verdict.HOLD
    assert not Question.of(request_for(b"cp a /srv/app/x"), IdentityKind.AGENT).opaque


def test_the_digest_is_of_the_request_on_these_terms() -> None:
    asked = request_for(b"touch x")
    policy = parse(wrapped("approvals 3\ntimeout 2m"))
    said = judge(Question.of(asked, IdentityKind.AGENT), policy, None, NOW)
    settled = said.settle(asked)
    assert (settled.approvals, settled.seconds, settled.rule) == (3, 120, "default")
    assert settled.digest == said.digest != asked.digest
    names = ("approvals", "expires", "rule", "approvers", "escalation", "unsigned")
    assert settled == dataclasses.replace(asked, **{name: getattr(settled, name) for name in names})
    with pytest.raises(ValueError, match="another request"):
        said.settle(dataclasses.replace(asked, command=b"rm x"))


# --- what is asked of the agent, and how much -------------------------------------------------------------------------


def test_reason_rollback_and_task_can_be_required() -> None:
    body = 'require rollback for high\nrequire task "T-*"'
    assert verdict(body, "touch x") is Verdict.DENY
    assert verdict(body, "touch x", task="T-12") is Verdict.HOLD
    assert verdict(body, "touch x", task="X T-12") is Verdict.DENY
    assert verdict(body, "rm -rf /srv", task="T-12") is Verdict.DENY
    assert verdict(body, "rm -rf /srv", task="T-12", rollback="restore it") is Verdict.HOLD


def test_off_task_is_held() -> None:
    body = 'task "release-*" { allow deploy }'
    assert verdict(body, "kubectl apply -f x", task="release-7") is Verdict.ALLOW
    assert verdict(body, "kubectl apply -f x", task="lunch") is Verdict.HOLD


def test_the_rate_is_exact() -> None:
    usage = Usage()
    for _ in range(3):
        usage.note("deployer", "web-1", NOW - MINUTE // 2)
    assert verdict("rate 4 per 1m", "ls", usage=usage) is Verdict.HOLD
    assert verdict("rate 3 per 1m", "ls", usage=usage) is Verdict.DENY
    assert verdict("rate 3 per 30s", "ls", usage=usage) is Verdict.HOLD
    assert verdict("rate 3 per 1m", "ls", usage=usage, identity="other") is Verdict.HOLD


# --- freezes, grants, emergencies -------------------------------------------------------------------------------------

FREEZES = [
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-24 00:00", True),
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-26 23:59", True),
    ('freeze "x" from "2026-12-24 00:00" to "2026-12-27 00:00"', "2026-12-27 00:00", False),
    ('freeze "x" on sat, sun', "2026-11-21 12:00", True),  # a Saturday
    ('freeze "x" on sat, sun', "2026-11-23 00:00", False),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 22:00", True),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 05:59", True),
    ('freeze "x" from "22:00" to "06:00"', "2026-11-21 06:00", False),
    ('freeze "x" on fri from "22:00" to "06:00"', "2026-11-21 05:00", True),
    ('freeze "x" on fri from "22:00" to "06:00"', "2026-11-20 05:00", False),
]


@pytest.mark.parametrize(("freeze", "moment", "frozen"), FREEZES)
def test_freezes(freeze: str, moment: str, frozen: bool) -> None:
    from datetime import UTC, datetime

    now = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000
    policy = parse(wrapped(f"allow low, restart\n{freeze}"))
    said = judge(question("systemctl restart x"), policy, None, now)
    assert said.verdict is (Verdict.DENY if frozen else Verdict.ALLOW)
    assert judge(question("ls"), policy, None, now).verdict is Verdict.ALLOW


def test_breaking_the_glass_takes_a_human_a_reason_and_a_policy_and_lifts_no_never() -> None:
    body = """
    break_glass oncall
    group oncall "hana"
    deny restart
    hold *
    freeze "x" on mon, tue, wed, thu, fri, sat, sun
    never backup
    """
    human = {"identity_kind": IdentityKind.HUMAN, "emergency": "site is down"}
    said = terms(body, "systemctl restart x", who="hana", **human)
    assert (said.verdict, said.emergency) == (Verdict.ALLOW, True)
    assert said.reason == "emergency: site is down"
    assert verdict(body, "systemctl restart x", "hana", **human | {"emergency": ""}) is Verdict.DENY
    assert verdict(body, "systemctl restart x", "hana", **human | {"identity_kind": IdentityKind.AGENT}) is Verdict.DENY
    assert verdict(body, "systemctl restart x", "otto", **human) is Verdict.DENY
    assert verdict("deny restart", "systemctl restart x", "hana", **human) is Verdict.DENY
    assert verdict(body + "\nnever restart", "systemctl restart x", "hana", **human) is Verdict.DENY


def test_a_grant_can_be_required() -> None:
    body = 'allow restart\nenvironment "production" { grant required }'
    said = terms(body, "systemctl restart x")
    assert said.verdict is Verdict.DENY
    assert "request-access web-1" in said.reason
    assert verdict(body, "systemctl restart x", env="staging") is Verdict.ALLOW


# --- attacks ----------------------------------------------------------------------------------------------------------

HOSTILE = [
    b"rm " * 43_000,
    b"sudo " * 26_000,
    b"sudo sh -c '" * 5_000,
    b"; ".join([b"rm x"] * 20_000),
    b"env " + b"A=1 " * 30_000 + b"rm x",
    b"echo " + b"*" * 130_000,
    b"echo " + b"a/../" * 26_000 + b".env",
    b"cat " + b"/".join([b"a"] * 60_000),
    b"cat " + b"a*" * 60_000,
    b"echo " + b"{a,b}" * 20_000,
    b"$(" * 40_000,
    b"'" * 131_071,
]
STARS = "*a" * 200
GREEDY = f"""
allow low, restart
deny command "rm **"
never command "** x"
deny command "* * * ** * ** *", path "**/a/**/a/**/a/**/b"
deny path "{STARS}"
block_paths ".env"
deny writes "a*a*a*b"
"""


@pytest.mark.parametrize("command", HOSTILE, ids=lambda command: command[:12].decode())
def test_no_command_and_no_pattern_makes_judging_slow_or_lets_it_run(command: bytes) -> None:
    import time

    unrated = Assessment(50, Tier.MEDIUM, (), verbs=("restart",))  # as if the classifier had been fooled
    asked = dataclasses.replace(question("x"), command=command[:131_071], assessment=unrated)
    policy = parse(wrapped(GREEDY))
    begun = time.process_time()
    said = judge(asked, policy, None, NOW)
    assert time.process_time() - begun < 3
    assert said.verdict is not Verdict.ALLOW


@pytest.mark.parametrize(
    "command",
    ["rm\u00a0x", "r\u200bm x", "\u0433m x", "rm x\u2028rm y", "ｒｍ x", "rm x\x1b[2K", "rm\tx", "rm  x", "rm\\\n x"],
)
def test_lookalikes_and_odd_blanks_are_never_allowed(command: str) -> None:
    assert verdict("allow low, restart, reversible\ndeny delete", command) is not Verdict.ALLOW


@pytest.mark.parametrize(
    ("line", "shell", "expected"),
    [
        ("ls 2>&1", "bash", Verdict.ALLOW),
        ("ls 2>&1", "", Verdict.HOLD),
        ("ls 2>&1", "no POSIX shell", Verdict.HOLD),
        ("ls | wc -l", "", Verdict.ALLOW),
        ("ls | wc -l", "no POSIX shell", Verdict.ALLOW),
    ],
)
def test_what_the_login_shell_may_read_otherwise_is_held(line: str, shell: str, expected: Verdict) -> None:
    said = judge(question(line, shell=shell), parse(wrapped("allow low")), None, NOW)
    assert said.verdict is expected
    assert (said.rule == "shell") is (expected is Verdict.HOLD)


def test_so_is_a_line_beside_a_shell_but_not_what_runs_in_it() -> None:
    asked = {"kind": RequestKind.LINE, "request": request_for(b"ls")}
    unknown = {**asked, "shell": ""}
    assert verdict("allow low", "ls", **asked) is Verdict.ALLOW
    assert verdict("allow low", "ls", **unknown) is Verdict.HOLD
    assert verdict("allow low", "cd /srv", **unknown) is Verdict.ALLOW


NEVER_READ = 'allow low\nnever reads "/srv/secret/**"\ndeny path "/opt/hidden"'


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        # names that no word of the line tells
        ("xargs cat < list", Verdict.HOLD),
        ("echo /srv/secret/a | xargs cat", Verdict.HOLD),
        ("printf '/srv/%s/a' secret | xargs cat", Verdict.HOLD),
        ("echo ../secret/a | xargs -I% cat ./%", Verdict.HOLD),
        ("find . -print0 >/dev/null; echo ../secret/a | xargs -I% cat ./%", Verdict.HOLD),
        ("sudo xargs -a list cat", Verdict.HOLD),
        ("sort --files0-from=list", Verdict.HOLD),
        ("wc --files0=list", Verdict.HOLD),
        ("find -files0-from list", Verdict.HOLD),
        ("cd /opt/x; wc *", Verdict.HOLD),  # one may be called --files0-from=list
        ("cd /opt/x; wc -l -- *", Verdict.ALLOW),
        ("md5sum -c list", Verdict.HOLD),
        ("sha256sum -wc list", Verdict.HOLD),
        ("file -bf list", Verdict.HOLD),
        ("echo a b | xargs echo", Verdict.ALLOW),
        # values of options
        ("date -f /srv/secret/a", Verdict.DENY),
        ("file -f /srv/secret/a", Verdict.DENY),
        ("dmesg -F/srv/secret/a", Verdict.DENY),
        ("journalctl --file=/srv/secret/a", Verdict.DENY),
        ("git -C /srv/secret log", Verdict.DENY),
        ("cd /srv; journalctl --file=secret/a", Verdict.HOLD),
        ("openssl x509 -in /srv/secret/a", Verdict.HOLD),
        ("journalctl --file=/var/log/x", Verdict.ALLOW),
        ("ss -F/opt/hidden", Verdict.DENY),
        # other names of the root directory, and of whatever a process has open
        ("cat /proc/self/root/srv/secret/a", Verdict.DENY),
        ("cat /proc/1/task/1/root/opt/hidden", Verdict.DENY),
        ("cat /proc/self/cwd/a", Verdict.HOLD),
        ("ls /proc/1/fd/", Verdict.HOLD),
        ("ls /proc/1/status", Verdict.ALLOW),
    ],
)
def test_what_is_never_read_is_not_read_under_other_names(command: str, expected: Verdict) -> None:
    assert verdict(NEVER_READ, command) is expected


@pytest.mark.parametrize("command", ["cat /proc/123/fd/4", "cat /proc/1/task/1/environ", "cat /proc/1/map_files/x"])
def test_what_other_processes_hold_is_not_low(command: str) -> None:
    assert assess(command.encode()).tier is not Tier.LOW


def test_a_judgement_of_a_request_is_the_same_judgement() -> None:
    """Field by field: `of` names each."""
    different = {
        "approvals": 2,
        "approvers": ("dba",),
        "timeout": 7,
        "escalation": (Escalation(3, "oncall"),),
        "unsigned": ("slack",),
        "recording": True,
        "emergency": True,
        "policy": "p",
    }
    said = Judgement(Verdict.ALLOW, "", "a rule", "a reason", **different)  # type: ignore[arg-type]
    asked = request_for(b"ls")
    made = said.of("d", (asked, {}, asked))
    assert made == replace(said, digest="d")
    assert made.judged == (asked, {}, asked)


def test_what_was_judged_is_not_settled_on_other_terms() -> None:
    """What `judge` had made of it is for the terms that it was made on."""
    said = judge(Question.of(request_for(b"ls"), IdentityKind.AGENT), parse('policy "p" {\n version 1\n}\n'), None, 0)
    assert said.judged is not None
    asked = said.judged[0]
    assert said.settle(asked) is said.judged[2]
    assert said.settle(replace(asked)) == said.judged[2]
    with pytest.raises(ValueError, match="another request"):
        replace(said, approvals=3).settle(asked)
    assert replace(said, rule="another").settle(asked).rule == "another"
