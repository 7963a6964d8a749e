"""What a connection does in one turn of the loop, and that nothing of it is lost or out of order."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh
import pytest
import uvloop

from bastion.ssh.lean import PIECE, PIECE_LEAST, TURN_SECONDS, _Lean, lean
from bastion.ssh.packets import PACKETS, TAG, UNCOUNTED
from tests.support.sshd import Sshd

MIB = 24


@asynccontextmanager
async def connection(sshd: Sshd) -> AsyncIterator[asyncssh.SSHClientConnection]:
    made = await asyncssh.connect(
        "127.0.0.1", sshd.port, client_keys=[str(sshd.credential)], known_hosts=None, config=None, agent_path=None
    )
    lean(made)
    try:
        yield made
    finally:
        made.abort()
        await made.wait_closed()


async def pulled(sshd: Sshd) -> tuple[str, int]:
    """(what came, as a hash; most bytes from the network in one turn of the loop)"""
    loop = asyncio.get_running_loop()
    most = turn = 0
    over = False

    def tick() -> None:
        nonlocal most, turn
        most, turn = max(most, turn), 0
        if not over:
            loop.call_soon(tick)

    async with connection(sshd) as made:
        plain = _Lean._take

        def received(self: _Lean, data: memoryview) -> None:
            nonlocal turn
            turn += len(data)
            plain(self, data)

        _Lean._take = received  # type: ignore[method-assign]
        try:
            tick()
            found = hashlib.sha256()
            async with made.create_process(f"head -c {MIB << 20} /dev/zero | tr '\\0' x", encoding=None) as process:
                while data := await process.stdout.read(1 << 20):
                    found.update(data)
        finally:
            over = True
            _Lean._take = plain  # type: ignore[method-assign]
    return found.hexdigest(), most


@pytest.mark.e2e
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_piece_in_one_turn(tmp_path: object, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """So that whoever types beside a transfer has an echo at once: without this it is 8 MiB with libuv."""
    sshd = Sshd(tmp_path)  # type: ignore[arg-type]
    sshd.start()
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            digest, most = runner.run(pulled(sshd))
    finally:
        sshd.stop()
    assert digest == hashlib.sha256(b"x" * (MIB << 20)).hexdigest()
    assert 0 < most <= 2 * PIECE  # a turn may begin between a piece and the next tick


@pytest.mark.e2e
async def test_a_connection_that_ends_between_two_pieces(tmp_path: object) -> None:
    sshd = Sshd(tmp_path)  # type: ignore[arg-type]
    sshd.start()
    try:
        async with connection(sshd) as made:
            async with made.create_process("cat /dev/zero", encoding=None) as process:
                assert len(await process.stdout.readexactly(4 << 20)) == 4 << 20
                made.abort()
            await made.wait_closed()
        async with connection(sshd) as made:
            process = await made.create_process("cat /dev/zero", encoding=None)
            await process.stdout.readexactly(4 << 20)
            os.kill(sshd._process.pid, 0)  # type: ignore[union-attr]
            sshd.stop()
            async with asyncio.timeout(20):
                await made.wait_closed()
    finally:
        sshd.stop()


class _Slow:
    """Stands where asyncssh's connection does: each byte takes its time."""

    def __init__(self, transport: object) -> None:
        self._transport, self._loop = transport, asyncio.get_running_loop()
        self.taken: list[int] = []
        self.slow = True
        self._inpbuf: bytes | memoryview = b""
        self._recv_handler = self._recv_encryption = object()

    def _recv_data(self) -> None:
        self.taken.append(len(self._inpbuf))
        self._inpbuf = b""
        if self.slow:
            end = time.perf_counter() + 2 * TURN_SECONDS
            while time.perf_counter() < end:
                pass


class _Pausable:
    """A transport that counts."""

    def __init__(self) -> None:
        self.paused = 0

    def set_protocol(self, _protocol: object) -> None:
        """What makes it a socket's."""

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused -= 1

    def is_closing(self) -> bool:
        return False


class _Both(_Lean, _Slow):
    pass


@pytest.mark.parametrize("size", [100, 32 << 10, 128 << 10])
async def test_pieces_of_whole_packets_grow_again(size: int) -> None:
    """After something else had held the loop up: as large as before, though no number of packets fills a piece."""
    transport = _Pausable()
    one = _Both(transport)
    one._opened_by, one._recv_handler = one._recv_encryption, one._recv_pkthdr
    packet = size.to_bytes(4, "big") + bytes(size + TAG)
    one.slow, one._piece = False, PIECE_LEAST
    for _ in range(8):
        one.data_received(packet * (2 * PIECE // len(packet)))
        while one._left is not None:  # noqa: ASYNC110 -- a turn of the loop is what is tested
            await asyncio.sleep(0)
    most = min(PIECE // len(packet), PACKETS) * len(packet)
    assert max(one.taken) == most


async def test_what_is_much_work_is_taken_in_smaller_pieces() -> None:
    """A thousand small packets are as much work as a thousand large ones."""
    transport = _Pausable()
    one = _Both(transport)
    one.data_received(bytes(PIECE))
    while one._left is not None:
        assert transport.paused == 1
        await asyncio.sleep(0)
    assert sum(one.taken) == PIECE
    assert one.taken[0] == UNCOUNTED
    assert min(one.taken) <= 4 * PIECE_LEAST
    assert transport.paused == 0
    one.slow = False
    while one._piece < PIECE:  # and in larger ones again
        one.data_received(bytes(PIECE))
        while one._left is not None:  # noqa: ASYNC110 -- a turn of the loop is what is tested
            await asyncio.sleep(0)
