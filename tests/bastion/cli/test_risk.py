"""`bastion risk` as people and programs run it."""

from __future__ import annotations

import json

import pytest

from bastion.cli.risk import LINE_LIMIT
from tests.bastion.cli.conftest import Shell


def test_a_person_reads_score_reasons_and_what_is_touched(shell: Shell) -> None:
    done = shell("risk", "rm -rf /srv/data && systemctl restart nginx")
    assert done.status == 0
    first, *rest = done.out.splitlines()
    assert first.split()[1:] == ["high", "cannot", "be", "undone"]
    assert int(first.split()[0]) == sum(int(line.split()[0]) for line in rest if line.strip().startswith("+"))
    assert "deletes files recursively: /srv/data (is data)" in done.out
    assert "  service    nginx" in rest
    assert "  verbs      delete, restart" in rest


def test_nothing_of_it_is_run_and_nothing_moves_the_cursor(shell: Shell) -> None:
    done = shell("risk", "touch made; echo '\x1b[2J'")
    assert done.status == 0
    assert "\x1b" not in done.out
    assert not (shell.work / "made").exists()


def test_a_stream_answers_each_line_in_its_place(shell: Shell) -> None:
    lines = [b'"ls"', b"rm -rf /", b'"rm -rf /"', b"", b"{}", b'"\\ud800"', b"[" * 50_000, b'"', b"\xff", b'"select 1"']
    done = shell("risk", "-", stdin=b"\n".join(lines))
    assert done.status == 2
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer.get("tier", "error") for answer in answers] == [
        "low", "error", "high", "error", "error", "error", "error", "error", "error", "high",
    ]  # fmt: skip
    assert answers[1] == {"error": "line 2 is not a JSON string"}
    assert done.err == ""


def test_a_stream_without_garbage_ends_well(shell: Shell) -> None:
    done = shell("risk", "-", "--language", "psql", stdin=b'"select 1"\n"drop table t"\n')
    assert done.status == 0
    assert [json.loads(line)["tier"] for line in done.out.splitlines()] == ["low", "high"]
    assert shell("risk", "-").out == ""


def test_a_line_that_no_command_fits_is_read_past(shell: Shell) -> None:
    fits = json.dumps("#" + "\x01" * 131_000).encode()
    long = b'"' + b"x" * (2 * LINE_LIMIT) + b'"'
    done = shell("risk", "-", stdin=b"\n".join([fits, long, b'"ls"']))
    assert done.status == 2
    assert [json.loads(line).get("tier", "error") for line in done.out.splitlines()] == ["high", "error", "low"]


@pytest.mark.parametrize("words", [(), ("rm", "x"), ("ls", "--language", "cobol")])
def test_usage(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell("risk", *words)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("bastion: ")
