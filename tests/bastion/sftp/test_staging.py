from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bastion.errors import Conflict
from bastion.sftp import staging
from bastion.sftp.staging import FILES_LIMIT, Staging, remove


@pytest.fixture
def room(tmp_path: Path) -> Staging:
    made = Staging(tmp_path / "staging", file_limit=1000, limit=1500)
    made.prepare()
    return made


def test_bytes_come_back_by_place_and_hash(room: Staging) -> None:
    area = room.area("s-1", "agent-7")
    staged = area.new()
    staged.write(5, b"world")
    staged.write(0, b"hello")
    staged.truncate(9)
    assert staged.seal() == hashlib.sha256(b"helloworl").hexdigest() == staged.sealed
    assert (staged.read(0, 100), staged.read(5, 2), staged.read(9, 5)) == (b"helloworl", b"wo", b"")
    area.close()
    assert list(room.directory.iterdir()) == []
    assert room.used == 0


def test_files_are_private_and_made_anew(room: Staging) -> None:
    area = room.area("s-1", "agent-7")
    area.new()
    (path,) = room.directory.rglob("1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    os.symlink("elsewhere", path.parent / "2")
    with pytest.raises(FileExistsError):
        area.new()


def test_limits_at_their_edges(room: Staging) -> None:
    area = room.area("s-1", "agent-7")
    one, other = area.new(), room.area("s-2", "agent-8").new()
    one.write(0, b"x" * 1000)
    with pytest.raises(Conflict, match="at most 1000 bytes"):
        one.write(1000, b"x")
    with pytest.raises(Conflict, match="at most 1000 bytes"):
        other.truncate(1001)
    with pytest.raises(Conflict, match="at most 1000 bytes"):
        other.write(1 << 40, b"x")
    other.write(0, b"x" * 500)
    with pytest.raises(Conflict, match="1500 bytes already"):
        other.write(500, b"x")
    one.drop()
    other.write(500, b"x")
    assert room.used == 501
    other.truncate(0)
    assert room.used == 0
    area.close()


def test_one_identity_leaves_room_for_others(room: Staging) -> None:
    room.file_limit = 200
    assert room.share == 750
    areas = [room.area(f"s-{number}", "agent-7") for number in range(5)]
    for area in areas[:3]:
        area.new().write(0, b"x" * 200)
    last = areas[3].new()
    last.write(0, b"x" * 150)
    with pytest.raises(Conflict, match="transfers of agent-7 that wait have 750 bytes"):
        areas[4].new().write(0, b"x")
    other = room.area("s-9", "agent-8").new()
    other.write(0, b"x" * 200)
    last.truncate(149)
    last.write(149, b"x")
    areas[0].close()
    areas[4].new().write(0, b"x" * 200)
    assert room.used == 950
    room.file_limit = 1000
    assert room.share == 1000  # one file must fit
    room.file_limit = 9999
    assert room.share == 1500


def test_one_channel_has_so_many_files(room: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "FILES_LIMIT", 3)
    assert FILES_LIMIT == 4000
    area = room.area("s-1", "agent-7")
    kept = [area.new() for _ in range(3)]
    with pytest.raises(Conflict, match="at most 3 files"):
        area.new()
    kept[0].drop()
    area.new()


def test_a_disk_that_is_nearly_full_is_left_alone(room: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "FREE_LEAST", 1 << 60)
    room.file_limit = room.limit = 1 << 30
    with pytest.raises(Conflict, match="nearly full"):
        room.area("s-1", "agent-7").new().write(0, b"x" * staging.BLOCK)


def test_what_an_earlier_run_left_is_removed(tmp_path: Path) -> None:
    old = Staging(tmp_path / "staging", file_limit=10, limit=10)
    old.prepare()
    old.area("s-1", "agent-7").new().write(0, b"secret")
    new = Staging(tmp_path / "staging", file_limit=10, limit=10)
    new.prepare()
    assert list(new.directory.iterdir()) == []
    assert new.directory.stat().st_mode & 0o777 == 0o700


def deep(directory: Path, levels: int) -> None:
    """So many directories in one another, with a file and a link in the last."""
    where = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=where)
        inside = os.open("a", os.O_RDONLY | os.O_DIRECTORY, dir_fd=where)
        os.close(where)
        where = inside
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=where))
    os.symlink("/", "link", dir_fd=where)
    os.close(where)


@pytest.mark.parametrize("levels", [3, 5000])
def test_however_deep_it_is_it_is_removed(tmp_path: Path, levels: int) -> None:
    made, stays = tmp_path / "staging", tmp_path / "stays"
    for directory in (made, stays):
        directory.mkdir()
    (stays / "file").write_text("not ours\n")
    stays.chmod(0o500)
    deep(made, levels)
    (made / "a" / "elsewhere").symlink_to(stays)
    (made / "a").chmod(0)
    remove(made)
    assert not made.exists()
    assert (stays.stat().st_mode & 0o777, (stays / "file").read_text()) == (0o500, "not ours\n")
    stays.chmod(0o700)


def test_a_link_in_place_of_it_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    (tmp_path / "staging").symlink_to(tmp_path / "other")
    remove(tmp_path / "staging")
    assert (tmp_path / "other" / "file").exists()
