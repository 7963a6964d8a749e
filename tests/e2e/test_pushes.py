"""`git push` through the bastion, with the real git: what it changes is held, and nothing is sent before. P1, P2."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.e2e.test_certificates import register, trusting
from tests.e2e.test_transfers import git, tool
from tests.support.house import House, Outcome
from tests.support.ports import until
from tests.support.sshd import Sshd, descendants

pytestmark = pytest.mark.e2e

POLICY = """\
policy "pushes" {
  version 1
  allow low
  allow vcs "refs/heads/agent/*"
  never vcs "refs/heads/release"
}
"""
"""Opening a repository is a read; branches of the agent's own need nobody, one branch is nobody's."""

ZERO = "0" * 40


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    made.add_target("web-1", sshd, env="test")
    certified = trusting(tmp_path_factory.mktemp("certified"), made)
    register(made, "ca-1", certified)
    made.start()
    yield made
    made.stop()
    certified.stop()


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """A working copy with two commits on main, and beside it a bare repository, x.git, that has the first."""
    work = tmp_path / "seed"
    work.mkdir()
    git(work, "init", "-q")
    for text in ("one", "two"):
        (work / "file").write_text(text)
        git(work, "add", "file")
        git(work, "commit", "-q", "-m", text)
    git(tmp_path, "init", "-q", "--bare", "x.git")
    git(work, "push", "-q", str(tmp_path / "x.git"), "HEAD~1:refs/heads/main")
    return work


def at(work: Path, target: str = "web-1") -> str:
    return f"{target}@127.0.0.1:{work.parent}/x.git"


def refs(work: Path) -> dict[str, str]:
    lines = git(work.parent / "x.git", "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split() for line in lines)  # type: ignore[misc]


def rev(work: Path, name: str) -> str:
    return git(work, "rev-parse", name)


async def push(house: House, work: Path, *words: str, target: str = "web-1") -> asyncio.subprocess.Process:
    return await tool(house, "git", "push", "-q", *words[:-1], at(work, target), words[-1], cwd=work)


async def held(house: House, ana: Client, text: str) -> wire.RequestInfo:
    return await house.held(ana, text.encode())


async def decided(
    house: House, ana: Client, process: asyncio.subprocess.Process, text: str, choice: Choice = Choice.APPROVE
) -> tuple[Outcome, wire.RequestInfo]:
    info = await held(house, ana, text)
    await ana.vote(info, choice, "because")
    return await house.finish(process), info


@pytest.mark.parametrize("target", ["web-1", "ca-1"])
async def test_held_with_its_refs_then_pushed(house: House, ana: Client, seed: Path, target: str) -> None:
    old, new = rev(seed, "HEAD~1"), rev(seed, "HEAD")
    process = await push(house, seed, "HEAD:refs/heads/main", target=target)
    text = f"update refs/heads/main {old} {new}"
    info = await held(house, ana, text)
    assert (info.kind, info.stdin, info.tier) == ("stdin", "bundled", "medium")
    assert info.stdin_code.endswith(b"0000")
    assert f"{old} {new} refs/heads/main".encode() in info.stdin_code
    assert b"PACK" not in info.stdin_code
    assert "whether by force is not known" in info.reasons[0]
    assert refs(seed) == {"refs/heads/main": old}
    done, _ = await decided(house, ana, process, text)
    assert done.status == 0, done.stderr
    assert refs(seed) == {"refs/heads/main": new}
    with house.recorded() as reader:
        entries = [entry for entry in reader.entries() if entry.request in (info.id, info.parent)]
    assert [entry.type for entry in entries] == [
        "request.proposed", "command.started", "request.proposed", "request.decided", "stdin.sent", "command.finished",
    ]  # fmt: skip


async def test_denied_and_nothing_was_sent(house: House, ana: Client, seed: Path) -> None:
    before = refs(seed)
    process = await push(house, seed, "HEAD:refs/heads/main")
    text = f"update refs/heads/main {rev(seed, 'HEAD~1')} {rev(seed, 'HEAD')}"
    done, info = await decided(house, ana, process, text, Choice.DENY)
    assert done.status != 0
    assert "bastion: denied by ana: because" in done.stderr
    assert refs(seed) == before
    with house.recorded() as reader:
        (end,) = [e.body for e in reader.entries(types=("command.finished",)) if e.request == info.parent]
    assert (end["stdin_bytes"], end["note"].startswith("the push was denied")) == (0, True)


async def test_made_and_deleted_in_one_push(house: House, ana: Client, seed: Path) -> None:
    new = rev(seed, "HEAD")
    git(seed, "push", "-q", str(seed.parent / "x.git"), "HEAD:refs/heads/old", "HEAD:refs/tags/v1")
    process = await tool(
        house, "git", "push", "-q", at(seed), ":refs/heads/old", "HEAD:refs/heads/made", ":refs/tags/v1", cwd=seed
    )  # fmt: skip
    lines = {f"delete refs/heads/old {new}", f"create refs/heads/made {new}", f"delete refs/tags/v1 {new}"}
    info = await house.held(ana)
    assert set(info.command.decode().splitlines()) == lines
    assert (info.tier, info.reversible) == ("high", "no")
    await ana.vote(info, Choice.APPROVE, "")
    assert (await house.finish(process)).status == 0
    assert set(refs(seed)) == {"refs/heads/main", "refs/heads/made"}


async def test_by_force_where_that_can_be_known(house: House, ana: Client, seed: Path) -> None:
    """Back to a commit that the target has: it says itself that the new one does not contain the old one."""
    old, new = rev(seed, "HEAD~1"), rev(seed, "HEAD")
    git(seed, "push", "-q", str(seed.parent / "x.git"), "HEAD:refs/heads/main")
    process = await push(house, seed, "--force", f"{old}:refs/heads/main")
    done, info = await decided(house, ana, process, f"force refs/heads/main {new} {old}")
    assert done.status == 0, done.stderr
    assert (info.tier, info.reversible) == ("high", "no")
    assert "by force: commits that it has are lost" in info.reasons[0]
    assert refs(seed)["refs/heads/main"] == old
    git(seed, "push", "-q", str(seed.parent / "x.git"), "HEAD:refs/heads/other")
    process = await push(house, seed, "HEAD:refs/heads/main")
    done, info = await decided(house, ana, process, f"forward refs/heads/main {old} {new}")
    assert (done.status, info.tier) == (0, "medium")


async def test_policy_speaks_of_refs(house: House, ana: Client, seed: Path) -> None:
    done = await house.finish(await push(house, seed, "HEAD:refs/heads/agent/x"))
    assert done.status == 0, done.stderr
    done = await house.finish(await push(house, seed, "HEAD:refs/heads/release"))
    assert done.status != 0
    assert "refused: policy never lets this run" in done.stderr
    assert set(refs(seed)) == {"refs/heads/main", "refs/heads/agent/x"}
    process = await push(house, seed, ":refs/heads/agent/x")  # what cannot be undone is no rule's to allow
    await decided(house, ana, process, f"delete refs/heads/agent/x {rev(seed, 'HEAD')}", Choice.DENY)


async def test_nothing_to_push(house: House, ana: Client, seed: Path) -> None:
    assert (await house.finish(await push(house, seed, "HEAD~1:refs/heads/main"))).status == 0
    assert await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held") == []


async def test_a_client_that_goes(house: House, ana: Client, seed: Path) -> None:
    before = refs(seed)
    process = await push(house, seed, "HEAD:refs/heads/main")
    info = await held(house, ana, f"update refs/heads/main {rev(seed, 'HEAD~1')} {rev(seed, 'HEAD')}")
    for pid in [process.pid, *descendants(process.pid)]:  # ssh, too: it waits for its far end
        os.kill(pid, signal.SIGKILL)
    await process.wait()

    def over() -> bool:
        with house.recorded() as reader:
            ended = {entry.request for entry in reader.entries(types=("request.decided", "command.finished"))}
        return {info.id, info.parent} <= ended

    await until(over, "both have ended")
    assert (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).state == "withdrawn"
    assert refs(seed) == before


def packet(text: str) -> bytes:
    return b"%04x" % (len(text.encode()) + 4) + text.encode()


async def speak(house: House, seed: Path, sent: bytes) -> Outcome:
    """A client that sends what it likes into git-receive-pack."""
    return await house.run("web-1", f"git-receive-pack '{seed.parent}/x.git'", stdin=sent)


async def test_what_is_no_list_is_never_passed_on(house: House, ana: Client, seed: Path) -> None:
    before, new = refs(seed), rev(seed, "HEAD~1")
    line = f"{ZERO} {new} refs/heads/sneaked"
    for sent in (
        b"garbage", b"0001" + packet(line) + b"0000", packet("push-cert\0 report-status") + packet(line) + b"0000",
        packet(line) + packet(f"{line}\0report-status") + b"0000", packet(f"{line}\n{line}") + b"0000",
    ):  # fmt: skip
        outcome = await speak(house, seed, sent)
        assert outcome.status == 126
        assert "bastion: refused: " in outcome.stderr
    assert refs(seed) == before


async def test_nothing_follows_a_list_that_changes_nothing(house: House, ana: Client, seed: Path) -> None:
    before, new = refs(seed), rev(seed, "HEAD~1")
    list_ = packet(f"{ZERO} {new} refs/heads/sneaked\0report-status") + b"0000"
    outcome = await speak(house, seed, b"0000" + list_)
    assert outcome.status == 0
    assert refs(seed) == before
    assert await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held") == []


async def test_a_list_behind_the_one_that_was_approved_is_data(house: House, ana: Client, seed: Path) -> None:
    """What follows is the pack, whatever it looks like: git never reads a second list."""
    before, new = refs(seed), rev(seed, "HEAD~1")
    first = packet(f"{ZERO} {new} refs/heads/approved\0report-status") + b"0000"
    second = packet(f"{ZERO} {new} refs/heads/sneaked\0report-status") + b"0000"
    process = await house.ssh("web-1", f"git-receive-pack '{seed.parent}/x.git'", stdin=b"")
    assert process.stdin is not None
    process.stdin.write(first + second)
    await process.stdin.drain()
    await decided(house, ana, process, f"create refs/heads/approved {new}")
    assert "refs/heads/sneaked" not in refs(seed)
    assert refs(seed) == before


async def test_much_of_a_pack(house: House, ana: Client, seed: Path) -> None:
    (seed / "big").write_bytes(os.urandom(8 << 20))
    git(seed, "add", "big")
    git(seed, "commit", "-q", "-m", "big")
    process = await push(house, seed, "HEAD:refs/heads/agent/big")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert refs(seed)["refs/heads/agent/big"] == rev(seed, "HEAD")


async def test_the_ledger_verifies(house: House) -> None:
    """Last of this file."""
    report = await asyncio.to_thread(verify, house.config.store)
    assert report.verdict is Verdict.OK, report
