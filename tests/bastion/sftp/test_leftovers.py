"""The notes of what may lie on a target: they outlive the daemon, and nothing but their own names is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.sftp.changes import Found, There
from bastion.sftp.leftovers import AT_ONCE, Leftovers, Note, Place


class Target:
    """The far end: its files; a path in `fails` cannot be looked at."""

    def __init__(self, *files: bytes, fails: tuple[bytes, ...] = ()) -> None:
        self.files, self.fails, self.looked = set(files), fails, 0
        self.client = self

    async def found(self, path: bytes) -> Found:
        self.looked += 1
        if path in self.fails:
            raise asyncssh.SFTPPermissionDenied("no")
        return Found(There.FILE if path in self.files else There.NOTHING)

    async def remove(self, path: bytes) -> None:
        self.files.remove(path)


@pytest.fixture
def made(tmp_path: Path) -> Leftovers:
    leftovers = Leftovers(tmp_path / "leftovers")
    leftovers.prepare()
    return leftovers


def again(tmp_path: Path) -> Leftovers:
    """As the next daemon finds it."""
    leftovers = Leftovers(tmp_path / "leftovers")
    leftovers.prepare()
    return leftovers


async def clear(leftovers: Leftovers, far: Any, target: str = "web-1", login: str = "deploy") -> list[bytes]:
    return await Place(leftovers, target, login).clear(far)


async def test_what_was_applied_leaves_no_note(made: Leftovers, tmp_path: Path) -> None:
    made.begin(Note("r-1", "web-1", "deploy", (b"/a/.bastion-r-1-1",)))
    assert [path.name for path in (tmp_path / "leftovers").iterdir()] == ["r-1"]
    assert (tmp_path / "leftovers" / "r-1").stat().st_mode & 0o777 == 0o600
    made.end("r-1", [])
    assert list((tmp_path / "leftovers").iterdir()) == []
    made.begin(Note("r-2", "web-1", "deploy", ()))
    made.end("r-2", [])
    assert list((tmp_path / "leftovers").iterdir()) == []


async def test_after_a_crash_the_next_contact_with_that_target_and_login_removes_it(
    made: Leftovers, tmp_path: Path
) -> None:
    ours = (b"/a/.bastion-r-1-1", b"/b/\xff/.bastion-r-1-2")
    made.begin(Note("r-1", "web-1", "deploy", ours))
    far = Target(ours[1], b"/a/other")
    assert await clear(made, far) == []  # it is being written
    leftovers = again(tmp_path)
    assert await clear(leftovers, far, target="web-2") == []
    assert await clear(leftovers, far, login="root") == []
    assert await clear(leftovers, far) == [ours[1]]
    assert far.files == {b"/a/other"}
    assert list((tmp_path / "leftovers").iterdir()) == []
    assert await clear(again(tmp_path), Target(*ours)) == []


async def test_what_could_not_be_removed_is_tried_again(made: Leftovers, tmp_path: Path) -> None:
    ours = (b"/1", b"/2", b"/3")
    made.begin(Note("r-1", "web-1", "deploy", ours))
    made.end("r-1", [b"/2", b"/3"])
    far = Target(*ours, fails=(b"/3",))
    assert await clear(made, far) == [b"/2"]
    far.fails = ()
    assert await clear(again(tmp_path), far) == [b"/3"]
    assert far.files == {b"/1"}


async def test_one_contact_looks_for_so_many(made: Leftovers, tmp_path: Path) -> None:
    names = tuple(b"/%d" % number for number in range(AT_ONCE))
    for request in ("r-1", "r-2"):
        made.begin(Note(request, "web-1", "deploy", names))
    leftovers, far = again(tmp_path), Target()
    await clear(leftovers, far)
    assert far.looked == AT_ONCE
    await clear(leftovers, far)
    assert far.looked == 2 * AT_ONCE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"target": 1}', '{"target": "a", "login": "b", "paths": ["xyz"]}'])
async def test_a_note_that_does_not_read_is_dropped(tmp_path: Path, text: str) -> None:
    (tmp_path / "leftovers").mkdir()
    (tmp_path / "leftovers" / "r-1").write_text(text)
    again(tmp_path)
    assert list((tmp_path / "leftovers").iterdir()) == []
