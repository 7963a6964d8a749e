"""tui/feed.py against the bastion in memory."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.message import Message

from bastion import errors
from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tui import feed as feed_module
from tui import messages
from tui.feed import Feed
from tui.sample_bastion import Bastion, SampleClient
from tui.samples import request


class Running:
    """A feed that runs, and what it said."""

    def __init__(self, bastion: Bastion) -> None:
        self.said: list[Message] = []
        self.feed = Feed(bastion.connect, self._post)
        self._changed = asyncio.Event()

    def _post(self, message: Message) -> None:
        self.said.append(message)
        self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

    @property
    def requests(self) -> list[wire.RequestInfo]:
        pushed = [message.push for message in self.of(messages.Pushed)]
        return [push.request for push in pushed if isinstance(push, wire.RequestChanged)]


@asynccontextmanager
async def running(bastion: Bastion) -> AsyncIterator[Running]:
    it = Running(bastion)
    task = asyncio.create_task(it.feed.run(), name="feed")
    try:
        yield it
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.01, 0.02))


def test_the_daemons_own_client_fits() -> None:
    """It can be called as the console calls its Connection."""
    inspect.signature(Client.call).bind(None, wire.ShowRequest, wire.RequestInfo, request="r-1")
    inspect.signature(Client.vote).bind(None, request(), Choice.APPROVE, "")
    inspect.signature(Client.pushes).bind(None)
    inspect.signature(Client.close).bind(None)
    assert inspect.iscoroutinefunction(Client.call)
    assert inspect.iscoroutinefunction(Client.vote)
    assert inspect.isasyncgenfunction(Client.pushes)
    assert inspect.iscoroutinefunction(Client.close)


async def test_it_subscribes_before_it_lists() -> None:
    bastion = Bastion()
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Connected))
        kinds = [type(call) for call in bastion.calls]
        assert kinds == [wire.Subscribe, wire.ListRequests, wire.ListSessions]
        assert it.feed.me == "ana"
        assert len(it.of(messages.Connected)[0].requests) == len(bastion.requests)


async def test_pushes_arrive() -> None:
    bastion = Bastion()
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Connected))
        bastion.put(request("r-00000001"))
        await it.until(lambda: it.requests)
        assert it.requests[0].id == "r-00000001"


async def test_it_connects_again() -> None:
    bastion = Bastion()
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Connected))
        bastion.lose()
        await it.until(lambda: len(it.of(messages.Connected)) == 2)
        assert it.of(messages.Disconnected)[0].retry == 0.01


async def test_pauses_grow_and_a_key_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.01, 3600.0))
    bastion = Bastion()
    bastion.down = errors.Unreachable("connection refused\x1b[2J")
    async with running(bastion) as it:
        await it.until(lambda: len(it.of(messages.Disconnected)) == 2)
        first, second = it.of(messages.Disconnected)
        assert (first.retry, second.retry) == (0.01, 3600.0)
        assert first.reason == "connection refused⟨ESC⟩[2J"
        bastion.down = None
        it.feed.hurry()
        await it.until(lambda: it.of(messages.Connected))


@pytest.mark.parametrize("error", [errors.NotAllowed("no"), errors.HostKeyMismatch("changed"), errors.UsageError("?")])
async def test_what_another_attempt_does_not_mend_waits_for_a_key(error: errors.BastionError) -> None:
    bastion = Bastion()
    bastion.down = error
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Disconnected))
        assert it.of(messages.Disconnected)[0].retry == 0
        bastion.down = None
        it.feed.hurry()
        await it.until(lambda: it.of(messages.Connected))


async def test_a_daemon_that_refuses_after_greeting_is_not_asked_again_and_again() -> None:
    class Strict(SampleClient):
        async def call(self, call_type: type[wire.Call], result: Any, /, **fields: Any) -> Any:
            raise errors.NotAllowed("an auditor's key cannot subscribe")

    bastion = Bastion()

    async def connect() -> SampleClient:
        return Strict(bastion)

    bastion.connect = connect  # type: ignore[method-assign]
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Disconnected))
        assert it.of(messages.Disconnected)[0].retry == 0


async def test_a_list_that_is_too_long_loses_nothing_held() -> None:
    class Full(SampleClient):
        async def call(self, call_type: type[wire.Call], result: Any, /, **fields: Any) -> Any:
            if call_type is wire.ListRequests:
                raise errors.Conflict("message of 5000000 bytes; the limit is 4194304")
            return await super().call(call_type, result, **fields)

    bastion = Bastion()

    async def connect() -> SampleClient:
        client = Full(bastion)
        client.queue.put_nowait(wire.RequestChanged(request=request()))
        return client

    bastion.connect = connect  # type: ignore[method-assign]
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Pushed))
        assert it.of(messages.Connected)[0].requests == []
        assert "cannot be had" in it.of(messages.Told)[0].words


async def test_votes_and_how_they_end() -> None:
    bastion = Bastion([request()], [])
    async with running(bastion) as it:
        await it.feed.vote(request(), Choice.APPROVE, "")
        assert "not connected" in it.of(messages.VoteFailed)[0].words
        await it.until(lambda: it.of(messages.Connected))
        bastion.vote_error = errors.Unreachable("lost")
        await it.feed.vote(request(), Choice.APPROVE, "")
        assert "unknown whether" in it.of(messages.VoteFailed)[1].words
        bastion.vote_error = errors.Conflict("decided already")
        await it.feed.vote(request(), Choice.APPROVE, "")
        assert "did not count: decided already" in it.of(messages.VoteFailed)[2].words
        bastion.vote_error = None
        await it.feed.vote(request(), Choice.DENY, "no")
        assert it.of(messages.Voted)[0].info.state == "denied"
        assert bastion.votes == [("r-7f3a0c11", Choice.DENY, "no")]


async def test_calls_need_a_connection() -> None:
    with pytest.raises(errors.Unreachable):
        await Feed(Bastion().connect, lambda message: None).call(wire.ListSessions, list)


async def test_what_was_not_spoken_of_is_asked_for() -> None:
    bastion = Bastion([request("r-00000001", state="expired")], [])
    async with running(bastion) as it:
        await it.until(lambda: it.of(messages.Connected))
        await it.feed.recheck(("r-00000001", "r-00000002"))
        assert it.requests[0].state == "expired"
        assert it.of(messages.Gone)[0].request == "r-00000002"
