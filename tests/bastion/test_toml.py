"""Places of TOML keys: what is found is what tomllib reads, and it stands where it is said to stand."""

from __future__ import annotations

import contextlib
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.toml import Place, PlaceError, place_of, places

DOCUMENT = '''\
# a = 1
top = "x # not a comment"
"quoted key" = 'it is' # [no.header]
[ one ]
  a.b = """
[two]
x = 1
"""
list = [ 1, [2, "]"], # ]
  { c = 3, "d d" = "}" } ]
date = 1979-05-27 07:32:00
["t.w"."o"]
z = { e.f = true }
[[many]]
n = 1
[[many]]
n = 2
'''


def test_a_document_with_everything() -> None:
    tomllib.loads(DOCUMENT)
    found = places(DOCUMENT)
    assert found[("top",)] == Place(2, 1)
    assert found[("quoted key",)] == Place(3, 1)
    assert found[("one",)] == Place(4, 3)
    assert found[("one", "a")] == Place(5, 3)
    assert found[("one", "a", "b")] == Place(5, 5)
    assert found[("one", "list")] == Place(9, 1)
    assert found[("one", "list", "c")] == Place(10, 5)
    assert found[("one", "list", "d d")] == Place(10, 12)
    assert found[("one", "date")] == Place(11, 1)
    assert found[("t.w", "o", "z")] == Place(13, 1)
    assert found[("t.w", "o", "z", "e", "f")] == Place(13, 9)
    assert found[("many", "n")] == Place(15, 1)
    assert set(found) == paths(tomllib.loads(DOCUMENT))


def paths(value: Any, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Every key of a parsed document."""
    if isinstance(value, dict):
        found = {(*at, name) for name in value}
        return found.union(*(paths(inner, (*at, name)) for name, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(paths(inner, at) for inner in value))
    return set()


def literal(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" if c in '"\\' or not c.isprintable() else c for c in text) + '"'


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BARE = st.text("abcXYZ019_-", min_size=1, max_size=5)
KEY = BARE | TEXT.map(literal)
SCALAR = st.one_of(
    st.sampled_from(["1", "-2.5e3", "true", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "0x1f", "inf", "''", '""']),
    TEXT.map(literal),
    st.sampled_from(['"""a\n"quoted" ] \\" # """', "'''b\n ' } # '''", "'[x]'", '"""""""', "'''a''''", '"\\\\"']),
)
GAP = st.sampled_from(["", " ", "\n", "  # a = [1]\n", "\n\n\t"])
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.tuples(GAP, st.lists(st.tuples(inner, GAP), max_size=3)).map(
            lambda got: "[" + got[0] + ",".join(a + b for a, b in got[1]) + "]"
        ),
        st.lists(st.tuples(KEY, inner), max_size=3).map(
            lambda got: "{" + " , ".join(f"{key} = {value}" for key, value in got) + "}"
        ),
    ),
    max_leaves=6,
)
DOTTED = st.lists(KEY, min_size=1, max_size=3).map(" . ".join)
LINE = st.one_of(
    st.tuples(DOTTED, VALUE).map(lambda got: f"{got[0]} = {got[1]}"),
    DOTTED.map(lambda key: f" [ {key} ] # c"),
    DOTTED.map(lambda key: f"[[{key}]]"),
    st.just("# [comment]"),
)


@given(st.lists(LINE, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_a_valid_document_is_found_and_stands_there(lines: list[str], newline: str) -> None:
    text = newline.join(lines)
    try:
        expected = paths(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return
    found = places(text)
    assert set(found) == expected
    rows = text.replace("\r\n", "\n").split("\n")
    for path, place in found.items():
        rest = rows[place.line - 1][place.column - 1 :]
        assert rest.startswith((path[-1], '"', "'")), (path, place)


@given(st.text() | st.text("[]{}=.,\"'\\#\n ax1"))
def test_garbage_gives_a_result_or_one_error(text: str) -> None:
    with contextlib.suppress(PlaceError):
        places(text)


def test_too_deep_is_said() -> None:
    with pytest.raises(PlaceError, match="deeply"):
        places("a = " + "[" * 1000)


@given(st.text("ab\n"), st.integers(0, 20))
def test_place_of_counts_from_one(text: str, offset: int) -> None:
    offset = min(offset, len(text))
    place = place_of(text, offset)
    lines = text.split("\n")
    assert sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1 == offset
