"""The record across the network: tools hold a bastion to its past, keys change, sealed segments are files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.verify import Verdict, verify
from tests.bastion.cli.conftest import Shell
from tests.support.house import House

pytestmark = pytest.mark.e2e


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A bastion without targets, not started."""
    made = House(tmp_path / "house")
    yield made
    made.stop()


def shells(house: House) -> tuple[Shell, Shell]:
    """An approver's, elsewhere, and the administrator's."""
    away = Shell(house.work / "elsewhere", {"XDG_CONFIG_HOME": str(house.work / "elsewhere")})
    (away.work / "agent-bastion").mkdir(parents=True)
    (away.work / "agent-bastion" / "client.toml").write_text(
        f'bastion = "127.0.0.1:{house.port}"\nkey = "{house.work / "ana"}"\nhost_key = "{house.host_key}"\n'
    )
    return away, Shell(house.work, {"BASTION_CONFIG": str(house.config.path)})


def test_a_bastion_that_was_put_back_is_refused(house: House) -> None:
    away, local = shells(house)
    state = house.config.state
    house.start()
    assert away("ledger", "head").status == 0
    house.stop()
    shutil.copytree(state / "store", house.work / "backup")
    house.start()
    assert away("ledger", "head").status == 0
    assert local("ledger", "head").status == 0
    house.stop()
    shutil.rmtree(state / "store")
    shutil.copytree(house.work / "backup", state / "store")
    refused = local("serve")
    assert (refused.status, "was put back" in refused.err) == (2, True), "the signer remembers"
    (state / "ledger_key.signed").unlink()  # as the host's administrator can
    house.start()
    for shell, verb in ((away, ("request", "list")), (local, ("identity", "list"))):
        done = shell(*verb)
        assert (done.status, done.out) == (1, "")
        assert "cannot show that its ledger continues the one seen before" in done.err
    anchor = done.err.rpartition("bastion ledger accept ")[2].strip(")\n")
    assert away("ledger", "accept", "5:" + "0" * 64).status == 1
    assert away("request", "list").status == 1
    done = away("ledger", "accept", anchor)
    assert (done.status, done.err) == (0, "")
    assert away("request", "list").status == 0
    assert away("ledger", "accept", "nonsense").status == 2
    house.stop()


def test_the_key_changes(house: House) -> None:
    away, local = shells(house)
    first = (house.config.state / "ledger_key.pub").read_text().split()[1]
    house.start()
    before = away("ledger", "head").out.split()[-1]
    house.stop()
    done = local("ledger", "rotate-key", "--json")
    assert (done.status, done.err) == (0, "")
    key = done.json["key"].split()[1]
    assert key != first
    assert (house.config.state / "ledger_key.pub").read_text().split()[1] == key
    assert not (house.config.state / "ledger_key.next").exists()
    house.start()
    assert away("ledger", "head").status == 0, "the new head is proved from the pinned one"
    house.stop()
    assert local("ledger", "head").status == 0
    for given in (first, key):
        (house.work / "given.pub").write_text(f"ssh-ed25519 {given}\n")
        assert local("ledger", "verify", "--head", before, "--log-key", "given.pub").status == 0
    segments = house.config.store / "segments"
    assert sorted(path.name for path in segments.iterdir()) == ["seg-000000.jsonl", "seg-000000.jsonl.sig"]
    signers = house.work / "signers"
    origin = verify(house.config.store).origin
    signers.write_text(f"{origin} ssh-ed25519 {first}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", origin, "-n", "segment@agent-bastion", "-s"]
    with (segments / "seg-000000.jsonl").open("rb") as file:
        subprocess.run([*command, str(segments / "seg-000000.jsonl.sig")], stdin=file, check=True, capture_output=True)


def test_a_change_of_keys_that_was_interrupted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from bastion import ledgerkey

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledgerkey, "_take_over", dies)
    with pytest.raises(KeyboardInterrupt):
        ledgerkey.rotate(house.config, "local:0")
    monkeypatch.undo()
    assert (house.config.state / "ledger_key.next").exists()
    house.start()
    house.stop()
    assert not (house.config.state / "ledger_key.next").exists()
    assert verify(house.config.store).verdict is Verdict.OK
    # before its entry: the left-over is nobody's key, and the next change makes it anew
    (house.config.state / "ledger_key.next").write_text("half")
    (house.config.state / "ledger_key.next").chmod(0o600)
    house.start()
    house.stop()
    ledgerkey.rotate(house.config, "local:0")
    assert verify(house.config.store).verdict is Verdict.OK
