"""The command line beside a daemon and from elsewhere: administration, the ledger, `serve`, which bastion is meant."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.bastion.cli.conftest import Shell, away, on_terminal, run
from tests.support.house import House
from tests.support.ports import wait_until

pytestmark = pytest.mark.e2e


async def test_administration_beside_the_daemon(house: House, local: Shell) -> None:
    local.key("temp")
    local.key("temp-host")
    assert local("identity", "add", "temp", "--kind", "agent", "--key", "temp.pub").status == 0
    assert local("identity", "revoke", "temp", "--reason", "gone").status == 0
    words = ["--address", "127.0.0.1:1", "--login", "x", "--env", "e", "--host-key", "temp-host.pub"]
    assert local("target", "add", "temp", *words, "--credential", "key:temp").status == 0
    check = local("target", "check", "temp")
    assert check.status == 1
    assert check.out.startswith("FAILED")
    assert local("target", "check", "web-1", "--json").json[0]["ok"] is True
    assert local("target", "remove", "temp").status == 0
    assert local("ledger", "verify").status == 0
    assert [row["name"] for row in away(house, "eve")("target", "list", "--json").json] == ["web-1"]
    elsewhere = away(house, "ana")
    done = elsewhere("identity", "revoke", "agent-8", "--reason", "x")
    assert done.status == 1
    assert "no bastion.toml" in done.err  # administration never goes over the network


async def test_the_ledger_from_elsewhere(house: House, local: Shell) -> None:
    shell = away(house, "eve")
    head = shell("ledger", "head").out.split()
    assert head[-1] == local("ledger", "head").out.split()[-1]
    assert local("ledger", "verify", "--head", head[-1]).out.startswith("ok: ")
    rows = shell("ledger", "list", "--json", "--limit", "5000").json
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert len(rows) == int(head[-1].partition(":")[0])


def test_a_second_daemon_is_refused(house: House, local: Shell) -> None:
    done = local("serve")
    assert done.status == 2
    assert re.fullmatch(r"bastion: another process writes to .*\n", done.err)
    assert not house.dead


def test_serve_says_what_is_wrong(made: Shell) -> None:
    port = made.work / "bastion.toml"
    text = port.read_text()
    port.write_text(text.replace("127.0.0.1:2222", "192.0.2.1:1"))
    done = made("serve")
    assert done.status == 2
    assert "cannot listen on 192.0.2.1:1" in done.err
    assert not (made.work / "state" / "control.sock").exists()
    port.write_text(text.replace("127.0.0.1:2222", "127.0.0.1:0"))
    (made.work / "state" / "host_key").chmod(0o644)
    done = made("serve")
    assert done.status == 2
    assert "host_key" in done.err
    (made.work / "state" / "host_key").unlink()
    assert made("serve").status == 2
    (made.work / "state").chmod(0o755)
    assert made("serve").status == 2


def test_serve_ends_well_on_a_signal(made: Shell) -> None:
    path = made.work / "bastion.toml"
    path.write_text(path.read_text().replace("127.0.0.1:2222", "127.0.0.1:0"))
    with subprocess.Popen(made.command("serve"), cwd=made.work, env=made.env, stderr=subprocess.PIPE) as daemon:
        wait_until((made.work / "state" / "control.sock").exists, "it serves")
        while made("identity", "list").status != 0:
            assert daemon.poll() is None
        daemon.send_signal(signal.SIGTERM)
        _, err = daemon.communicate(timeout=20)
    assert daemon.returncode == 0, err
    assert not (made.work / "state" / "control.sock").exists()
    assert made("ledger", "list", "--json").json[-1]["type"] == "daemon.stopped"


async def test_a_passphrase_is_asked_for_on_the_terminal(house: House) -> None:
    import asyncssh

    shell = away(house, "eve")
    key = asyncssh.read_private_key(house.work / "eve")
    sealed = shell.work / "sealed"
    sealed.touch(0o600)
    sealed.write_bytes(key.export_private_key("pkcs8-pem", passphrase="right"))
    sealed.with_suffix(".pub").write_bytes(key.export_public_key())
    words = ["identity", "list", "--key", str(sealed)]
    status, seen = await asyncio.to_thread(on_terminal, shell, *words, until=b"Passphrase for", then=b"right\r")
    assert status == 0, seen
    assert b"agent-7" in seen
    assert b"right" not in seen
    status, seen = await asyncio.to_thread(on_terminal, shell, *words, until=b"Passphrase for", then=b"\x03")
    assert status in (130, -signal.SIGINT)
    assert b"agent-7" not in seen
    nobody = await run(shell, *words)
    assert nobody.status == 2
    assert "has a passphrase" in nobody.err


async def test_the_console_starts_and_ends(house: House) -> None:
    shell = away(house, "ana")
    status, seen = await asyncio.to_thread(on_terminal, shell, "tui", until=b"approve", then=b"\x11")
    assert status == 0
    assert b"127.0.0.1" in seen


def test_which_bastion_is_meant(house: House, local: Shell) -> None:
    """client.toml leads elsewhere; a configuration that is named wins over it; --bastion over both."""
    shell = away(house, "eve")
    assert len(shell("identity", "list", "--json").json) >= 5
    config = Path(shell.work) / "other"
    assert shell("init", "other").status == 0
    assert shell("identity", "list", "--json", "--config", str(config / "bastion.toml")).json == []
    shell.more["BASTION_CONFIG"] = str(config / "bastion.toml")
    assert shell("identity", "list", "--json").json == []
    assert len(shell("identity", "list", "--json", "--bastion", f"127.0.0.1:{house.port}").json) >= 5
