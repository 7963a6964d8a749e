"""The demo's database client: `db tables`, `db query SQL`. The database is the SQLite file var/db/shop.sqlite."""

import sqlite3
import sys
from contextlib import closing

FILE = "var/db/shop.sqlite"


def tables(database: sqlite3.Connection) -> None:
    """Each table with its columns and how many rows it has."""
    for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall():
        columns = ", ".join(row[1] for row in database.execute("SELECT * FROM pragma_table_info(?)", (name,)))
        (rows,) = database.execute(f'SELECT count(*) FROM "{name}"').fetchone()  # noqa: S608 - a name from the schema
        print(f"{name} ({columns}): {rows} rows")


def query(database: sqlite3.Connection, statement: str) -> None:
    """The rows of one statement, columns separated by bars."""
    with database:
        for row in database.execute(statement):
            print("|".join("" if value is None else str(value) for value in row))


def main() -> int:
    with closing(sqlite3.connect(f"file:{FILE}?mode=rw", uri=True)) as database:
        match sys.argv[1:]:
            case ["tables"]:
                tables(database)
            case ["query", statement]:
                query(database, statement)
            case _:
                print("usage: db tables | query SQL", file=sys.stderr)
                return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except sqlite3.Error as error:
        print(f"db: {error}", file=sys.stderr)
        sys.exit(1)
