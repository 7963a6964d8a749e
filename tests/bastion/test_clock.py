"""The daemon's wall clock, while somebody sets the host's."""

from __future__ import annotations

import pytest

from bastion import clock

SECOND = 1_000_000


class Host:
    """The host's two clocks, in seconds."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1000, 50

    def time_ns(self) -> int:
        return self.wall * 10**9

    def monotonic_ns(self) -> int:
        return self.monotonic * 10**9

    def passes(self, seconds: int) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(clock, "time", made)
    return made


def test_it_follows_the_hosts(host: Host) -> None:
    made = clock.Clock()
    assert made.wall() == 1000 * SECOND
    host.passes(5)
    assert made.wall() == 1005 * SECOND
    host.wall += 100
    assert made.wall() == 1105 * SECOND


def test_set_back_it_neither_goes_back_nor_stands_still(host: Host) -> None:
    made = clock.Clock()
    host.wall += 100
    assert made.wall() == 1100 * SECOND
    host.wall -= 100
    assert made.wall() == 1100 * SECOND
    host.passes(7)
    assert made.wall() == 1107 * SECOND
    host.passes(200)
    assert made.wall() == 1307 * SECOND
    host.wall += 101  # it is ahead of ours again
    assert made.wall() == 1308 * SECOND


def test_it_begins_behind_the_newest_entry(host: Host) -> None:
    made = clock.Clock(floor=2000 * SECOND)
    assert made.wall() == 2000 * SECOND
    host.passes(3)
    assert made.wall() == 2003 * SECOND
