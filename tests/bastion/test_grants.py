"""The end of a grant comes by the monotonic clock, whatever the wall clock is made to say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from bastion.directory import Directory
from bastion.grants import Grants


@dataclass
class Still:
    """A wall clock that somebody holds."""

    now: int = 1_000_000

    def wall(self) -> int:
        return self.now


@dataclass
class World:
    """What Grants acts on, noting what it is told."""

    told: list[str] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)

    def cut_where(self, which: Any, reason: str) -> int:
        self.told.append(reason)
        return 0

    async def write(self, *drafts: Any) -> None:
        self.told += [draft.type for draft in drafts]

    async def withdraw_left_behind(self, which: Any, reason: str) -> None:
        self.told.append(f"withdrawn: {reason}")
        self.recorded.set()


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.apply("identity.added", {"name": "a", "kind": "agent", "roles": [], "keys": []})
    body = {"name": "t", "address": "h", "logins": ["r"], "env": "prod", "host_keys": [], "credential": "key:/k"}
    made.apply("target.added", body)
    return made


def add(directory: Directory, clock: Still, seconds: int = 1) -> None:
    body = directory.plan_grant("g-1", "a", "t", seconds=seconds, reason="r", by="local:0", request="", now=clock.now)
    directory.apply("grant.added", body)


async def test_a_wall_clock_that_stands_still_prolongs_nothing(directory: Directory) -> None:
    clock, world = Still(), World()
    add(directory, clock)
    grants = Grants(directory, world, clock, world, world)  # type: ignore[arg-type]
    grants.arm("g-1")
    assert directory.grant("a", "t", clock.now) is not None
    async with asyncio.timeout(10):
        await world.recorded.wait()
    assert directory.grant("a", "t", clock.now) is None
    assert world.told == ["the grant ended", "grant.expired", "withdrawn: the grant ended"]
    grants.close()


async def test_one_of_an_earlier_run_that_is_over_ends_at_once(directory: Directory) -> None:
    clock, world = Still(), World()
    add(directory, clock, 3600)
    clock.now += 3600 * 1_000_000
    grants = Grants(directory, world, clock, world, world)  # type: ignore[arg-type]
    grants.start()
    async with asyncio.timeout(10):
        await world.recorded.wait()
    assert directory.access.grants == {}


def test_a_wall_clock_set_ahead_ends_what_is_asked(directory: Directory) -> None:
    clock = Still()
    add(directory, clock)
    assert directory.grant("a", "t", clock.now + 999_999) is not None
    assert directory.grant("a", "t", clock.now + 1_000_000) is None


async def test_a_revoked_one_is_not_ended_twice(directory: Directory) -> None:
    clock, world = Still(), World()
    add(directory, clock)
    grants = Grants(directory, world, clock, world, world)  # type: ignore[arg-type]
    grants.arm("g-1")
    directory.apply("grant.revoked", directory.plan_ungranting("g-1", "x"))
    grants._over("g-1")
    assert world.told == []
    grants.close()
