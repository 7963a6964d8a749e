from __future__ import annotations

from pathlib import Path

import pytest

from bastion.sftp.batch import PATHS_LIMIT, Batch, requests
from bastion.sftp.changes import ITEMS_LIMIT, Attributes, Item, Kind, describe
from bastion.sftp.difference import compare
from bastion.sftp.staging import Staging


def made(path: bytes, asked: bytes = b"") -> Item:
    return Item(Kind.MKDIR, path, asked or path)


def test_what_lies_in_a_new_directory_is_resolved_by_the_batch() -> None:
    batch = Batch()
    assert batch.resolve(b"/x/new/file") is None
    batch.add(made(b"/real/new", b"/link/new"), spelled=b"/link/new")
    assert batch.resolve(b"/link/new") == b"/real/new"
    assert batch.resolve(b"/link/new/sub/file") == b"/real/new/sub/file"
    assert batch.resolve(b"/real/new/file") == b"/real/new/file"
    assert batch.resolve(b"/link/new/../other") is None
    assert batch.resolve(b"/link/newer/file") is None
    assert batch.resolve(b"/") is None


def test_a_path_that_climbs_out_of_a_link_is_no_other_path() -> None:
    """`/x/link/../new`, where the link leads to /far/dir, is /far/new, and not /x/new."""
    batch = Batch()
    batch.add(made(b"/far/new", b"/x/new"), spelled=b"/x/link/../new")
    assert batch.resolve(b"/x/link/../new/file") == b"/far/new/file"
    assert batch.resolve(b"/x/new/file") is None


def test_attributes_that_come_later_count() -> None:
    batch = Batch()
    batch.add(Item(Kind.MKDIR, b"/a", b"/a", set=Attributes(0o755)))
    assert batch.set(b"/a", Attributes(0o700, None, (1, 2)))
    assert not batch.set(b"/b", Attributes(0o700))
    item = batch.at(b"/a")
    assert item is not None
    assert item.set == Attributes(0o700, None, (1, 2))


def test_staged_files_go_with_it(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s", file_limit=100, limit=100)
    staging.prepare()
    area, batch = staging.area("s-1", "agent-7"), Batch()
    same = [area.new(), area.new(), area.new()]
    for number, staged in enumerate(same[:2]):
        batch.add(Item(Kind.WRITE, b"/%d" % number, b"/%d" % number, sha256="a" * 64), staged)
    assert len(batch.contents) == 1
    assert [batch.holds(staged) for staged in same] == [True, True, False]
    batch.drop()
    assert len(list(staging.directory.rglob("?"))) == 1


@pytest.mark.parametrize("name", [b"n" * 10, b"\xff" * 250])
def test_a_full_batch_can_still_be_described(name: bytes) -> None:
    batch = Batch()
    shown = compare(None, b"x\n" * 1000)
    while not batch.full:
        path = b"/srv/%d/" % len(batch.items) + name
        batch.add(Item(Kind.WRITE, path, path[:-1], sha256="a" * 64, difference=shown))
    assert len(batch.items) == ITEMS_LIMIT or len(describe(batch.items)) > PATHS_LIMIT // 2


def test_as_many_together_as_a_request_holds() -> None:
    many = [Item(Kind.REMOVE, b"/srv/%d" % number, b"/srv/%d" % number) for number in range(2 * ITEMS_LIMIT + 1)]
    assert all(len(part) <= ITEMS_LIMIT and describe(part) for part in requests(many))
    assert len(list(requests(many))) < 4
    assert [item for part in requests(many) for item in part] == many
    long = [Item(Kind.SYMLINK, b"/\x01" * 500 + b"%d" % n, b"/\x02" * 500, to=b"/\x03" * 1000) for n in range(200)]
    parts = list(requests(long))
    assert len(parts) > 1
    assert all(describe(part) for part in parts)
    assert list(requests([])) == []
