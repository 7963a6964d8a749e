"""What outlives a daemon of what it had to tell."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.notify import outbox as module
from bastion.notify.news import News
from bastion.notify.outbox import KEEP_SECONDS, Outbox

NOW = 1_800_000_000_000_000


def news(brief: str = "x", at: int = NOW) -> News:
    return News("held", brief, "detail ⟨ESC⟩", request="r-0123abcd", at=at)


def opened(path: Path | None, now: int = NOW) -> tuple[Outbox, list[str]]:
    made = Outbox(path)
    return made, [each.message for each in made.open(now)]


def test_what_is_under_way_comes_back_and_what_was_told_is_known(tmp_path: Path) -> None:
    first, left = opened(tmp_path / "o")
    assert left == []
    for name in ("a", "b", "c"):
        first.put(name, "hook", news(name))
    first.done("a", "hook", told=True)
    first.done("b", "hook", told=False)
    first.done("nobody", "hook", told=True)  # of a test, which is not kept
    second, left = opened(tmp_path / "o")  # the first was not closed: a kill -9
    assert left == ["c"]
    assert [second.known(name, "hook") for name in ("a", "b", "c", "nobody")] == [True, False, True, False]
    assert not second.known("a", "phone")
    second.done("c", "hook", told=True)
    third, left = opened(tmp_path / "o")
    assert left == []
    assert third.known("c", "hook")
    assert [each.name for each in tmp_path.iterdir()] == ["o"]
    for each in (first, second, third):
        each.close()


@pytest.mark.parametrize(("age", "kept"), [(KEEP_SECONDS, True), (KEEP_SECONDS + 1, False)])
def test_what_is_old_is_no_news(tmp_path: Path, age: int, kept: bool) -> None:
    first, _ = opened(tmp_path / "o")
    first.put("a", "hook", news())
    first.close()
    second, left = opened(tmp_path / "o", NOW + age * 1_000_000)
    assert (left == ["a"]) is kept
    second.close()


def test_the_file_stays_small_and_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_LIMIT", 10_000)
    monkeypatch.setattr(module, "REMEMBERED", 20)
    made, _ = opened(tmp_path / "o")
    made._most = 10_000
    made.put("stays", "hook", news())
    for number in range(500):
        made.put(f"m{number}", "hook", news())
        made.done(f"m{number}", "hook", told=True)
        assert (tmp_path / "o").stat().st_size < 10_500
    made.close()
    again, left = opened(tmp_path / "o")
    assert left == ["stays"]
    assert [again.known(f"m{number}", "hook") for number in (479, 480, 499)] == [False, True, True]
    again.close()


def test_it_goes_on_without_its_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "o").symlink_to(tmp_path / "elsewhere")
    linked, left = opened(tmp_path / "o")  # a link is not followed, and is replaced
    linked.put("a", "hook", news())
    linked.close()
    assert (tmp_path / "elsewhere").read_text() == "{}"
    assert left == []
    missing, _ = opened(tmp_path / "no" / "such" / "directory")
    missing.put("a", "hook", news())
    assert missing.known("a", "hook")
    nowhere, _ = opened(None)
    nowhere.put("a", "hook", news())
    assert nowhere.known("a", "hook")


def test_a_full_disk_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = opened(tmp_path / "o")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    made.put("a", "hook", news())
    made.done("a", "hook", told=True)
    assert made.known("a", "hook")


LINES = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda message, channel, fields: json.dumps({"tell": message, "channel": channel, "news": fields}).encode(),
        st.text() | st.none(),
        st.text() | st.integers(),
        st.just(asdict(news())) | st.dictionaries(st.text(), st.integers()) | st.just({**asdict(news()), "at": "x"}),
    ),
    st.builds(lambda *parts: json.dumps(dict(zip(("done", "channel", "told"), parts, strict=True))).encode(),
              st.text(), st.text(), st.booleans() | st.none()),
)  # fmt: skip


@given(st.lists(LINES, max_size=8))
def test_any_garbage_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("outbox") / "o"
    path.write_bytes(b"\n".join(lines))
    made, left = opened(path)
    assert all(isinstance(each, str) for each in left)
    made.close()
