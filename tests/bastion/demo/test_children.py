"""No process is left, whatever it did to get away; and none is touched that was there before."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.demo.children import Children, descendants, undisturbed
from tests.support.ports import wait_until


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's, started before."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def children(bystander: subprocess.Popen[bytes]) -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(children: Children, work: Path, script: str, name: str = "it") -> subprocess.Popen[bytes]:
    return children.start(name, ["/bin/sh", "-c", script], log=work / "log", cwd=work, env=dict(os.environ))


WAYS_OUT = {
    "plain": "echo $$ >pid; exec sleep 1000",
    "deaf": "trap '' TERM HUP; echo $$ >pid; while :; do sleep 1; done",
    "orphan": "setsid sh -c 'echo $$ >pid; exec sleep 1000' & exit 0",
    "orphan of an orphan": "setsid sh -c 'setsid sh -c \"echo \\$\\$ >pid; exec sleep 1000\" & exit 0' & exit 0",
    "deaf orphan": "setsid sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 1; done' & exit 0",
}


@pytest.mark.parametrize("script", WAYS_OUT.values(), ids=WAYS_OUT)
def test_none_is_left(
    children: Children, tmp_path: Path, bystander: subprocess.Popen[bytes], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bastion.demo.children.POLITE_SECONDS", 0.2)
    start(children, tmp_path, script)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it runs")
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    assert children.close() == []
    assert not alive(pid)
    assert bystander.poll() is None


def test_one_is_stopped_by_its_name(children: Children, tmp_path: Path) -> None:
    first, second = start(children, tmp_path, "exec sleep 1000", "a"), start(children, tmp_path, "exec sleep 1000", "b")
    children.stop("a")
    assert first.poll() == -signal.SIGTERM
    assert second.poll() is None
    children.stop("nobody")


def test_what_it_prints_goes_to_its_log(children: Children, tmp_path: Path) -> None:
    start(children, tmp_path, "echo out; echo err >&2").wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_ctrl_c_at_the_terminal_does_not_reach_it(children: Children, tmp_path: Path) -> None:
    process = start(children, tmp_path, "exec sleep 1000")
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


def test_descendants(children: Children, bystander: subprocess.Popen[bytes], tmp_path: Path) -> None:
    start(children, tmp_path, "sleep 1000 & echo $! >pid; wait")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it runs")
    found = descendants(os.getpid(), frozenset())
    assert {bystander.pid, int((tmp_path / "pid").read_text())} <= set(found)
    assert os.getpid() not in found
    assert bystander.pid not in descendants(os.getpid(), frozenset({bystander.pid}))


def test_undisturbed() -> None:
    """A signal while tidying up is not felt; after it, it is again."""
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
