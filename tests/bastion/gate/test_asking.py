"""What the bastion asks a shell about an item: none of the agent's text is run by it, and the answer is told apart."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gate.asking import (
    ANSWER_LIMIT,
    UNANSWERED,
    VARIABLES,
    WORDS_MOST,
    _between,
    context,
    plain,
    question,
    set_up,
    sift,
    unknown,
    words_of,
)

MARK = "1234567890" * 4


def ask(shell: list[str], item: bytes, before: str = "", status: int = 0) -> tuple[bytes, int]:
    """What a real shell says, and its status afterwards."""
    kind = "bash" if shell[0] == "bash" else "sh"
    asked = question(item, kind, MARK, status)
    assert asked is not None
    script = f"{before}\n".encode() + asked + b"\nexit $?\n"
    done = subprocess.run(shell, input=script, capture_output=True, timeout=20, check=False)
    answer, _ = sift(done.stdout, MARK)
    assert answer is not None, done
    return answer, done.returncode


def test_an_alias_a_function_a_trap_and_a_program_are_told() -> None:
    before = "shopt -s expand_aliases; alias ls='touch X; ls'\nrm() { echo no; }\ntrap 'echo T' DEBUG"
    answer, _ = ask(["bash"], b"ls; rm x; cat y", before)
    said = dict(context(answer, MARK))
    assert "ls is aliased to `touch X; ls'" in said["means"]
    assert "rm is a function" in said["means"]
    assert "echo T" in said["traps"]


def test_a_hashed_program_is_told() -> None:
    """`type -a` does not look into the table of hashed commands, and the shell does."""
    answer, _ = ask(["bash"], b"ls -l; cat", "hash -p /tmp/evil ls; hash cat")
    assert dict(context(answer, MARK))["means"].endswith("ls is hashed: /tmp/evil")
    assert not plain(answer, MARK)
    usual, _ = ask(["bash"], b"cat", "hash cat")
    assert context(usual, MARK) == ()


@pytest.mark.parametrize("shell", [["bash"], ["dash"], ["busybox", "sh"]])
def test_variables_that_change_what_programs_do_are_told(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    before = "export LD_PRELOAD='' HARMLESS='two\nlines' PERL5OPT='-Mevil\n-d'"
    answer, _ = ask(shell, b"ls", before)
    said = dict(context(answer, MARK))["variables"]
    assert "LD_PRELOAD=" in said
    assert "PERL5OPT=" in said
    assert "-d" in said
    assert "HARMLESS" not in said
    assert plain(answer, MARK)
    assert len(VARIABLES) == len(set(VARIABLES))


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"]])
def test_a_posix_shell_says_what_its_words_are(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    answer, _ = ask(shell, b"ls; cd /; rm x", "ls >/dev/null; rm() { echo no; }; trap 'echo T' EXIT")
    said = dict(context(answer, MARK))
    assert "rm is a " in said["means"]
    assert "function" in said["means"]
    assert "echo T" in said.get("traps", "echo T")  # in a subshell of some there are none
    usual, _ = ask(shell, b"ls", "ls >/dev/null")
    assert context(usual, MARK) == ()


def test_no_answer_is_said_to_be_none() -> None:
    assert context(b"", MARK) == (UNANSWERED,)
    assert not plain(b"", MARK)
    assert context(b"ls is /usr/bin/ls", MARK) == (UNANSWERED,)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (b"ls; cat x | wc", False),
        (b"$x y", True),
        (b"for i in a; do $i; done", True),
        (b"; ".join(b"p%d" % number for number in range(WORDS_MOST + 1)), True),
        (b"X=1", False),
        (b"\xff", True),
        (b"'a b' c", True),
    ],
)
def test_words_that_nobody_knows_beforehand(item: bytes, expected: bool) -> None:
    assert unknown(item) == expected


def test_where_a_word_is_not_known_all_of_the_shell_is_told() -> None:
    before = "shopt -s expand_aliases; alias x='y'; f() { :; }; __b_f() { :; }; PATH=/tmp/evil:$PATH"
    answer, status = ask(["bash"], b"$x", before, 3)
    said = dict(context(answer, MARK))
    assert (said["aliases"], said["functions"], status) == ("alias x='y'", "f", 3)
    assert said["PATH"].startswith("/tmp/evil:")
    quiet, _ = ask(["bash"], b"$x", "PATH=/usr/bin:/bin")
    assert context(quiet, MARK) == ()
    assert not plain(quiet, MARK)
    posix, _ = ask(["dash"], b"$x", "alias x='y'; PATH=/tmp/evil:$PATH")
    assert "x='y'" in dict(context(posix, MARK))["aliases"]


def test_what_everybody_expects_is_not_told() -> None:
    answer, status = ask(["bash"], b"cd /tmp && true")
    assert context(answer, MARK) == ()
    assert plain(answer, MARK)
    assert status == 0


@pytest.mark.parametrize("shell", [["bash"], ["bash", "--posix"], ["dash"]])
@pytest.mark.parametrize("status", [0, 1, 130])
def test_the_status_stays(shell: list[str], status: int) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    assert ask(shell, b"ls", f"(exit {status})", status)[1] == status


def test_it_ends_no_shell_under_set_e() -> None:
    _, status = ask(["bash"], b"no-such-program", "set -euo pipefail", 3)
    assert status == 0


@pytest.mark.parametrize("shell", [["bash"], ["bash", "--posix"], ["dash"], ["busybox", "sh"]])
def test_a_strict_shell_answers_too(shell: list[str]) -> None:
    """What fails in between (nothing hashed, no such program, no such variable) is no end of the answer."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    answer, _ = ask(shell, b"no-such-program; ls; $x", "set -e; alias x=y")
    said = dict(context(answer, MARK))
    assert "no-such-program" in said["means"]
    assert "aliases" in said


def test_only_plain_words_are_asked_about() -> None:
    assert words_of(b"'$(touch X)' a; $x b; \"a b\" c; -x; l\\\ns") == []
    assert question(b"X=1", "bash", MARK, 0) is None
    assert len(words_of(b"; ".join(b"p%d" % number for number in range(50)))) == WORDS_MOST


@given(st.text(max_size=40))
def test_no_text_of_the_agent_is_run(text: str) -> None:
    for word in words_of(text.encode(errors="ignore")):
        assert not set(word) & set("'\"`$\\;&|<>(){}*?~#!\n \t=")


def test_what_others_print_meanwhile_is_kept() -> None:
    data = f"job{MARK}answer{MARK} done".encode()
    assert sift(data, MARK) == (b"answer", b"job done")
    assert sift(data[:20], MARK) == (None, data[:20])


def test_a_long_answer_is_cut_with_a_word() -> None:
    apart = _between(MARK).encode()
    ((_, text),) = context(b"f is a function\n" + b"x" * ANSWER_LIMIT + 6 * apart, MARK)
    assert text.endswith("characters)")


def test_the_safer_environment() -> None:
    done = subprocess.run(
        ["bash"], input=set_up("bash") + b"\necho $PAGER $LESSSECURE", capture_output=True, check=True
    )
    assert done.stdout == b"cat 1\n"
