"""The command line against a real daemon with a real target: deciding, watching, replaying, administering."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bastion.control.client import Client
from bastion.control.wire import RequestInfo
from bastion.model import Choice
from tests.bastion.cli.conftest import Done, Shell
from tests.bastion.cli.test_json import check
from tests.support.desktop import Bus, Desktop
from tests.support.house import House
from tests.support.ports import until, wait_until
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

COMMAND = "printf 'a\\033[31mred\\033[0m\\n'; printf err >&2; exit 3"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running bastion with a target."""
    sshd = Sshd(tmp_path_factory.mktemp("target"))
    sshd.start()
    made = House(tmp_path_factory.mktemp("house"))
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()
    sshd.stop()


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    """An approver's own client."""
    client = await house.remote("ana")
    yield client
    await client.close()


@pytest.fixture
def local(house: House) -> Shell:
    """The administrator's shell on the bastion's host."""
    return Shell(house.work, {"BASTION_CONFIG": str(house.config.path)})


def away(house: House, who: str) -> Shell:
    """Somebody's shell on a machine of their own, with a client.toml and nothing else."""
    home = house.work / f"home-{who}"
    where = home / ".config" / "agent-bastion"
    where.mkdir(parents=True, exist_ok=True)
    (where / "client.toml").write_text(
        f'bastion = "127.0.0.1:{house.port}"\nkey = "{house.work / who}"\nhost_key = "{house.host_key}"\n'
    )
    return Shell(home)


async def run(shell: Shell, *words: str) -> Done:
    """A command beside what this test's loop does."""
    return await asyncio.to_thread(shell, *words)


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


@contextlib.contextmanager
def started(shell: Shell, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on; ended with the block."""
    command = shell.command(*words)
    with subprocess.Popen(
        command, cwd=shell.work, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


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


@pytest.fixture
async def session(house: House, ana: Client) -> str:
    """The id of a recorded session that has ended."""
    ssh = await house.ssh("web-1", COMMAND)
    info = await house.decide(ana, command=COMMAND.encode())
    await house.finish(ssh)
    return info.session


async def test_sessions(house: House, local: Shell, session: str) -> None:
    shell = away(house, "eve")
    assert session in (await run(shell, "session", "list")).out
    for each in (shell, local):
        shown = await run(each, "session", "show", session[:8] if each is local else session)
        assert (shown.status, shown.err) == (0, "")
        assert shown.out.splitlines()[-2:] == ["  | ared", "  | err"]
        assert "\x1b" not in shown.out
    text = await run(shell, "session", "export", session, "--format", "txt")
    assert text.out == "ared\nerr\n"
    for form, version in (("cast", 3), ("cast2", 2)):
        out = house.work / f"{session}.{form}"
        done = await run(local, "session", "export", session, "--format", form, "--output", str(out))
        assert done.out == f"wrote {out}\n"
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert lines[0]["version"] == version
        assert "".join(line[2] for line in lines[1:] if line[1] == "o").startswith("a\x1b[31mred\x1b[0m\r\n")
        assert out.stat().st_mode & 0o777 == 0o600
        again = await run(local, "session", "export", session, "--format", form, "--output", str(out))
        assert (again.status, again.out) == (1, "")
    html = await run(local, "session", "export", session, "--format", "html")
    assert (html.status, html.err) == (0, "")
    assert "Content-Security-Policy" in html.out
    assert 'data-at="' in html.out
    assert "approve by ana" in html.out
    for verb in (["show"], ["export", "--format", "txt"], ["kill"]):
        done = await run(local, "session", *verb, "s-nothing")
        assert done.status == 1
        assert "no " in done.err
    assert not list(house.work.glob("*.part"))


def on_terminal(shell: Shell, *words: str, until: bytes, then: bytes = b"") -> tuple[int, bytes]:
    """Run on a real pty of 80 by 24; when `until` has been seen, type `then`. Status and everything it wrote."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(shell.work)
        command = shell.command(*words)
        os.execve(command[0], command, {**shell.env, "TERM": "xterm-256color"})  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, typed, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if until in seen and not typed:
            typed = True
            os.write(fd, then)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), seen


