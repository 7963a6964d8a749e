"""A line is judged as what the program will make of it, or not at all."""

from __future__ import annotations

import pytest

from bastion.gate.talk import Talk
from bastion.model import UNRATED
from bastion.policy.risk import assess


def test_a_statement_is_judged_whole() -> None:
    talk = Talk(b"psql shop")
    talk.said(b"drop table\n")
    assert talk.assess(b"users;\n", assess).tier == "high"
    talk.said(b"users;\n")
    assert talk.assess(b"select 1;\n", assess).tier == "low"


def test_a_key_in_the_middle_of_a_statement_ends_the_knowing() -> None:
    """psql throws the open string away at ^C: what follows is no string, though it would be the rest of one."""
    talk = Talk(b"psql shop")
    talk.said(b"select '\n")
    assert talk.assess(b"drop table users; -- ';\n", assess).tier == "low"  # the rest of a string, so far
    talk.interrupted()
    assert talk.assess(b"drop table users; -- ';\n", assess) == UNRATED


def test_a_key_between_statements_changes_nothing() -> None:
    talk = Talk(b"psql shop")
    talk.said(b"select 1;\n")
    talk.interrupted()
    assert talk.assess(b"select 1;\n", assess).tier == "low"


def test_keys_that_passed_end_the_knowing() -> None:
    talk = Talk(b"psql shop")
    talk.lost()
    assert talk.assess(b"select 1;\n", assess) == UNRATED


@pytest.mark.parametrize("line", [b"psql\n", b"cat > f\n", b"python3\n", b"read x; eval $x\n", b"echo '\n"])
def test_what_a_nested_shell_starts_reads_the_next_line(line: bytes) -> None:
    """`ls # ; drop table t;` only reads in a shell, and drops in psql."""
    talk = Talk(b"bash")
    assert talk.assess(b"ls # ; drop table t;\n", assess).tier == "low"
    talk.said(line)
    assert talk.assess(b"ls # ; drop table t;\n", assess) == UNRATED


def test_a_nested_shell_goes_on_being_judged_behind_what_reads_nothing() -> None:
    talk = Talk(b"bash")
    talk.said(b"cd /srv && ls; echo done\n")
    assert talk.assess(b"ls\n", assess).tier == "low"
