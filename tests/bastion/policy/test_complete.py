"""Whether an item is whole: compared line by line with what bash itself says."""

from __future__ import annotations

import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.complete import DEPTH_LIMIT, Reader, what_is_open

ITEMS = [
    "echo hi",
    "echo 'a\nb'",
    'echo "a $(date\n) b"',
    "cat <<E\n$(touch X)\nE",
    "cat <<-'EOF' | grep x\n\tfoo\n\tEOF",
    "if true; then\n echo a\nelif false\nthen echo b\nelse\n echo c\nfi",
    "for x in 1 2 3; do\necho $x\ndone",
    "for ((i=0;i<3;i++)); do\n echo $i\ndone",
    "for x\ndo echo $x; done",
    'while read x; do echo $x; done <<< "a\nb"',
    "case x in\n a) echo a;;\n (b|c) echo b\n ;;\n *) case y in y) true;; esac ;;\nesac",
    "f() {\n echo f\n}",
    "function g {\n echo g\n}",
    "function h()\n{\n echo h\n}",
    "f()\n(\n echo sub\n)",
    "{ echo a\necho b; }",
    "(echo a\necho b)",
    "a=(1 2\n3)",
    "echo a |\n cat",
    "true &&\n false ||\n true",
    "echo `date\n`",
    "((x = 1 +\n2))",
    "echo $((1 << 2))",
    "echo $(( (1+2) *\n3 ))",
    "echo ${x:-a\nb}",
    "true # comment 'quote",
    "# just comment (",
    "echo a#b '#' c",
    'echo "it\'s" \'say "x"\'',
    "echo $'a\\'b\nc'",
    "if a; then if b; then c; fi fi",
    "time {\n echo\n}",
    "! {\n echo\n}",
    "cat <<A <<B\na\nA\nb\nB",
    "echo $(cat <<E\ninner\nE\n)",
    "fi",
    "echo )",
    "done",
    "if a; done",
    "select x in a b; do\nbreak\ndone",
    "until false; do\n break\ndone",
    "echo if then fi",
    "echo done",
    "x=1 if",
    "echo {a,b}",
    "echo a; }",
    "while :\ndo\n :\ndone | cat",
    "{ { { true; }; }; }",
    "f() { if true; then\n cat <<E\n$x 'unbalanced\nE\nfi; }",
    "coproc {\n cat\n}",
    "case $x in a) ;; esac",
    "case x in esac",
    'case "$1" in\nstart|stop) foo ;;\nesac',
    "echo <(cat\n)",
    "diff <(ls a) <(ls b)",
    "test a -lt 1 && {\n echo\n}",
    'echo "a\\"\nb"',
    "a=$(\n ls\n)",
    'export X="y\nz"',
    "echo \\'",
    "echo a\\\\",
    "if [ -f x ]; then echo; fi",
    "if [[ $a =~ ^x.*$ ]]; then\necho\nfi",
    "cat > f <<'E'\nif\nE",
    "sudo sh -c 'echo a\necho b'",
    "cat<<E\nx\nE",
    "echo a >&2",
    "echo a &> f",
    "echo a & ",
    "sleep 1 &",
    "wait",
    "x() { :; }; x",
    'for f in *.txt; do mv "$f" "${f%.txt}"; done',
    "echo {",
    "echo }",
    "then",
]
"""Each is whole with its last line, and not before; some are errors, which bash reports at once."""


def bash_wants_more(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, check=False)
    said = done.stderr.decode()
    return "unexpected end of file" in said or "unexpected EOF" in said or "here-document at line" in said


@pytest.mark.parametrize("item", ITEMS)
def test_as_bash_sees_it(item: str) -> None:
    reader = Reader()
    lines = item.split("\n")
    for number, line in enumerate(lines, 1):
        more = reader.open(line)
        assert bool(more) == bash_wants_more("\n".join(lines[:number]) + "\n"), (more, lines[:number])
    assert more == ""


def test_what_bash_only_asks_for_at_a_prompt() -> None:
    """Read from a file, bash takes these as they are, or calls them errors."""
    reader = Reader()
    assert [reader.open(line) for line in ("echo a \\", " b \\", " c")] == ["a continued line"] * 2 + [""]
    reader = Reader()
    assert [reader.open(line) for line in ("[[ a == b &&", " c == d ]]")] == ["a condition", ""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat <<E", "a here-document until E"),
        ("echo 'a", "a quote"),
        ("a |", "a command behind the operator"),
        ("f()", "the body of a function"),
        ("for x in a", "a loop without done"),
        ("true # \\", ""),
        ("", ""),
        (")", ""),
    ],
)
def test_says_what_is_open(text: str, reason: str) -> None:
    assert what_is_open(text) == reason


PIECES = [
    "(",
    ")",
    "{",
    "}",
    '"',
    "'",
    "`",
    "$",
    "$(",
    "${",
    "((",
    "))",
    "[[",
    "]]",
    "if",
    "fi",
    "case",
    "in",
    "esac",
    "do",
    "done",
    "for",
    "<<E",
    "E",
    "\\",
    "a",
    "=",
    "|",
    "&&",
    ";",
    ";;",
    "#",
    "function",
    "()",
    "\n",
]


@given(st.lists(st.sampled_from([*PIECES, " ", "\n"]), max_size=30))
def test_nothing_makes_it_raise(pieces: list[str]) -> None:
    what_is_open("".join(pieces))


@pytest.mark.parametrize("piece", ["(", '"$(', "$((", "[", "(x)", "f( ", "\\", "case x in ", "{ ", "<<E "])
def test_no_text_takes_long(piece: str) -> None:
    """64 KiB, a hundred times the time that they take."""
    begun = time.process_time()
    what_is_open(piece * (65_536 // len(piece)))
    assert time.process_time() - begun < 5


def test_a_here_document_costs_its_own_length() -> None:
    reader = Reader()
    reader.open("cat <<E")
    begun = time.process_time()
    for _ in range(60_000):
        assert reader.open("x")
    assert time.process_time() - begun < 5
    assert reader.open("E") == ""


def test_nesting_has_an_end() -> None:
    assert what_is_open("( " * DEPTH_LIMIT) == "a parenthesis"
    assert what_is_open("( " * (DEPTH_LIMIT + 1)) == ""
