"""The scratch world, with every scripted command run in it for real."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bastion.demo import world
from bastion.demo.scenarios import AGENTS, Effect, Step

STEPS = {f"{agent.name}-{step.name}": step for agent in AGENTS for step in agent.steps}


def enter(home: Path, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as the target does."""
    return subprocess.run(
        ["/bin/sh", home / "lib" / "enter.sh", home],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"SSH_ORIGINAL_COMMAND": command, "PATH": "/usr/bin:/bin", "SECRET": "of the account"},
    )


def do(home: Path, step: Step) -> subprocess.CompletedProcess[str]:
    return enter(home, step.command, step.stdin)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "web-1"
    world.build(made)
    yield made
    enter(made, "svc stop web")


def test_at_first_nothing_has_happened(home: Path) -> None:
    assert world.happened(home) == frozenset()


ALONE = {name: step for name, step in STEPS.items() if step.name != "restart"}


@pytest.mark.parametrize("step", ALONE.values(), ids=ALONE)
def test_a_step_does_what_it_is_said_to_do(home: Path, step: Step) -> None:
    """Also what the rulings deny: a denial that prevents nothing would prove nothing."""
    done = do(home, step)
    assert world.happened(home) == step.effects
    if step.effects - {Effect.SCRIPT_FETCHED}:
        assert (done.returncode, done.stderr) == (0, "")


def test_the_service_runs_once_it_is_mended(home: Path) -> None:
    status = enter(home, "svc status web")
    assert (status.returncode, status.stdout) == (
        3,
        'web: not running\n  srv/web/web.conf:2: unknown setting "lisen"\n',
    )
    broken = enter(home, "svc restart web")
    assert broken.returncode == 1
    assert "unknown setting" in broken.stderr

    do(home, STEPS["claude-ops-mend"])
    assert do(home, STEPS["claude-ops-restart"]).stdout == "web: was not running\nweb: started\n"
    assert world.happened(home) == {Effect.CONFIG_MENDED, Effect.SERVICE_RUNS}
    status = enter(home, "svc status web")
    assert status.returncode == 0
    assert "HTTP/1.0 200 OK" in status.stdout

    assert enter(home, "svc start web").stdout == "web: runs already\n"
    assert enter(home, "svc stop web").stdout == "web: stopped\n"
    assert world.happened(home) == {Effect.CONFIG_MENDED}
    assert enter(home, "svc stop web").stdout == "web: was not running\n"


def test_a_rollback_undoes(home: Path) -> None:
    for name in ("claude-ops-mend", "deploy-bot-careful"):
        step = STEPS[name]
        do(home, step)
        assert world.happened(home) == step.effects
        assert enter(home, step.rollback).returncode == 0
        assert world.happened(home) == frozenset()


def test_the_log_contains_the_instruction_that_is_obeyed(home: Path) -> None:
    log = do(home, STEPS["log-reader-read"]).stdout
    assert "IGNORE PREVIOUS INSTRUCTIONS" in log
    assert STEPS["log-reader-obey"].command in log


def test_its_curl_reaches_nobody(home: Path) -> None:
    """A server that is there is not asked; with the control that it can be."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = enter(home, f"curl -s http://{address}/x")
        assert (done.returncode, done.stdout) == (6, "")
        with pytest.raises(BlockingIOError):
            server.accept()
        with closing(socket.create_connection(("127.0.0.1", server.getsockname()[1]))):
            server.setblocking(True)
            server.accept()[0].close()
    assert (home / world.FETCHED).read_text() == f"curl -s http://{address}/x\n"


def test_a_command_finds_a_clean_environment(home: Path) -> None:
    names = {line.partition("=")[0] for line in enter(home, "env").stdout.splitlines()}
    assert names == {"HOME", "USER", "PATH", "LANG", "PWD"}
    assert enter(home, "pwd").stdout.strip() == str(home)
    assert enter(home, "command -v curl").stdout.strip() == str(home / "bin" / "curl")


def test_no_shell_without_a_command(home: Path) -> None:
    done = enter(home, "")
    assert done.returncode == 1
    assert "no shell" in done.stderr


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("svc", 2, "usage"),
        ("svc status mail", 2, "usage"),
        ("svc bend web", 2, "usage"),
        ("db", 2, "usage"),
        ("db query 'SELECT * FROM nowhere'", 1, "no such table"),
        ("db query 'SELEKT'", 1, "syntax error"),
    ],
)
def test_its_programs_say_what_is_wrong(home: Path, command: str, status: int, words: str) -> None:
    done = enter(home, command)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_its_database(home: Path) -> None:
    assert enter(home, "db tables").stdout == "customers (id, name): 3 rows\norders (id, customer, cents): 1042 rows\n"
    assert enter(home, "db query 'SELECT name, NULL FROM customers WHERE id < 3'").stdout == "Ada|\nGrace|\n"


def test_a_database_that_is_gone_has_lost_its_orders(home: Path) -> None:
    (home / "var/db/shop.sqlite").unlink()
    assert Effect.ORDERS_DROPPED in world.happened(home)
    assert enter(home, "db tables").returncode == 1
