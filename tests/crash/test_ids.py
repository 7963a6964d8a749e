"""Few ids, and more requests than chance would give one each: every request has its own, also after a restart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.verify import Verdict, verify
from tests.support.house import House

pytestmark = pytest.mark.e2e

BEGIN = """
import secrets

plain = secrets.token_hex

def token_hex(size=None):
    return f"{secrets.randbelow(12):08x}" if size == 4 else plain(size)

secrets.token_hex = token_hex

from bastion.cli import main
main()
"""


@pytest.fixture
def few(house: House) -> Iterator[House]:
    house.start(program=(sys.executable, "-c", BEGIN))
    yield house
    house.stop()


async def test_no_two_requests_have_one_id(few: House, tmp_path: Path) -> None:
    seen = set()
    for round_ in range(2):
        ana = await few.remote("ana")
        for number in range(5):
            command = f"echo {round_}-{number}"
            ssh = await few.ssh("web-1", command)
            seen.add((await few.decide(ana, command=command.encode())).id)
            assert ssh.stdout is not None
            assert (await ssh.stdout.read()).decode() == f"{round_}-{number}\n"
            assert await ssh.wait() == 0
        await ana.close()
        few.stop()
        if round_ == 0:
            few.start(program=(sys.executable, "-c", BEGIN))
    assert len(seen) == 10
    assert verify(few.config.store).verdict is Verdict.OK
