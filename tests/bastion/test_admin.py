"""Administration without a daemon: entries of a real ledger, folded again by the next reader."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from bastion.admin import administering, load_directory, reading
from bastion.config import Config
from bastion.control import wire
from bastion.errors import Conflict, NotFound, StoreError, UsageError
from bastion.init import init
from bastion.model import IdentityKind, Role
from recorder.keys import LedgerKey
from recorder.ledger import Ledger


def key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return init(tmp_path, host="bastion.example").config


def test_what_was_done_is_there_for_the_next_one(config: Config) -> None:
    with administering(config, "local:0") as admin:
        agent = admin.add_identity("agent-1", "agent", [], key())
        ana = admin.add_identity("ana", "human", ["approver"], key())
        web = admin.add_target("web-1", "web-1.example:22", ["deploy", "root"], "production", [key()], "key:/k")
        admin.add_target("web-2", "[::1]:2200", ["root"], "test", [key()], "key:/k")
        assert (agent.kind, ana.roles) == (IdentityKind.AGENT, frozenset({Role.APPROVER}))
    with administering(config, "local:0") as admin:
        assert admin.perform(wire.RevokeIdentity(id=0, name="agent-1", reason="key lost")).revoked == "key lost"
        assert admin.perform(wire.RemoveTarget(id=0, name="web-2")).name == "web-2"
    with reading(config) as reader:
        directory = load_directory(reader)
        entries = [(entry.type, entry.actor) for entry in reader.entries(after=0)]
    assert directory.identities["ana"] == ana
    assert directory.identities["agent-1"].revoked == "key lost"
    assert directory.targets == {"web-1": web}
    kinds = ["identity.added"] * 2 + ["target.added"] * 2 + ["identity.revoked", "target.removed"]
    assert entries == [(kind, "local:0") for kind in kinds]


def test_a_refused_wish_leaves_no_entry(config: Config) -> None:
    with administering(config, "local:0") as admin:
        admin.add_identity("ana", "human", ["approver"], key())
        with pytest.raises(Conflict):
            admin.add_identity("ana", "human", ["approver"], key())
        with pytest.raises(UsageError):
            admin.add_identity("bot", "agent", ["approver"], key())
        with pytest.raises(NotFound):
            admin.perform(wire.RevokeIdentity(id=0, name="nobody", reason="x"))
        with pytest.raises(NotFound):
            admin.perform(wire.RemoveTarget(id=0, name="nowhere"))
        with pytest.raises(NotFound):
            admin.perform(wire.RemoveWhitelist(id=0, entry="w-1"))
    with reading(config) as reader:
        assert reader.size() == 2


def test_one_writer_at_a_time(config: Config) -> None:
    with (
        administering(config, "a"),
        pytest.raises(Conflict, match="another process writes"),
        administering(config, "b"),
    ):
        pass


def test_reading_goes_on_beside_a_writer(config: Config) -> None:
    with administering(config, "a") as admin, reading(config) as reader:
        admin.add_identity("ana", "human", ["approver"], key())
        assert "ana" in load_directory(reader).identities


def test_no_store_is_said(tmp_path: Path, config: Config) -> None:
    config.ledger_key.unlink()
    with pytest.raises(StoreError, match="ledger_key"), administering(config, "a"):
        pass
    other = init(tmp_path / "other").config
    for path in other.store.iterdir():
        path.unlink()
    with pytest.raises(StoreError), reading(other):
        pass
    with pytest.raises(StoreError), administering(other, "a"):
        pass


def test_the_entries_stand_in_a_ledger_that_opens(config: Config) -> None:
    with administering(config, "a") as admin:
        admin.add_identity("ana", "human", ["approver"], key())
    ledger = Ledger.open(config.store, key=LedgerKey.load(config.ledger_key))
    assert ledger.head().size == 2
    ledger.close()
