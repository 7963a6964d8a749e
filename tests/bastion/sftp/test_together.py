from __future__ import annotations

from bastion.sftp.changes import ITEMS_LIMIT, Found, Item, Kind, There
from bastion.sftp.together import REMEMBERED, Leave, Together


def files(directory: bytes, count: int) -> list[Item]:
    paths = [directory + b"/%d" % number for number in range(count)]
    return [Item(Kind.READ, path, path, Found(There.FILE)) for path in paths]


def test_a_listing_is_asked_about_once() -> None:
    together, listed = Together(), files(b"/a", 3)
    together.listed(b"/a", listed)
    assert together.list_for(b"/b/0") == []
    assert together.list_for(b"/a/1") == listed
    assert together.list_for(b"/a/2") == []


def test_a_file_that_is_not_in_the_listing_is_alone() -> None:
    together = Together()
    together.listed(b"/a", files(b"/a", 3))
    assert together.list_for(b"/a/new") == []


def test_leave_covers_each_file_once() -> None:
    together, leave = Together(), Leave(None, "no", {b"/a/1", b"/a/2"})
    together.add(leave)
    assert together.leave_for(b"/a/1") is leave
    assert together.leave_for(b"/a/1") is None
    assert together.leave_for(b"/a/3") is None
    assert together.granted == []


def test_as_many_as_a_request_holds() -> None:
    together = Together()
    together.listed(b"/a", files(b"/a", ITEMS_LIMIT + 1))
    assert len(together.list_for(b"/a/0")) == ITEMS_LIMIT
    together.listed(b"/a", files(b"/a", ITEMS_LIMIT + 1))
    assert together.list_for(b"/a/%d" % ITEMS_LIMIT) == []


def test_old_listings_are_forgotten() -> None:
    together = Together()
    for number in range(5):
        together.listed(b"/%d" % number, files(b"/%d" % number, REMEMBERED // 4))
    assert together.list_for(b"/0/0") == []
    assert together.list_for(b"/4/0")
