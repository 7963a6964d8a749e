"""What a command stands in: another stdin changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bastion.policy.surroundings import Input, Where

WHERE = Where(Input(), 3, frozenset({"f"}), ("/srv",), terminal=True, captured=False)


@pytest.mark.parametrize("stdin", [WHERE.stdin, Input(fetched=True)], ids=["the same", "another"])
@pytest.mark.parametrize("captured", [False, True])
def test_it_is_the_same_but_for_stdin(stdin: Input, captured: bool) -> None:
    made = WHERE.reads(stdin, captured=captured)
    assert made == replace(WHERE, stdin=stdin, captured=captured)
    assert made.spent is WHERE.spent  # what is spent is spent by the whole line
