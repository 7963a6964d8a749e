"""What SQL does, statement by statement. Pure; sqlglot parses.

Theory of operation. The text is cut into statements and client commands by sqltext.py. The first keyword settles most
of them (table `first` of facts/table_sql.toml). Those that may only read (SELECT, WITH, VALUES, TABLE, EXPLAIN)
are parsed: every part of the tree must be of a kind that reads, and every function must be known as one that reads.
What is not listed, not parsed or holds something that servers read differently (MySQL's `/*!`) is never low.

Not seen: what views, operators, casts, rules and triggers of this database do, and functions that somebody defined
under the name of a listed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Any

from bastion.policy.languages import Act
from bastion.policy.sqltext import Unfollowed, pieces
from bastion.policy.words import UNKNOWN

LIMIT = 20_000
"""Characters of SQL that are parsed; sqlglot reads some 100 KB a second, so this takes at most 0.2 s."""

DIALECTS = {"psql": "postgres", "mysql": "mysql", "sqlite": "sqlite", "ansi": ""}


class Sql:
    """The tables of table_sql.toml, ready for use."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._first: dict[str, str] = {word: action for action, words in tables["first"].items() for word in words}
        self._functions: list[str] = list(tables["functions"])
        self._exact = frozenset(name for name in self._functions if "*" not in name)
        self._wild = _any_of(name for name in self._functions if "*" in name)
        self._never = _any_of(tables["never"])
        self._meta: Mapping[str, list[str]] = tables["meta"]
        self._pragmas = frozenset(tables["pragmas"])

    def judge(self, text: str, language: str) -> list[Act]:
        """What this text does beside reading; `language` is psql, mysql, sqlite or ansi. Never raises."""
        if UNKNOWN in text or len(text) > LIMIT:
            return [("database-unread", "SQL that is known only when it runs" if UNKNOWN in text else "very long SQL")]
        try:
            found = pieces(text, language)
        except Unfollowed as error:
            return [*self._by_words(text), ("database-unread", str(error))]
        effects: list[Act] = []
        for piece in found:
            effects += self._client(piece.text, language) if piece.client else self._one(piece.text, language)
        return effects

    def several(self, text: str, language: str) -> bool:
        """Whether more than one statement stands there."""
        try:
            return sum(not piece.client for piece in pieces(text, language)) > 1
        except Unfollowed:
            return False

    def _one(self, text: str, language: str) -> list[Act]:
        """One statement."""
        import sqlglot
        from sqlglot.errors import SqlglotError

        sqlglot.parser.logger.disabled = True  # it warns of each statement that it keeps as text
        try:
            text = _TYPED.sub("", text) if language == "psql" else text
            return list(self._statement(text, DIALECTS[language] or None, language))
        except (SqlglotError, RecursionError, ValueError, IndexError, KeyError, AttributeError, TypeError):
            return self._by_words(text)

    def _client(self, line: str, language: str) -> list[Act]:
        """A command to the client: only the listed ones, without shell, file or second command."""
        word = line.split(maxsplit=1)[0]
        known = word in self._meta.get(language, ())
        if language == "psql" and (re.search(r"[`|!]", line) or line.count("\\") > 1):
            known = False
        if language == "sqlite" and "|" in line:
            known = False
        return [] if known else [("database-code", f"client command {word}")]

    def _by_words(self, text: str) -> list[Act]:
        """SQL that the parser refuses: unread, and worse by the words that begin a statement."""
        found = [
            (self._first[word.lower()], word)
            for word in re.findall(r"(?:^|[;(])\s*(\w+)", text)
            if self._first.get(word.lower(), "read") not in ("read", "look", "explain", "copy", "transaction")
        ]
        return [("database-unread", "SQL that cannot be parsed"), *found]

    def _statement(  # noqa: PLR0912 - a case for each kind of statement
        self, text: str, dialect: str | None, language: str
    ) -> Iterator[Act]:
        words = re.findall(r"[A-Za-z_]+", _bare(text))
        if not words:
            return
        first = words[0].lower()
        action = self._first.get(first, "database-unread")
        upper = [word.upper() for word in words]
        what = " ".join(_bare(text).split()[:4])
        if "OUTFILE" in upper or "DUMPFILE" in upper:
            yield "database-code", "a result into a file"
        if action == "look":
            yield from self._look(text, dialect)
        elif action == "explain":
            yield from self._explain(text, upper, dialect, language)
        elif first == "pragma":
            name = upper[1].lower() if len(upper) > 1 else ""
            argument = "(" in text and not name.endswith(("_info", "_xinfo", "_list", "_check"))
            if name not in self._pragmas or "=" in text or argument:
                yield "database-admin", what
        elif first == "alter" and "DROP" in upper:
            yield "database-drop", what
        elif first in ("update", "delete") and _every_row(text, dialect):
            yield "database-delete-all", what
        elif action == "transaction":
            if not _TRANSACTION.fullmatch(text):
                yield "database-unread", what
        elif first == "copy":
            yield from self._copy(text, upper, what)
        elif first == "show" and upper[1:3] == ["CREATE", "USER"]:
            yield "read-secret", what  # with the hash of the password (MySQL, SHOW CREATE USER)
        elif first == "show" and len(upper) > 1 and upper[1] in ("GRANTS",):
            return
        elif action != "read":
            yield action, what

    def _copy(self, text: str, upper: list[str], what: str) -> Iterator[Act]:
        if "PROGRAM" in upper or re.search(r"\b(?:TO|FROM)\s+E?'", text, re.IGNORECASE):
            yield "database-code", what
        elif "STDIN" in upper or "FROM" in upper:
            yield "database-write", what
        else:
            yield "database-dump", what

    def _explain(self, text: str, upper: list[str], dialect: str | None, language: str) -> Iterator[Act]:
        inner = re.sub(
            r"^\s*(?:EXPLAIN|DESCRIBE|DESC)\s*(?:\((?:[^()']|'[^']*')*\)\s*)?"
            r"(?:(?:ANALYZE|ANALYSE|VERBOSE|EXTENDED|PARTITIONS|QUERY\s+PLAN|FORMAT\s*=?\s*\w+)\s+)*",
            "",
            text,
            flags=re.IGNORECASE,
        )
        if re.fullmatch(r"[\w.`\"]+\s*(?:[\w`\"%']+)?\s*", inner) and upper[0] != "EXPLAIN":
            return
        for effect in self._statement(inner, dialect, language):
            if "ANALYZE" in upper or "ANALYSE" in upper or effect[0] == "database-unread":
                yield effect

    def _look(  # noqa: PLR0912 - a case for each kind of node
        self, text: str, dialect: str | None
    ) -> Iterator[Act]:
        """SELECT, WITH, VALUES, TABLE: parsed, and everything inside must read."""
        import sqlglot
        from sqlglot import expressions as exp

        if whole := re.fullmatch(r"\s*TABLE\s+([\w.\"`]+)\s*", text, re.IGNORECASE):
            text = f"SELECT * FROM {whole[1]}"  # noqa: S608 - parsed, never run (PostgreSQL, "TABLE Command")
        for name in re.findall(r"(\w+)\s*\(", _bare(text)):  # whatever the parser takes it for
            if self._never.match(name.lower()):
                yield "database-unread", f"function {name}"
        tree = sqlglot.parse_one(text, read=dialect)
        writes = {exp.Insert: "database-write", exp.Update: "database-write", exp.Delete: "database-delete"}
        for node in tree.walk():
            kind = type(node)
            if kind in writes:
                yield writes[kind], kind.__name__.upper()
            elif isinstance(node, exp.Into):
                yield "database-schema", "SELECT INTO"
            elif isinstance(node, exp.PropertyEQ):
                yield "database-lock", "a variable of the session"
            elif isinstance(node, exp.Lock):
                yield "database-lock", "rows"
            elif isinstance(node, (exp.Command, exp.Create, exp.Drop, exp.Merge, exp.DDL)) and not isinstance(
                node, exp.Query
            ):
                yield "database-unread", kind.__name__.upper()
            elif isinstance(node, exp.TableAlias) and node.args.get("columns") and _nameless(node, exp):
                yield "database-unread", "a function that the parser takes for a table"
            elif isinstance(node, exp.Table) and _secret(node, tree, exp):
                yield "read-secret", node.name
            elif isinstance(node, exp.Operator) and _schema_of_operator(node) not in ("", "pg_catalog"):
                yield "database-unread", f"operator {node.args.get('operator')}"
            elif isinstance(node, exp.Func) and _schema(node, exp) not in ("", "pg_catalog"):
                yield "database-unread", f"function {_schema(node, exp)}.{_name(node)}"
            elif isinstance(node, exp.Func) and not self._reads(node, exp):
                yield "database-unread", f"function {_name(node)}"

    def _reads(self, node: Any, exp: Any) -> bool:
        name = _name(node).lower()
        if self._never.match(name):
            return False
        if not isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc)):
            return True
        return name in self._exact or self._wild.match(name) is not None


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """What fnmatchcase finds for one of these names with stars; a test of each took a sixth of the time of a query."""
    return re.compile("|".join(map(translate, patterns)) or "(?!)")


