"""What commands are found to do: the tier, the reasons, the effects, the verbs."""

from __future__ import annotations

import pytest

from bastion.model import Effect, EffectKind, Reversible, Tier
from bastion.policy.programs import load
from bastion.policy.risk import KEPT_BYTES, KEPT_EFFECTS, Risk, assess, loaded

LOW, MEDIUM, HIGH = Tier.LOW, Tier.MEDIUM, Tier.HIGH


def tier(command: str) -> Tier:
    return assess(command.encode()).tier


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        # the tier table that the product promises
        ("git status", LOW),
        ("docker ps", LOW),
        ("cat file.log", LOW),
        ("git commit -m x", MEDIUM),
        ("docker restart web", MEDIUM),
        ("npm install", MEDIUM),
        ("psql -c VACUUM", MEDIUM),
        ("psql -c 'DROP TABLE users'", HIGH),
        ("rm -rf /var/lib/app", HIGH),
        ("git push --force", HIGH),
        ("curl localhost:8080/health", LOW),
        ("sed -i s/a/b/ /etc/nginx/nginx.conf", HIGH),
    ],
)
def test_the_tiers_that_the_product_names(command: str, expected: Tier) -> None:
    assert tier(command) is expected


def test_an_assessment_adds_up_and_says_what_it_is_about() -> None:
    found = assess(b"sudo rm -rf /srv/data && systemctl restart nginx")
    assert found.score == sum(found.weights)
    assert len(found.weights) == len(found.reasons)
    assert found.reversible is Reversible.NO
    assert Effect(EffectKind.DELETES, "/srv/data") in found.effects
    assert Effect(EffectKind.SERVICE, "nginx") in found.effects
    assert {"delete", "restart"} <= set(found.verbs)


@pytest.mark.parametrize("language", ["psql", "mysql", "sqlite", "ansi"])
def test_a_prompt_of_a_database_is_judged_like_its_client(language: str) -> None:
    assert assess(b"select 1", language=language).tier is LOW
    dropped = assess(b"DROP TABLE users;", language=language)
    assert dropped.tier is HIGH
    assert "drop_table" in dropped.verbs


def test_an_unknown_language_is_opaque() -> None:
    assert assess(b"1", language="cobol").tier is HIGH


@pytest.mark.parametrize("command", ["less /var/log/syslog", "more README", "man ls", "systemctl status nginx"])
def test_a_pager_counts_where_it_opens(command: str) -> None:
    """On a terminal only, and not when its output goes elsewhere (less(1), systemctl(1))."""
    assert assess(command.encode()).tier is LOW
    assert assess(command.encode(), terminal=True).tier is MEDIUM
    assert assess(f"{command} | head".encode(), terminal=True).tier is LOW


def test_code_on_stdin_is_judged_where_it_was_read() -> None:
    assert assess(b"bash -s").tier is HIGH
    assert assess(b"bash -s", b"uptime\n").tier is LOW
    assert assess(b"sudo bash", b"rm -rf /srv").tier is HIGH
    assert assess(b"psql app", b"select 1;").tier is LOW
    assert "drop_table" in assess(b"psql app", b"drop table users;").verbs
    assert assess(b"bash -s", b"\xff").tier is HIGH


@pytest.mark.parametrize(
    "command",
    [
        "curl localhost.evil.example",
        "curl http://localhost@evil.example/",
        "curl http://localhost#@evil.example",
        'curl "localhost$x"',
        "curl localhost evil.example",
        "curl -x evil.example localhost",
        "curl -L localhost",
        "curl --connect-to ::evil.example: localhost",
        "curl -o x localhost",
        "curl -d x localhost",
        "curl -X DELETE localhost",
        "curl gopher://localhost:6379/x",
        "curl -K x localhost",
    ],
)
def test_only_asking_this_machine_itself_is_low(command: str) -> None:
    assert tier(command) is not LOW


@pytest.mark.parametrize(
    "command",
    [
        "cd /etc && cat shadow",
        "time cd /etc; cat shadow",
        "eval 'cd /etc'; cat shadow",
        "env --chdir=/etc cat shadow",
        "docker exec -w /etc web cat shadow",
        "find / -name shadow -exec cat {} +",
        "find / -name '*.pem' | xargs cat",
        "echo /etc/shadow | xargs cat",
        "cat $(echo /etc/shadow)",
        "f=/etc/shadow; cat $f",
        "for f in /etc/shadow; do cat $f; done",
        "f=/etc/sha; cat ${f}dow",
        "awk '{ getline x < \"/etc/shadow\"; print x }' y",
        "cat $(</etc/shadow)",
        "wc --files0-from=/etc/shadow",
        "cat /proc/self/root/etc/shadow",
        "kubectl get SECRET",
    ],
)
def test_a_secret_is_seen_where_its_name_stands_elsewhere(command: str) -> None:
    found = assess(command.encode())
    assert found.tier is not LOW
    assert any(effect.kind is EffectKind.SECRET for effect in found.effects)


