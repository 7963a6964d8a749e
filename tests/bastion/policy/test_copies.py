"""Which command lines are scp's far end: exactly those, literally."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.copies import NOT_LITERAL, OTHER_HOME, Refused, Scp, scp


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (b"scp -t /srv/app", Scp(False, (b"/srv/app",))),
        (b"/usr/bin/scp -v -r -p -d -t .", Scp(False, (b".",), True, True, True)),
        (b"scp -f a 'b c' \"d\"", Scp(True, (b"a", b"b c", b"d"))),
        (b"scp -r -f -- -x", Scp(True, (b"-x",), recursive=True)),
        (b"scp -t ~", Scp(False, (b".",))),
        (b"scp -t ~/x/y", Scp(False, (b"x/y",))),
        (b"scp -t ~//x", Scp(False, (b"x",))),
        (b"scp -t '~/x'", Scp(False, (b"./~/x",))),
        (b"scp -t \\~root", Scp(False, (b"./~root",))),
        (b"scp -t '/srv/*'", Scp(False, (b"/srv/*",))),
        ("scp -t /srv/\u00e4".encode(), Scp(False, ("/srv/\u00e4".encode(),))),
    ],
)
def test_calls(command: bytes, call: Scp) -> None:
    assert scp(command) == call


@pytest.mark.parametrize("path", [b"/srv/*", b"$HOME", b"${A:-x}", b"a?", b"[ab]", b"'$x'"])
def test_what_a_shell_would_expand(path: bytes) -> None:
    assert scp(b"scp -t " + path) == Refused(NOT_LITERAL)
    assert scp(b"scp -f /a " + path) == Refused(NOT_LITERAL)


def test_other_homes() -> None:
    assert scp(b"scp -t ~root/x") == Refused(OTHER_HOME)
    assert scp(b"scp -t ~+") == Refused(OTHER_HOME)


@pytest.mark.parametrize(
    "command",
    [
        b"scp", b"scp -t", b"scp -t -f /x", b"scp /x", b"scp -t /x /y", b"scp -S sh -t /x", b"scp -t /x; id",
        b"scp -t /x &",
        b"scp -t /x # y", b"scp -t /x > /y", b"A=b scp -t /x", b"sudo scp -t /x", b"/tmp/scp -t /x", b"./scp -t /x",
        b"scp -t /x | cat", b"scp -t /x\nid", b"(scp -t /x)", b"! scp -t /x", b"scp() { id; }; scp -t /x", b"$X -t scp",
        b"scp -t$IFS/x", b"scp -rt /x", b"scp -t /x/\xff", b"scp -t /x/$(id)", b"scp -t `id`", b"scp $X -t /x",
    ],
)  # fmt: skip
def test_what_is_none_is_judged_as_what_it_is(command: bytes) -> None:
    assert scp(command) is None


@given(st.binary(max_size=60), st.booleans())
def test_anything_at_all(data: bytes, sends: bool) -> None:
    found = scp((b"scp -f " if sends else b"scp -t ") + data)
    if isinstance(found, Scp):
        assert found.sends is sends
        assert all(found.paths)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30))
def test_a_path_between_quotes_is_that_path(text: str) -> None:
    """As any POSIX shell reads it."""
    import shlex

    found = scp(b"scp -t -- " + shlex.quote(text).encode())
    if isinstance(found, Scp):
        assert found.paths in ((text.encode(),), (b"./" + text.encode(),))
