"""Patterns: one text each; what fills a hole is one inert word; the verifier's own implementation says the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.policy.pattern import HOLES_LIMIT, PATTERN_LIMIT, SHAPES, Hole, Kind, Pattern, PatternError, parse
from recorder import patterns as verifier
from recorder.votes import Violation

SAMPLES = {
    Kind.PATH: ["/var/log/a", "/var/log/a/b.c", "/var/log/-rf"],
    Kind.NUMBER: ["0", "100", "9" * 18],
    Kind.UNIT: ["nginx", "getty@tty1.service", "_x"],
    Kind.CONTAINER: ["web", "web_1.2-a"],
    Kind.PACKAGE: ["nginx", "lib-x_y", "a"],
    Kind.HOST: ["web-1", "a.example", "10.0.0.1"],
    Kind.NAME: ["web-5d9c.x", "a"],
    Kind.COMMIT: ["abcdef1", "0" * 40],
}
EVIL = [
    b"", b"-f", b"--force", b"-", b"a b", b"a;id", b"a&&id", b"a|id", b"$(id)", b"`id`", b"$X", b"'a'", b'"a"', b"a\\b",
    b"*", b"a*", b"?", b"[a]", b"{a,b}", b"~", b"~root", b"a=b", b"/var/log/../../etc/shadow", b"/var/log/..",
    b"/var/log/.", b"/var/log/./a", b"/var/log//a", b"/var/log/", b"/var/log", b"/var/logs/a", b"/etc/shadow", b"a\n",
    b"a\nid", b"a\0", b"\0", b"a\r", b"a#b", b"#", b"a>b", b">b", b"a<b", b"!!", b"a!", b"a,b", b"a:b", b"@/etc/shadow",
    b"\xff", "é".encode(), "０".encode(), b"/var/log/a\n", b"1\n", b"lib.", b"nginx-", b"nginx+", b"./x", b"../x",
    b"a/b",
    b"%n", b"a%b", b"(a)", b"^a", b"-n 5", b"/var/log/a /etc/shadow", b"/var/log/a\t", b"/var/log/\xc2\xa0",
]  # fmt: skip
TEMPLATES = {kind: "x {path below /var/log}" if kind is Kind.PATH else f"x {{{kind}}}" for kind in Kind}


@pytest.mark.parametrize("kind", Kind)
def test_what_a_hole_takes(kind: Kind) -> None:
    for word in SAMPLES[kind]:
        assert parse(TEMPLATES[kind]).matches(b"x " + word.encode())
        assert verifier.matches(TEMPLATES[kind], b"x " + word.encode())


@pytest.mark.parametrize("kind", Kind)
def test_what_no_hole_takes(kind: Kind) -> None:
    fine = {(Kind.UNIT, b"lib."), (Kind.UNIT, b"nginx-"), (Kind.CONTAINER, b"lib."), (Kind.CONTAINER, b"nginx-")}
    for word in EVIL:
        if (kind, word) in fine:  # systemd and docker give these characters no meaning of their own
            continue
        assert not parse(TEMPLATES[kind]).matches(b"x " + word), word
        assert not verifier.matches(TEMPLATES[kind], b"x " + word), word


def test_all_but_the_holes_is_compared_byte_for_byte() -> None:
    pattern = parse("docker logs --tail {number} {container} | grep -c 'a  b'")
    assert pattern.matches(b"docker logs --tail 5 web | grep -c 'a  b'")
    for command in (
        b"docker logs --tail 5 web | grep -c 'a b'",
        b'docker logs --tail 5 web | grep -c "a  b"',
        b"docker logs --tail 5 web | grep -c 'a  b' ",
        b"docker logs --tail 5 web | grep -c 'a  b'\n",
        b" docker logs --tail 5 web | grep -c 'a  b'",
        b"docker logs --tail 5 -f web | grep -c 'a  b'",
        b"docker logs --tail -f web | grep -c 'a  b'",
        b"docker logs  --tail 5 web | grep -c 'a  b'",
        b"docker logs --tail 5 web | grep -c 'a  b' # x",
        b"A=1 docker logs --tail 5 web | grep -c 'a  b'",
        b"docker logs --tail 5 web | grep -c 'a  b' > f",
        b"docker logs --tail=5 web | grep -c 'a  b'",
        b"docker\tlogs --tail 5 web | grep -c 'a  b'",
    ):
        assert not pattern.matches(command), command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uptime", "no hole"),
        ("{container}", "program"),
        (" {container}", "program"),
        ("x {}", "no hole"),
        ("x {Container}", "no hole"),
        ("x {container", "without its }"),
        ("x }", "without its {"),
        ("x {path}", "below"),
        ("x {number below /a}", "below"),
        ("x {path below a}", "directory"),
        ("x {path below /}", "directory"),
        ("x {path below /a/}", "directory"),
        ("x {path below /a/../b}", "directory"),
        ("x a{number}", "whole word"),
        ("x {number}a", "whole word"),
        ("x --n={number}", "whole word"),
        ("x '{number}'", "whole word"),
        ("x {number}>f", "whole word"),
        ("x {number}{number}", "whole word"),
        ("x " + "{number} " * (HOLES_LIMIT + 1), "more than"),
        ("x {number}" + " " * PATTERN_LIMIT, "at most"),
    ],
)
def test_what_is_no_pattern(text: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        parse(text)


def test_the_limits_themselves_pass() -> None:
    assert len(parse("x " + "{number} " * HOLES_LIMIT).holes) == HOLES_LIMIT
    assert parse("x {number}" + " " * (PATTERN_LIMIT - 10))
    assert not parse("x {unit}").matches(b"x " + b"a" * 256)
    assert parse("x {unit}").matches(b"x " + b"a" * 255)


HOLES = st.one_of(
    st.sampled_from([kind for kind in Kind if kind is not Kind.PATH]).map(Hole),
    st.sampled_from(["/a", "/var/log", "/srv/x.y"]).map(lambda below: Hole(Kind.PATH, below)),
)
LITERAL = st.text(st.sampled_from("ab-{} |;'\"$*é\n"), max_size=8)


@st.composite
def made(draw: st.DrawFn) -> Pattern:
    holes = draw(st.lists(HOLES, min_size=1, max_size=3))
    middle = [f" {draw(LITERAL)} " for _ in holes[1:]]
    return Pattern((f"p {draw(LITERAL)} ", *middle, draw(st.sampled_from(["", " ;x", "|{y}", "\n"]))), tuple(holes))


@given(made())
def test_the_text_reads_back(pattern: Pattern) -> None:
    assert parse(str(pattern)) == pattern
    assert str(parse(str(pattern))) == str(pattern)


@given(st.text(st.sampled_from("x{} -numberpathcontainerbelow/aé;|'\n"), max_size=40))
@example("x {number}")
@example("x {{ {number} }}")
def test_whatever_reads_has_that_one_text(text: str) -> None:
    try:
        pattern = parse(text)
    except PatternError:
        return
    assert str(pattern) == text


@given(made(), st.data())
def test_the_verifier_says_the_same(pattern: Pattern, data: st.DataObject) -> None:
    filled = b""
    for text, hole in zip(pattern.texts, [*pattern.holes, None], strict=True):
        filled += text.encode()
        if hole is not None:
            good = [f"{hole.below}/x"] if hole.below else SAMPLES[hole.kind]
            filled += data.draw(st.sampled_from([word.encode() for word in good] + EVIL))
    command = data.draw(st.sampled_from([filled, filled + b" ", b" " + filled, filled.replace(b" ", b"  ", 1)]))
    assert verifier.matches(str(pattern), command) == pattern.matches(command)


@given(st.text(st.sampled_from("x{} -number/a"), max_size=30), st.binary(max_size=20))
def test_the_verifier_never_raises_anything_else(text: str, command: bytes) -> None:
    try:
        verifier.matches(text, command)
    except Violation:
        with pytest.raises(PatternError):
            parse(text)


def test_no_shape_has_a_character_with_a_meaning() -> None:
    import re

    for kind, shape in SHAPES.items():
        for code in [*range(33), *b"\"'`$\\*?[]{}()<>|&;#~=!^%,:", *range(127, 256)]:
            assert not re.fullmatch(shape, chr(code) * 8), (kind, chr(code))
            assert not Hole(kind, "/a" if kind is Kind.PATH else "").admits(f"/a/{chr(code)}"), (kind, chr(code))
