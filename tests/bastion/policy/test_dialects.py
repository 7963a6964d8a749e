"""Which lines every shell reads alike, compared with real shells; and what each of them answers to the question."""

from __future__ import annotations

import os
import random
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from bastion.model import Assessment, Tier
from bastion.policy import dialects
from bastion.policy.dialects import OTHER, POSIX, UNKNOWN, alike, beside, told, understood
from bastion.policy.risk import assess

SHELLS = {"bash": "bash", "dash": "sh", "mksh": "ksh", "busybox sh": "sh", "zsh": "zsh", "fish": "fish", "tcsh": OTHER}


def run(shell: str, line: bytes, **more: object) -> subprocess.CompletedProcess[bytes]:
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{shell} is not installed")
    return subprocess.run([*shell.split(), "-c", line], capture_output=True, timeout=30, check=False, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_says_what_it_is(shell: str) -> None:
    said = run(shell, dialects.QUESTION).stdout
    assert understood(b"Welcome!\n" + said) == SHELLS[shell]


@pytest.mark.parametrize("answer", [b"", b"shell;\\\\;\\;5;;;\n", b"This account is not available.\n"])
def test_what_is_no_answer(answer: bytes) -> None:
    assert understood(answer) == UNKNOWN


def test_csh_is_none_whatever_its_variables_hold() -> None:
    environment = {**os.environ, "BASH_VERSION": "5", "ZSH_VERSION": "", "KSH_VERSION": ""}
    assert understood(run("tcsh", dialects.QUESTION, env=environment).stdout) == OTHER


_EVERY = "".join(chr(code) for code in range(32, 127)) + "\t"
SINGLE = "".join(char for char in _EVERY if alike(f"x '{char}'".encode(), UNKNOWN))
DOUBLE = "".join(char for char in _EVERY if alike(f'x "{char}"'.encode(), UNKNOWN))
BARE = "".join(char for char in string.printable if alike(f"x a{char}a".encode(), UNKNOWN) and char not in " \t\n|;")
LEADING = "".join(char for char in BARE if alike(f"x {char}a".encode(), UNKNOWN))


def lines() -> list[list[str]]:
    """Arguments as written: each character that may be, in each place; then at random. `[` and what is expanded do not
    stand in one line."""
    found = [[f"{char}a" for char in LEADING], [f"a{char}a" for char in BARE], list(BARE)]
    for not_these in ("[", "$`"):
        single = "".join(char for char in SINGLE if char not in not_these)
        double = "".join(char for char in DOUBLE if char not in not_these)
        dice = random.Random(7770)
        words = [f"'{single}'", f'"{double}"']
        for _ in range(200):
            pieces = [dice.choice(LEADING)]
            for _ in range(dice.randrange(4)):
                kind = dice.randrange(3)
                text = "".join(dice.choices((BARE, single, double)[kind], k=dice.randrange(1, 6)))
                pieces.append((text, f"'{text}'", f'"{text}"')[kind])
            words.append("".join(pieces))
        found.append(words)
    return [[word for word in words if alike(f"x {word}".encode(), UNKNOWN)] for words in found]


def printing(words: list[str]) -> bytes:
    return f"{shutil.which('printf')} '<%s>' {' '.join(words)}".encode()


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return [run("dash", printing(words)).stdout for words in lines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_such_words_alike(shell: str, expected: list[bytes]) -> None:
    for words, what in zip(lines(), expected, strict=True):
        assert alike(printing(words), UNKNOWN)
        assert run(shell, printing(words)).stdout == what
        assert what.count(b"<") >= len(words) > 0


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_lists_and_pipes_alike(shell: str) -> None:
    line = b"echo a | tr a b; true && echo c || echo d; false || echo e\n"
    assert alike(line, UNKNOWN)
    assert run(shell, line).stdout == b"b\nc\ne\n"


DIFFERENT = [
    'echo "\\`touch X\\`"',  # csh: nothing is quoted in there
    "echo 'a\ntouch X\nb'",  # csh: the text ends with the line
    'echo "a\ntouch X\nb"',
    "ls 2>&1",  # csh: writes a file 1
    "ls >&1",
    "cat =ls",  # zsh: where ls is
    "ls $=LC_ALL",
    "ls (touch X)",  # fish
    "echo '\\'; touch X #'",
    "echo !!",
    "echo '!!'",
    "^a^b",
    "%1",
    "@ x = 1",
    "echo {a,b}",
    "test 'a[$(touch X)]' -eq 1",  # ksh: arithmetic
    "shift 'a[$(touch X)]'",
    "test 1 -eq 'a'\"[\"'$(touch X)]'",
    "ls *",
    "cat ~root/x",
    "ls &",
    "echo a\nls",
    "echo \u00e4",
    "x=1 ls",
    "ls # x",
    "- ls",
    "",
]


@pytest.mark.parametrize("line", DIFFERENT)
def test_what_some_shell_reads_otherwise(line: str) -> None:
    assert not alike(line.encode(), UNKNOWN)
    assert not alike(line.encode(), OTHER)
    assert all(alike(line.encode(), shell) for shell in POSIX)


@pytest.mark.parametrize("line", [line for line in DIFFERENT if "touch X" in line])
@pytest.mark.parametrize("shell", ["tcsh", "zsh", "fish", "mksh"])
def test_what_they_make_of_it_never_runs_as_low(line: str, shell: str, tmp_path: Path) -> None:
    run(shell, line.encode(), cwd=tmp_path)
    found = told(assess(line.encode()), line.encode(), SHELLS[shell])
    assert found.tier is not Tier.LOW
    assert not (tmp_path / "X").exists() or found.tier is Tier.HIGH or shell != "tcsh"


def test_csh_does_something_else_with_what_only_reads(tmp_path: Path) -> None:
    line = DIFFERENT[0].encode()
    assert assess(line).tier is Tier.LOW
    run("tcsh", line, cwd=tmp_path)
    assert (tmp_path / "X").exists()


def test_the_assessment_says_so() -> None:
    low = Assessment(0, Tier.LOW, ("only reads",), (0,))
    assert told(low, b"ls $X", "bash") == told(low, b"ls $X", UNKNOWN) == told(low, b"ls x", OTHER) == low
    changed = told(low, b"ls $X", OTHER)
    assert (changed.tier, changed.score, len(changed.reasons), len(changed.weights)) == (Tier.HIGH, 60, 2, 2)
    assert OTHER in changed.reasons[0]
    assert told(low, b"ls $X", "zsh").tier is Tier.MEDIUM
    high = Assessment(90, Tier.HIGH, ("deletes",), (90,))
    assert (told(high, b"rm $X", "zsh").tier, told(high, b"rm $X", "zsh").score) == (Tier.HIGH, 90)


def test_beside_a_shell_a_second_line_is_needed() -> None:
    assert beside(b"ls $X", "/a b'c", "bash")
    assert beside(b"ls x", "/a b", "zsh")
    assert not beside(b"ls x", "/a'b", "fish")
    assert not beside(b"ls $X", "/a", "zsh")
    assert not beside(b"ls x", "/a", OTHER)
    assert not beside(b"ls x", "/a", UNKNOWN)
