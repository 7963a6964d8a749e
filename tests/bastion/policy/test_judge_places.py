"""What rules are about: commands as they were parsed, paths as they come out, effects with places; under any name."""

from __future__ import annotations

import dataclasses

import pytest

from bastion.model import IdentityKind, Tier, Verdict
from bastion.policy.judge import judge
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.policy.risk import assess
from tests.bastion.policy.judging import NOW, request_for, verdict, wrapped


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


def test_what_is_forbidden_is_so_from_the_directory_of_the_shell() -> None:
    policy = parse(wrapped('allow low\ndeny path "/srv/secret/**"'))

    def said(cwd: str) -> Verdict:
        asked = dataclasses.replace(request_for(b"cat secret/a"), cwd=cwd)
        return judge(Question.of(asked, IdentityKind.AGENT), policy, None, NOW).verdict

    assert [said(cwd) for cwd in ("/srv", "/srv/other", "/srv/other/..")] == [Verdict.DENY, Verdict.ALLOW, Verdict.DENY]


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


@pytest.mark.parametrize("command", [b"rsync --server -logDtpre.iLsfxCIvu . /srv/app/x", b"scp -t /srv/app/x"])
def test_no_rule_allows_what_is_not_seen(command: bytes) -> None:
    """The path is where an honest client begins: what it sends can name others."""
    policy = parse(wrapped('allow writes "/srv/app/**", write, reversible'))
    question = Question.of(request_for(command), IdentityKind.AGENT)
    assert question.opaque
    assert judge(question, policy, None, NOW).verdict is Verdict.HOLD
    assert not Question.of(request_for(b"cp a /srv/app/x"), IdentityKind.AGENT).opaque


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
        ("strings @list", Verdict.HOLD),
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
