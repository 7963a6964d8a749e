"""What is taken out of a tree that an agent may have had in its hands: files, and nothing but files."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from bastion.errors import Conflict
from bastion.sftp.changes import Found, There
from bastion.sftp.harvest import Grown, gather
from bastion.sftp.seeding import DEPTH_LIMIT, NAMES_LIMIT, Seed, Seeds, plant
from bastion.sftp.staging import Area, Staging
from bastion.sftp.syncing import used

DIRECTORY = Found(There.DIRECTORY, mode=0o755, modified=1_000_000_000)
FILE = Found(There.FILE, size=100, mode=0o644, modified=1_000_000_001)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    made = Staging(tmp_path / "staging", file_limit=1 << 20, limit=1 << 22)
    made.prepare()
    return made


@pytest.fixture
def area(staging: Staging) -> Area:
    return staging.area("s-1", "agent-7")


def planted(area: Area, **more: Found) -> tuple[Path, Seeds]:
    """A place with a directory, a file in it, a link, and a pipe."""
    seeds = Seeds(b"/srv", b"/srv", {b"": Seed(DIRECTORY), b"sub": Seed(DIRECTORY), b"sub/file": Seed(FILE)})
    seeds.found[b"link"] = Seed(Found(There.SYMLINK, points=b"/etc/passwd", modified=1))
    seeds.found[b"pipe"] = Seed(Found(There.OTHER, mode=0o600))
    tree = area.directory() / "tree"
    plant(tree, seeds)
    return tree, seeds


def gathered(tree: Path, seeds: Seeds, area: Area) -> dict[bytes, Grown]:
    return gather(os.fsencode(tree), seeds, area, time.time() + 60)


def test_what_nobody_touched_is_as_it_was(area: Area) -> None:
    tree, seeds = planted(area)
    grown = gathered(tree, seeds, area)
    assert {path: (each.there, each.staged) for path, each in grown.items()} == {
        path: (seed.found.there, None) for path, seed in seeds.found.items()
    }
    assert (grown[b"sub/file"].mode, grown[b"sub/file"].modified) == (0o644, 1_000_000_001)
    assert (grown[b"sub"].mode, grown[b"sub"].modified) == (0o755, 1_000_000_000)
    assert grown[b"link"].points == b"/etc/passwd"


def test_holes_take_no_room_and_have_no_content(area: Area, staging: Staging) -> None:
    tree, _ = planted(area)
    assert (tree / "dest" / "sub" / "file").read_bytes() == bytes(100)
    assert (tree / "dest" / "sub" / "file").stat().st_blocks == 0
    assert staging.used == 0


def test_a_new_file_is_staged_and_counted(area: Area, staging: Staging) -> None:
    tree, seeds = planted(area)
    (tree / "dest" / "new").write_bytes(b"x" * 500)
    (tree / "dest" / "new").chmod(0)
    grown = gathered(tree, seeds, area)[b"new"]
    assert grown.staged is not None
    assert (grown.mode, grown.staged.size, staging.used) == (0, 500, 500)
    assert grown.staged.sealed == hashlib.sha256(b"x" * 500).hexdigest()
    grown.staged.drop()
    assert staging.used == 0
    area.close()
    assert list(staging.directory.iterdir()) == []


def test_a_hole_that_was_written_into_is_another_file(area: Area) -> None:
    tree, seeds = planted(area)
    with (tree / "dest" / "sub" / "file").open("r+b") as file:
        file.write(b"y" * 100)
        file.flush()
        os.fsync(file.fileno())
    grown = gathered(tree, seeds, area)[b"sub/file"]
    assert grown.staged is not None
    assert grown.staged.read(0, 1000) == b"y" * 100


def test_nothing_outside_is_taken_for_a_part_of_it(area: Area, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("the key")
    tree, seeds = planted(area)
    (tree / "dest" / "way").symlink_to(tmp_path / "secrets")
    grown = gathered(tree, seeds, area)
    assert grown[b"way"].there is There.SYMLINK
    assert b"way/key" not in grown
    os.link(tmp_path / "secrets" / "key", tree / "dest" / "hard")
    with pytest.raises(Conflict, match="two names"):
        gathered(tree, seeds, area)
    assert (tmp_path / "secrets" / "key").read_text() == "the key"


def test_the_tree_itself_may_be_no_link(area: Area, tmp_path: Path) -> None:
    tree, seeds = planted(area)
    tree.rename(tree.with_name("moved"))
    tree.symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        gathered(tree, seeds, area)


def test_what_is_no_file(area: Area) -> None:
    tree, seeds = planted(area)
    os.mkfifo(tree / "dest" / "fifo")
    with pytest.raises(Conflict, match="neither file"):
        gathered(tree, seeds, area)


def test_what_is_beside_the_place(area: Area) -> None:
    tree, seeds = planted(area)
    (tree / "more").write_text("x")
    with pytest.raises(Conflict, match="beside the place"):
        gathered(tree, seeds, area)


def test_more_than_a_file_may_have(area: Area, staging: Staging) -> None:
    tree, seeds = planted(area)
    (tree / "dest" / "big").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(Conflict, match="at most"):
        gathered(tree, seeds, area)
    assert staging.used == 0


def test_directories_that_nobody_may_enter_are_removed(area: Area, staging: Staging) -> None:
    tree, seeds = planted(area)
    deep = tree / "dest" / "sub" / "deep"
    deep.mkdir()
    (deep / "x").write_text("x")
    deep.chmod(0)
    grown = gathered(tree, seeds, area)
    assert grown[b"sub/deep"].mode == 0
    assert grown[b"sub/deep/x"].staged is not None
    deep.chmod(0)
    area.close()
    assert list(staging.directory.iterdir()) == []
    assert staging.used == 0
    assert NAMES_LIMIT == 20_000


@pytest.mark.parametrize(("levels", "fits"), [(DEPTH_LIMIT, True), (DEPTH_LIMIT + 1, False), (3000, False)])
def test_directories_in_one_another(area: Area, staging: Staging, levels: int, fits: bool) -> None:
    tree, seeds = planted(area)
    where = os.open(tree / "dest", os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=where)
        inside = os.open("d", os.O_RDONLY, dir_fd=where)
        os.close(where)
        where = inside
    os.close(where)
    if fits:
        assert sum(each.there is There.DIRECTORY for each in gathered(tree, seeds, area).values()) == 2 + levels
        assert used(tree) < 1 << 20
    else:
        for count in (lambda: gathered(tree, seeds, area), lambda: used(tree)):
            with pytest.raises(Conflict, match="in one another"):
                count()
    area.close()
    assert list(staging.directory.iterdir()) == []


def test_a_directory_that_could_be_filled_unseen(area: Area) -> None:
    tree, seeds = planted(area)
    (tree / "dest" / "drop").mkdir(mode=0o300)
    for count in (lambda: used(tree), lambda: gathered(tree, seeds, area)):
        with pytest.raises(Conflict, match="may write, and not read"):
            count()
