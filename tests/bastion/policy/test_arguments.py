"""Where holes may be: words of a kind that the program's row knows, never a program or an option."""

from __future__ import annotations

import pytest

from bastion.policy.arguments import ROWS, places
from bastion.policy.shell import Parsed, parse


def found(command: bytes) -> dict[bytes, str]:
    parsed = parse(command)
    assert isinstance(parsed, Parsed)
    return {command[slice(*span)]: kind.value for span, kind in places(command, parsed).items()}


@pytest.mark.parametrize(
    ("command", "holes"),
    [
        (b"tail -n 100 /var/log/nginx/error.log", {b"100": "number", b"/var/log/nginx/error.log": "path"}),
        (b"sudo systemctl restart nginx", {b"nginx": "unit"}),
        (b"sudo -n /usr/bin/systemctl restart nginx", {b"nginx": "unit"}),
        (b"docker restart -t 10 web api", {b"10": "number", b"web": "container", b"api": "container"}),
        (b"docker logs --tail 50 web | grep -c error", {b"50": "number", b"web": "container"}),
        (b"kubectl rollout restart deployment web", {b"web": "name"}),
        (b"cat /a/b && rm -f /tmp/x/y", {b"/a/b": "path", b"/tmp/x/y": "path"}),
        (b"cat -- /a/b", {b"/a/b": "path"}),
        (b"grep -rn foo /srv/app", {b"/srv/app": "path"}),
        (b"docker restart web > /tmp/log", {b"web": "container"}),
        (b"ls -lah /a/b", {b"/a/b": "path"}),
    ],
)
def test_holes(command: bytes, holes: dict[bytes, str]) -> None:
    assert found(command) == holes


@pytest.mark.parametrize(
    "command",
    [
        b"tail -x 5 /a/b",  # an option that the row does not know
        b"tail --lines=5 -n",  # a value that is missing
        b"systemctl restart --root /x nginx",
        b"docker -H tcp://x restart web",
        b"docker restart --signal KILL web",
        b"cat '/a/b'",  # quoted: not compared word by word
        b"cat /a/b # /a/b",  # a comment
        b'echo "cat /a/b"',
        b'cat /a/b "$(cat /a/b)"',  # structure
        b"for x in 1; do cat /a/b; done",
        b"if true; then cat /a/b; fi",
        b"f() { cat /a/b; }; f",
        b"A=1 cat /a/b",
        b"LD_PRELOAD=/x cat /a/b",
        b"cat /a/*",
        b"cat $X /a/b",
        b"cat /a/b <<E\nx\nE",
        b"(cat /a/b)",
        b"! cat /a/b",
        b"bash -c 'cat /a/b'",
        b"bash /a/b",
        b"find /a/b -delete",
        b"xargs cat /a/b",
        b"env cat /a/b",
        b"sudo -u root cat /a/b",
        b"sudo bash /a/b",
        b"./cat /a/b",
        b"/tmp/cat /a/b",
        b"pip install foo",
        b"npm install foo",
        b"cp /a/b /c/d",
        b"sleep 5 6",
        b"sh",
    ],
)
def test_no_holes(command: bytes) -> None:
    assert found(command) == {}


def test_a_word_that_is_seen_twice_is_certain_only_when_both_are_words() -> None:
    assert found(b"docker restart web && docker logs web") == {b"web": "container"}
    assert len(found(b"docker restart web; echo web")) == 1
    assert found(b"docker restart web; echo 'x web y'") == {}
    assert found(b"docker restart web; docker logs web >web") == {}


def test_no_row_runs_an_operand() -> None:
    runners = "sh bash env find xargs ssh awk sed python3 pip npm cp mv chmod tee"
    assert not {key[0] for key in ROWS} & set(runners.split())
