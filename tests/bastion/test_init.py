"""`bastion init`: what it makes, what it never touches, and a kill at every step of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from bastion import policyfile
from bastion.config import load
from bastion.errors import Conflict, StoreError, UsageError
from bastion.init import init
from bastion.policy.risk import assess
from bastion.policy.trial import run
from recorder.keys import LedgerKey
from recorder.ledger import Ledger


def tree(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def test_what_it_makes(tmp_path: Path) -> None:
    made = init(tmp_path / "a" / "b", listen="0.0.0.0:2200", host="bastion.example")
    config = load(tmp_path / "a" / "b" / "bastion.toml")
    assert made.config == config
    assert config.listen == "0.0.0.0:2200"
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [config.state, config.host_key, config.ledger_key, config.store]
    }
    assert modes == {"state": 0o700, "host_key": 0o600, "ledger_key": 0o600, "store": 0o700}
    key = asyncssh.read_private_key(config.host_key)
    assert key.get_fingerprint() == made.fingerprint
    assert made.host_key_line == " ".join(key.export_public_key().decode().split()[:2])
    ledger = Ledger.open(config.store, key=LedgerKey.load(config.ledger_key))
    assert ledger.origin.startswith("bastion.example/")
    ledger.close()
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["bastion.toml", "policy.bastion", "state"]
    assert sorted(os.listdir(config.state)) == [
        "host_authority", "host_authority.pub", "host_key", "host_key.pub", "ledger_key", "ledger_key.pub", "store",
        "upstream_ca", "upstream_ca.pub",
    ]  # fmt: skip


def test_the_policy_it_makes_is_right_and_one_that_is_there_is_kept(tmp_path: Path) -> None:
    config = init(tmp_path / "new").config
    assert config.policy == tmp_path / "new" / "policy.bastion"
    policy, findings = policyfile.load(config.policy, approvals=1, timeout=60)
    assert findings == []
    outcomes = list(run(policy, assess, 0))
    assert len(outcomes) >= 4
    assert [each.wrong for each in outcomes if each.wrong] == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "policy.bastion").write_text("mine")
    init(tmp_path / "old")
    assert (tmp_path / "old" / "policy.bastion").read_text() == "mine"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    for umask in (0o000, 0o077):
        old = os.umask(umask)
        try:
            config = init(tmp_path / str(umask)).config
        finally:
            os.umask(old)
        assert stat.S_IMODE(config.state.stat().st_mode) == 0o700
        assert stat.S_IMODE(config.host_key.stat().st_mode) == 0o600
        for public in (config.host_key.with_suffix(".pub"), config.path):
            assert stat.S_IMODE(public.stat().st_mode) == 0o644


def test_a_left_over_that_is_open_to_others_is_closed_and_emptied(tmp_path: Path) -> None:
    (tmp_path / ".state.making" / "store").mkdir(parents=True)
    (tmp_path / ".state.making" / "host_key").write_text("known to everybody")
    (tmp_path / ".state.making").chmod(0o777)
    config = init(tmp_path).config
    assert stat.S_IMODE(config.state.stat().st_mode) == 0o700
    assert config.host_key.read_text() != "known to everybody"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(path: Path) -> None:
        (tmp_path / "bastion.toml").write_text("mine")

    monkeypatch.setattr("bastion.init.sync_directory", sync)
    with pytest.raises(Conflict, match="was faster"):
        init(tmp_path)
    assert (tmp_path / "bastion.toml").read_text() == "mine"


def test_a_second_one_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(Conflict, match="exists"):
        init(tmp_path, listen="0.0.0.0:1")
    assert tree(tmp_path) == before


def test_it_goes_into_a_directory_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    init(tmp_path)
    assert (tmp_path / "README").read_text() == "mine"


def test_a_state_directory_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "precious").write_text("x")
    before = tree(tmp_path)
    with pytest.raises(Conflict, match="not what `bastion init` makes"):
        init(tmp_path)
    assert tree(tmp_path) == before


def test_keys_and_store_without_a_file_are_kept(tmp_path: Path) -> None:
    made = init(tmp_path, host="first.example")
    made.config.path.unlink()
    before = tree(tmp_path)
    again = init(tmp_path, host="second.example")
    assert again.kept
    assert again.fingerprint == made.fingerprint
    assert again.config.host_name == "first.example"  # what its ledger is called
    assert {name: data for name, data in tree(tmp_path).items() if name in before} == before


@pytest.mark.parametrize(("options", "word"), [({"listen": "nonsense"}, "--listen"), ({"host": 'a"b'}, "--host")])
def test_bad_options_are_refused_before_anything_is_made(tmp_path: Path, options: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        init(tmp_path / "new", **options)
    assert str(caught.value).startswith(word)
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        init(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot write"):
        init(tmp_path / "file" / "below")
    with pytest.raises(StoreError, match="cannot write"):
        init(Path("/proc/nowhere"))


KILLER = """
import os, shutil, signal, sys
from pathlib import Path
import bastion.init

base = Path(sys.argv[1])
bastion.init.init(base / "warm")  # so that lazy imports are no steps

def attempt(directory, step):
    '''Run init in a child that is killed at its step-th operation on the directory; the child's status.'''
    pid = os.fork()
    if pid == 0:
        seen = 0
        def hook(event, args):
            nonlocal seen
            if event in EVENTS and any(isinstance(a, (str, os.PathLike)) and str(directory) in str(a) for a in args):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        try:
            bastion.init.init(directory)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

EVENTS = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.chmod", "os.scandir", "os.listdir", "os.rmdir",
          "sqlite3.connect", "shutil.rmtree"}
step, finished_before = 0, 0
while True:
    step += 1
    directory = base / str(step)
    first = attempt(directory, step)
    if not os.WIFSIGNALED(first):
        assert first == 0, first
        break
    done = (directory / "bastion.toml").exists()
    key = directory / "state" / "host_key"
    kept = key.read_bytes() if key.exists() else None
    second = attempt(directory, 0)
    assert (os.waitstatus_to_exitcode(second) == 1) == done, (step, second)
    finished_before += done
    config = bastion.init.load(directory / "bastion.toml")
    assert kept is None or config.host_key.read_bytes() == kept, step
    left = set(os.listdir(directory)) - {"bastion.toml", "policy.bastion", "state"}
    assert all(name.startswith((".bastion.toml.", ".policy.bastion.")) for name in left), left
    assert (directory / "policy.bastion").read_text() == bastion.init.default_policy()
    bastion.init.Ledger.open(config.store, key=bastion.init.LedgerKey.load(config.ledger_key)).close()
print(step)
"""


def test_killed_at_every_step_it_can_be_repeated(tmp_path: Path) -> None:
    """A kill at the n-th file operation, for every n; then a second init finishes, or says that the first one had."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLER, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15
