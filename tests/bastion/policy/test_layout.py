"""The one layout: doing it twice changes nothing, and nothing but blanks and line ends ever changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import ConfigError
from bastion.policy.language import parse
from bastion.policy.layout import WIDTH, layout
from bastion.policy.tokens import scan


def kept(text: str) -> tuple[list[str], list[str]]:
    """Tokens and comments, in their order."""
    tokens = [token for token in scan(text, "f") if token.kind not in ("NEWLINE", "SEMICOLON", "EOF")]
    comments = [token.raw.replace("\t", " ").rstrip() for token in tokens if token.kind == "COMMENT"]
    return [token.raw for token in tokens if token.kind != "COMMENT"], comments


def test_by_example() -> None:
    messy = (
        'policy   "p"\n{ version 1;allow low # reads\n\n\n\n# about d\ndeny delete ,\n restart\n'
        '\tagent "a" {deny\tx, # y\n z}}'
    )
    assert layout(messy) == (
        'policy "p" {\n  version 1\n  allow low  # reads\n\n  # about d\n  deny delete, restart\n'
        '  agent "a" {\n    # y\n    deny x, z\n  }\n}\n'
    )


def test_long_lists_are_broken_behind_commas() -> None:
    text = layout(
        'policy "p" {\n  block_paths ' + ", ".join(f'"/srv/some/path/{number}"' for number in range(20)) + "\n}"
    )
    assert max(map(len, text.splitlines())) <= WIDTH
    assert layout(text) == text


pieces = st.sampled_from(
    ["allow", "x", '"t"', "5", "30s", "*", ",", "{", "}", ";", "\n", "\n\n", "# c\n", "#\td \n", " ", "\t", "deny"]
)


@given(st.lists(pieces, max_size=40).map(" ".join))
def test_twice_is_once_and_every_token_stays(text: str) -> None:
    try:
        once = layout(text)
    except ConfigError:
        return
    assert layout(once) == once
    assert kept(once) == kept(text)


def test_the_meaning_stays() -> None:
    from tests.bastion.policy.judging import SAMPLE

    before, after = parse(SAMPLE), parse(layout(SAMPLE))
    assert [rule.selectors for rule in before.clauses.rules] == [rule.selectors for rule in after.clauses.rules]


def test_what_does_not_parse_is_not_laid_out() -> None:
    with pytest.raises(ConfigError):
        layout("policy {{")
