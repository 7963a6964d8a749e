from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import timeline, wire
from bastion.control.timeline import SIGNS, STYLES, Command, clock, commands, current, line, row, status
from bastion.model import State, Tier
from tui.samples import NOW, S, request, session


def command(at: int, *, frame: int = 1, style: str = "low", sign: str = "+") -> Command:
    return Command(f"r-{at}", at, frame, b"cmd %d" % at, sign, style, "about")


def text(parts: timeline.Parts) -> str:
    return "".join(each for each, _ in parts)


def test_every_state_and_tier_has_its_own() -> None:
    assert set(SIGNS) == set(State)
    assert set(STYLES) == set(Tier)
    assert all(sign in timeline.LEGEND for sign in SIGNS.values())


def test_commands_stand_where_they_began_or_were_proposed() -> None:
    opened = session(opened=NOW - 100 * S)
    ran = request(
        "r-ran", command=b"ls\n-l", state="approved", created=NOW - 50 * S, decided=NOW - 38 * S, status="exit 0"
    )
    denied = request("r-denied", command=b"rm \x1b[31m", state="denied", created=NOW - 80 * S, tier="high")
    early = request("r-early", created=NOW - 200 * S)
    marks = [wire.MarkInfo(frame=7, at=60 * S, request="r-ran"), wire.MarkInfo(frame=9, at=70 * S, request="r-ran")]
    found = commands(opened, [ran, denied, early], marks)
    assert [(each.request, each.at, each.frame, each.sign, each.style) for each in found] == [
        ("r-early", 0, -1, "?", "medium"),
        ("r-denied", 20 * S, -1, "x", "high"),
        ("r-ran", 60 * S, 7, "+", "medium"),
    ]
    assert text(row(found[1], 60, now=False)) == " x   0:20.0 rm ⟨ESC⟩[31m"
    assert text(row(found[2], 60, now=False)) == " +   1:00.0 ls⏎-l"
    assert found[2].about == "medium risk, approved, held 12 s, exit 0"


def test_the_one_that_runs() -> None:
    listed = [command(1, frame=5), command(2, frame=-1), command(3, frame=9)]
    assert [current(listed, frame) for frame in (0, 4, 5, 8, 9, 99)] == [-1, -1, 0, 0, 2, 2]


def test_the_line() -> None:
    listed = [command(0), command(50, style="high", sign="x"), command(51), command(99, style="medium")]
    assert text(line(listed, 25, 100, 10)) == "+━┃--x---+"
    assert dict(line(listed, 50, 100, 10))["x"] == "active"
    assert text(line([], 0, 0, 5)) == "┃----"
    assert line(listed, 1, 100, 0) == ()


@given(
    st.lists(st.tuples(st.integers(-5, 10**13), st.sampled_from([*STYLES.values()])), max_size=9),
    st.integers(-5, 10**13), st.integers(-5, 10**13), st.integers(0, 300),
)  # fmt: skip
def test_the_line_is_as_wide_as_asked(listed: list[tuple[int, str]], position: int, until: int, width: int) -> None:
    parts = line([command(at, style=style) for at, style in listed], position, until, width)
    assert len(text(parts)) == width
    assert [style for _, style in parts].count("active") == (width > 0)


@pytest.mark.parametrize(
    ("micros", "shown"), [(0, "0:00.0"), (83_450_000, "1:23.4"), (3_723_400_000, "1:02:03.4"), (-5, "0:00.0")]
)
def test_clock(micros: int, shown: str) -> None:
    assert clock(micros) == shown


def test_rows_and_words() -> None:
    assert text(row(command(83_450_000), 60, now=True)) == ">+   1:23.4 cmd 83450000"
    assert text(row(command(1), 20, now=False)) == " + cmd 1"
    words = text(status(True, 0, 60 * S, 2.0, 0.5, hurrying=False, more="? keys"))
    assert words == " playing  0:00.0 of 1:00.0  ? keys  2x  pauses 0.5 s at most"
    assert text(status(False, 0, 0, 1.0, None, hurrying=True)).startswith(" seeking ")
