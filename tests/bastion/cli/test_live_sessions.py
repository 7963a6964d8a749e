"""The command line against a real daemon: sessions, their recordings, watching and ending them."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.bastion.cli.conftest import Shell, away, on_terminal, run, started
from tests.support.house import House
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e


async def until_watched(client: Client, session: str, house: House) -> None:
    """Wait until the watching is noted in the ledger."""
    from bastion.control import wire

    async with asyncio.timeout(20):
        while True:
            rows = await client.call(wire.ListLedger, list[wire.LedgerLine], after=7, limit=1000)
            if any(b"access.viewed" in row.entry and session.encode() in row.entry for row in rows):
                return
            await asyncio.sleep(0.05)


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
