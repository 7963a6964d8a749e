"""The ledger's head leaves the host: to a witness, a directory, a git remote; danger waits for the witness."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastion.errors import Unreachable
from bastion.model import Choice
from bastion.offsite import GitAnchor
from recorder.verify import Verdict, verify
from tests.bastion.cli.conftest import Shell
from tests.recorder.stories import ledger_key
from tests.support.house import ROOT, House
from tests.support.ports import free_port, wait_until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e


class WitnessProcess:
    """A real witness on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self.shell = Shell(directory.parent)
        self.key = self.shell("witness", "init", str(directory), "--name", "witness.example/w1").out.strip()

    def trust(self, house: House) -> None:
        origin = verify(house.config.store).origin
        done = self.shell("witness", "trust", str(self.directory), origin, str(house.config.state / "ledger_key.pub"))
        assert (done.status, done.out) == (0, f"watching {origin}, 1 key\n")

    def start(self) -> None:
        command = self.shell.command("witness", "serve", str(self.directory), "--listen", f"127.0.0.1:{self.port}")
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"listening on port {self.port}\n"

    def stop(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process.stdout.close()
        self._process = None

    @property
    def size(self) -> int:
        """Entries of the last head that it signed."""
        return int(self.shell("witness", "list", str(self.directory), "--json").json[0]["size"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "house")
    yield made
    made.stop()


@pytest.fixture
def witness(house: House, tmp_path: Path) -> Iterator[WitnessProcess]:
    made = WitnessProcess(tmp_path / "witness")
    made.trust(house)
    house.configure(f'\n[witness]\nurl = "http://127.0.0.1:{made.port}"\nkey = "{made.key}"\n')
    yield made
    made.stop()


def anchored(house: House, kind: str) -> list[dict[str, Any]]:
    with house.recorded() as reader:
        bodies = [dict(entry.body) for entry in reader.entries(types=("checkpoint.anchored",))]
    return [body for body in bodies if body["kind"] == kind]


async def test_no_dangerous_command_without_the_witness(house: House, witness: WitnessProcess, tmp_path: Path) -> None:
    sshd = Sshd(tmp_path / "sshd-target")
    sshd.start()
    try:
        house.add_target("web-1", sshd)
        witness.start()
        house.start()
        ana = await house.local()
        marker = tmp_path / "marker"
        danger = "rm -rf /etc/no-such-thing-here"  # rated high; removes nothing
        ssh = await house.ssh("web-1", f"echo y >> {marker} && {danger}")
        await house.decide(ana, Choice.APPROVE)
        assert (await house.finish(ssh)).status == 0
        assert marker.read_text() == "y\n"
        with house.recorded() as reader:
            starts = [entry.seq for entry in reader.entries(types=("command.started",))]
            sizes = [int(body["anchor"].partition(":")[0]) for body in anchored(house, "witness")]
            for seq in starts:  # a head with the cause of each start was signed before it
                cause = next(e.seq for e in reader.entries() if e.leaf == reader.entry(seq).cause)
                assert any(cause < size <= seq for size in sizes)

        witness.stop()
        ssh = await house.ssh("web-1", f"echo z >> {marker} && {danger}")
        await house.decide(ana, Choice.APPROVE)
        outcome = await house.finish(ssh)
        assert outcome.status == 125
        assert "does not run without the witness" in outcome.stderr
        assert marker.read_text() == "y\n"
        await house.whitelist(ana, b"true")
        assert (await house.run("web-1", "true")).status == 0, "what is harmless goes on"
        await ana.close()
    finally:
        sshd.stop()
    house.stop()
    report = verify(house.config.store)
    assert report.verdict is Verdict.OK, report


def test_a_bastion_that_was_put_back_is_noticed_by_its_witness(house: House, witness: WitnessProcess) -> None:
    import shutil

    witness.start()
    shutil.copytree(house.config.store, house.work / "backup")
    house.start()
    wait_until(lambda: anchored(house, "witness"), "the first head is signed")
    house.stop()
    shutil.rmtree(house.config.store)
    shutil.move(house.work / "backup", house.config.store)
    (house.config.state / "ledger_key.signed").unlink()
    house.configure("\n[limits]\nlogin_seconds = 21\n")  # so that entries differ
    house.start()
    wait_until(lambda: "another history" in house.log.read_text() or "put back" in house.log.read_text(), "the alarm")
    assert not anchored(house, "witness")


def test_copies_in_a_directory_and_in_git(house: House, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", tmp_path / "anchors.git"], check=True)
    house.configure(f'\n[anchor]\ndirectory = "{tmp_path}/copies"\ngit = "{tmp_path}/anchors.git"\nevery = "10s"\n')
    house.start()
    wait_until(lambda: anchored(house, "directory") and anchored(house, "git"), "both have a copy")
    house.stop()
    origin = verify(house.config.store).origin.replace("/", "-")
    (copied,) = (tmp_path / "copies" / origin).iterdir()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", tmp_path / "anchors.git", clone], check=True)
    (pushed,) = (clone / origin).iterdir()
    for path, kind in ((copied, "directory"), (pushed, "git")):
        size = int(anchored(house, kind)[0]["anchor"].partition(":")[0])
        assert path.name == f"checkpoint-{size:012d}.note"
        assert path.read_text().split("\n")[1] == str(size)


def test_git_anchors_survive_other_writers_and_notice_a_rewrite(tmp_path: Path) -> None:
    def git(*words: object, cwd: Path) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        done = subprocess.run(["git", *who, *map(str, words)], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout

    remote, other = tmp_path / "remote.git", tmp_path / "other"
    git("init", "-q", "--bare", "-b", "main", remote, cwd=tmp_path)
    key, origin = ledger_key(), "bastion.example/9c41ab12"
    anchor = GitAnchor(str(remote), tmp_path / "state")
    anchor.put(key.seal(origin, 5, bytes(32)))
    git("clone", "-q", remote, other, cwd=tmp_path)
    (other / "README").write_text("somebody else's")
    git("add", ".", cwd=other)
    git("commit", "-qm", "x", cwd=other)
    git("push", "-q", "origin", "HEAD:main", cwd=other)
    anchor.put(key.seal(origin, 6, bytes(32)))
    anchor.put(key.seal(origin, 6, bytes(32)))  # nothing new
    names = git("ls-tree", "-r", "--name-only", "main", cwd=remote).split()
    assert [Path(name).name for name in names] == [
        "README",
        "checkpoint-000000000005.note",
        "checkpoint-000000000006.note",
    ]
    git("push", "-q", "--force", "origin", "HEAD~1:main", cwd=other)  # the commit with 5 alone: 6 is gone
    with pytest.raises(Unreachable, match="was rewritten"):
        anchor.put(key.seal(origin, 7, bytes(32)))
    with pytest.raises(Unreachable):
        GitAnchor(str(tmp_path / "none.git"), tmp_path / "state2").put(key.seal(origin, 7, bytes(32)))


def test_json_of_the_witness(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    made = shell("witness", "init", "w", "--name", "w1", "--json").json
    assert made == {"directory": str(tmp_path / "w"), "name": "w1", "key": made["key"]}
    shell.key("log")
    row = shell("witness", "trust", "w", "h/00000000", "log.pub", "--json").json
    assert row == {"origin": "h/00000000", "keys": 1, "size": 0}
    assert shell("witness", "list", "w", "--json").json == [row]
    assert shell("witness", "list", "w").out.split() == ["ORIGIN", "KEYS", "ENTRIES", "h/00000000", "1", "0"]
    assert json.loads((tmp_path / "w" / "logs").glob("*").__next__().read_text())["v"] == 1
    assert shell("witness", "serve", "w", "--listen", "x").status == 2
    assert shell("witness", "serve", "none").status == 1
    assert sys.executable
