"""Uploads over SFTP, with the real scp and sftp against a real sshd. Promises P1, P2, P4, P7."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from bastion.control import wire
from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import House
from tests.support.sftp import READS_FLOW, far, scp, sftp

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("nothing_is_left")]
HOUSE_POLICY = READS_FLOW


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listing(directory: Path) -> dict[str, bytes | None]:
    """Every file with its content, every directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


async def test_scp_up_is_held_with_its_diff_and_applied(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (there / "app.conf").write_text("listen 80\nworkers 4\n")
    (there / "app.conf").chmod(0o640)
    (tmp_path / "app.conf").write_text("listen 8080\nworkers 4\n")
    process = await scp(house, tmp_path / "app.conf", far(there))
    held = await house.held(ana)
    assert (held.kind, held.tier) == ("transfer", "medium")
    assert listing(there) == {"app.conf": b"listen 80\nworkers 4\n"}
    text = held.command.decode()
    assert f"1 write {there}/app.conf\n" in text
    assert f"with 22 bytes, sha256 {sha256((tmp_path / 'app.conf').read_bytes())}" in text
    assert "    | -listen 80\n    | +listen 8080\n" in text
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert "bastion: held" in done.stderr
    assert (there / "app.conf").read_text() == "listen 8080\nworkers 4\n"
    assert (there / "app.conf").stat().st_mode & 0o7777 == 0o640


async def test_a_program_that_is_replaced_loses_its_rights(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    (there / "program").write_text("old")
    (there / "program").chmod(0o6755)
    (tmp_path / "program").write_text("new")
    process = await scp(house, tmp_path / "program", far(there))
    held = await house.held(ana)
    assert "    sets mode 0755\n" in held.command.decode()
    await ana.vote(held, Choice.APPROVE, "fine")
    assert (await house.finish(process)).status == 0
    assert (there / "program").stat().st_mode & 0o7777 == 0o755
    assert (there / "program").read_text() == "new"


async def test_scp_denied_leaves_nothing_and_says_why(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "new").write_text("x")
    process = await scp(house, tmp_path / "new", far(there))
    await house.decide(ana, Choice.DENY, "not today")
    done = await house.finish(process)
    assert done.status != 0
    assert "not today" in done.stderr
    assert listing(there) == {}


async def test_sftp_denied_fails_at_once(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "new").write_text("x")
    process = await sftp(house, f"put {tmp_path}/new {there}/new")
    await house.decide(ana, Choice.DENY, "not today")
    done = await house.finish(process)
    assert done.status != 0
    assert "not today" in done.stderr
    assert listing(there) == {}


# --- scp -----------------------------------------------------------------------------------------------------------


async def test_scp_of_a_tree_is_one_request_and_keeps_modes_and_times(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "deep").mkdir(parents=True)
    (tree / "a" / "run.sh").write_text("echo hi\n")
    (tree / "a" / "run.sh").chmod(0o750)
    (tree / "a" / "deep" / "empty").write_bytes(b"")
    (tree / "binary").write_bytes(bytes(range(256)))
    os.utime(tree / "a" / "run.sh", (1_000_000_000, 1_100_000_000))
    os.utime(tree / "a", (1_000_000_000, 1_200_000_000))
    process = await scp(house, "-r", "-p", tree, far(there))
    held = await house.held(ana)
    text = held.command.decode()
    assert text.startswith("sftp: 6 changes: 3 mkdir, 3 write\n")
    assert "    | +echo hi\n" in text
    assert "content not shown: not text" in text
    assert listing(there) == {}
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert listing(there / "tree") == listing(tree)
    for name in ("a/run.sh", "a", "a/deep", "binary"):
        ours, theirs = (tree / name).stat(), (there / "tree" / name).stat()
        assert (ours.st_mode, int(ours.st_mtime)) == (theirs.st_mode, int(theirs.st_mtime)), name


async def test_a_thousand_small_files_are_one_request(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    tree = tmp_path / "many"
    tree.mkdir()
    for number in range(1000):
        (tree / f"file-{number:04}").write_text(f"{number}\n")
    before = len(await ana.call(wire.ListRequests, list[wire.RequestInfo], state="approved"))
    process = await scp(house, "-r", tree, far(there))
    held = await house.held(ana)
    assert held.command.startswith(b"sftp: 1001 changes: 1 mkdir, 1000 write\n")
    await ana.vote(held, Choice.APPROVE, "fine")
    done = await house.finish(process)
    assert done.status == 0, done.stderr
    assert listing(there / "many") == listing(tree)
    assert len(await ana.call(wire.ListRequests, list[wire.RequestInfo], state="approved")) == before + 1


async def test_scp_over_a_tree_that_is_there_names_only_what_changes(
    house: House, ana: Client, tmp_path: Path, there: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "same").mkdir(parents=True)
    for name in ("one", "same/two"):
        (tree / name).write_text(name)
    shutil.copytree(tree, there / "tree")
    (tree / "one").write_text("another")
    process = await scp(house, "-r", tree, far(there))
    held = await house.held(ana)
    assert held.command.startswith(b"sftp: 1 change: write ")
    await ana.vote(held, Choice.APPROVE, "fine")
    assert (await house.finish(process)).status == 0
    assert (there / "tree" / "one").read_text() == "another"


# --- sftp ----------------------------------------------------------------------------------------------------------


async def through(house: House, ana: Client, *lines: str, times: int = 1) -> tuple[int, list[wire.RequestInfo]]:
    """Run sftp, approve what it holds, so many times; its status and what was held."""
    process = await sftp(house, *lines)
    held = []
    for _ in range(times):
        info = await house.held(ana)
        held.append(info)
        await ana.vote(info, Choice.APPROVE, "fine")
    return (await house.finish(process)).status, held


async def test_sftp_does_what_it_does(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    (tmp_path / "new").write_text("one\n")
    (there / "old").write_text("as it was\n")
    status, held = await through(
        house, ana,
        f"put {tmp_path}/new {there}/new",
        f"mkdir {there}/made",
        f"rename {there}/new {there}/made/moved",
        f"chmod 600 {there}/made/moved",
        f"symlink made/moved {there}/link",
        f"ln {there}/made/moved {there}/hard",
        f"rm {there}/old",
        f"mkdir {there}/empty",
        f"rmdir {there}/empty",
        times=9,
    )  # fmt: skip
    assert status == 0
    kinds = [info.command.decode().splitlines()[1].split()[1] for info in held]
    assert kinds == ["write", "mkdir", "replace", "setstat", "symlink", "link", "remove", "mkdir", "rmdir"]
    assert "    | -as it was\n" in held[6].command.decode()
    assert ("deletes", f"{there}/old") in [tuple(effect) for effect in held[6].effects]
    assert (there / "made" / "moved").read_text() == "one\n"
    assert (there / "made" / "moved").stat().st_mode & 0o7777 == 0o600
    assert os.readlink(there / "link") == "made/moved"
    assert (there / "hard").samefile(there / "made" / "moved")
    assert not (there / "old").exists()
    assert not (there / "empty").exists()


async def test_sftp_goes_on_where_an_upload_stopped(house: House, ana: Client, tmp_path: Path, there: Path) -> None:
    data = os.urandom(200_000)
    (tmp_path / "big").write_bytes(data)
    (there / "big").write_bytes(data[:70_000])
    status, held = await through(house, ana, f"reput {tmp_path}/big {there}/big")
    assert status == 0
    assert f"with 200000 bytes, sha256 {sha256(data)}" in held[0].command.decode()
    assert (there / "big").read_bytes() == data


async def test_sftp_goes_on_where_a_download_stopped(house: House, tmp_path: Path, there: Path) -> None:
    data = os.urandom(200_000)
    (there / "big").write_bytes(data)
    (tmp_path / "big").write_bytes(data[:70_000])
    process = await sftp(house, f"reget {there}/big {tmp_path}/big")
    assert (await house.finish(process)).status == 0
    assert (tmp_path / "big").read_bytes() == data


@pytest.mark.parametrize(
    "line",
    [
        "mkdir {}/x",
        "rm {}/old",
        "rename {}/old {}/y",
        "chmod 777 {}/old",
        "symlink a {}/x",
        "ln {}/old {}/x",
        "rmdir {}/dir",
    ],
)
async def test_denied_is_an_error_and_changes_nothing(house: House, ana: Client, there: Path, line: str) -> None:
    (there / "old").write_text("x")
    (there / "dir").mkdir()
    before = listing(there), (there / "old").stat().st_mode
    process = await sftp(house, line.format(there, there))
    await house.decide(ana, Choice.DENY, "leave it")
    done = await house.finish(process)
    assert done.status != 0
    assert "leave it" in done.stderr
    assert (listing(there), (there / "old").stat().st_mode) == before
