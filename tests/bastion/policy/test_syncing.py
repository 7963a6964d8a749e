"""Which command lines are uploads by rsync, and what of its options is taken: strictly, by a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.copies import NOT_LITERAL, Refused
from bastion.policy.syncing import Sync, hides, rsync

CLIENT = "-logDtpre.iLsfxCIvu"
"""What `rsync -a` of 3.2 and later sends."""


@pytest.mark.parametrize(
    ("command", "options", "path"),
    [
        (f"rsync --server {CLIENT} . /srv/x/", (CLIENT,), b"/srv/x/"),
        (f"/usr/bin/rsync --server -v{CLIENT[1:]} --delete . '~/a b'", ("-v" + CLIENT[1:], "--delete"), b"./~/a b"),
        ("rsync --server -e.LsfxCIvu . ~", ("-e.LsfxCIvu",), b"."),
        (
            "rsync --server -ltze.iLs --log-format=%i --partial --timeout=5 --max-delete=3 . x",
            ("-ltze.iLs", "--log-format=%i", "--partial", "--timeout=5", "--max-delete=3"),
            b"x",
        ),
    ],
)
def test_uploads(command: str, options: tuple[str, ...], path: bytes) -> None:
    assert rsync(command.encode()) == Sync(options, path)


def test_what_the_options_say() -> None:
    def of(*options: str) -> tuple[bool, bool, bool, bool]:
        call = Sync(options, b"x")
        return call.deep, call.times, call.directory_times, call.modes

    assert of(CLIENT) == (True, True, True, True)
    assert of("-e.iLsfxCIvurtp") == (False, False, False, False)
    assert of("-rtOe.iLs") == (True, True, False, False)
    assert of("-rt", "--omit-dir-times") == (True, True, False, False)
    assert of("-dE", "--delete") == (False, False, False, True)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-rHe.iLs", "hard links"),
        ("-rAe.iLs", "ACLs"),
        ("-rXe.iLs", "extended attributes"),
        ("-brte.iLs", "backups"),
        ("-K", "links of the target"),
        ("--inplace", "replaced whole"),
        ("--append", "not read"),
        ("--remove-source-files", "before anybody decided"),
        ("--backup-dir=x", "--backup-dir is not taken"),
        ("--partial-dir", "--partial-dir is not taken"),
        ("--link-dest=/x", "--link-dest is not taken"),
        ("--temp-dir=/x", "--temp-dir is not taken"),
        ("--log-file=/x", "--log-file is not taken"),
        ("--files-from=-", "--files-from is not taken"),
        ("--write-devices", "--write-devices is not taken"),
        ("--fake-super", "--fake-super is not taken"),
        ("--usermap=a:b", "--usermap is not taken"),
        ("--no-such-option", "--no-such-option is not taken"),
        ("-T", "-T is not taken"),
        ("--timeout=x", "--timeout is not taken"),
    ],
)
def test_what_is_not_taken_is_told_why(option: str, said: str) -> None:
    found = rsync(f"rsync --server {option} . /srv/x".encode())
    assert isinstance(found, Refused)
    assert said in found.reason
    assert "BASTION_RSYNC=stream" in found.reason


@pytest.mark.parametrize(
    "command",
    [
        f"rsync --server --sender {CLIENT} . /x", f"rsync --server {CLIENT} . /x /y", f"rsync --server {CLIENT} .",
        f"rsync --server {CLIENT} /x", "rsync --daemon", "rsync --server --daemon .", f"rsync {CLIENT} . /x",
        "rsync a b",
        f"rsync --server {CLIENT} . /x; id", f"rsync --server {CLIENT} . /x > y", f"sudo rsync --server {CLIENT} . /x",
        f"./rsync --server {CLIENT} . /x", f"rsync --server $X {CLIENT} . /x", f"rsync --server {CLIENT} . `id`",
        f"rsync --server -s{CLIENT[1:]} . /x", f"rsync --server --secluded-args {CLIENT} . /x", "rsync --server; id",
    ],
)  # fmt: skip
def test_what_is_none_is_judged_as_what_it_is(command: str) -> None:
    assert rsync(command.encode()) is None


def test_a_path_that_a_shell_would_expand() -> None:
    assert rsync(f"rsync --server {CLIENT} . /srv/*".encode()) == Refused(NOT_LITERAL)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=12), max_size=4))
def test_nothing_else_gets_to_rsync(options: list[str]) -> None:
    """Whatever stands there: what is handed on is what the list has, and hides nothing."""
    found = rsync(f"rsync --server {' '.join(options)} . /x".encode())
    if isinstance(found, Sync):
        assert found.path in (b"/x", b"./x")
        for option in found.options:
            assert option.startswith("-")
            assert not hides(option)
            assert not option.startswith(
                ("--rsh", "--rsync-path", "--log-file", "--config", "--sender", "--daemon", "-T")
            )
