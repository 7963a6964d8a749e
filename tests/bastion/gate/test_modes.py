"""Which mode a command asks for, and which keys of a look pass."""

from __future__ import annotations

import pytest

from bastion.gate.modes import PAGER_KEYS, SAFER, SILENT, TOP_KEYS, VIEW_KEYS, asked_for, take_keys, view_keys
from bastion.model import TtyMode

VIEWED = [
    b"less /var/log/syslog",
    b"less -NSR x",
    b"/usr/bin/less -5 x",
    b"less 'a b' < /dev/null",
    b"more -d x",
    b"man 5 passwd",
    b"man -k cron",
    b"zless x.gz",
    b"top",
    b"top -d 1 -u deploy -p 1,2",
    b"# reason: look\nless x",
]

NOT_VIEWED = [
    b"less +!sh x",
    b"less '+!sh' x",
    b"less -k /tmp/keys x",
    b"less --lesskey-src=/tmp/keys x",
    b"less -o /etc/cron.d/x y",
    b"less -PX x",
    b"LESSOPEN='|sh -c id' less x",
    b"LESSKEY=/tmp/k less x",
    b"man -P sh passwd",
    b"man --pager=sh passwd",
    b"man -Hsh passwd",
    b"./less x",
    b"/tmp/less x",
    b"sudo less x",
    b"less $x",
    b"less `id`",
    b"cat | less",
    b"cd /tmp; less x",
    b"f() { :; }; less x",
    b"top --unknown",
    b"\xff",
    b"",
]


@pytest.mark.parametrize("item", VIEWED)
def test_what_only_looks(item: bytes) -> None:
    assert asked_for(item) is TtyMode.VIEW
    assert view_keys(item) in (PAGER_KEYS, TOP_KEYS)


@pytest.mark.parametrize("item", NOT_VIEWED)
def test_what_could_be_something_else_gets_no_keys(item: bytes) -> None:
    """Even where an approver says VIEW: a list is for the program that it was made for."""
    assert asked_for(item) is not TtyMode.VIEW
    assert view_keys(item) == frozenset()


@pytest.mark.parametrize(
    ("item", "mode"),
    [
        (b"vim x", TtyMode.RAW),
        (b"cd /; ls", TtyMode.NONE),
        (b"psql", TtyMode.LINE),
        (b"$EDITOR x", TtyMode.LINE),
        (b"sudo -i", TtyMode.LINE),
    ],
)
def test_the_others(item: bytes, mode: TtyMode) -> None:
    assert asked_for(item) is mode


@pytest.mark.parametrize("keys", [PAGER_KEYS, TOP_KEYS])
def test_no_list_has_a_key_that_does_something(keys: frozenset[bytes]) -> None:
    """What starts programs, writes, kills or asks for text: less(1), COMMANDS; top(1), INTERACTIVE COMMANDS."""
    for key in b"!|#vsoO:/&-_EtTm'" if keys is PAGER_KEYS else b"krWYuUoOndsfFgGAawLIVvJjCSX":
        assert bytes([key]) not in keys
    assert not any(byte < 32 and byte not in (13, 10, 27) for key in keys for byte in key)


def test_every_program_has_a_list_and_reads_none_of_it_silently() -> None:
    assert not set(VIEW_KEYS) & SILENT
    assert dict(SAFER)["LESSSECURE"] == "1"


def test_a_key_that_is_refused_is_refused_whole() -> None:
    assert take_keys(b"j!q", PAGER_KEYS) == (b"jq", b"", True)
    assert take_keys(b"\x1b[5~\x1b[200~!sh\r", PAGER_KEYS)[0] == b"\x1b[5~h\r"
    assert take_keys(b"\x1b", PAGER_KEYS) == (b"", b"\x1b", False)
