"""Targets that misbehave: what they leave unanswered, cut short or make up costs nobody else, and is recorded as it
was."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32

from bastion.admin import administering
from bastion.control import wire
from bastion.control.client import Client
from tests.support.house import House
from tests.support.keys import make_key
from tests.support.ports import free_port, until
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e

COMMANDS = ("cat quick", "cat mute", "cat screaming", "cat done")


class Channel(asyncssh.SSHServerChannel[bytes]):
    """Does with a command what its last word says."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: list[str] = []

    def _process_exec_request(self, packet: Any) -> Any:
        word = packet.get_string().split()[-1].decode()
        self._seen.append(word)
        if word == "mute":
            return None  # no answer, ever
        asyncio.get_running_loop().call_soon(getattr(self, f"_{word}"))
        return True

    def _report_response(self, result: bool) -> None:
        super()._report_response(result)
        if self._seen == ["quick"]:
            self._quick()

    def _end(self, name: bytes, *args: bytes) -> None:
        self._send_request(name, *args)
        self.close()

    def _quick(self) -> None:
        """Granted and over in one packet's time."""
        if not self.is_closing():
            self._end(b"exit-status", UInt32(3))

    def _done(self) -> None:
        self._end(b"exit-status", UInt32(0))

    def _screaming(self) -> None:
        """Ended by a signal of no known name."""
        self._end(b"exit-signal", String("\x1b[2J" + 20000 * "A"), Boolean(False), String(""), String(""))


class Server(asyncssh.SSHServer):
    connections: list[Server]

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.remove(self)

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> Any:
        loop = asyncio.get_running_loop()
        channel = Channel(self.connection, loop, False, False, False, 0, 0, None, "strict", 1 << 20, 1 << 15)
        return channel, asyncssh.SSHServerSession()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("keys")
    make_key(work / "host_key")
    make_key(work / "credential")
    return work


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    made.configure("\n[targets]\nconnect_seconds = 2\n")
    host_key, credential = (keys / "host_key.pub").read_text(), f"key:{keys / 'credential'}"
    with administering(made.config, "local:0") as admin:
        for name in ("odd", "silent"):
            admin.add_target(name, f"127.0.0.1:{free_port()}", [LOGIN], "test", [host_key], credential)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def ana(house: House) -> AsyncIterator[Client]:
    client = await house.remote("ana")
    yield client
    await client.close()


async def port_of(ana: Client, name: str) -> int:
    targets = await ana.call(wire.ListTargets, list[wire.TargetInfo])
    return next(int(each.address.rpartition(":")[2]) for each in targets if each.name == name)


@pytest.fixture
async def odd(house: House, ana: Client, keys: Path) -> AsyncIterator[type[Server]]:
    """The target, with what it was asked for; its commands need no person."""

    class This(Server):
        connections: list[Server] = []  # noqa: RUF012 -- one list a class is meant

    listed = await ana.call(wire.ListWhitelist, list[wire.WhitelistInfo])
    for command in COMMANDS:
        if not any(each.command == command.encode() for each in listed):
            await house.whitelist(ana, command.encode(), target="odd")
    port = await port_of(ana, "odd")
    acceptor = await asyncssh.create_server(This, "127.0.0.1", port, server_host_keys=[str(keys / "host_key")])
    yield This
    acceptor.close()
    for each in list(This.connections):
        each.connection.abort()


def finished(house: House) -> dict[str, Any]:
    """Body of the newest `command.finished`."""
    with house.recorded() as reader:
        return dict(next(iter(reader.newest("command.finished"))).body)


async def test_a_command_that_is_over_at_once_has_its_status(house: House, odd: type[Server]) -> None:
    """Even with stdin on the way to it."""
    outcome = await house.run("odd", "cat quick", stdin=b"some input\n")
    assert (outcome.status, outcome.stderr) == (3, "")
    assert finished(house)["status"] == 3


async def test_what_was_sent_and_not_answered_is_not_recorded_as_not_started(house: House, odd: type[Server]) -> None:
    outcome = await house.run("odd", "cat mute")
    assert outcome.status == 125
    assert "did not say whether it started the command" in outcome.stderr
    assert "it may run" in finished(house)["note"]
    assert "not started" not in finished(house)["note"]
    await until(lambda: not odd.connections, "the connection with the forgotten channel is closed")
    assert (await house.run("odd", "cat done")).status == 0


async def test_the_name_of_a_signal_is_no_free_text(house: House, odd: type[Server]) -> None:
    await house.run("odd", "cat screaming")
    assert finished(house)["signal"] == "?"


async def test_many_who_wait_for_a_silent_target_wait_for_it_once(house: House, ana: Client) -> None:
    await house.whitelist(ana, b"true", target="silent")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", await port_of(ana, "silent")))
        silent.listen(64)
        outcomes = await asyncio.gather(*(house.run("silent", "true") for _ in range(6)))
        assert {each.status for each in outcomes} == {125}
        silent.setblocking(False)
        dials = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                dials += 1
        assert 1 <= dials < 6  # one, and one more for whoever came when it was over
