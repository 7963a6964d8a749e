from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.changes import (
    ITEMS_LIMIT,
    LOOK,
    NOTHING,
    TEXT_LIMIT,
    Attributes,
    Found,
    Item,
    Kind,
    There,
    TooLong,
    describe,
    shows,
)
from bastion.sftp.difference import Difference, compare

FILE = Found(There.FILE, 5, 0o644, (0, 0), 1000, "a" * 64)
paths = st.binary(min_size=1, max_size=12).map(lambda data: b"/" + data.replace(b"\0", b"0"))
founds = st.sampled_from(
    [NOTHING, FILE, replace(FILE, sha256="b" * 64), replace(FILE, mode=0o600), Found(There.DIRECTORY, mode=0o755)]
)
items = st.builds(
    Item,
    kind=st.sampled_from(
        [Kind.WRITE, Kind.REMOVE, Kind.MKDIR, Kind.SETSTAT, Kind.RENAME, Kind.REPLACE, Kind.SYMLINK, Kind.LINK]
    ),
    path=paths,
    asked=paths,
    found=founds,
    size=st.integers(0, 9),
    sha256=st.sampled_from(["c" * 64, "d" * 64]),
    set=st.builds(
        Attributes, st.none() | st.integers(0, 0o7777), st.none() | st.just((1, 2)), st.none() | st.just((3, 4))
    ),
    to=paths,
    to_asked=paths,
    to_found=founds,
    difference=st.binary(max_size=30).map(lambda data: compare(None, data)),
)


def meaning(item: Item) -> tuple[object, ...]:
    """What of an item an applier acts on, by its kind."""
    common = item.kind, item.path, item.asked, item.set
    match item.kind:
        case Kind.WRITE:
            return *common, item.found, item.size, item.sha256
        case Kind.RENAME | Kind.REPLACE:
            return *common, item.found, item.to, item.to_asked, item.to_found
        case Kind.LINK:
            return *common, item.to, item.to_asked, item.to_found
        case Kind.SYMLINK:
            return *common, item.to
        case Kind.MKDIR:
            return common
        case _:
            return *common, item.found


@given(st.lists(items, min_size=1, max_size=3), st.lists(items, min_size=1, max_size=3))
def test_equal_descriptions_mean_equal_changes(one: list[Item], other: list[Item]) -> None:
    if describe(one) == describe(other):
        assert [meaning(item) for item in one] == [meaning(item) for item in other]


@given(items, items)
def test_a_changed_field_is_another_description(one: Item, other: Item) -> None:
    for name in ("path", "found", "size", "sha256", "set", "to"):
        changed = replace(one, **{name: getattr(other, name)})
        if meaning(changed) != meaning(one):
            assert describe([changed]) != describe([one])


@given(st.lists(items, min_size=1, max_size=4))
def test_content_cannot_pass_for_the_description(given_items: list[Item]) -> None:
    lines = describe(given_items).split(b"\n")
    own = [line for line in lines if not line.startswith(b"    | ")]
    bare = [replace(item, difference=Difference((), item.difference.hidden)) for item in given_items]
    assert b"\n".join(own) == describe(bare)
    assert all(0x20 <= byte < 0x7F for line in own for byte in line)


def test_how_it_reads() -> None:
    write = Item(
        Kind.WRITE,
        b"/srv/app.conf",
        b"/srv/link",
        FILE,
        size=6,
        sha256="b" * 64,
        set=Attributes(0o600),
        difference=compare(b"a\n", b"b\n"),
    )
    remove = Item(Kind.REMOVE, b"/srv/old", b"/srv/old", FILE)
    assert describe([write, remove]).decode() == (
        "sftp: 2 changes: 1 write, 1 remove\n"
        "1 write /srv/app.conf\n"
        f"    replaces a file of 5 bytes, mode 0644, owner 0:0, sha256 {'a' * 64}\n"
        f"    with 6 bytes, sha256 {'b' * 64}\n"
        "    sets mode 0600\n"
        "    asked for as /srv/link\n"
        "    | @@ -1 +1 @@\n"
        "    | -a\n"
        "    | +b\n"
        "2 remove /srv/old\n"
        f"    a file of 5 bytes, mode 0644, owner 0:0, sha256 {'a' * 64}\n"
    )
    assert describe([LOOK]).startswith(b"sftp: look at names")
    assert describe([Item(Kind.READ, b"/x", b"/x", FILE)]).startswith(b"sftp: read 1 file: /x\n1 read /x\n")


def test_limits_at_their_edges() -> None:
    one = Item(Kind.MKDIR, b"/a", b"/a")
    describe([one] * ITEMS_LIMIT)
    for wrong in ([], [one] * (ITEMS_LIMIT + 1)):
        with pytest.raises(TooLong):
            describe(wrong)
    with pytest.raises(TooLong, match="KiB"):
        describe([Item(Kind.MKDIR, b"/" + b"\xff" * 200, b"/" + b"\xff" * 200)] * 1000)


def test_content_beyond_its_room_is_said_to_be_left_out() -> None:
    big = Item(Kind.WRITE, b"/a", b"/a", size=1, sha256="a" * 64, difference=compare(None, b"x" * 60_000))
    several = [big] * 5
    assert shows(several) == [True] * 4 + [False]
    assert describe(several).count(b"too much to be shown with the rest") == 1
    assert len(describe(several)) < TEXT_LIMIT + 10_000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1970-01-01T00:00:00Z"), (1795276420, "2026-11-21T15:53:40Z"), (2**32 - 1, "2106-02-07T06:28:15Z")],
)
def test_times_are_said_as_dates(seconds: int, words: str) -> None:
    """All that SFTP can set: RFC 3339 of 32 bits without a sign."""
    assert Attributes(times=(seconds, seconds)).words == f"accessed {words}, modified {words}"
