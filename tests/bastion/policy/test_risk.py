"""What commands are found to do: the tier, the reasons, the effects, the verbs."""

from __future__ import annotations

import pytest

from bastion.model import Effect, EffectKind, Reversible, Tier
from bastion.policy.risk import assess

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
