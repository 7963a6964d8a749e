"""A line is read in the one way in which bash reads it, or not at all."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.policy.shell import Block, BlockKind, Command, Parsed, Pipeline, Unparsed, parse
from bastion.policy.words import UNKNOWN


def argv(line: str) -> list[list[str]]:
    """Words of every simple command of a line that must be readable."""
    parsed = parse(line.encode())
    assert isinstance(parsed, Parsed), parsed
    return [[word.text for word in command.words] for command in parsed.commands()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ls -l", [["ls", "-l"]]),
        ("r''m -rf x", [["rm", "-rf", "x"]]),
        ('"rm" x', [["rm", "x"]]),
        (r"\rm x\ y", [["rm", "x y"]]),
        (r"$'\x72m' $'a\tb' $'\162m'", [["rm", "a\tb", "rm"]]),
        ("'r'\"m\" x", [["rm", "x"]]),
        ("echo a{b,c}d {1,2}{x,y} {a} {a,b", [["echo", "abd", "acd", "1x", "1y", "2x", "2y", "{a}", "{a,b"]]),
        ("echo '{a,b}' \\{a,b}", [["echo", "{a,b}", "{a,b}"]]),
        ("echo \"a\\$b\\x\" '$c'", [["echo", "a$b\\x", "$c"]]),
        ("echo x$A y", [["echo", f"x{UNKNOWN}", "y"]]),
        ("find . > out -delete", [["find", ".", "-delete"]]),
        ("ls 2>&1 -l", [["ls", "-l"]]),
        ("> f cat x", [["cat", "x"]]),
        ("echo a \\\n b", [["echo", "a", "b"]]),
        ("ls # rm x\npwd", [["ls"], ["pwd"]]),
        ("ls `id -u`", [["id", "-u"], ["ls", UNKNOWN]]),
        ('echo "$(id; rm x)"', [["id"], ["rm", "x"], ["echo", UNKNOWN]]),
        ('echo ${x:-"$(id)"}', [["id"], ["echo", UNKNOWN]]),
        ("A=$(reboot) ls", [["reboot"], ["ls"]]),
        ("diff <(ls a) >(tee b)", [["ls", "a"], ["tee", "b"], ["diff", "/dev/fd/63", "/dev/fd/63"]]),
        ("if a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("for i in 1 $(x); do c $i; done", [["x"], ["c", UNKNOWN]]),
        ("case $(z) in a|b) c;; *) d;; esac", [["z"], ["c"], ["d"]]),
        ("f() { rm x; }; f", [["rm", "x"], ["f"]]),
        ('[ -n "$(id)" ] && ls', [["id"], ["ls"]]),
        ("export A=b; declare -x C", [["export", "A=b"], ["declare", "-x", "C"]]),
        ("cat <<'EOF' | psql app\n$(id)\nEOF", [["cat"], ["psql", "app"]]),
        ("cat <<EOF && rm x\nhi\nEOF", [["cat"], ["rm", "x"]]),
        ("! a | b |& c &", [["a"], ["b"], ["c"]]),
        ("(a; { b; })", [["a"], ["b"]]),
    ],
)
def test_words(line: str, words: list[list[str]]) -> None:
    assert argv(line) == words


@pytest.mark.parametrize(
    "line",
    [
        b"\xff", b"a\x00b", b"ls\rrm x", b"ls \x1b[2K", "ls \u202etxt".encode(), "l\u200bs".encode(), "a\xa0b".encode(),
        b"r\\\nm x", b"'r\\\nm' x", b"echo 'a", b'echo "a', b"$(", b"a && ", b"if x; then", b"ls )", b"{rm,-rf} x",
        b"echo $[1+1]", b"coproc rm x", b"echo $'\\u202e' x", b"echo $'a\\0b'", b"cat <<EOF\nno end", b"@(a|b) x",
        b"cat <<A <<B\na\nA\nb\nB\n", b"cat <<EOF -n\nx\nEOF\n", b"echo `echo \\`id\\``", b"a[$(id)]=1", b"(a) > b c",
        b"( " * 70 + b"a" + b")" * 70, b"echo " + b"$(echo " * 70 + b")" * 70,
    ],
)  # fmt: skip
def test_what_is_not_certain_is_not_read(line: bytes) -> None:
    assert isinstance(parse(line), Unparsed)


def test_shape() -> None:
    parsed = parse(b"a | b > f 2>&1; while read x; do c; done < g")
    assert isinstance(parsed, Parsed)
    pipeline, loop = parsed.root.parts
    assert isinstance(pipeline, Pipeline)
    last = pipeline.parts[1]
    assert isinstance(last, Command)
    assert [(one.operator, one.fd, one.word and one.word.text) for one in last.redirects] == [
        (">", "", "f"),
        (">&", "2", "1"),
    ]
    assert isinstance(loop, Block)
    assert loop.kind == BlockKind.LOOP
    assert [(one.operator, one.word and one.word.text) for one in loop.redirects] == [("<", "g")]


@pytest.mark.parametrize(
    ("line", "evaluates"),
    [("echo $((x))", True), ("echo $((1+2))", False), ("[[ $a -eq 1 ]]", True), ('[ "$a" -eq 1 ]', False),
     ("((x++))", True), ("echo ${!x}", True), ("echo ${x@P}", True), ("echo ${x:-y}", False), ("echo ${a[i]}", True),
     ("echo ${a[0]} ${#a[@]} ${x%.*} ${x:1:2}", False), ("[[ $a == b* ]]", False)],
)  # fmt: skip
def test_arithmetic_on_variables_is_marked(line: str, evaluates: bool) -> None:
    assert ("evaluates=True" in repr(parse(line.encode()))) == evaluates


WORDS = st.sampled_from(
    ["ls", "rm", "'a b'", '"c $x"', "$(id)", "`id`", "$'\\x41'", "\\", "\\\n", "#", "{a,b}", "<<E", "E", "\n", ";", "|",
     "&&", "||", "&", "(", ")", ">", "<", "2>&1", ">&", "f", "=", "x=1", "$((1))", "${x}", '"', "'", " ", " ", "[", "]",
     "if", "then", "fi", "case", "in", "esac", "!", "*", "{", "}", "$", "\t", "\r", "-c", "((", "))"]
)  # fmt: skip


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\x00")
@example(b"")
def test_any_bytes_give_a_result(command: bytes) -> None:
    assert isinstance(parse(command), Parsed | Unparsed)


@given(st.lists(WORDS, max_size=14).map("".join))
def test_any_shell_like_text_gives_a_result(line: str) -> None:
    assert isinstance(parse(line.encode()), Parsed | Unparsed)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=7).map("".join), min_size=12, max_size=12))
def test_what_is_read_bash_accepts(lines: list[str]) -> None:
    """A line that bash refuses must be Unparsed."""
    read = [line for line in lines if isinstance(parse(line.encode()), Parsed)]
    script = 'for line; do bash --norc -n -c -- "$line" 2>/dev/null || printf "%s\\0" "$line"; done'
    done = subprocess.run(["bash", "-c", script, "bash", *read], capture_output=True, check=True)
    assert done.stdout == b""
