"""Patterns: what they match, that they say the same as a slow and obvious matcher, and that nothing makes them slow."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy import globs


def slow(pattern: str, value: str) -> bool:
    return re.fullmatch("".join(".*" if char == "*" else re.escape(char) for char in pattern), value, re.S) is not None


def slow_words(pattern: list[str], argv: list[str]) -> bool:
    if not pattern:
        return not argv
    if pattern[0] == "**":
        return any(slow_words(pattern[1:], argv[at:]) for at in range(len(argv) + 1))
    return bool(argv) and slow(pattern[0], argv[0]) and slow_words(pattern[1:], argv[1:])


@given(st.text("ab*", max_size=8), st.text("abc", max_size=12))
def test_text_is_what_a_regular_expression_says(pattern: str, value: str) -> None:
    assert globs.text(pattern, value) == slow(pattern, value)


words_of = st.lists(st.sampled_from(["a", "b", "ab", "a*", "**"]), max_size=6)


@given(words_of, st.lists(st.sampled_from(["a", "b", "ab", "aab"]), max_size=8))
def test_words_are_what_a_search_says(pattern: list[str], argv: list[str]) -> None:
    assert globs.words(pattern, argv) == slow_words(pattern, argv)


@given(st.text("ab*", max_size=5), st.text("ab*?", max_size=5), st.text("ab", max_size=6))
def test_what_both_match_is_never_missed(pattern: str, glob: str, value: str) -> None:
    if "**" not in pattern and value and slow(pattern, value) and fnmatch.fnmatchcase(value, glob):
        assert globs.may_reach(pattern, glob)


@pytest.mark.parametrize(
    "path",
    [
        ".env", "./.env", "a/../.env", "/srv/app/.env", ".env/", "/srv//app/./.env", "x/../../.env", "secrets",
        "secrets/", "secrets/db", "/srv/secrets/a/b", "./secrets/../secrets/x", "home/x/id_rsa", "id_rsa", "/id_rsa",
        "id_rsa/.", "x" * 5000, "/srv/.env/../.env",
    ],
)  # fmt: skip
def test_forbidden_paths_are_reached_in_any_spelling(path: str) -> None:
    assert any(globs.path_reaches(pattern, path) for pattern in (".env", "secrets/**", "**/id_rsa"))


@pytest.mark.parametrize("path", [".envrc", "environment", "my.env", "secrets2/x", "id_rsa.pub", "/srv/app/x", "", "/"])
def test_other_paths_are_not(path: str) -> None:
    assert not any(globs.path_reaches(pattern, path) for pattern in (".env", "secrets/**", "**/id_rsa"))


def test_an_absolute_pattern_is_anchored() -> None:
    assert globs.path_reaches("/etc/**", "/etc/passwd")
    assert globs.path_reaches("/etc/**", "/srv/../etc/passwd")
    assert not globs.path_reaches("/etc/**", "/srv/etc/passwd")


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("/srv/app/x", True),
        ("/srv/app/x/y", True),
        ("/srv/app//x/./y", True),
        ("/srv/app", True),  # `**` is no name, too
        ("/srv/app/../x", False),
        ("/srv/app/a/../../../etc/passwd", False),
        ("srv/app/x", False),
        ("/srv/app/*", False),
        ("/srv/app/$x", False),
        ("/srv/application", False),
        ("/srv/app/" + "x" * 4096, False),
    ],
)
def test_allowed_paths_are_certain_ones(path: str, within: bool) -> None:
    assert globs.path_within("/srv/app/**", path) is within


def test_a_shells_pattern_may_stand_for_a_forbidden_path() -> None:
    assert globs.may_reach(".env", ".e*")
    assert globs.may_reach(".env", "/srv/.en[v]")
    assert globs.may_reach("secrets/**", "s*/x")
    assert globs.may_reach("secrets/**", "/srv/*/key")
    assert not globs.may_reach(".env", "*")  # a shell's star takes no leading dot
    assert not globs.may_reach("/etc/**", "/srv/*")


@pytest.mark.parametrize(
    ("pattern", "value"),
    [("a*" * 500, "a" * 131_071), ("*a" * 500 + "b", "a" * 131_071), ("*" * 1000, "b" * 131_071)],
)
def test_stars_in_stars_do_not_backtrack(pattern: str, value: str) -> None:
    begun = time.process_time()
    globs.text(pattern, value)
    argv = value.replace("a", "a ").split()
    globs.words(["**", "a", "a", "**", "a", "b", "**", "a", "**"], argv)
    globs.path_reaches("/".join(["**", "a"] * 100), "a/" * 2000)
    globs.may_reach("*a" * 100, "*a?" * 80)
    assert time.process_time() - begun < 2
