"""Connections made beforehand: their bounds, their ends, and that what fails unseen stays unseen."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import asyncssh
import pytest

from bastion.errors import Unreachable
from bastion.model import Target
from bastion.ssh import early
from bastion.ssh.early import MOST, UNUSED, Earlies, Silent


def target(name: str = "web-1", port: int = 22) -> Target:
    return Target(name, "192.0.2.1", port, ("root",), "test", (), "ca")


class Far:
    """Answers as targets do: asks who is there once it was let, and is logged in once it was told."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.reached.set()
        self.dialled = self.cancelled = 0
        self.fails: Exception | None = None

    async def dial(self, target: Target, login: str, *, certify: Any, waits: float) -> asyncssh.SSHClientConnection:
        self.dialled += 1
        assert waits >= early.KEEP_SECONDS
        try:
            await self.reached.wait()
            if self.fails:
                raise self.fails
            return cast(asyncssh.SSHClientConnection, await certify("192.0.2.9"))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def certify(source: str) -> Any:
    return f"for {source}"


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def earlies(far: Far) -> Earlies:
    return Earlies(far.dial, 5)


async def test_taken(earlies: Earlies, far: Far) -> None:
    assert earlies.begin("s-1", target(), "root")
    assert not earlies.begin("s-1", target(), "root")
    await settled()
    assert cast(Any, await earlies.take("s-1", target(), "root", certify)) == "for 192.0.2.9"
    assert await earlies.take("s-1", target(), "root", certify) is None
    assert (far.dialled, far.cancelled) == (1, 0)


async def test_taken_while_it_is_on_its_way(earlies: Earlies, far: Far) -> None:
    far.reached.clear()
    earlies.begin("s-1", target(), "root")
    taking = asyncio.ensure_future(earlies.take("s-1", target(), "root", certify))
    await settled()
    assert not taking.done()
    far.reached.set()
    assert cast(Any, await taking) == "for 192.0.2.9"


@pytest.mark.parametrize(("name", "login"), [("web-2", "root"), ("web-1", "deploy")])
async def test_for_another_target_or_login(earlies: Earlies, far: Far, name: str, login: str) -> None:
    earlies.begin("s-1", target(), "root")
    await settled()
    assert await earlies.take("s-1", target(name), login, certify) is None
    await settled()
    assert far.cancelled == 1


async def test_a_failure_before_is_none_and_after_is_told(earlies: Earlies, far: Far) -> None:
    far.fails = Unreachable("down")
    earlies.begin("s-1", target(), "root")
    await settled()
    assert await earlies.take("s-1", target(), "root", certify) is None

    async def refuses(_source: str) -> Any:
        raise Unreachable("no certificate")

    far.fails = None
    earlies.begin("s-2", target(port=23), "root")
    await settled()
    with pytest.raises(Unreachable, match="no certificate"):
        await earlies.take("s-2", target(port=23), "root", refuses)


async def test_one_that_hangs_is_not_waited_for_longer_than_a_new_one(far: Far) -> None:
    earlies = Earlies(far.dial, 0.01)
    far.reached.clear()
    earlies.begin("s-1", target(), "root")
    with pytest.raises(Silent, match="no answer within"):
        await earlies.take("s-1", target(), "root", certify)

    async def hangs(_source: str) -> Any:
        await asyncio.Event().wait()

    far.reached.set()
    earlies.begin("s-2", target(port=23), "root")
    await settled()
    with pytest.raises(Unreachable, match="no answer within"):
        await earlies.take("s-2", target(port=23), "root", hangs)


async def test_bounds_of_one_address(earlies: Earlies, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    assert [earlies.begin(f"s-{each}", target(), "root") for each in range(UNUSED + 1)] == [True] * UNUSED + [False]
    assert earlies.begin("other", target("db-1", 23), "root")
    for each in range(UNUSED):
        earlies.drop(f"s-{each}")
    assert not earlies.begin("s-9", target(), "root")
    now = early.REFILL_SECONDS - 1
    assert not earlies.begin("s-9", target(), "root")
    now = early.REFILL_SECONDS
    assert earlies.begin("s-9", target(), "root")
    assert not earlies.begin("s-10", target(), "root")
    await settled()
    assert await earlies.take("s-9", target(), "root", certify)  # one that was used counts no more
    assert earlies.begin("s-10", target(), "root")


async def test_bounds_of_all(earlies: Earlies) -> None:
    begun = [earlies.begin(f"s-{each}", target(port=each + 1), "root") for each in range(MOST + 1)]
    assert begun == [True] * MOST + [False]
    await earlies.close()


async def test_it_is_kept_for_a_while_only(earlies: Earlies, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "KEEP_SECONDS", 0.01)
    earlies.begin("s-1", target(), "root")
    async with asyncio.timeout(5):
        while not far.cancelled:  # noqa: ASYNC110 -- a timer of the loop is what is tested
            await asyncio.sleep(0)
    assert await earlies.take("s-1", target(), "root", certify) is None


async def test_a_target_that_is_removed_and_the_end(earlies: Earlies, far: Far) -> None:
    earlies.begin("s-1", target(), "root")
    earlies.begin("s-2", target("db-1", 23), "root")
    await settled()
    earlies.drop_target("web-1")
    await settled()
    assert far.cancelled == 1
    await earlies.close()
    assert far.cancelled == 2


async def test_a_failure_is_for_the_log(earlies: Earlies, far: Far, caplog: pytest.LogCaptureFixture) -> None:
    far.fails = Unreachable("target web-1 does not answer")
    with caplog.at_level(logging.INFO):
        earlies.begin("s-1", target(), "root")
        await settled()
    assert "target web-1 does not answer" in caplog.text
