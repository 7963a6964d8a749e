"""What is not low by itself is not low inside anything else, and nothing makes the classifier fail."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import Tier
from bastion.policy.risk import assess
from tests.bastion.policy.test_cases import FILES, UNSAFE, cases

EVERY = 11
"""Each so many-th unsafe case is wrapped: some 150 times 36."""
UNSAFE_COMMANDS = [
    command
    for file in FILES
    for command in cases(Path(file), *UNSAFE)
    if not command.startswith(("xargs", "systemctl list-", "systemctl cat"))  # those depend on what is around them
][::EVERY]

quote = shlex.quote
WRAPPERS: dict[str, Callable[[str], str]] = {
    "after": lambda text: f"ls; {text}",
    "before": lambda text: f"{text}\nls",
    "and": lambda text: f"true && {text}",
    "or": lambda text: f"false || {text}",
    "subshell": lambda text: f"( {text}\n)",
    "group": lambda text: f"{{ {text}\n}}",
    "if": lambda text: f"if true; then {text}\nfi",
    "while": lambda text: f"while true; do {text}\ndone",
    "for": lambda text: f"for i in a; do {text}\ndone",
    "case": lambda text: f"case x in x) {text}\n;; esac",
    "function": lambda text: f"f() {{ {text}\n}}; f",
    "time": lambda text: f"time {text}",
    "negation": lambda text: f"! {text}",
    "chain": lambda text: f"cat x | {text}",
    "substitution": lambda text: f"echo $({text}\n)",
    "quoted substitution": lambda text: f'echo "$({text}\n)"',
    "assignment": lambda text: f"x=$({text}\n)",
    "process": lambda text: f"cat <({text}\n)",
    "process in a loop": lambda text: f"while read -r l; do echo; done < <({text}\n)",
    "here-string": lambda text: f'cat <<< "$({text}\n)"',
    "bash -c": lambda text: f"bash -c {quote(text)}",
    "eval": lambda text: f"eval {quote(text)}",
    "env": lambda text: f"env -i bash -c {quote(text)}",
    "timeout": lambda text: f"nice -n 5 timeout -k 5 10 sh -c {quote(text)}",
    "xargs": lambda text: f"ls | xargs bash -c {quote(text)}",
    "find": lambda text: f"find . -exec bash -c {quote(text)} \\;",
    "here-document": lambda text: f"bash <<'END OF IT'\n{text}\nEND OF IT",
    "shell's here-string": lambda text: f"bash <<< {quote(text)}",
    "echo": lambda text: f"echo {quote(text)} | bash",
    "printf": lambda text: f"printf %s {quote(text)} | sh",
    "docker": lambda text: f"docker exec web sh -c {quote(text)}",
    "sudo": lambda text: f"sudo -u app bash -c {quote(text)}",
    "flock": lambda text: f"flock -n /tmp/l -c {quote(text)}",
    "watch": lambda text: f"watch {quote(text)}",
    "exec": lambda text: f"exec bash -c {quote(text)}",
    "busybox": lambda text: f"busybox sh -c {quote(text)}",
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_makes_nothing_low(wrapper: str) -> None:
    wrapped = [WRAPPERS[wrapper](command) for command in UNSAFE_COMMANDS]
    found = [(command, assess(command.encode())) for command in wrapped]
    assert [command for command, one in found if one.tier is Tier.LOW] == []
    assert [command for command, one in found if "the risk classifier failed" in one.reasons[0]] == []


JUMBLE = (
    'ls cat rm -rf /etc/shadow /tmp/x $x "$x" $(id) `id` <(ls) > >> < << EOF \n ; && || | & ( ) { } [[ ]] (( )) [ ] '
    "x=1 PATH=/x a[0]=1 if then fi for in do done while case esac f() ! time sudo env xargs find -exec {} \\; bash -c "
    "'ls' 'rm x' {a,b} * ? ~ # -- - -x --x=y awk '{print}' sed s/a/b/ psql 'select 1' \\ é \u202e"
)
PIECES = st.sampled_from(JUMBLE.split(" "))


@given(st.lists(PIECES, max_size=14).map(" ".join))
def test_any_jumble_gets_an_answer_that_adds_up(text: str) -> None:
    found = assess(text.encode())
    assert found.score == sum(found.weights)
    assert len(found.reasons) == len(found.weights) > 0
    assert found.tier is (Tier.LOW if found.score < 25 else Tier.MEDIUM if found.score < 60 else Tier.HIGH)
    assert "the risk classifier failed" not in found.reasons[0]


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    for language in ("bash", "psql", "mysql", "sqlite", "redis", "mongo"):
        assert assess(data, data, language=language, cwd=data.decode("latin-1")).score is not None


@pytest.mark.parametrize(
    "command",
    [
        b"rm " + b"/etc/a " * 18_000,
        b"cat " + b"/etc/sha*d*o*w* " * 8_000,
        b"cat /" + b"*a" * 60_000,
        b"echo " + b"{a," * 20_000 + b"}" * 20_000,
        b"psql -c 'select 1" + b" union select 1" * 8_000 + b"'",
        b"psql -c 'select " + b"(" * 60_000 + b"'",
        b"ls;" * 43_000,
        b'"' * 131_000,
        b"(" * 60_000,
        b"echo " + b"$(" * 60_000,
        b"sudo " * 26_000 + b"rm x",
        b"awk '{x=" + b"(" * 120_000 + b"}'",
        b"cd a;" * 4_000 + b"cat x",
    ],
    ids=lambda command: command[:12].decode(),
)
@pytest.mark.timeout(20)
def test_what_is_huge_or_deep_is_answered(command: bytes) -> None:
    """Each within a second on an idle machine; the limits are in shell.py, running.py and words.py."""
    assert assess(command).score is not None


def test_the_last_of_many_paths_is_among_the_effects_and_too_many_things_are_opaque() -> None:
    found = assess(b"touch " + b"".join(b"a%d " % number for number in range(1_500)) + b"/srv/app/x")
    assert any(effect.what == "/srv/app/x" for effect in found.effects)
    commands = b"\n".join(b"touch a%d b%d c%d" % (number, number, number) for number in range(1_800))
    assert "it does more than 5,000 things" in assess(commands).reasons[0]
