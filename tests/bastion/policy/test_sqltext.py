"""SQL is cut as its client and its server cut it; where they could disagree it is not followed."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import Tier
from bastion.policy.risk import assess
from bastion.policy.sqltext import Piece, Unfollowed, pieces

LANGUAGES = ("psql", "mysql", "sqlite", "ansi")


def texts(text: str, language: str) -> list[str]:
    return [" ".join(piece.text.split()) for piece in pieces(text, language)]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("psql", "SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("psql", "SELECT ';--' -- x;y\n, 2", ["SELECT '_--' , 2"]),
        ("psql", r"SELECT E'a\'; DROP TABLE t; --'", ["SELECT 'a___ DROP TABLE t_ --'"]),
        ("psql", r"SELECT '\\'; DROP TABLE t", ["SELECT '__'", "DROP TABLE t"]),
        ("psql", "SELECT $x$ '; DROP TABLE t $x$", ["SELECT ' __ DROP TABLE t '"]),
        ("psql", "SELECT a\n\\dt\nFROM t", ["SELECT a", "\\dt", "FROM t"]),
        ("psql", r"SELECT 1 \; DROP TABLE t", ["SELECT 1", "DROP TABLE t"]),
        ("psql", "SELECT /* ; */ 1", ["SELECT 1"]),
        ("psql", "SELECT a::int, b[1:2]", ["SELECT a::int, b[1:2]"]),
        ("mysql", "SELECT 1--1; DROP TABLE t", ["SELECT 1- -1", "DROP TABLE t"]),
        ("mysql", "SELECT 1 # ; DROP\n, 2\\G", ["SELECT 1 , 2"]),
        ("mysql", "SELECT `a;b` FROM t", ["SELECT `a_b` FROM t"]),
        ("sqlite", "SELECT t\n.version; DROP TABLE t", ["SELECT t .version", "DROP TABLE t"]),
        ("sqlite", "SELECT [a;b]; DELETE FROM t", ['SELECT "a_b"', "DELETE FROM t"]),
        ("sqlite", "SELECT '\\'; DROP TABLE t; --'", ["SELECT '_'", "DROP TABLE t"]),
    ],
)
def test_statements_and_client_commands(language: str, text: str, expected: list[str]) -> None:
    assert texts(text, language) == expected


def test_a_client_command_is_told_apart() -> None:
    assert pieces(".tables\nSELECT 1", "sqlite") == [Piece(".tables", client=True), Piece("\nSELECT 1")]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("psql", r"SELECT '\'; DROP TABLE t; --'"),  # standard_conforming_strings
        ("mysql", r"SELECT '\'; DROP TABLE t; -- '"),  # NO_BACKSLASH_ESCAPES
        ("psql", "SELECT 1 /* /* */ ; DROP TABLE t -- */"),  # PostgreSQL nests
        ("psql", "SELECT 1; /*\n\\d */ DROP TABLE t; /*"),
        ("psql", "SELECT '\n\\d"),
        ("psql", "SELECT 1 -- x\rDROP TABLE t"),  # ends PostgreSQL's comment
        ("psql", "SELECT :x"),
        ("psql", "SELECT :'x'"),
        ("psql", "SELECT {# ; DROP TABLE t #}"),
        ("mysql", "SELECT /*!50000 sleep(1) */ 1"),
        ("mysql", "SELECT /*M! sleep(1) */ 1"),
        ("ansi", "SELECT 1 # ; DROP TABLE t"),
        ("ansi", "SELECT $$'; DROP TABLE t; --$$"),
        ("ansi", r"SELECT '\''"),
        ("ansi", "SELECT 1--1"),
    ],
)
def test_where_servers_could_disagree_it_is_not_followed(language: str, text: str) -> None:
    with pytest.raises(Unfollowed):
        pieces(text, language)


@pytest.mark.parametrize(
    "command",
    [
        "psql -c \"SELECT '\n\\d '; DROP TABLE t; SELECT '\n'\"",
        "sqlite3 app.db 'SELECT t\n.version; DROP TABLE t'",
        "mysql -e 'SELECT 1--1; DROP TABLE t'",
        "psql -c 'COMMIT PREPARED $$x$$'",
        "mysql -e 'START REPLICA'",
        "clickhouse-client -q \"SHOW TABLES INTO OUTFILE 'x'\"",
        "sqlcmd -Q 'SELECT 1 DELETE FROM t'",
        "sqlcmd -Q 'BEGIN DELETE FROM t END'",
        "mariadb -e 'SELECT NEXT VALUE FOR s'",
        "sqlite3 app.db 'PRAGMA user_version(5)'",
        "psql -c 'select pg_get_viewdef(1), lo_unlink(1)'",
        "psql -c 'select \"lo_unlink\"(1)'",
        "psql -c 'select * from lateral lo_unlink(1) x'",
        "psql -c 'select audit.now()'",
        "psql -c 'select * from audit.generate_series(1, 2)'",
        "clickhouse-client -q \"SELECT * FROM file('/etc/passwd')\"",
        "clickhouse-client -q 'SELECT * FROM numbers(1) FORMAT CSV INTO OUTFILE 1'",
        "psql -c 'select * from (delete from t returning *) x'",
        "psql -c 'explain (analyze) with x as (delete from t returning 1) select 1'",
    ],
)
def test_what_hides_in_sql_is_not_low(command: str) -> None:
    assert assess(command.encode()).tier is not Tier.LOW


@pytest.mark.parametrize("where", ["", "WHERE 1=1", "WHERE true", "WHERE 'a'='a'"])
@pytest.mark.parametrize("change", ["DELETE FROM t", "UPDATE t SET a=1"])
def test_a_condition_that_names_no_column_means_every_row(change: str, where: str) -> None:
    assert assess(f'psql -c "{change} {where}"'.encode()).tier is Tier.HIGH


@given(st.sampled_from(LANGUAGES), st.text(alphabet="a;'\"`$-/*#\\\n.{[]:xE \r", max_size=40))
def test_no_statement_keeps_a_semicolon_or_a_comment(language: str, text: str) -> None:
    with contextlib.suppress(Unfollowed):
        for piece in pieces(text, language):
            if not piece.client:
                rest = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "", piece.text)
                assert ";" not in rest
                assert "\\" not in rest
                assert not (language != "ansi" and "--" in rest)
