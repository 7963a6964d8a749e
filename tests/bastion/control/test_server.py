"""The control server on a real unix socket: framing, limits, callers, and what ends a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from bastion.control import server as module
from bastion.control import wire
from bastion.control.client import Client
from bastion.control.connection import PUSH_LIMIT, Caller
from bastion.control.door import SOCKET_PATH_LIMIT
from bastion.control.endpoints import Local
from bastion.control.server import CALLS_IN_FLIGHT, CONNECTIONS, CONNECTIONS_EACH, ControlServer
from bastion.errors import BastionError, Conflict, Unreachable, UsageError
from tests.bastion.control.conftest import until

HELLO = b'{"type":"hello","version":1,"client":"test"}\n'


async def raw(path: Path, hello: bytes = HELLO) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=wire.LINE_LIMIT * 2)
    writer.write(hello)
    return reader, writer


async def message(reader: asyncio.StreamReader) -> dict[str, Any]:
    value = json.loads(await reader.readline())
    assert isinstance(value, dict)
    return value


async def test_the_socket_is_the_administrators_own(bastion: Any, socket_path: Path) -> None:
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    reader, writer = await raw(socket_path)
    welcome = await message(reader)
    assert welcome["identity"] == f"local:{os.geteuid()}"
    assert welcome["roles"] == ["admin", "approver", "auditor"]
    writer.close()


async def test_another_user_is_refused(bastion: Any, socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_of", lambda _: (1, 12345))  # the suite may not run as root
    reader, writer = await raw(socket_path)
    with contextlib.suppress(ConnectionResetError):  # the hello was not read
        assert await reader.read() == b""
    writer.close()
    assert not bastion.calls


async def test_a_process_that_has_no_business_there_is_refused(bastion: Any, socket_path: Path) -> None:
    """The one that sends notifications, were it ever to get that far: known by its pid, which it cannot change."""
    asked: list[int] = []
    bastion.server._barred = lambda pid: bool(asked.append(pid)) or True
    reader, writer = await raw(socket_path)
    with contextlib.suppress(ConnectionResetError):  # the hello was not read
        assert await reader.read() == b""
    writer.close()
    assert asked == [os.getpid()]
    assert not bastion.calls


async def test_it_works_under_uvloop_too(state: Path) -> None:
    import subprocess
    import sys

    code = (
        "import asyncio, sys, uvloop\n"
        "from pathlib import Path\n"
        "from tests.bastion.control.conftest import Bastion\n"
        "from bastion.control.client import Client\n"
        "from bastion.control.endpoints import Local\n"
        "async def main():\n"
        "    b = Bastion(); await b.server.listen(Path(sys.argv[1]))\n"
        "    async with await Client.open(Local(Path(sys.argv[1]))) as c: print(c.welcome.identity)\n"
        "    await b.server.close()\n"
        "uvloop.run(main())\n"
    )
    args = [sys.executable, "-c", code, str(state / "control.sock")]
    root = Path(__file__).parents[3]
    done = await asyncio.to_thread(subprocess.run, args, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == f"local:{os.geteuid()}\n", done.stderr


async def test_an_open_state_directory_is_refused(bastion: Any, state: Path) -> None:
    state.chmod(0o750)
    with pytest.raises(UsageError, match="open to others"):
        await bastion.server.listen(state / "control.sock")


async def test_the_length_of_the_path_is_limited_at_its_number(bastion: Any, state: Path) -> None:
    fits = state / ("x" * (SOCKET_PATH_LIMIT - len(os.fsencode(state)) - 1))
    with pytest.raises(UsageError, match="too long"):
        await bastion.server.listen(fits.with_name(fits.name + "x"))
    await bastion.server.listen(fits)
    async with await Client.open(Local(fits)):
        pass


async def test_a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not(bastion: Any, state: Path) -> None:
    path = state / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await bastion.server.listen(path)
    second = ControlServer(bastion.handle, bastion.welcome)
    with pytest.raises(Conflict, match="already listens"):
        await second.listen(path)
    async with await Client.open(Local(path)):
        pass
    await second.close()
    assert path.exists()
    await bastion.server.close()
    assert not path.exists()


async def test_another_version_is_refused_with_both_numbers(socket_path: Path) -> None:
    reader, writer = await raw(socket_path, b'{"type":"hello","version":2,"client":"test"}\n')
    failed = await message(reader)
    assert failed["error"] == "UsageError"
    assert "version 1" in failed["message"]
    assert failed["message"].endswith("the client 2")
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1\r\n", b"\xff\n", b"{}\n", b'{"type":"list-targets","id":1}\n', b"[" * 100_000 + b"\n"],
    ids=["http", "not utf-8", "empty", "no hello", "deep"],
)
async def test_what_is_no_hello_is_refused(socket_path: Path, first: bytes) -> None:
    reader, writer = await raw(socket_path, first)
    assert (await message(reader))["type"] == "failed"
    assert await reader.read() == b""
    writer.close()


async def test_a_silent_client_is_cut(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_SECONDS", 0.01)
    reader, writer = await raw(socket_path, b"")
    assert "no hello" in (await message(reader))["message"]
    writer.close()


async def test_a_failure_keeps_its_class_and_the_connection(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        with pytest.raises(Conflict) as caught:
            await client.call(wire.ShowRequest, wire.RequestInfo, request="missing")
        assert (caught.value.message, caught.value.hint) == ("not now", "try later")
        with pytest.raises(UsageError, match=r"f\.toml:1:2: bad"):
            await client.call(wire.ShowRequest, wire.RequestInfo, request="config")
        assert await client.call(wire.ListTargets, list[wire.TargetInfo]) == []


async def test_a_bug_is_an_internal_error_and_says_nothing_more(
    socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with await Client.open(Local(socket_path)) as client:
        with pytest.raises(BastionError, match="internal error") as caught:
            await client.call(wire.ShowRequest, wire.RequestInfo, request="broken")
        assert "a bug" not in str(caught.value)
        assert "a bug" in caplog.text
        assert await client.call(wire.ListTargets, list[wire.TargetInfo]) == []


async def test_an_unknown_call_is_refused_by_its_id_and_the_connection_lives(socket_path: Path) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(b'{"type":"make-coffee","id":7}\n{"type":"list-targets","id":8}\n')
    failed = await message(reader)
    assert (failed["type"], failed["id"], failed["error"]) == ("failed", 7, "UsageError")
    assert await message(reader) == {"type": "reply", "id": 8, "result": []}
    writer.close()


async def test_many_unknown_calls_do_not_use_up_the_places(socket_path: Path) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    for number in range(CALLS_IN_FLIGHT * 2):
        writer.write(b'{"type":"make-coffee","id":%d}\n' % number)
        assert (await message(reader))["id"] == number
    writer.close()


@pytest.mark.parametrize("line", [b"garbage\n", b'{"type":"list-targets"}\n', HELLO], ids=["garbage", "no id", "hello"])
async def test_what_cannot_be_answered_ends_the_connection(socket_path: Path, line: bytes) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(line)
    failed = await message(reader)
    assert (failed["type"], failed["id"]) == ("failed", None)
    assert await reader.read() == b""
    writer.close()


async def test_the_length_of_a_line_is_limited_at_its_number(socket_path: Path) -> None:
    head, tail = b'{"type":"list-targets","id":1,"x":"', b'"}\n'
    for extra, kind in ((0, "reply"), (1, "failed")):
        reader, writer = await raw(socket_path)
        await message(reader)
        writer.write(head + b"x" * (wire.LINE_LIMIT - len(head) - len(tail) + extra) + tail)
        assert (await message(reader))["type"] == kind
        writer.close()


async def test_an_answer_that_is_too_long_is_said(socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        with pytest.raises(BastionError, match="does not fit"):
            await client.call(wire.LedgerHead, str)


async def test_answers_overtake_and_calls_wait_for_a_place(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(client.call(wire.ShowSession, wire.SessionInfo, session=f"s-{number}"))
                for number in range(CALLS_IN_FLIGHT - 1)
            ]
            await until(lambda: bastion.running == CALLS_IN_FLIGHT - 1)
            assert await client.call(wire.ListTargets, list[wire.TargetInfo]) == []
            calls += [
                group.create_task(client.call(wire.ShowSession, wire.SessionInfo, session=f"s-{number}"))
                for number in range(CALLS_IN_FLIGHT - 1, 40)
            ]
            await until(lambda: bastion.running == CALLS_IN_FLIGHT)
            bastion.gate.set()
        assert [call.result().id for call in calls] == [f"s-{number}" for number in range(40)]
        assert bastion.most_running == CALLS_IN_FLIGHT


async def test_a_call_outlives_its_client(bastion: Any, socket_path: Path) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(b'{"type":"show-session","id":1,"session":"s"}\n')
    await until(lambda: bastion.running == 1)
    writer.close()
    await writer.wait_closed()
    bastion.gate.set()
    await until(lambda: bastion.finished == 1)


async def test_a_call_outlives_the_task_that_serves_its_connection(bastion: Any) -> None:
    """As when asyncssh cancels the subsystem's task because the SSH connection is gone."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=theirs)
    our_reader, our_writer = await asyncio.open_connection(sock=ours)
    caller = Caller("ana", frozenset())
    task = asyncio.get_running_loop().create_task(bastion.server.serve(our_reader, our_writer, caller))
    writer.write(HELLO + b'{"type":"show-session","id":1,"session":"s"}\n')
    await until(lambda: bastion.running == 1)
    task.cancel()
    await asyncio.wait([task])
    bastion.gate.set()
    await until(lambda: bastion.finished == 1)
    writer.close()


