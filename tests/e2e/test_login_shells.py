"""What runs by itself where the login shell is no POSIX shell: what every shell reads alike, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

POLICY = 'policy "reads" {\n  version 1\n  allow low\n}\n'
LOGINS = ["bash", "fish", "tcsh"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A bastion with one target for each login shell, and one that runs nothing of ours."""
    work = tmp_path_factory.mktemp("logins")
    house, targets = House(work, policy=POLICY), []
    try:
        for login in LOGINS:
            path = shutil.which(login)
            if path is None:
                continue
            targets.append(Sshd(work / login, extra=f'ForceCommand {path} -c "$SSH_ORIGINAL_COMMAND"'))
            house.add_target(login, targets[-1])
        targets.append(Sshd(work / "none", extra="ForceCommand echo nothing"))
        house.add_target("none", targets[-1])
        targets.append(Sshd(work / "endless", extra="ForceCommand yes"))
        house.add_target("endless", targets[-1])
        for target in targets:
            target.start()
        house.start()
        yield house
    finally:
        house.stop()
        for target in targets:
            target.stop()


@pytest.fixture
async def ana(place: House) -> AsyncIterator[Client]:
    client = await place.remote("ana")
    yield client
    await client.close()


async def noted(client: Client) -> list[tuple[str, str]]:
    """(target, shell), as the ledger has them."""
    lines = await client.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
    found = [msgspec.json.decode(line.entry) for line in lines]
    return [(each["body"]["target"], each["body"]["shell"]) for each in found if each["type"] == "target.shell"]


def need(login: str) -> None:
    if shutil.which(login) is None:
        pytest.skip(f"{login} is not installed")


async def test_a_quote_that_csh_does_not_know_is_held(place: House, ana: Client, tmp_path: Path) -> None:
    """`\\`` inside "…" quotes nothing to csh: what only prints for every other shell would run a command there."""
    need("tcsh")
    canary = tmp_path / "canary"
    line = f'echo "\\`touch {canary}\\`"'
    first = await place.ssh("tcsh", line)
    held = await place.held(ana, line.encode())
    assert held.tier == "high"
    assert "no POSIX shell" in held.reasons[0]
    assert not canary.exists()
    await place.decide(ana, Choice.DENY, command=line.encode())
    await place.finish(first)
    done = await place.run("tcsh", "echo 'a  b' | tr a c; echo \"d\"")
    assert (done.status, done.stdout) == (0, b"c  b\nd\n")


async def test_the_shell_is_asked_once_and_noted(place: House, ana: Client) -> None:
    for line in ("ls -d /srv 2>&1 | wc -l", 'echo "$HOME" > /dev/null'):
        done = await place.run("bash", line)
        assert done.status == 0, done.stderr
        assert "held" not in done.stderr
    assert (await noted(ana)).count(("bash", "bash")) == 1


async def test_fish_runs_by_itself_what_it_reads_alike(place: House, ana: Client) -> None:
    need("fish")
    assert (await place.run("fish", "echo one; ls -d /srv")).stdout == b"one\n/srv\n"
    line = b'echo "$HOME"'
    first = await place.ssh("fish", line.decode())
    held = await place.held(ana, line)
    assert held.tier == "medium"
    assert "fish" in held.reasons[0]
    await place.decide(ana, command=line)
    assert (await place.finish(first)).status == 0


async def test_where_it_cannot_be_known_a_person_decides(place: House, ana: Client) -> None:
    line = b"ls /srv 2>&1"
    first = await place.ssh("none", line.decode())
    held = await place.held(ana, line)
    assert held.rule == "shell"
    await place.decide(ana, Choice.DENY, command=line)
    await place.finish(first)


async def test_who_prints_without_end_is_not_listened_to(place: House, ana: Client) -> None:
    line = b"ls /srv 2>&1"
    first = await place.ssh("endless", line.decode())
    assert (await place.held(ana, line)).rule == "shell"
    await place.decide(ana, Choice.DENY, command=line)
    await place.finish(first)


async def test_nor_where_a_script_is_read(place: House, ana: Client) -> None:
    """What it prints beyond the limit is not taken in: the daemon grows by a few megabytes, not by what `yes` prints in
    the seconds that a question lasts."""
    before = peak(place)
    first = await place.ssh("endless", "sh ./deploy.sh")
    assert (await place.held(ana, b"sh ./deploy.sh")).script == ""
    await place.decide(ana, Choice.DENY, command=b"sh ./deploy.sh")
    await place.finish(first)
    assert peak(place) - before < 64 << 20


def peak(house: House) -> int:
    """Bytes of memory that the daemon had at most."""
    status = Path(f"/proc/{house.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
