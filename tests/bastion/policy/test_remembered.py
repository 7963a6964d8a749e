"""Answers about short lines are kept, as many as there is room for; about long ones none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bastion.policy.ansible_lines import of_command
from bastion.policy.remembered import KEPT, SHORT, remembered
from bastion.policy.running_files import shown_file
from bastion.policy.stdin import reads_code
from bastion.policy.transfers import recognise


@pytest.mark.parametrize("line", [b"", b"x" * SHORT, b"x" * (SHORT + 1)], ids=["empty", "short", "long"])
def test_a_short_line_is_asked_about_once(line: bytes) -> None:
    asked: list[bytes] = []

    @remembered
    def size(command: bytes) -> int:
        """How long."""
        asked.append(command)
        return len(command)

    assert [size(line), size(line)] == [len(line)] * 2
    assert len(asked) == (1 if len(line) <= SHORT else 2)
    assert size.__doc__ == "How long."


def test_so_many_are_kept() -> None:
    asked = 0

    @remembered
    def same(command: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return command

    lines = [b"%d" % number for number in range(KEPT + 1)]
    assert [same(line) for line in lines] == lines
    same(lines[-1])
    assert asked == KEPT + 1
    same(lines[0])
    assert asked == KEPT + 2


@pytest.mark.parametrize("function", [of_command, shown_file, reads_code, recognise])
@pytest.mark.parametrize("line", [b"scp -t /tmp", b"sh /x.sh", b"cat", b"sh", b"/bin/sh -c 'rm -f -r x'"])
def test_what_is_kept_is_what_would_be_said(function: Callable[[bytes], object], line: bytes) -> None:
    assert function(line) == function(line) == function.__wrapped__(line)  # type: ignore[attr-defined]