_TYPED = re.compile(
    r"\b(?:box|point|circle|polygon|path|lseg|line|inet|cidr|macaddr8?|tsquery|tsvector|xml|bit|varbit|money|pg_lsn|oid"
    r"|(?:int4|int8|num|ts|tstz|date)(?:multi)?range|jsonpath|bytea|regclass)\s+(?=')",
    re.IGNORECASE,
)
"""`box '(0,0,1,1)'`: a type in front of a literal, not known for all types to the parser (PostgreSQL, 4.1.2.7)."""


def _nameless(alias: Any, exp: Any) -> bool:
    """A list of columns without a name, behind what is no function: the parser has taken a call for a table."""
    return not alias.name and not isinstance(alias.parent.this, exp.Func)


def _secret(table: Any, tree: Any, exp: Any) -> bool:
    """Tables of password hashes (PostgreSQL, section 53.9; MySQL, section 6.2.3)."""
    name, schema = str(table.name).lower(), str(table.db).lower()
    if (schema, name) in (("mysql", "user"), ("mysql", "global_priv")):
        columns = {str(column.name).lower() for column in tree.find_all(exp.Column)}
        return tree.find(exp.Star) is not None or bool(columns & {"authentication_string", "password", "priv"})
    return name in ("pg_shadow", "pg_authid", "pg_user_mapping", "pg_user_mappings")


