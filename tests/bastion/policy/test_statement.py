"""COMPLETE for what is open is the error that matters: the next line would be judged as something that it is not."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastion.policy.repl import Language
from bastion.policy.statement import PYTHON_LIMIT, STATEMENT_LIMIT, Standing, standing

C, O, U = Standing.COMPLETE, Standing.OPEN, Standing.UNKNOWN  # noqa: E741 -- columns of a table

TABLE: list[tuple[Language, str, Standing]] = [
    *(
        (language, text, said)
        for language in (Language.PSQL, Language.MYSQL, Language.SQLITE)
        for text, said in (
            ("", C),
            ("  \n", C),
            ("select 1;", C),
            ("select 1; select 2;", C),
            ("select 1 -- ;", O),
            ("select 1 -- '\n;", C),
            ("-- only words;", C),
            ("select 1", O),
            ("select 1; select 2", O),
            ("select ';", O),
            ("select ';\n';", C),
            ("select 'it''s;", O),
            ("select 'it''s';", C),
            ('select ";', O),
            ("/* ;", O),
            ("select /* ' */ 1;", C),
            ("select 1;\x00", U),
            ("select\t1;", U),
            ("select '\u202e';", U),
        )
    ),
    (Language.PSQL, "select '\\';", U),
    (Language.PSQL, "select '\\\\';", C),
    (Language.PSQL, "select E'\\';", O),
    (Language.PSQL, "select E'\\'';", C),
    (Language.PSQL, "select namE'\\';", U),
    (Language.PSQL, "select $a$ ; $b$ ' $a$;", C),
    (Language.PSQL, "select $a$;", O),
    (Language.PSQL, "select $$ ; $$;", C),
    (Language.PSQL, "select x$$;", U),
    (Language.PSQL, "select (1;", O),
    (Language.PSQL, "select (1);", C),
    (Language.PSQL, "/* /* */", O),
    (Language.PSQL, "/* /* */ */", C),
    (Language.PSQL, "\\dt", C),
    (Language.PSQL, "\\d+ users", C),
    (Language.PSQL, "select 1 \\g", C),
    (Language.PSQL, "select 1 \\gx", C),
    (Language.PSQL, "select 1 \\timing", O),
    (Language.PSQL, "select 1 \\;", O),
    (Language.PSQL, "select 1 \\; select 2;", C),
    (Language.PSQL, "\\set x 'drop table t'", U),
    (Language.PSQL, "select 1 \\gset", U),
    (Language.PSQL, "\\e", U),
    (Language.PSQL, "\\! sh", U),
    (Language.PSQL, "\\dt `sh`", U),
    (Language.PSQL, "\\dt \\! sh", U),
    (Language.PSQL, "\\dtevil", C),
    (Language.PSQL, "\\gevil", U),
    (Language.PSQL, "select 1 \\g (format=csv", U),  # an error that keeps the statement
    (Language.PSQL, ":x;", U),
    (Language.PSQL, "select :'x';", U),
    (Language.PSQL, "select 1::int;", C),
    (Language.PSQL, "create function f() begin atomic select 1; end;", U),
    (Language.PSQL, "begin; commit;", C),
    (Language.MYSQL, "select 1\\G", C),
    (Language.MYSQL, "select 1\\g select 2", O),
    (Language.MYSQL, "drop table x\\c", C),
    (Language.MYSQL, "select '\\';", U),
    (Language.MYSQL, "select `a;", O),
    (Language.MYSQL, "select `a\\`;", C),
    (Language.MYSQL, "# it's", C),
    (Language.MYSQL, "select 1 --;", C),
    (Language.MYSQL, "/* kept */", O),
    (Language.MYSQL, "/*!50000 drop table x */;", U),
    (Language.MYSQL, "use shop", C),
    (Language.MYSQL, "  USE shop", C),
    (Language.MYSQL, "select 1\nuse shop", O),
    (Language.MYSQL, "delimiter //", U),
    (Language.MYSQL, "\\d //", U),
    (Language.MYSQL, "system sh", U),
    (Language.MYSQL, "\\! sh", U),
    (Language.MYSQL, "source x", U),
    (Language.MYSQL, "pager sh", U),
    (Language.SQLITE, ".tables", C),
    (Language.SQLITE, " .tables", O),
    (Language.SQLITE, ".shell sh", U),
    (Language.SQLITE, ".sh sh", U),
    (Language.SQLITE, ".system sh", U),
    (Language.SQLITE, ".read x", U),
    (Language.SQLITE, "select [;", O),
    (Language.SQLITE, "select [a];", C),
    (Language.SQLITE, "select `;", O),
    (Language.SQLITE, "create trigger a after insert on b begin select 1;", O),
    (Language.SQLITE, "create temp trigger a after insert on b begin select 1; end;", C),
    (Language.PYTHON, "", C),
    (Language.PYTHON, "x = 1", C),
    (Language.PYTHON, "x = (1,", O),
    (Language.PYTHON, "if x:", O),
    (Language.PYTHON, "if x:\n    y = 1\n", O),
    (Language.PYTHON, "if x:\n    y = 1\n\n", C),
    (Language.PYTHON, "'''", O),
    (Language.PYTHON, "'", U),
    (Language.PYTHON, "x = 1\ny = 2", U),
    (Language.PYTHON, "(" * 1000, U),
    (Language.REDIS, "get x", C),
    (Language.REDIS, 'set x "', C),
    (Language.REDIS, "get x\nget y", U),
    (Language.BC, "1 + 1", C),
    (Language.BC, "define f(x) {", O),
    (Language.BC, "define f(x) {\nreturn x\n}", C),
    (Language.BC, "/* 1", O),
    (Language.BC, '"', O),
    (Language.BC, "1 + \\", O),
    (Language.BC, "}", U),
    (Language.BC, "1 \\ 2", U),
    (Language.BASH, "ls -l", C),
    (Language.BASH, "psql", U),
    (Language.BASH, "cat > f", U),
    (Language.BASH, "read x", U),
    (Language.BASH, "echo '", U),
    (Language.BASH, "cat <<E", U),
    (Language.NODE, "1", U),
    (Language.RUBY, "1", U),
    (Language.PHP, "1;", U),
    (Language.MONGOSH, "1", U),
]


@pytest.mark.parametrize(("language", "text", "said"), TABLE)
def test_table(language: Language, text: str, said: Standing) -> None:
    assert standing(language, text.encode()) is said


@pytest.mark.parametrize("language", list(Language))
def test_what_is_no_text_is_unknown(language: Language) -> None:
    assert standing(language, b"select '\xff';") is U


def test_limits() -> None:
    filler = b"-" * (STATEMENT_LIMIT - 1) + b"\n"
    assert standing(Language.PSQL, filler) is C
    assert standing(Language.PSQL, b"-" + filler) is U
    assert standing(Language.PYTHON, b"#" * (PYTHON_LIMIT - 1)) is C
    assert standing(Language.PYTHON, b"#" * PYTHON_LIMIT) is U


_PIECES = "' \" ` [ ] ; -- /* */ \\ $a$ $$ E ( ) select begin end create trigger .tables # :x x 1 \\g delimiter if {"
SOUP = st.lists(st.sampled_from([*_PIECES.split(), "\n", " ", "use y"]), max_size=14).map("".join)


@given(st.sampled_from(list(Language)), st.binary(max_size=40) | SOUP.map(str.encode))
def test_any_bytes_give_an_answer(language: Language, text: bytes) -> None:
    assert isinstance(standing(language, text), Standing)


@example("/*/*/**/")
@settings(max_examples=500)
@given(SOUP)
def test_sqlite_itself_thinks_it_complete(text: str) -> None:
    if standing(Language.SQLITE, text.encode()) is C and "\n." not in f"\n{text}":
        assert sqlite3.complete_statement(f";{text}")  # a `;` in front: blanks and comments alone count as complete


MARK = "canary-of-the-test"


def _says_mark(command: list[str], text: str, mark: str) -> bool:
    """Whether the program takes the line `mark` for a fresh statement after `text`."""
    lines = text if text.endswith("\n") else f"{text}\n"
    done = subprocess.run(command, input=f"{lines}{mark}\n", capture_output=True, text=True, timeout=20, check=False)
    return MARK in done.stdout.splitlines()


@pytest.mark.parametrize("text", [text for language, text, said in TABLE if language is Language.SQLITE and said is C])
def test_the_real_sqlite3_waits_afresh(text: str) -> None:
    """A dot-command counts only where no statement is open."""
    if shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 here")
    assert _says_mark(["sqlite3", "-batch", ":memory:"], text, f".print {MARK}")


@pytest.mark.parametrize(
    ("text", "said"), [(text, said) for language, text, said in TABLE if language is Language.PYTHON and said is not U]
)
def test_the_real_python_waits_afresh(text: str, said: Standing) -> None:
    fresh = _says_mark([sys.executable, "-I", "-i", "-q"], text, f"print('{MARK}')")
    assert fresh is (said is C)


@pytest.mark.parametrize("text", [text for language, text, said in TABLE if language is Language.BC and said is C])
def test_the_real_bc_waits_afresh(text: str) -> None:
    if shutil.which("bc") is None:
        pytest.skip("no bc here")
    assert _says_mark(["bc", "-q"], text, f'print "{MARK}\n"')
