"""A daemon with notification channels: people are told, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.model import Choice
from tests.support.house import ROOT, House
from tests.support.ports import until
from tests.support.sinks import Hangs, Web
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Web() as made:
        yield made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, web: Web) -> Iterator[House]:
    with Hangs() as hangs:
        made = House(tmp_path_factory.mktemp("house"))
        made.add_target("web-1", sshd)
        secret = made.config.path.parent / "hook.secret"
        secret.write_text(SECRET)
        (made.config.path.parent / "gone.url").write_text("nosuch://x")
        for each in (secret, made.config.path.parent / "gone.url"):
            each.chmod(0o600)
        made.configure(
            f'[[notify]]\nname = "stuck"\nkind = "webhook"\nurl = "{hangs.url}"\nsecret_file = "hook.secret"\n'
            f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "{web.url}/now"\nsecret_file = "hook.secret"\n'
            f'[[notify]]\nname = "late"\nkind = "webhook"\nurl = "{web.url}/late"\nsecret_file = "hook.secret"\n'
            'after = "2s"\n'
            '[[notify]]\nname = "gone"\nkind = "apprise"\nurl_file = "gone.url"\n'
        )
        made.start()
        yield made
        made.stop()


def bastion(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def said(web: Web, path: str = "/now") -> list[tuple[str, str, str]]:
    found = [json.loads(got.body) for got in list(web.got) if got.path == path]
    return [(each["type"], each["data"]["request"], each["data"]["detail"]) for each in found]


async def test_what_is_held_is_told_and_a_channel_that_hangs_slows_no_decision(house: House, web: Web) -> None:
    ana = await house.remote("ana")
    took = []
    for number in range(5):
        begun = time.monotonic()
        ssh = await house.ssh("web-1", f"echo told {number} \x1b[31m")
        info = await house.held(ana, f"echo told {number} \x1b[31m".encode())
        await ana.vote(info, Choice.APPROVE, "")
        outcome = await house.finish(ssh)
        took.append(time.monotonic() - begun)
        assert outcome.status == 0
    assert min(took) < 3  # the channel in front of all others takes ten seconds to say nothing
    await until(lambda: ("bastion.held", info.id, "echo told 4 ⟨ESC⟩[31m") in said(web), "it is told")
    assert "bastion.held" not in {each[0] for each in said(web, "/late")}  # decided before it was time
    await ana.close()


async def test_secrets_are_covered(house: House, web: Web) -> None:
    ana = await house.remote("ana")
    command = "mysql -u app -pTopSecret99 db"
    ssh = await house.ssh("web-1", command)
    info = await house.held(ana, command.encode())
    await until(lambda: info.id in [each[1] for each in said(web)], "it is told")
    (detail,) = [each[2] for each in said(web) if each[1] == info.id and each[0] == "bastion.held"]
    assert detail.startswith("mysql -u app -p⟨secret ")
    assert not any(b"TopSecret99" in got.body for got in web.got)
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)
    await ana.close()


async def test_after_a_while(house: House, web: Web) -> None:
    ana = await house.remote("ana")
    ssh = await house.ssh("web-1", "echo waits")
    info = await house.held(ana, b"echo waits")
    await until(lambda: ("bastion.held", info.id, "echo waits") in said(web, "/late"), "it is told")
    await ana.vote(info, Choice.DENY, "no")
    await house.finish(ssh)
    await ana.close()


async def test_freezes_are_told_and_what_it_takes_is_shown(house: House, web: Web) -> None:
    done = await asyncio.to_thread(bastion, house, "freeze", "--target", "web-1", "--reason", "release <!here>")
    assert done.returncode == 0, done.stderr
    await until(lambda: any(each[0] == "bastion.freeze" for each in said(web)), "it is told")
    await asyncio.to_thread(bastion, house, "unfreeze", done.stdout.split()[0], "--reason", "done")
    tested = await asyncio.to_thread(bastion, house, "notify", "test", "hook", "--json")
    assert (tested.returncode, json.loads(tested.stdout)[0]["state"]) == (0, "ok")
    listed = await asyncio.to_thread(bastion, house, "notify", "list")
    rows = {line.split()[0]: line.split()[2] for line in listed.stdout.splitlines()[1:]}
    assert (rows["hook"], rows["late"]) == ("ok", "ok")
    nobody = await asyncio.to_thread(bastion, house, "notify", "test", "nobody")
    assert (nobody.returncode, "no channel" in nobody.stderr) == (1, True)


async def test_status_is_as_documented(house: House) -> None:
    from tests.bastion.cli.test_json import check

    done = await asyncio.to_thread(bastion, house, "status", "--json")
    said = json.loads(done.stdout)
    check("status", said)
    assert (said["held"], said["watching"]) == (0, [])
    assert {each["name"] for each in said["channels"]} == {"stuck", "hook", "late", "gone"}
    assert "channel gone is dead" in said["wrong"]
    assert done.returncode == 1
    plain = await asyncio.to_thread(bastion, house, "status")
    assert "watching: nobody" in plain.stdout.splitlines()
    assert "channel gone: dead: apprise does not know this address" in plain.stdout.splitlines()


async def test_consoles_are_told_how_channels_stand_and_of_the_loss_of_the_worker(house: House) -> None:
    """The process that sends is killed: all channels are dead at once, which consoles show, and back with the next."""
    ana = await house.remote("ana")
    await ana.call(wire.Subscribe, type(None))
    seen: list[dict[str, str]] = []

    async def read() -> None:
        async for push in ana.pushes():
            if isinstance(push, wire.ChannelsChanged):
                seen.append({each.name: each.state for each in push.channels})

    reading = asyncio.create_task(read(), name="pushes")
    await until(lambda: seen and seen[0]["gone"] == "dead", "how they stand is pushed")
    os.kill(worker_of(house), signal.SIGKILL)
    await until(lambda: set(seen[-1].values()) == {"dead"}, "none delivers")
    await until(lambda: seen[-1]["hook"] == "ok" and seen[-1]["gone"] == "dead", "the next worker is there")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await ana.close()


def worker_of(house: House) -> int:
    """The pid of the process that sends."""
    children = Path(f"/proc/{house.pid}/task/{house.pid}/children").read_text().split()
    (pid,) = [int(each) for each in children if b"bastion.notify.worker" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return pid


def test_a_secret_that_others_read_stops_the_start(tmp_path: Path) -> None:
    made = House(tmp_path)
    (made.config.path.parent / "s").write_text(SECRET)
    (made.config.path.parent / "s").chmod(0o644)
    made.configure('[[notify]]\nname = "a"\nkind = "webhook"\nurl = "https://x"\nsecret_file = "s"\n')
    done = bastion(made, "serve")
    assert (done.returncode, "readable by others" in done.stderr) == (2, True)
