"""Lines of `.pub` files: those that ssh makes are read, and nothing else is."""

from __future__ import annotations

import base64
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import UsageError
from bastion.publickey import parse_key
from tests.support.keys import ed25519

KEY = ed25519(0)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ssh-ed25519", {}),
        ("ecdsa-sha2-nistp256", {}),
        ("ecdsa-sha2-nistp384", {}),
        ("ecdsa-sha2-nistp521", {}),
        ("ssh-rsa", {"key_size": 2048}),
    ],
)
def test_keys_that_ssh_makes_are_read(algorithm: str, options: dict[str, Any]) -> None:
    key = asyncssh.generate_private_key(algorithm, comment="ana@laptop", **options)
    read = parse_key(key.export_public_key().decode())
    assert read.fingerprint == key.get_fingerprint()
    assert read.line == " ".join(key.export_public_key().decode().split()[:2])
    assert parse_key(read.line) == read


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3M=",
        f'command="id" {KEY}',
        f"restrict {KEY}",
        KEY.replace("ssh-ed25519 ", "ssh-rsa "),
        KEY + "A",
        KEY[:-4],
        "ssh-ed25519 !!!!",
        "ssh-ed25519 ä",
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\xff").decode(),
        "ssh-ed25519-cert-v01@openssh.com AAAA",
    ],
)
def test_what_is_no_key_here_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse_key(line)


def test_the_length_of_rsa_keys_is_limited_at_its_number() -> None:
    def rsa(bits: int) -> str:
        number = (1 << (bits - 1)) + 1
        parts = (b"ssh-rsa", b"\x01\x00\x01", b"\0" + number.to_bytes((bits + 7) // 8, "big"))
        return "ssh-rsa " + base64.b64encode(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).decode()

    parse_key(rsa(2048))
    with pytest.raises(UsageError, match="too short"):
        parse_key(rsa(2047))


@given(st.text() | st.binary().map(lambda data: "ssh-ed25519 " + base64.b64encode(data).decode()))
def test_no_line_surprises_the_key_parser(line: str) -> None:
    try:
        parse_key(line)
    except UsageError:
        return