async def test_pushes_arrive_in_order_and_stop_with_the_connection(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        await client.call(wire.Subscribe, type(None))
        connection = bastion.connections[0]
        for number in range(100):
            connection.push(push(number))
        got = []
        async for each in client.pushes():
            assert isinstance(each, wire.SessionOutput)
            got.append(each.frame.at)
            if len(got) == 100:
                break
        assert got == list(range(100))
    await until(lambda: bastion.closed)
    connection.push(push(1))  # silent
    late: list[int] = []
    connection.on_close(lambda: late.append(1))
    assert late == [1]


def push(number: int, size: int = 1) -> wire.SessionOutput:
    return wire.SessionOutput(session="s", frame=wire.FrameInfo(at=number, kind="output", data=b"x" * size))


async def test_a_client_that_is_too_far_behind_is_cut(bastion: Any, socket_path: Path) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(b'{"type":"subscribe","id":1}\n')
    await message(reader)
    connection = bastion.connections[0]
    for number in range(PUSH_LIMIT):  # in one go: the pusher does not run in between
        connection.push(push(number))
    for number in range(PUSH_LIMIT):
        assert (await message(reader))["frame"]["at"] == number
    for number in range(PUSH_LIMIT + 1):
        connection.push(push(number))
    failed = await message(reader)
    assert (failed["type"], failed["error"]) == ("failed", "Unreachable")
    assert await reader.read() == b""
    await until(lambda: bastion.closed)
    writer.close()


async def test_output_that_a_watcher_does_not_take_is_bounded(bastion: Any, socket_path: Path) -> None:
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(b'{"type":"subscribe","id":1}\n')
    await message(reader)
    for number in range(65):
        bastion.connections[0].push(push(number, 1 << 18))
    assert (await message(reader))["error"] == "Unreachable"
    writer.close()


async def test_a_client_that_does_not_read_is_cut(
    bastion: Any, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bastion.control.connection.WRITE_SECONDS", 0.05)
    reader, writer = await raw(socket_path)
    await message(reader)
    writer.write(b'{"type":"subscribe","id":1}\n')
    await message(reader)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection = bastion.connections[0]
    for number in range(64):
        connection.push(push(number, 1 << 18))
    await until(lambda: bastion.closed)
    writer.close()


async def test_the_number_of_connections_is_limited(bastion: Any) -> None:
    """In all and for one caller, each at its number; a place is free again when its connection ends."""
    writers = []

    async def connect(name: str) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=theirs)
        streams = await asyncio.open_connection(sock=ours)
        writers.append(writer)
        task = asyncio.get_running_loop().create_task(bastion.server.serve(*streams, Caller(name, frozenset())))
        tasks.append(task)
        writer.write(HELLO)
        return await message(reader)

    tasks: list[asyncio.Task[None]] = []
    for number in range(CONNECTIONS):
        assert (await connect(f"c{number // CONNECTIONS_EACH}"))["type"] == "welcome"
        if number == CONNECTIONS_EACH - 1:
            assert "too many" in (await connect("c0"))["message"]
    assert "too many" in (await connect("fresh"))["message"]
    writers[0].close()
    await tasks[0]
    assert (await connect("fresh"))["type"] == "welcome"
    for writer in writers:
        writer.close()
    await asyncio.wait(tasks)


async def test_closing_lets_calls_finish_and_ends_the_rest(bastion: Any, socket_path: Path) -> None:
    async with await Client.open(Local(socket_path)) as client:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(client.call(wire.ShowSession, wire.SessionInfo, session="s-1"))
            await until(lambda: bastion.running == 1)
            closing = group.create_task(bastion.server.close())
            await asyncio.sleep(0)
            bastion.gate.set()
            assert (await call).id == "s-1"
            await closing
        with pytest.raises(Unreachable):
            await client.call(wire.ListTargets, list[wire.TargetInfo])


async def test_closing_does_not_wait_for_ever(bastion: Any, socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    async with await Client.open(Local(socket_path)) as client:
        stuck = client.call(wire.ShowSession, wire.SessionInfo, session="s-1")
        call = asyncio.get_running_loop().create_task(stuck)
        await until(lambda: bastion.running == 1)
        await bastion.server.close()
        with pytest.raises(Unreachable):
            await call
