"""Destinations of forwards have one spelling each, and nothing with two readings is one."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.forwards import NAME_LIMIT, Destination, NotADestination, command, destination, parse, read


@pytest.mark.parametrize(
    ("host", "spelled"),
    [
        ("db", "db:1"),
        ("DB.Internal", "db.internal:1"),
        ("my_db-1", "my_db-1:1"),
        ("127.0.0.1", "127.0.0.1:1"),
        ("::1", "[::1]:1"),
        ("0:0:0:0:0:0:0:1", "[::1]:1"),
        ("2001:DB8::0:1", "[2001:db8::1]:1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:1"),
        ("4db", "4db:1"),
        ("1.2.3.4a", "1.2.3.4a:1"),
    ],
)
def test_one_spelling(host: str, spelled: str) -> None:
    found = destination(host, 1)
    assert str(found) == spelled
    assert parse(str(found)) == found == destination(found.host, 1)
    assert read(command(found, 60)) == (found, 60)


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "db.", "db..x", ".db", "-db", "db-", "*", "*.example", "d b", "db\0", "db\n", "../db", "/run/x.sock",
        "böse", "ｄｂ", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01",
        "1.2.3.4.5", "256.0.0.1", "0x", "127.0.0.1.", "db.0x7f", "db.1", "0", "0.0.0.0", "255.255.255.255",  # noqa: S104
        "224.0.0.1", "::", "ff02::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "2002:7f00:1::", "fe80::1%eth0",
        "fe80::1%1", "[::1]", ":::", "1:2", "2001:0:7f00:1::1", "a" * 64, ".".join(["a" * 60] * 5), "１２７.0.0.1",
        "127。0。0。1", "KELVIN-\u212a",
    ],
)  # fmt: skip
def test_what_is_none(host: str) -> None:
    with pytest.raises(NotADestination):
        destination(host, 1)


@pytest.mark.parametrize(
    "text",
    ["", "db", "db:", ":1", "db:0", "db:65536", "db:1x", "::1:1", "[db]:1", "[127.0.0.1]:1", "db:1:2", "a b:1", "*:1"],
)
def test_what_policy_cannot_write(text: str) -> None:
    with pytest.raises(NotADestination):
        parse(text)


@pytest.mark.parametrize("port", [0, -1, 65536, 1 << 32])
def test_ports_at_the_edge(port: int) -> None:
    with pytest.raises(NotADestination):
        destination("db", port)
    assert destination("db", 65535).port == 65535


def test_names_at_the_edge() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == NAME_LIMIT
    assert destination(longest, 1).host == longest
    with pytest.raises(NotADestination):
        destination(f"{longest}a", 1)


@pytest.mark.parametrize(
    "text",
    [b"forward db:1 for 0s", b"forward DB:1 for 5s", b"forward db:1 for 5s\n", b"forward db:01 for 5s", b"x", b"\xff"],
)
def test_a_request_that_is_written_otherwise(text: bytes) -> None:
    with pytest.raises(NotADestination):
        read(text)


@given(
    st.one_of(st.text(max_size=80), st.ip_addresses().map(str), st.from_regex(r"[0-9a-fxA-FX:.%]{1,40}")), st.integers()
)
def test_anything(host: str, port: int) -> None:
    try:
        found = destination(host, port)
    except NotADestination:
        return
    assert parse(str(found)) == found == destination(found.host, found.port)
    assert found.host == found.host.lower()
    assert found.host.isascii()
    assert not found.host.endswith(".")


@given(st.ip_addresses(v=6))
def test_an_address_is_the_same_however_it_is_written(address: ipaddress.IPv6Address) -> None:
    spellings = {address.compressed, address.exploded, address.exploded.upper()}
    found: set[Destination | None] = set()
    for each in spellings:
        try:
            found.add(destination(each, 5))
        except NotADestination:
            found.add(None)
    assert len(found) == 1
