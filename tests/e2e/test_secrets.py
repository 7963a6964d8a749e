"""A planted key: masked wherever people look, there for who may ask, noted when they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.entry import canonical, leaf_hash
from tests.e2e.test_evidence import shells
from tests.e2e.test_transfers import shell, through
from tests.support.house import House, make_house
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
SECRET = KEY[4:]


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd) -> Iterator[House]:
    made = make_house(tmp_path / "house", sshd)
    made.start()
    yield made
    made.stop()


async def test_a_planted_key_is_covered_in_every_view(house: House, tmp_path: Path) -> None:
    ana = await house.local()
    octal = "".join(f"\\0{ord(char):o}" for char in f"A{SECRET}")  # the command's own text does not have it
    command = f"printf AKI; sleep 0.05; printf '%b\\n' '{octal}'; echo PGPASSWORD=hunter2"
    ssh = await house.ssh("web-1", command)
    info = await house.decide(ana)
    done = await house.finish(ssh)
    assert KEY.encode() in done.stdout  # the agent gets what its command prints: no policy says otherwise
    assert info.command.decode() == command  # the approver's client has the bytes that the digest covers
    away, local = shells(house)
    views = (
        ("request", "list"),
        ("request", "list", "--json"),
        ("request", "show", info.id),
        ("session", "show", info.session),
        ("session", "export", info.session, "--format", "cast"),
        ("session", "export", info.session, "--format", "html"),
        ("session", "search", "AKI", "--json"),
        ("ledger", "list", "--json"),
    )
    for verb, some in ((away, views[:1]), (local, views)):
        for words in some:
            found = verb(*words)
            assert (found.status, found.err) == (0, ""), (words, found.err)
            assert SECRET not in found.out, words
            assert "hunter2" not in found.out, words
    assert local("session", "search", SECRET).status == 1
    shown = local("request", "show", info.id, "--json").json
    assert shown["covered"] == ["command"]
    assert "⟨secret password, 7 bytes, #" in shown["command"]
    # who may, asks
    assert "hunter2" in local("request", "show", info.id, "--reveal").out
    assert KEY in local("session", "export", info.session, "--format", "txt", "--reveal").out
    refused = away("session", "export", info.session, "--format", "txt", "--reveal")
    assert (refused.status, refused.out) == (1, "")
    assert "needs the role auditor or admin" in refused.err
    # an entry as it was signed: its bytes give its leaf
    whole = local("ledger", "show", "3", "--reveal", "--json").json
    leaf = whole.pop("leaf")
    assert leaf_hash(canonical(whole)).hex() == leaf
    assert "needs the role auditor or admin" in away("ledger", "show", "3", "--reveal").err
    viewed = [
        (entry["body"]["what"], entry["body"].get("revealed", False))
        for entry in local("ledger", "list", "--json").json
        if entry["type"] == "access.viewed"
    ]
    assert viewed.count(("request", True)) == 1
    assert viewed.count(("recording", True)) == 1
    assert viewed.count(("entry", True)) == 1
    assert ("recording", False) in viewed
    await ana.close()
    house.stop()
    assert SECRET not in local("session", "export", info.session, "--format", "txt").out
    assert KEY in local("session", "export", info.session, "--format", "txt", "--reveal").out
    assert local("ledger", "show", "3", "--reveal").status == 0
    newest = json.loads(local("ledger", "list", "--json", "--limit", "2").out)
    assert newest[1]["body"] == {"what": "entry", "entry": 3, "revealed": True}
    last = newest[0]
    assert (last["type"], last["body"]) == ("access.viewed", {"what": "recording", "revealed": True})
    assert local("ledger", "verify").status == 0


async def test_policy_has_agents_get_no_secrets(tmp_path: Path, sshd: Sshd) -> None:
    """Exec and shell, split over reads; the recording keeps them, and the byte counts are the same."""
    house = make_house(tmp_path / "house", sshd)
    assert house.config.policy is not None
    text = house.config.policy.read_text()
    house.config.policy.write_text(text.replace("version 1", "version 1\n  mask secrets", 1))
    house.start()
    try:
        ana = await house.local()
        command = f"printf AKI; sleep 0.05; printf '%s\\n' A{SECRET}; echo PGPASSWORD=hunter2 >&2; echo end"
        ssh = await house.ssh("web-1", command)
        info = await house.decide(ana)
        done = await house.finish(ssh)
        assert done.stdout == b"AKIA[secret]********\nend\n"
        assert "PGPASSWORD=*******" in done.stderr
        assert "hunter2" not in done.stderr
        _, local = shells(house)
        assert KEY in local("session", "export", info.session, "--format", "txt", "--reveal").out
        entries = local("ledger", "list", "--json").json
        (finished,) = [entry["body"] for entry in entries if entry["type"] == "command.finished"]
        assert finished["stdout_bytes"] == len(done.stdout)

        # what is downloaded is the file that there is: a protocol with stars in it would break, or wait for ever
        (tmp_path / "there").write_text(f"key: {KEY}\ntoken=abcdefghijklmnop\n" * 100)
        far = f"web-1@127.0.0.1:{tmp_path / 'there'}"
        done, _ = await through(house, ana, "rsync", "-e", shell(house), far, "here", cwd=tmp_path)
        assert done.status == 0, done.stderr
        assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()

        said = f"printf '%s\\n' {KEY}\n".encode()
        ssh = await house.ssh("web-1", options=("-T",), stdin=said)
        waiting = asyncio.create_task(house.finish(ssh, said))
        await house.decide(ana)
        done = await waiting
        assert SECRET.encode() not in done.stdout
        assert b"AKIA[secret]********" in done.stdout
        await ana.close()
    finally:
        house.stop()
