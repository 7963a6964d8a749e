"""Variables: which names make programs run code."""

from __future__ import annotations

import pytest

from bastion.policy import programs
from bastion.policy.variables import Variables
from bastion.policy.words import UNKNOWN

VARIABLES = Variables(programs.load().tables["env"])


@pytest.mark.parametrize(
    ("name", "value", "exported", "action"),
    [
        ("LD_PRELOAD", "x", True, "environment-code"),
        ("PATH", "x", False, "environment-code"),
        ("PATH+", "x", False, "environment-code"),
        ("BASH_CMDS[ls]", "x", False, "environment-code"),
        ("BASH_FUNC_ls%%", "x", True, "evaluates"),
        ("GIT_SSH_COMMAND", "x", True, "environment-code"),
        ("PAGER", "less", True, "environment-code"),
        ("PAGER", "cat", True, ""),
        ("LC_ALL", "C", True, ""),
        ("PGPASSWORD", "x", True, ""),
        ("FOO", "x", True, "environment"),
        ("foo", "x", False, ""),
        ("foo[0]", "x", False, ""),
        ("foo[@]", "x", False, ""),
        ("foo[bar]", "x", False, "evaluates"),
        ("foo[$(id)]", "x", False, "evaluates"),
        (UNKNOWN, "x", False, "evaluates"),
        (f"a{UNKNOWN}", "x", False, "evaluates"),
        ("", "x", False, "evaluates"),
    ],
)
def test_what_setting_it_does(name: str, value: str, exported: bool, action: str) -> None:
    assert VARIABLES.action(name, value, exported=exported) == action
