"""Lines at random that would make a file, in what people write and broken in small ways: bash runs whatever is called
low, and makes none. A fixed handful here; BASTION_RANDOM=seconds goes on with others for so long.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.model import Tier
from bastion.policy.risk import assess

SECONDS = float(os.environ.get("BASTION_RANDOM", "0"))
LINES = 3_000
"""Lines of the handful; some 60 of them are low. 5-10 s."""

WRITTEN = (
    "ls -l", "cat <<E\na $x b\nE", "cat <<-E\n\ta\n\tE", "cat <<'E'\n$x\nE", "cat <<E && ls\nx\nE",
    "x=$(cat <<E\nx\nE\n)",
    "for i in a b; do echo $i; done", "if true; then ls; fi", "while false; do :; done", "case x in x) ls;; esac",
    "case $x in a|b) ls ;; *) echo n ;; esac", "[ -f f ] && ls", "[[ -f f ]] || ls", "[ a = b ]; ls", "{ ls; echo b; }",
    "(ls; echo b)", "ls | sort", "ls > /dev/null 2>&1", "! ls", "f() { ls; }; f", "x=(a b)", 'echo "$(ls)" `ls`',
    "echo $((1+2)) ${x:-a}", "ls # c", "ls \\\n -l", "cat < f", "cat <<< x", "diff <(ls) <(ls)", "echo {a,b}",
    "((1+1))",
    "bash -c 'ls; ls'", "find . -exec ls {} \\;", "sed -n 1p f", "awk '{print $1}' f", "printf '%s\\n' a", "env ls",
)  # fmt: skip
MAKES = (
    "touch P", "`touch P`", "$(touch P)", "<(touch P)", ">P", "\ntouch P\n", "&touch P", "|touch P", ";touch P", "2>P",
    "\n touch P #", '"; touch P; "', "'; touch P; '", "${x-`touch P`}", "${x:=$(touch P)}", "{touch,P}", "e touch P",
    "& touch P &", "a[$(touch P)]", "$'touch' P", ">>P", "<>P", '"`touch P`"', "$((`touch P`))", "x=`touch P`",
)  # fmt: skip
BREAKS = (
    '"', "'", "`", "\\", "\n", " ", "\t", ";", "&", "|", "(", ")", "{", "}", "[", "]", "<", ">", "<<E\n",
    "\nE\n", "$", "#",
    "!", "=", "*", "\\\n", "$(", "${", "$((", "))", "<(", "esac", ";;", "do", "done", "fi", "then", "||", "&&", "<<<",
    "2>&1", "[[", "]]", "((", "$'", '$"', "case x in", "x)", "function f", "f()", "a=(", "<<-E", "<<'E'", "\nE", "é",
)  # fmt: skip


def lines(chance: random.Random) -> Iterator[str]:
    while True:
        line = chance.choice(WRITTEN)
        if chance.random() < 0.3:
            line += chance.choice((";", "\n", " && ", " | ")) + chance.choice(WRITTEN)
        for part in (*chance.choices(BREAKS, k=chance.randint(0, 3)), chance.choice(MAKES)):
            at = chance.randint(0, len(line))
            line = line[:at] + part + line[at + (chance.randint(1, 3) if chance.random() < 0.2 else 0) :]
        yield line


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.timeout(120 + SECONDS)
def test_what_is_low_makes_no_file(tmp_path: Path) -> None:
    there = {"f": "a b\nc\n"}
    (tmp_path / "f").write_text(there["f"])
    until = time.monotonic() + SECONDS
    low = 0
    for number, line in enumerate(lines(random.Random(time.time_ns() if SECONDS else 7))):
        if number >= LINES and time.monotonic() >= until:
            break
        if assess(line.encode()).tier is not Tier.LOW:
            continue
        low += 1
        subprocess.run(
            ["timeout", "2", "bash", "-c", line],
            cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert {each.name: each.read_text() for each in tmp_path.iterdir()} == there, line
    assert low > 20
