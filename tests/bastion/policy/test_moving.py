"""Where a line may have gone, and a governed shell's own directory in what is forbidden."""

from __future__ import annotations

from bastion.policy import moving
from bastion.policy.words import Word


def went(*lines: str, start: tuple[str, ...] = ()) -> tuple[str, ...]:
    commands = [tuple(Word(text, text) for text in line.split()) for line in lines]
    return moving.directories(commands, start)


def test_every_directory_that_it_may_be_in_counts() -> None:
    assert went("cd /a", "cd b", start=("/s",)) == ("/s", "/a", "b", "/s/b", "/a/b")
    assert went("ls", start=("/s",)) == ("/s",)
    assert went("cd -") == ()


def test_the_number_of_directories_is_limited() -> None:
    lines = [f"cd /d{number}" for number in range(moving.DIRECTORIES_LIMIT + 1)]
    assert len(went(*lines)) == moving.DIRECTORIES_LIMIT


def test_only_relative_paths_are_located() -> None:
    assert list(moving.located(("x", "../y", "/z", "~/z", "-l", ""), ("/a/b",))) == ["/a/b/x", "/a/y"]


def test_a_directory_with_a_pattern_or_a_variable_is_unclear() -> None:
    assert moving.unclear("/sr*")
    assert moving.unclear("\0/x")
    assert not moving.unclear("/srv")