async def test_replaying_on_a_terminal(house: House, local: Shell, session: str) -> None:
    refused = await run(local, "session", "replay", session)
    assert refused.status == 2
    assert "needs a terminal" in refused.err
    words = ["session", "replay", session, "--speed", "50", "--idle", "0.2"]
    status, seen = await asyncio.to_thread(on_terminal, local, *words, until=b"\x1b[?1049l")
    assert status == 0
    assert seen.startswith(b"\x1b[?1049h")  # on the alternate screen
    assert b"red" in seen.partition(b"\x1b[?1049l")[2]  # and the last screen stays behind
    (request,) = (await run(local, "session", "show", session, "--json")).json["requests"]
    for place in (["--at", "0:00:00.5"], ["--request", request[:8]]):
        words = ["session", "replay", session, "--speed", "0.01", "--idle", "0", *place]
        status, seen = await asyncio.to_thread(on_terminal, local, *words, until=b"\x1b[?1049l")
        assert status == 0, seen
        assert b"red" in seen.partition(b"\x1b[?1049l")[2]
    for place, answer in (
        (["--at", "90:00"], b"ends after"), (["--request", "r-none"], b"no request"), (["--at", "soon"], b"is no time"),
        (["--at", "1", "--request", request], b"two places"), (["--at", "0:00:00:01"], b"is no time"),
    ):  # fmt: skip
        status, seen = await asyncio.to_thread(on_terminal, local, "session", "replay", session, *place, until=answer)
        assert status in (1, 2)
        assert answer in seen
        assert b"\x1b[?1049h" not in seen
    slow = ["session", "replay", session, "--speed", "0.01"]
    shell = away(house, "eve")
    status, seen = await asyncio.to_thread(on_terminal, shell, *slow, until=b"\x1b[?1049h", then=b"\x03")
    assert status == 130
    assert b"\x1b[?1049l" in seen  # the person's own screen is back
    for bad in (["--speed", "0"], ["--speed", "nan"], ["--speed", "2000"], ["--idle", "-1"], ["--idle", "nan"]):
        assert (await run(local, "session", "replay", session, *bad)).status == 2


async def test_watching_and_ending_a_session(house: House, local: Shell, ana: Client) -> None:
    ssh = await house.ssh("web-1", "for i in 1 2 3; do echo \"line $i\"; done; printf '\\033[2Jx\\n'; sleep 60")
    info = await house.held(ana)
    shell = away(house, "eve")
    with started(shell, "session", "watch", info.session) as watch:
        await until_watched(ana, info.session, house)
        await ana.vote(info, Choice.APPROVE, "")
        assert watch.stdout is not None
        lines = [await asyncio.to_thread(watch.stdout.readline) for _ in range(4)]
        assert lines == [b"line 1\n", b"line 2\n", b"line 3\n", "⟨ESC⟩[2Jx\n".encode()]
        refused = await run(shell, "session", "kill", info.session)
        assert refused.status == 1
        killed = await run(local, "session", "kill", info.session, "--reason", "enough")
        assert (killed.status, killed.err) == (0, "")
        assert killed.out.startswith(f"ended {info.session} of agent-7 on {LOGIN}@web-1")
        _, err = await asyncio.to_thread(watch.communicate)
        assert watch.returncode == 0
        assert err.startswith(f"session {info.session} closed: ".encode())
    outcome = await house.finish(ssh)
    assert outcome.status != 0
    assert "enough" in outcome.stderr
    over = await run(shell, "session", "watch", info.session)
    assert over.status == 1
    assert "is closed" in over.err


async def test_watching_on_a_terminal_draws_what_the_agents_terminal_would_show(house: House, ana: Client) -> None:
    ssh = await house.ssh("web-1", "printf 'one\\n\\033]0;title\\007\\033[31mtwo\\033[0m\\n'; sleep 0.3; echo three")
    info = await house.held(ana)
    shell = away(house, "eve")
    words = ["session", "watch", info.session]
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(asyncio.to_thread(on_terminal, shell, *words, until=b"\x1b[?1049l"))
        await until_watched(ana, info.session, house)
        await ana.vote(info, Choice.APPROVE, "")
    status, seen = watching.result()
    assert status == 0
    assert b"\x1b]0;" not in seen  # a title is an order to the approver's own terminal: it does not pass
    left_behind = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen.partition(b"\x1b[?1049l")[2]).split()
    assert left_behind[:3] == [b"one", b"two", b"three"]
    await house.finish(ssh)


async def until_watched(client: Client, session: str, house: House) -> None:
    """Wait until the watching is noted in the ledger."""
    from bastion.control import wire

    async with asyncio.timeout(20):
        while True:
            rows = await client.call(wire.ListLedger, list[wire.LedgerLine], after=7, limit=1000)
            if any(b"access.viewed" in row.entry and session.encode() in row.entry for row in rows):
                return
            await asyncio.sleep(0.05)


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
