"""The introduction says what a stranger must know before they approve something on their own machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bastion.demo import texts
from bastion.demo.scenarios import AGENTS

FACTS = texts.Facts(
    target="OpenSSH sshd (/usr/sbin/sshd), 127.0.0.1:40001",
    bastion="127.0.0.1:40000",
    directory=Path("/tmp/bastion-demo-12345678"),
    stays=False,
    home=Path("/tmp/bastion-demo-12345678/web-1"),
    account="ada",
    people=("you",),
    patience="5 minutes",
)


def test_what_a_person_must_know() -> None:
    text = " ".join(" ".join(texts.introduction(FACTS)).split())
    for words in (
        "OpenSSH sshd",
        "fixed scripts, not models",
        "runs on this machine, as ada, in /tmp/bastion-demo-12345678/web-1",
        "Nothing fences it in",
        "removed at the end",
        "within 5 minutes does not run",
        "`svc status web` is whitelisted",
        *(agent.name for agent in AGENTS),
    ):
        assert words in text


def test_it_fits_a_terminal() -> None:
    assert max(map(len, texts.introduction(FACTS))) <= 80
    assert len(texts.introduction(FACTS)) <= 24 - 3  # with the question below it


def test_headless_speaks_of_others() -> None:
    text = " ".join(texts.introduction(replace(FACTS, people=("ana", "ben"), patience="", stays=True)))
    assert "ana, ben; each decision is signed with their key" in text
    assert "kept" in text
    assert "you approve" not in text


def test_the_last_word() -> None:
    assert texts.outcome(["ok   a"], [], good=True) == [
        *("", "on web-1:", "ok   a", ""),
        "demo: ok, what ran was approved, and the record verifies",
    ]
    assert texts.outcome([], ["ssh broke"], good=False) == [
        *("", "on web-1:", "BAD  ssh broke", ""),
        "demo: NOT ok, see above",
    ]
    assert texts.outcome([], [], good=True) == ["", "demo: ok, what ran was approved, and the record verifies"]


def test_what_is_kept_can_be_looked_at() -> None:
    lines = texts.farewell("bastion", Path("/tmp/x y/bastion.toml"))
    assert "  bastion --config '/tmp/x y/bastion.toml' ledger verify" in lines
