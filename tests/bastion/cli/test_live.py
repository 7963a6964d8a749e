"""The command line against a real daemon with a real target: deciding, watching what is asked, the whitelist."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.control.wire import RequestInfo
from bastion.model import Choice
from tests.bastion.cli.conftest import COMMAND, Shell, away, run, started
from tests.bastion.cli.test_json import check
from tests.support.desktop import Bus, Desktop
from tests.support.house import House
from tests.support.ports import until
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e


async def test_approving_identical_ones(house: House, ana: Client) -> None:
    """Listed, then approved, each with a vote of its own; one more space is another command."""
    shell = away(house, "ana")
    same = [await house.ssh("web-1", "echo same; exit 3") for _ in range(3)]
    other = await house.ssh("web-1", "echo  same; exit 3")
    last = await house.held(ana, b"echo  same; exit 3")
    held: list[RequestInfo] = []
    async with asyncio.timeout(20):
        while True:
            held = [row for row in await ana.requests("held") if row.command == b"echo same; exit 3"]
            if len(held) == 3:
                break
            await asyncio.sleep(0.02)
    listed = await run(shell, "request", "list", "--identical", held[0].id, "--json")
    assert {row["id"] for row in listed.json} == {row.id for row in held[1:]}
    refused = await run(shell, "request", "approve", held[0].id, "--identical", "--remember")
    assert refused.status == 2
    done = await run(shell, "request", "approve", held[0].id, "--identical", "--json")
    assert done.status == 0, done.err
    assert {row["id"] for row in done.json} == {row.id for row in held}
    assert {row["state"] for row in done.json} == {"approved"}
    check("request approve", done.json[0])
    assert "identical: 3 requests" in done.err
    assert [(await house.finish(each)).status for each in same] == [3, 3, 3]
    alone = await run(shell, "request", "approve", last.id, "--identical")
    assert alone.status == 0, alone.err
    assert f"approved {last.id} by ana" in alone.out
    assert (await house.finish(other)).status == 3


async def test_approving_from_elsewhere(house: House, ana: Client) -> None:
    shell = away(house, "ana")
    ssh = await house.ssh("web-1", COMMAND)
    info = await house.held(ana, COMMAND.encode())
    listed = await run(shell, "request", "list", "--state", "held")
    row = listed.out.splitlines()[1]
    assert row.startswith(f"{info.id}  held")
    assert row.endswith(COMMAND)
    shown = await run(shell, "request", "show", info.id[:6])
    assert (shown.status, shown.err) == (0, "")
    assert COMMAND in shown.out
    for word in (info.id, info.key, info.digest, info.proposal, info.session, f"{LOGIN}@web-1 (production)"):
        assert word in shown.out
    done = await run(shell, "request", "approve", info.id, "--reason", "looks fine")
    assert (done.status, done.err) == (0, "")
    assert done.out.index(COMMAND) < done.out.index(f"approved {info.id} by ana")
    outcome = await house.finish(ssh)
    assert (outcome.status, outcome.stdout) == (3, b"a\x1b[31mred\x1b[0m\n")
    again = await run(shell, "request", "approve", info.id)
    assert again.status == 1
    assert "approved already" in again.err
    after = (await run(shell, "request", "show", info.id, "--json")).json
    assert (after["state"], after["command"], after["votes"][0]["by"]) == ("approved", COMMAND, "ana")


async def test_denying_on_the_bastions_host_with_ones_own_key(house: House, local: Shell, ana: Client) -> None:
    ssh = await house.ssh("web-1", "echo denied-here")
    info = await house.held(ana, b"echo denied-here")
    without = await run(local, "request", "deny", info.id, "--reason", "no")
    assert without.status == 1
    assert "no key" in without.err
    stranger = await run(local, "request", "deny", info.id, "--reason", "no", "--key", "stranger")
    assert stranger.status == 1
    assert "not an approver's" in stranger.err
    home = house.work / ".ssh"
    home.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        for name in ("id_ed25519", "id_ed25519.pub"):
            (home / name).symlink_to(house.work / name.replace("id_ed25519", "ben"))
    done = await run(local, "request", "deny", info.id, "--reason", "not now", "--json")
    assert (done.status, done.json["state"]) == (0, "denied")
    assert "echo denied-here" in done.err  # what was decided on was shown, also with --json
    assert done.json["votes"][0]["by"] == "ben"
    outcome = await house.finish(ssh)
    assert outcome.status == 126
    assert "bastion: denied by ben: not now" in outcome.stderr


async def test_a_hostile_command_is_shown_harmless(house: House, local: Shell, ana: Client) -> None:
    command = b"echo '\x1b[2J\xe2\x80\xae\xff' # \rclean"
    ssh = await house.ssh("web-1", os.fsdecode(command))
    info = await house.held(ana, command)
    for words in (("request", "show", info.id), ("request", "list"), ("request", "show", info.id, "--json")):
        done = await run(local, *words)
        for bad in ("\x1b", "\u202e", "\r"):
            assert bad not in done.out
    import base64

    exact = (await run(local, "request", "show", info.id, "--json")).json["command_base64"]
    assert base64.b64decode(exact) == command
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)


async def test_watching_requests(house: House, ana: Client) -> None:
    shell = away(house, "eve")  # an auditor may look
    ssh = await house.ssh("web-1", "echo watched")
    info = await house.held(ana, b"echo watched")
    with started(shell, "request", "watch", "--json") as watch:
        assert watch.stdout is not None
        states: list[str] = []
        while "exit 0" not in states:
            row = json.loads(await asyncio.to_thread(watch.stdout.readline))
            if row["id"] == info.id:
                states.append(row["status"] or row["state"])
            if states == ["held"]:
                await ana.vote(info, Choice.APPROVE, "")
        await house.finish(ssh)
        assert list(dict.fromkeys(states))[:2] == ["held", "approved"]
        watch.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(watch.wait, 10) == 130


async def test_watching_on_the_desktop(house: House, ana: Client, tmp_path: Path) -> None:
    with Bus(tmp_path) as bus, Desktop(bus, abilities=("body-markup",)) as desktop:
        shell = away(house, "eve")
        shell.more["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        with started(shell, "request", "watch", "--desktop"):
            ssh = await house.ssh("web-1", "echo '<b>' https://evil.example \x1b")
            info = await house.held(ana)
            await until(lambda: desktop.got, "it is shown")
            await ana.vote(info, Choice.DENY, "no")
            await house.finish(ssh)
    (bubble,) = desktop.got
    assert bubble.summary == "bastion: waiting for a decision"
    assert bubble.body.splitlines()[1] == "echo '&lt;b&gt;' https:⟨//⟩evil⟨.⟩example ⟨ESC⟩"
    assert info.id in bubble.body


async def test_a_watch_ends_when_nobody_reads_it_any_more(house: House, ana: Client) -> None:
    shell = away(house, "eve")
    with started(shell, "request", "watch") as watch:
        assert watch.stdout is not None
        watch.stdout.close()
        status = None
        while status is None:
            ssh = await house.ssh("web-1", "echo unread")
            await house.decide(ana, Choice.DENY, command=b"echo unread")
            await house.finish(ssh)
            status = watch.poll()
        assert status == 0


async def test_an_auditor_cannot_decide(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "echo audited")
    info = await house.held(ana, b"echo audited")
    done = await run(away(house, "eve"), "request", "approve", info.id)
    assert done.status == 1
    assert done.err == "bastion: eve may not do this (needs the role approver)\n"
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)


async def test_an_agents_key_has_no_business_here(house: House) -> None:
    start = time.monotonic()
    done = await run(away(house, "agent-7"), "request", "list")
    assert (done.status, done.out) == (1, "")
    assert "does not let this key use its control side" in done.err
    assert time.monotonic() - start < 20  # and not the minute that a call may take
    stranger = await run(away(house, "stranger"), "request", "list")
    assert stranger.status == 1
    assert "accepts none of your keys" in stranger.err


def test_an_unknown_host_key_and_how_to_pin_it(house: House) -> None:
    shell = Shell(house.work)
    words = ["request", "list", "--bastion", f"127.0.0.1:{house.port}", "--key", "ana"]
    done = shell(*words)
    assert done.status == 1
    match = re.search(r"--host-key '(ssh-ed25519 [A-Za-z0-9+/=]+)'", done.err)
    assert match is not None
    assert match[1] == house.host_key
    assert shell(*words, "--host-key", match[1]).status == 0
    assert shell(*words, "--host-key", str(house.config.host_key.with_suffix(".pub"))).status == 0
    other = (house.work / "ben.pub").read_text()
    wrong = shell(*words, "--host-key", other)
    assert wrong.status == 1
    assert "not the pinned" in wrong.err


async def test_the_whitelist(house: House, local: Shell) -> None:
    shell = away(house, "ana")
    where = ["--identity", "agent-7", "--target", "web-1"]
    done = await run(shell, "whitelist", "add", "echo listed", *where, "--for", "7d", "--json")
    assert done.status == 0, done.err
    entry = done.json
    assert (entry["command"], entry["login"], entry["by"]) == ("echo listed", LOGIN, "ana")
    assert abs(entry["expires"] / 1e6 - time.time() - 7 * 86400) < 60
    assert (await house.run("web-1", "echo listed")).stdout == b"listed\n"
    assert [row["id"] for row in (await run(local, "whitelist", "list", "--json")).json] == [entry["id"]]
    assert (await run(shell, "whitelist", "remove", entry["id"][:5])).status == 0
    assert (await run(local, "whitelist", "list", "--json")).json == []
    for words, err in (
        (["echo x", *where, "--login", "nosuch"], "is no login of web-1"),
        (["echo x", "--identity", "ana", "--target", "web-1"], "never reaches a target"),
        (["echo x", "--identity", "agent-7", "--target", "nowhere"], "no target"),
        ([" ", *where], "empty"),
    ):
        bad = await run(shell, "whitelist", "add", *words)
        assert bad.status in (1, 2), words
        assert err in bad.err
