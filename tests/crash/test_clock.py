"""The host's wall clock jumps while the daemon runs: nothing that is over comes back, nothing that waits is decided by
it, nothing lasts longer than it was given for, and the record verifies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.errors import Conflict
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.support.house import House
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e

YEAR = 365 * 86400
BEGIN = """
import time
from pathlib import Path

real_ns, real = time.time_ns, time.time

def offset():
    return int(Path({path!r}).read_text() or "0")

time.time_ns = lambda: real_ns() + offset() * 10**9
time.time = lambda: real() + offset()

from bastion.cli import main
main()
"""
"""The daemon, with a wall clock that is ahead by as many seconds as a file says."""


class Host:
    """A daemon on a host whose wall clock somebody sets."""

    def __init__(self, house: House, path: Path) -> None:
        self.house, self._path = house, path
        self.set(0)

    def start(self) -> None:
        self.house.start(program=(sys.executable, "-c", BEGIN.format(path=str(self._path))))

    def set(self, seconds: int) -> None:
        """The wall clock is ahead by so much from now on."""
        new = self._path.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._path)


@pytest.fixture
def host(house: House, tmp_path: Path) -> Iterator[Host]:
    made = Host(house, tmp_path / "offset")
    made.start()
    yield made
    house.stop()
    assert verify(house.config.store).verdict is Verdict.OK


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["ahead", "back"])
async def test_what_is_held_stays_held(host: Host, jump: int) -> None:
    """Requests end by the monotonic clock: neither at once, nor never. A vote names its end by the wall clock, so one
    on a request from before a jump ahead is refused; what is asked from then on is decided as ever, also when the
    host's clock is right again and the daemon's, which does not go back, is not."""
    house = host.house
    root = await house.local()
    ssh = await house.ssh("web-1", "echo there")
    info = await house.held(root)
    host.set(jump)
    other = await house.ssh("web-1", "echo later")
    later = await house.held(root, b"echo later")
    assert (await root.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).state == "held"
    if jump > 0:
        with pytest.raises(Conflict, match="past by the bastion's clock"):
            await root.vote(info, Choice.APPROVE, "")
        ssh.terminate()
        await ssh.wait()
    else:
        await root.vote(info, Choice.APPROVE, "")
        assert (await house.finish(ssh)).stdout == b"there\n"
    host.set(0)
    await root.vote(later, Choice.APPROVE, "")
    assert (await house.finish(other)).stdout == b"later\n"
    await root.close()


async def test_a_clock_set_back_revives_nothing(host: Host) -> None:
    house = host.house
    root = await house.local()
    await root.whitelist(b"echo brief", "agent-7", "web-1", LOGIN, time.time_ns() // 1000 + 60_000_000)
    assert (await house.run("web-1", "echo brief")).status == 0
    host.set(3600)
    assert (await house.run("web-1", "echo brief", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 75
    host.set(0)
    assert (await house.run("web-1", "echo brief", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 75
    await root.close()


async def test_what_ends_soon_ends_soon_after_the_clock_was_set_back(host: Host) -> None:
    """The daemon's clock was a year ahead and does not go back; nor does it wait until the host's has caught up."""
    house = host.house
    root = await house.local()
    host.set(YEAR)
    assert (await house.run("web-1", "true", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 75
    host.set(0)
    soon = time.time_ns() // 1000 + (YEAR + 2) * 1_000_000
    await root.whitelist(b"echo brief", "agent-7", "web-1", LOGIN, soon)
    begun = time.monotonic()
    while (await house.run("web-1", "echo brief", options=("-o", "SetEnv=BASTION_WAIT=no"))).status == 0:
        assert time.monotonic() - begun < 20
    await root.close()


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["ahead", "back"])
async def test_it_starts_again_on_either_side(host: Host, jump: int) -> None:
    """Entries on both sides of a jump: the store is taken up, and the record verifies."""
    house = host.house
    root = await house.local()
    await house.whitelist(root, b"echo there")
    await root.close()
    assert (await house.run("web-1", "echo there")).status == 0
    for offset in (jump, 0):
        host.set(offset)
        assert (await house.run("web-1", "echo there")).status == 0
        house.stop()
        host.start()
        assert (await house.run("web-1", "echo there")).status == 0
