"""Where a path points, by its text."""

from __future__ import annotations

import pytest

from bastion.policy import programs
from bastion.policy.places import Places
from bastion.policy.words import UNKNOWN

PLACES = Places(programs.load().places)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "root"),
        ("/usr/../etc/cron.d/x", "startup"),
        ("~/.ssh/authorized_keys", "startup"),
        ("/dev/sda", "device"),
        ("/var/backups/x.tar", "backup"),
        ("//etc//nginx/nginx.conf", "configuration"),
        ("/usr/share/x", "system"),
        ("/var/lib/mysql", "data"),
        ("/tmp/x/y", "temporary"),
        ("node_modules", "temporary"),
        ("notes.txt", None),
    ],
)
def test_the_class_that_counts_for_a_change(path: str, name: str | None) -> None:
    place = PLACES.of_change(path)
    assert (place.name if place is not None else None) == name


def test_the_worst_of_what_a_relative_path_may_be_counts() -> None:
    assert PLACES.of_change("cron.d/x") is None
    place = PLACES.of_change("cron.d/x", ("/srv", "/etc"))
    assert place is not None
    assert place.name == "startup"
    assert PLACES.of_change("x", ("/tmp/y",)) is None  # the change of directory may have failed


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "//etc/./shadow",
        "/etc/ssl/../shadow",
        "../../../etc/shadow",
        "/proc/self/root/etc/shadow",
        "/proc/1/task/1/root/etc/shadow",
        "~root/.ssh/id_rsa",
        "id_ed25519",
        "app/.env",
    ],
)
def test_a_secret_by_any_of_its_names(path: str) -> None:
    assert PLACES.of_read(path) is not None


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("/etc/sha*", True),
        ("/etc/*", True),
        ("/e*/shadow", True),
        (f"{UNKNOWN}/shadow", True),
        (f"{UNKNOWN}dow", True),
        (f"/etc/{UNKNOWN}", True),
        ("~/.ssh/*", True),
        (f"/home/{UNKNOWN}/.ssh/id_rsa", True),
        ("*.pem", True),
        ("[i]d_rsa", True),
        ("*", False),
        (UNKNOWN, False),
        (f"{UNKNOWN}/{UNKNOWN}", False),
        ("~/*", False),
        ("*.txt", False),
        ("/var/log/*.log", False),
        ("/etc/ngin*/x", False),
    ],
)
def test_a_name_with_gaps_counts_when_it_says_enough(path: str, secret: bool) -> None:
    assert (PLACES.of_read(path, wild=True) is not None) == secret


def test_a_secret_below_the_directory_that_the_line_went_to() -> None:
    assert PLACES.of_read("shadow") is None
    assert PLACES.of_read("shadow", ("/etc",)) is not None
    assert PLACES.of_read("sha*", ("/etc",), wild=True) is not None


@pytest.mark.parametrize(
    ("name", "secret"), [("id_rsa", True), ("*.pem", True), ("shad?w", True), ("*", False), ("*.py", False)]
)
def test_names_that_find_looks_for(name: str, secret: bool) -> None:
    assert (PLACES.of_name(name) is not None) == secret


def test_what_run_time_fills_in_is_not_known_to_be_temporary() -> None:
    from bastion.policy.risk import assess

    assert assess(b"rm -rf /tmp/$X/a").tier == "high"
    assert assess(b"rm -rf /tmp/x/a").tier == "medium"
