"""Where a demo works: a directory of its own that programs can run in, whose path needs no quoting."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.demo import stage
from bastion.errors import UsageError


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path; pytest's own are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as made:
        yield Path(made)


def test_a_scratch_directory_is_private(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    made = stage.scratch(None)
    assert made.parent == short
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("name", ["with blank", "100%", "quote'", "x" * 64, "no-such"], ids=lambda name: name[:10])
def test_elsewhere_if_the_temporary_directory_does_not_do(
    monkeypatch: pytest.MonkeyPatch, short: Path, name: str
) -> None:
    if name != "no-such":
        (short / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short / name))
    made = stage.scratch(None)
    try:
        assert made.parent == Path("/tmp")
    finally:
        made.rmdir()


def test_a_directory_to_keep(short: Path) -> None:
    made = stage.scratch(short / "kept")
    assert made == short / "kept"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    with pytest.raises(UsageError, match="File exists"):
        stage.scratch(short / "kept")
    with pytest.raises(UsageError, match="No such file"):
        stage.scratch(short / "a" / "b")


def test_a_path_of_the_limit_is_kept_and_one_more_is_not(short: Path) -> None:
    room = stage.PATH_LIMIT - len(str(short)) - 1
    assert stage.scratch(short / ("x" * room)).is_dir()
    with pytest.raises(UsageError, match="at most 64 plain characters"):
        stage.scratch(short / ("y" * (room + 1)))
    assert not (short / ("y" * (room + 1))).exists()


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "a%h", "a\nb", "a$b", "ü"])
def test_a_path_that_needs_quoting_is_refused(short: Path, name: str) -> None:
    with pytest.raises(UsageError, match="plain characters"):
        stage.scratch(short / name)


def test_a_socket_fits_below_the_longest_directory() -> None:
    """unix(7): sun_path has 108 bytes, its NUL included."""
    assert len("/" + "x" * (stage.PATH_LIMIT - 1) + "/bastion/state/control.sock") < 108