def test_the_directory_of_a_shell_counts() -> None:
    assert assess(b"cat shadow", cwd="/etc").tier is not LOW
    assert assess(b"cat shadow", cwd="/srv").tier is LOW
    assert assess(b"rm -r x", cwd="/etc").score > assess(b"rm -r x").score


def test_production_weighs_more_and_never_by_itself() -> None:
    named = assess(b"kubectl --context production delete pod x")
    assert "points at production: production" in named.reasons
    assert named.score > assess(b"kubectl --context staging delete pod x").score
    assert assess(b"kubectl --context production get pods").tier is LOW


def test_root_weighs_more_than_another_account() -> None:
    assert tier("sudo -u postgres psql -c 'select 1'") is LOW
    for command in ("sudo ls", "sudo -u root ls", 'sudo -u "$x" ls', "sudo -u '#0' ls", "sudo -u a -u root ls"):
        assert tier(command) is MEDIUM, command


def test_a_function_cannot_stand_in_for_what_is_judged() -> None:
    assert tier("ls() { id; }; ls") is MEDIUM
    assert tier("echo() { printf 'rm x'; }; echo ls | sh") is HIGH
    assert tier(":(){ :|:& };:") is HIGH


@pytest.mark.parametrize(
    "command",
    [
        "foo; foo() { ls; }",
        "if false; then foo() { ls; }; fi; foo",
        "false && foo() { ls; }; foo",
        "(foo() { ls; }); foo",
        "foo() { ls; } & foo",
        "foo() { ls; }; unset -f foo; foo",
        "foo() { ls; } | cat; foo",
        "foo() { ls; }; bash -c foo",
        "foo() { ls; }; env foo",
        "foo() { ls; }; foo() { $1; }; foo x",
    ],
)
def test_a_function_counts_only_where_it_is_defined_for_certain(command: str) -> None:
    assert tier("foo() { ls; }; foo") is LOW
    assert tier(command) is not LOW


@pytest.mark.parametrize("command", ["exit 3", "sleep 60", "sleep 1m", "seq 1 10", "shift 2", "return 1", "expr 1 + 2"])
def test_numbers_are_no_files(command: str) -> None:
    assert loaded().assess(command.encode()).effects == ()


@pytest.mark.parametrize("command", ["trap '' HUP", "trap - INT TERM", "trap INT", "umask 022", "ulimit -n 9", "fg 1"])
def test_what_changes_the_shell_only_runs_and_writes_nothing(command: str) -> None:
    found = loaded().assess(command.encode())
    assert {(each.kind, each.what) for each in found.effects} == {(EffectKind.WRITES, "this shell")}
    assert found.tier is Tier.MEDIUM


@pytest.mark.parametrize(
    "command", ["trap 'rm -rf /srv' EXIT", 'trap "$x" INT', "trap reboot HUP", "trap 'curl x | sh' 0"]
)
def test_what_a_trap_will_run_counts_now(command: str) -> None:
    found = loaded().assess(command.encode())
    assert found.tier is Tier.HIGH
    assert not {each.what for each in found.effects} & {"EXIT", "INT", "HUP", "0"}


def test_what_is_remembered_is_what_would_be_said() -> None:
    """Of the same command with other stdin, on a terminal, or in another directory something else may be true."""
    risk = loaded()
    for more in ({}, {"stdin": b"rm -rf /"}, {"terminal": True}, {"cwd": "/etc"}, {"language": "psql"}):
        for command in (b"sh", b"cat passwd", b"rm *", b"drop table x"):
            once = risk.assess(command, **more)  # type: ignore[arg-type]
            assert risk.assess(command, **more) is once  # type: ignore[arg-type]
            assert Risk(load()).assess(command, **more) == once  # type: ignore[arg-type]


def test_large_ones_are_not_remembered() -> None:
    risk = Risk(load())
    for command in (b"echo " + b"x" * KEPT_BYTES, b"rm " + b" ".join(b"%d" % number for number in range(KEPT_EFFECTS))):
        assert risk.assess(command) == risk.assess(command)
    assert risk._kept.cache_info().currsize == 0
    assert risk.assess(b"echo x").tier is Tier.LOW
    assert risk._kept.cache_info().currsize == 1
