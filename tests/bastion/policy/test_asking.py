"""Lines that an agent says to the bastion itself: understood as typed, also where its own shell took the quotes."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.directory import Directory
from bastion.model import Target
from bastion.policy.admission import missing_grant
from bastion.policy.asking import HELP, PLAIN, REASON_LIMIT, Ask, NotUnderstood, read, spelt

WEB = Ask("request-access", "web-1", 1800, "restart nginx")


@pytest.mark.parametrize(
    "line",
    [
        'request-access web-1 --for 30m --reason "restart nginx"',
        "request-access web-1 --for 30m --reason 'restart nginx'",
        "request-access web-1 --for 30m --reason restart nginx",
        "request-access web-1 --reason restart nginx --for 30m",
        "request-access --reason restart  nginx --for 30m web-1",
        "request-access --for 30m web-1 --reason restart 'nginx'",
    ],
)
def test_a_reason_is_words_with_quotes_or_without(line: str) -> None:
    assert read(line.encode()) == WEB


@pytest.mark.parametrize(
    "line",
    [
        "request-access web-1 web-2 --for 30m --reason x",
        "request-access web-1 --for 30m now --reason x",
        "request-access web-1 --for 30m --reason x -y",
        "request-access web-1 --for 30m --reason x --reason y",
        "request-access web-1 --for 30m --reason",
        f"request-access web-1 --for 30m --reason {'x ' * (REASON_LIMIT // 2 + 1)}",
    ],
)
def test_and_nothing_else_is(line: str) -> None:
    with pytest.raises(NotUnderstood):
        read(line.encode())


def test_the_longest_reason() -> None:
    words = "x " * (REASON_LIMIT // 2 - 1) + "xy"
    assert len(words) == REASON_LIMIT
    assert read(f"request-access web-1 --for 30m --reason {words}".encode()).reason == words


def test_what_a_refusal_says_to_type_is_understood() -> None:
    """As a person's shell hands it to ssh, and ssh to the bastion."""
    target = Target("web-1", "192.0.2.1", 22, ("deploy",), "production", ("ssh-ed25519 AAAA",), "key:/k")
    directory = Directory()
    directory.apply("access.configured", {"grants": ["production"]})
    said = missing_grant(directory, "agent-7", target, 0)
    typed = said.partition("; ask: ")[2].replace("...", "restart nginx")
    handed = subprocess.run(["sh", "-c", f"printf '%s\\n' {typed}"], capture_output=True, text=True, check=True).stdout
    words = handed.splitlines()
    assert words[:2] == ["ssh", "bastion@bastion"]
    assert read(" ".join(words[2:]).encode()) == WEB


def test_messages_are_of_plain_characters() -> None:
    """They are shown through policy.visible, which names every other one."""
    assert HELP.isascii()
    for line in (b"request-access", b"nonsense", b'help "', b"targets x", b"request-access a --for x --reason y"):
        with pytest.raises(NotUnderstood) as caught:
            read(line)
        assert str(caught.value).isascii()


def test_help_names_every_word() -> None:
    assert {shlex.split(line)[0] for line in HELP.splitlines()} == {*PLAIN, "request-access"}


@given(st.binary(max_size=200))
def test_garbage_is_understood_or_not(line: bytes) -> None:
    try:
        ask = read(line)
    except NotUnderstood:
        return
    if ask.verb == "request-access":
        assert ask.seconds > 0
        assert ask.reason
        spelt(ask.target, ask.seconds)
