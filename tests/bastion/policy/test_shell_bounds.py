"""No command line costs the daemon more than a moment or more than a little memory, however it is made."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from bastion.model import COMMAND_LIMIT
from bastion.policy.shell import PIPES_LIMIT, Unparsed, parse

PATTERNS = [
    "a|", "a||", "a&&", "a;", "a&", "`", "x ", "cat <<A\n", "[[", "a=(", "${", "{a,b}", "<(", "$((", "case x in ",
    "if ", "! ", ">a ", "((", "f()", '"$(', "a=b ", "$x", "''", "\n", "#", "\\\n", "f(){ ", "for x in ", "while ",
    "<<<a ", "*", "?[", "~", '$"a"', "${x:-", "$[", "function f ", "a[0]=", "{", "}", ")", "{1..9}", "$'\\x41'",
]  # fmt: skip

SECONDS = 2
MEMORY = 512 << 20

PROGRAM = """
import sys
from bastion.policy.stdin import reads_code
size, pattern = int(sys.argv[1]), sys.argv[2]
for head in ("", "echo ", "echo '", "x=", "echo $("):
    reads_code((head + pattern * size).encode()[:size])
"""


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_long_line_of_anything_is_cheap(pattern: str) -> None:
    """In a process of its own, which the kernel ends past the limits."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(COMMAND_LIMIT), pattern], preexec_fn=limit, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()[-300:]


def test_pipes_at_the_limit_and_one_more() -> None:
    line = b"|".join([b"a"] * (PIPES_LIMIT + 1))
    assert not isinstance(parse(line), Unparsed)
    more = parse(line + b"|a")
    assert isinstance(more, Unparsed)
    assert "500 pipes" in more.reason
