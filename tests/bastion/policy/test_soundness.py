"""What is called low only reads: each such command runs in a sandbox, and what it tries is looked at.

A fixed sample here; all of them with BASTION_SOUNDNESS=all (some minutes). The commands are the project's own cases
and, where the folder of labelled commands lies beside the checkout or BASTION_CORPUS names it, those too.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bastion.model import EffectKind, Tier
from bastion.policy.risk import assess
from tests.support import sandbox

HERE = Path(__file__).parent
CORPUS = Path(os.environ.get("BASTION_CORPUS", HERE.parents[3] / "shared" / "corpus")) / "commands"
ALL = os.environ.get("BASTION_SOUNDNESS") == "all"
SAMPLE = 120
"""Commands that are run when not all are, spread evenly: 5-20 s."""
TOGETHER = 2
CLIENTS = frozenset(
    (  # noqa: SIM905 - a table
        "psql mysql mariadb redis-cli mongosh pg_isready kubectl docker podman helm gh aws az gcloud gsutil terraform "
        "pip npm"
    ).split()
)
"""Programs that read by asking a server, which is what the facts say of them; that they connect is no finding."""
SQLITE_OPENS = "O_RDWR|O_CREAT|O_NOFOLLOW"
"""sqlite3 opens its database like this whatever it is told; one that is not there becomes an empty file."""

pytestmark = [
    pytest.mark.skipif(bool(sandbox.missing()), reason=sandbox.missing() or "-"),
    pytest.mark.timeout(1800 if ALL else 120),
]


def low() -> list[str]:
    files = [*sorted((HERE / "cases").glob("*.jsonl")), *sorted(CORPUS.glob("*.jsonl"))]
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    commands = dict.fromkeys(row["command"] for row in rows)
    return [command for command in commands if assess(command.encode()).tier is Tier.LOW]


def tried(command: str) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        found = sandbox.attempts(command, Path(scratch))
    words = set(re.findall(r"[\w-]+", command))
    if words & CLIENTS or any(effect.kind is EffectKind.NETWORK for effect in assess(command.encode()).effects):
        found = [line for line in found if "connect(" not in line]
    if "sqlite3" in words:
        found = [line for line in found if SQLITE_OPENS not in line]
    return found


def test_what_is_low_changes_nothing() -> None:
    commands = low()
    assert len(commands) > 300
    if not ALL:
        commands = commands[:: len(commands) // SAMPLE]
    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = dict(zip(commands, pool.map(tried, commands), strict=True))
    assert {command: lines[:2] for command, lines in answers.items() if lines} == {}


@pytest.mark.parametrize(
    "command",
    [
        "echo x > file",
        "echo x >> /etc/hosts",
        "rm -f file",
        "mv file other",
        "mkdir d",
        "chmod 600 file",
        "touch file",
        "sort -o file file",
        "ln -s file other",
        "truncate -s 0 file",
        "kill -TERM 1",
        "exec 3<>/dev/tcp/127.0.0.1/9",
        "awk 'BEGIN { print 1 > \"out\" }'",
        "find . -name file -delete",
        "cd / && : > x",
    ],
)
def test_the_sandbox_sees_what_more_than_reads(command: str) -> None:
    assert tried(command)


@pytest.mark.parametrize(
    "command", ["cat file", "ls -l / | sort", "grep -c alpha file", "cat <<< x", "sort file > /dev/null"]
)
def test_the_sandbox_sees_nothing_in_what_reads(command: str) -> None:
    assert tried(command) == []


def test_the_sandbox_holds(tmp_path: Path) -> None:
    """Even what it lists as tried has not happened."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        outside = Path(elsewhere) / "outside"
        outside.write_text("kept")
        assert len(sandbox.attempts(f"rm -f {outside}; echo gone > {outside}", tmp_path)) == 2
        assert outside.read_text() == "kept"
