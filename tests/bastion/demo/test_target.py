"""Both kinds of target by a real ssh, and which of them is taken."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bastion.demo import target, world
from bastion.demo.children import Children
from bastion.demo.programs import make_key
from bastion.demo.target import Running, Unusable
from tests.support.ports import wait_until

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is made."""

    work: Path
    home: Path
    credential: Path
    children: Children

    def start(self, kind: str) -> Running:
        work = Path(tempfile.mkdtemp(dir=self.work))
        return target.start(kind, self.children, work, self.home, self.credential)

    def ssh(self, running: Running, *command: str, key: Path | None = None) -> list[str | Path]:
        (self.work / "known").write_text(f"[127.0.0.1]:{running.port} {running.host_key}\n")
        options = (
            *("IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "StrictHostKeyChecking=yes"),
            *(f"UserKnownHostsFile={self.work / 'known'}", f"IdentityFile={key or self.credential}"),
        )
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", *words, "-p", str(running.port), f"{running.login}@127.0.0.1", *command]

    def run(
        self, running: Running, *command: str, stdin: bytes = b"", key: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.ssh(running, *command, key=key), input=stdin, capture_output=True, timeout=30, check=False
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    world.build(tmp_path / "web-1")
    (tmp_path / "work").mkdir()
    make_key(tmp_path / "key")
    children = Children()
    yield Place(tmp_path / "work", tmp_path / "web-1", tmp_path / "key", children)
    assert children.close() == []


@pytest.fixture(params=["sshd", "builtin"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_command_runs_in_the_scratch_world(place: Place, kind: str) -> None:
    running = place.start(kind)
    done = place.run(running, "pwd; echo to stderr >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{place.home}\n".encode(), b"to stderr\n")


def test_bytes_arrive_as_they_are(place: Place, kind: str) -> None:
    """Through stdin and back, more than fits into a window or a pipe; quotes and newlines in the command too."""
    running = place.start(kind)
    data = bytes(range(256)) * (4 << 12)
    assert place.run(running, "cat", stdin=data).stdout == data
    odd = "printf '%s|' \"a  b\" 'c\nd' $'x' ü; echo \"$HOME\""
    here = subprocess.run(["/bin/sh", "-c", odd], capture_output=True, check=True, env={"HOME": str(place.home)})
    assert place.run(running, odd).stdout == here.stdout


def test_a_signal_is_told(place: Place, kind: str) -> None:
    running = place.start(kind)
    assert place.run(running, "kill -TERM $$").returncode in (255, 128 + 15)


def test_a_command_that_reads_no_stdin(place: Place, kind: str) -> None:
    running = place.start(kind)
    done = place.run(running, "exec 0<&-; echo done", stdin=b"x" * (1 << 20))
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_only_the_bastions_key_gets_in(place: Place, kind: str) -> None:
    running = place.start(kind)
    make_key(place.work / "other")
    done = place.run(running, "echo in", key=place.work / "other")
    assert (done.returncode, done.stdout) == (255, b"")
    assert place.run(running, "echo in").stdout == b"in\n"


def test_no_shell_and_no_sftp(place: Place, kind: str) -> None:
    running = place.start(kind)
    done = place.run(running, stdin=b"echo in\n")
    assert done.returncode != 0
    assert b"in" not in done.stdout
    subsystem = place.ssh(running, "sftp")
    subsystem.insert(1, "-s")
    assert subprocess.run(subsystem, input=b"", capture_output=True, timeout=30, check=False).returncode != 0


def test_no_forwards(place: Place, kind: str) -> None:
    """To the target's own port, which answers with a version where it is let."""
    running = place.start(kind)
    command = place.ssh(running)
    command[1:1] = ["-W", f"127.0.0.1:{running.port}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    assert b"SSH-2.0" not in done.stdout


def test_a_command_whose_channel_goes_is_killed_by_the_builtin(place: Place) -> None:
    running = place.start("builtin")
    pid_file = place.home / "pid"
    process = subprocess.Popen(place.ssh(running, "echo $$ >pid; sleep 1000; true"), stdin=subprocess.DEVNULL)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), "it runs")
    pid = int(pid_file.read_text())
    assert os.path.exists(f"/proc/{pid}")
    process.kill()
    process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it is gone")


# --- which one ---------------------------------------------------------------------------------------------------


def test_sshd_is_taken_where_it_works(place: Place) -> None:
    running = place.start("auto")
    assert running.what.startswith("OpenSSH sshd (/")
    assert running.login == target.whoami()


def put_sshd(place: Place, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named sshd in front of the real one."""
    program = place.work / "sshd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.work}:{os.environ['PATH']}")


def test_an_sshd_that_does_not_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put_sshd(place, "echo 'no hostkeys available -- exiting' >&2; exit 1", monkeypatch)
    with pytest.raises(Unusable, match="sshd did not start: no hostkeys available"):
        place.start("sshd")
    running = place.start("auto")
    assert running.what == "the built-in SSH target (sshd did not start: no hostkeys available -- exiting)"
    assert place.run(running, "echo in").stdout == b"in\n"


def test_an_sshd_that_lets_nothing_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the account's shell is nologin: it listens, but the command ends otherwise."""
    real = target.find_sshd("")
    assert real is not None
    put_sshd(place, f"exec {shlex.quote(real)} \"$@\" -o 'ForceCommand=/bin/false'", monkeypatch)
    with pytest.raises(Unusable, match=r"lets .* run nothing: exit 1"):
        place.start("sshd")
    assert place.start("auto").what.startswith("the built-in SSH target (the sshd here lets")
    assert "sshd" not in [name for name, _ in place.children._started]


def test_an_account_whose_startup_files_print(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of a transcript would stand behind theirs."""
    real = target.find_sshd("")
    assert real is not None
    put_sshd(place, f"exec {shlex.quote(real)} \"$@\" -o 'ForceCommand=echo welcome'", monkeypatch)
    with pytest.raises(Unusable, match=r"puts .welcome. in front"):
        place.start("sshd")


def test_no_sshd_at_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "SSHD_PLACES", ())
    monkeypatch.setenv("PATH", str(place.work))
    assert target.find_sshd(str(place.work)) is None
    with pytest.raises(Unusable, match="no sshd is installed"):
        place.start("sshd")
    assert place.start("auto").what == "the built-in SSH target (no sshd is installed)"
