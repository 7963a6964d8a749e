"""tui/background.py, tui/difference.py and tui/syntax.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from bastion.policy.visible import visible
from tui.background import Background, background_rows, terminal_rows, told
from tui.difference import difference
from tui.paper import Source, source
from tui.sample_answers import SHELL, background
from tui.samples import NOW, request, scene
from tui.syntax import shell
from tui.widgets.paint import STYLES


def text_of(info: wire.RequestInfo, known: wire.BackgroundInfo, width: int = 90) -> str:
    return "\n".join(row.text for row in background_rows(info, told(known), NOW, width))


def past(*earlier: wire.RequestInfo, **fields: Any) -> str:
    info = request(**fields)
    return text_of(info, background(info, list(earlier), NOW))


def ended(id: str, **fields: Any) -> wire.RequestInfo:
    votes = [wire.VoteInfo(by="ana", choice="approve", reason="", at=NOW)]
    return request(id, **({"state": "approved", "decided": NOW - 3 * 86_400_000_000, "votes": votes} | fields))


def test_nothing_like_it() -> None:
    assert "nothing like it among 0 earlier requests" in past()


def test_the_same_was_approved_before() -> None:
    text = past(ended("r-1", status="exit 0"))
    assert "approved 1 and denied 0 times" in text
    assert "approved by ana 3d ago, exit 0: the same" in text
    assert "nothing differs from r-1" in text


def test_what_differs_is_said_by_name() -> None:
    text = past(ended("r-1", command=b"systemctl restart postgresql", target="db-1", identity="deploy-bot"))
    assert "only here: nginx" in text
    assert "only then: postgresql" in text
    assert "target then: db-1" in text
    assert "agent then: deploy-bot" in text


def test_blast_radius() -> None:
    text = past()
    assert "claude-ops on web-1: granted until" in text
    assert "1 whitelist entry" in text
    assert "runs unasked: read files and logs" in text
    assert "waits for 2 approvals: delete files, drop a table" in text
    assert "never runs: read secrets" in text


def test_failures_and_waiting_are_said() -> None:
    assert "asking the bastion" in background_rows(request(), None, NOW, 80)[0].text
    assert "not connected⟨ESC⟩" in background_rows(request(), Background(problem="not connected\x1b"), NOW, 80)[0].text


def test_the_shells_last_lines_are_rendered() -> None:
    info = request(sequence=3)
    rows = [row.text for row in terminal_rows(told(background(info, [], NOW)), 80)]
    assert rows[0].startswith("before it | ")
    assert any("nginx.service - A high" in row for row in rows)
    assert all("\x1b" not in row for row in rows)
    assert b"\x1b" in SHELL


HOSTILE = st.sampled_from(["\x1b[2J", "\u202e", "[bold]", "\x00", "\n", "a b", "only then: x"])
TEXTS = st.lists(HOSTILE | st.text(max_size=20), max_size=5).map("".join)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_everything_on_it_is_harmless(command: str, reason: str, name: str, output: str) -> None:
    one = ended("r-1", state="denied", command=command.encode(), decision_reason=reason, identity=name)
    info = request(command=command.encode() + b" x", sequence=1)
    known = wire.BackgroundInfo(
        past=background(info, [one], NOW).past,
        same_approved=0, same_denied=1, looked_at=1, approved=one,
        terminal=[wire.FrameInfo(at=0, kind="output", data=output.encode())],
        access=wire.AccessInfo(identity=name, kind=name, target=name, env=name, access=name, until=0, grant=name,
                               whitelist=[name]),
        damage=[wire.DamageInfo(name=name, tier=name, verdict="deny", approvals=0, rule=name)],
    )  # fmt: skip
    rows = [*terminal_rows(told(known), 80), *background_rows(info, told(known), NOW, 80)]
    for row in rows:
        for text, style in row.parts:
            assert style in STYLES
            assert all(" " <= char <= "~" or char in "⏎⟨⟩…" for char in text), text


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_difference_is_empty_only_where_there_is_none(one: bytes, other: bytes) -> None:
    found = difference(request(command=one), request(command=other))
    assert found.none is (one == other)
    assert difference(request(command=one, stdin="bundled", stdin_code=b"x"), request(command=one)).contents


def test_a_long_command_is_compared_as_a_whole() -> None:
    one, other = request(command=b"a " * 5000), request(command=b"b " * 5000)
    assert len(difference(one, other).added) == 1


# --- colours


@given(st.text(max_size=300), st.integers(20, 80))
def test_colours_change_no_character(text: str, width: int) -> None:
    shown = visible(text.encode("utf-8", "replace"))
    plain, coloured = source(shown, width, 0), source(shown, width, 0, shell(shown))
    assert isinstance(coloured, Source)
    for at in range(len(plain)):
        assert coloured.row(at).text == plain.row(at).text
        assert coloured.row(at).span == plain.row(at).span
        assert {style for _, style in coloured.row(at).parts} <= set(STYLES)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("sudo -n rm x", {"sudo": "program", "-n": "option", "rm": "program", "x": "command"}),
        ("A=1 ls; cat 'b'", {"A=1": "variable", "ls": "program", "cat": "program", "'b'": "string"}),
        ("echo $HOME # end", {"$HOME": "variable", "# end": "comment"}),
        ("a | b", {"a": "program", "|": "operator", "b": "program"}),
        ("if true; then rm y; fi", {"if": "operator", "true": "program", "rm": "program", "y": "command"}),
    ],
)
def test_what_is_coloured_how(text: str, pieces: dict[str, str]) -> None:
    row = source(text, 80, 0, shell(text)).row(0)
    styles = {part.strip(): style for part, style in row.parts[2:] if part.strip()}
    assert {piece: styles.get(piece) for piece in pieces} == pieces


def test_a_huge_text_stays_plain() -> None:
    assert shell("a " * 40_000).starts == []


def test_samples_have_a_past() -> None:
    for info in scene()[0]:
        assert text_of(info, background(info, scene()[0], NOW))