def _schema(node: Any, exp: Any) -> str:
    """The schema in front of a function's name: somebody's own function, whatever it is called."""
    above = node.parent
    if isinstance(above, exp.Dot) and above.expression is node:
        return str(above.this.name).lower()
    return str(above.db).lower() if isinstance(above, exp.Table) and above.this is node else ""


def _schema_of_operator(node: Any) -> str:
    """The schema in `OPERATOR(schema.+)`: somebody's own operator is somebody's own function (PostgreSQL, 4.2.5)."""
    return str(node.args.get("operator")).lower().rpartition(".")[0]


def _name(node: Any) -> str:
    name = node.name if node.key.startswith("anonymous") else node.sql_name()
    return str(name)


_TRANSACTION = re.compile(
    r"\s*(?:(?:begin|commit|rollback|end|abort)(?:\s+(?:work|transaction|tran))?|start\s+transaction"
    r"|(?:savepoint|release(?:\s+savepoint)?|rollback(?:\s+(?:work|transaction))?\s+to(?:\s+savepoint)?)\s+\w+)"
    r"(?:[\s,]+(?:isolation|level|read|committed|uncommitted|repeatable|serializable|only|write|and|no|chain|release"
    r"|deferred|with|consistent|snapshot))*\s*",
    re.IGNORECASE,
)
"""What opens and closes transactions, and nothing besides (no `commit prepared`, no `begin delete …`)."""


def _every_row(text: str, dialect: str | None) -> bool:
    """An UPDATE or DELETE whose condition is missing, or names no column (`WHERE 1=1`)."""
    import sqlglot
    from sqlglot import expressions as exp

    where = sqlglot.parse_one(text, read=dialect).args.get("where")
    return where is None or where.find(exp.Column) is None


def _bare(text: str) -> str:
    """Without the contents of quotes, for looking at keywords; comments are gone already."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "''", text).lstrip(" \t\n(")
