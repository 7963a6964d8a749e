"""The governed shell's front, with real parts: modes, what the approver is shown, limits, the record."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bastion.control import wire
from bastion.errors import UsageError
from bastion.model import Choice
from tests.bypass.adapters.ours import Ours
from tests.support.house import ROOT
from tests.support.ports import until
from tests.support.shell import shell

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours('[shells]\nidle = "10s"\n') as made:
        yield made


async def info_of(ours: Ours, command: bytes) -> wire.RequestInfo:
    return await ours.house.held(ours.ana, command)


async def open_session(ours: Ours) -> wire.SessionInfo:
    sessions = await ours.ana.call(wire.ListSessions, list[wire.SessionInfo])
    return next(each for each in reversed(sessions) if each.state == "open")


def bastion(ours: Ours, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bastion", "--config", str(ours.house.config.path), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


async def test_the_approver_is_shown_what_the_shell_makes_of_it(ours: Ours) -> None:
    async with shell(ours) as sh:
        await sh.line("echo p=$PAGER s=$LESSSECURE", r"p=cat s=1\r?\n")
        await sh.line("alias ls='touch X; ls'")
        await sh.prompted()
        await sh.line("false")
        await sh.prompted()
        sh.type("ls /srv\r")
        info = await info_of(ours, b"ls /srv")
        said = dict(info.context)
        assert "aliased to `touch X; ls'" in said["means"]
        assert "$ " not in said.get("before it", "")
        assert (info.kind, info.sequence, info.mode, info.terminal != "") == ("line", 5, "none", True)
        shown = await asyncio.to_thread(bastion, ours, "request", "show", info.id)
        assert "aliased to" in shown.stdout
        await ours.ana.vote(info, Choice.DENY, "an alias")
        await sh.line("echo st''atus $?", r"status 1\r?\n")


async def test_what_type_does_not_say(ours: Ours) -> None:
    """A remembered path, variables, and words that nobody knows beforehand."""
    async with shell(ours) as sh:
        await sh.line("hash -p /tmp/evil cat; export LD_LIBRARY_PATH=/tmp/lib; f() { :; }; x=f")
        await sh.prompted()
        for typed, name, text in (
            ("cat /etc/hostname", "means", "cat is hashed: /tmp/evil"),
            ("ls", "variables", 'LD_LIBRARY_PATH="/tmp/lib"'),
            ("$x", "functions", "f"),
        ):
            sh.type(f"{typed}\r")
            info = await info_of(ours, typed.encode())
            assert text in dict(info.context)[name]
            await ours.ana.vote(info, Choice.DENY, "no")
            await sh.prompted()


async def test_raw_is_granted_for_a_time_and_ended_by_a_person(ours: Ours) -> None:
    async with shell(ours) as sh:
        sh.type("cat\r")
        info = await info_of(ours, b"cat")
        assert info.mode == "line"
        await ours.ana.vote(info, Choice.APPROVE, "", "raw", 120)
        await sh.sees("keys r-")
        sh.type("typed raw\r")
        await sh.sees("typed raw\r\ntyped raw")
        session = await open_session(ours)
        assert session.mode == "raw"
        assert session.until > 0
        ended = await asyncio.to_thread(bastion, ours, "session", "end-keys", session.id)
        assert ended.returncode == 0, ended.stderr
        await sh.sees("lines r-[^\n]*from here on line by line")
        sh.type("typed after\r")
        assert (await info_of(ours, b"typed after\n")).kind == "stdin"
        again = await asyncio.to_thread(bastion, ours, "session", "end-keys", session.id)
        assert again.returncode == 1
        sh.type("\x03")
        await sh.prompted()


async def test_the_clock_ends_it_too(ours: Ours) -> None:
    async with shell(ours) as sh:
        sh.type("cat\r")
        await ours.ana.vote(await info_of(ours, b"cat"), Choice.APPROVE, "", "raw", 1)
        await sh.sees("lines r-[^\n]*1 s are over")
        sh.type("\x03")
        await sh.prompted()


async def test_an_idle_shell_is_ended_with_a_word(ours: Ours) -> None:
    async with shell(ours) as sh:
        await sh.sees("bastion: ended: nothing happened for 10 s")
        await until(lambda: sh.client.status is not None, "the client ends")


async def test_json_notices_on_a_terminal(ours: Ours) -> None:
    async with shell(ours, options=("-o", "SetEnv=BASTION_OUTPUT=json")) as sh:
        sh.type("true\r")
        await sh.sees(r'\{"bastion": "held", [^\n]*"request": "r-[0-9a-f]{8}"')


async def test_what_was_done_can_be_checked(ours: Ours) -> None:
    """Lines, input, a granted mode: the verifier knows them all."""
    async with shell(ours) as sh:
        await sh.line("cat")
        await sh.line("some input", "some input\r\nsome input")
        sh.type("\x04")
        await sh.prompted()
    head = await asyncio.to_thread(bastion, ours, "ledger", "verify")
    assert head.returncode == 0, head.stdout + head.stderr
    listed = await asyncio.to_thread(bastion, ours, "ledger", "list")
    assert re.search(r"stdin\.sent", listed.stdout)


async def test_an_edited_line_runs_in_the_shell(ours: Ours) -> None:
    async with shell(ours) as sh:
        await sh.line("word=state")
        await sh.prompted()
        sh.type("echo asked $word\r")
        info = await info_of(ours, b"echo asked $word")
        with pytest.raises(UsageError, match="not whole"):
            await ours.ana.edit(info, b"echo 'open")
        made = await ours.ana.edit(info, b"echo edited $word; cd /tmp")
        assert (made.kind, made.context, made.mode) == ("line", [], "none")
        await ours.ana.vote(made, Choice.APPROVE, "")
        await sh.sees(r"edited r-[^\n]*by ana, in place of r-[^\n]*: echo edited \$word; cd /tmp")
        await sh.sees(r"edited state\r?\n")
        await sh.line("pwd", r"/tmp\r?\n")
        sh.type("sleep 30\r")
        again = await ours.ana.edit(await info_of(ours, b"sleep 30"), b"sleep 29")
        sh.type("\x03")  # takes back what stands in its place
        await sh.sees("withdrawn")
        async with asyncio.timeout(10):
            while not await ended(ours, again.id):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await sh.line("echo go''es on", r"goes on\r?\n")
    verified = await asyncio.to_thread(bastion, ours, "ledger", "verify")
    assert verified.returncode == 0, verified.stdout


async def ended(ours: Ours, request: str) -> bool:
    info = await ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=request)
    return info.state == "withdrawn"
