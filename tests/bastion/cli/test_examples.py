"""Examples in the help are commands that the program takes, and lists of verbs say whole sentences."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from bastion.cli import NOUNS, bastion
from bastion.cli.examples import EXAMPLES, completed, first_sentence
from tests.bastion.cli.conftest import Shell
from tests.bastion.cli.test_main import verbs

VERBS = dict(verbs())


@pytest.mark.parametrize("words", EXAMPLES)
def test_each_is_read_by_the_parser(words: str) -> None:
    for example in EXAMPLES[words]:
        typed = shlex.split(example.replace("\\\n", ""))
        begins = ["bastion", *words.split()]
        assert typed[: len(begins)] == begins
        command = VERBS[words]
        command.make_context(begins[-1], typed[len(begins) :])  # raises where an option or a value is none


def test_the_parser_would_mind() -> None:
    with pytest.raises(click.UsageError):
        VERBS["ledger verify"].make_context("verify", ["--heads", "x"])


def test_they_stand_in_the_help(shell: Shell) -> None:
    for words in ("target add", "blast"):
        done = shell(*words.split(), "--help")
        assert done.status == 0
        assert "\n  Examples:\n" in done.out
        for example in EXAMPLES[words]:
            for line in example.splitlines():
                assert f"\n    {line}\n" in f"{done.out}\n"
    for example in (line for each in EXAMPLES.values() for text in each for line in text.splitlines()):
        assert len(example) <= 74, f"{example}: it would be wider than 78 columns"


def test_completing_twice_changes_nothing() -> None:
    noun = bastion.get_command(click.Context(bastion), "freeze")
    assert noun is not None
    once = (noun.epilog, noun.short_help)
    assert completed("freeze", noun) is noun
    assert (noun.epilog, noun.short_help) == once


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if isinstance(VERBS[noun], click.Group)])
def test_lists_of_verbs_are_whole(noun: str) -> None:
    group = VERBS[noun]
    said = " ".join(group.get_help(click.Context(group, info_name=noun)).split())
    assert isinstance(group, click.Group)
    assert not re.search(r"\w\.\.\.( |$)", said.partition(" Commands: ")[2])
    for each in group.commands.values():
        assert first_sentence(each.help or "") in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Do it.", "Do it."),
        ("Do it. Then more.", "Do it."),
        ("Write a cast (version 3.0), or\n    text. More.\n\n    And more.", "Write a cast (version 3.0), or text."),
        ("Without an end\n\nMore.", "Without an end"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
