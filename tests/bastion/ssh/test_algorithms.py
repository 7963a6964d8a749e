"""Which ciphers agents are offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion.ssh import algorithms

CHACHA = "chacha20-poly1305@openssh.com"


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor : 0\nflags\t\t: fpu vme aes avx\n", True),
        ("Features\t: fp asimd aes pmull\n", True),
        ("flags\t\t: fpu vme avx\n", False),
        ("model name : aes processor\nflags : vaes\n", False),
        ("", False),
    ],
)
def test_the_processor_says_whether_it_has_aes(tmp_path: Path, text: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert algorithms.aes_in_hardware(tmp_path / "cpuinfo") is has


def test_without_proc_nobody_knows(tmp_path: Path) -> None:
    assert not algorithms.aes_in_hardware(tmp_path / "cpuinfo")


def test_chacha20_is_for_processors_without_aes() -> None:
    assert CHACHA not in algorithms.offered(hardware=True)
    assert CHACHA in algorithms.offered(hardware=False)
    assert "aes128-ctr" in algorithms.offered(hardware=True)


GCM, CTR = b"aes128-gcm@openssh.com", b"aes128-ctr"


@pytest.mark.parametrize(
    ("there", "back", "named"),
    [
        ([CTR, GCM], [CTR, GCM], [GCM]),
        ([CTR], [CTR], [GCM, CTR]),
        ([CTR, GCM], [CTR], [GCM, CTR]),
        ([CTR], [GCM], [GCM, CTR]),
        ([b"aes256-gcm@openssh.com", CTR], [CTR, GCM], [GCM, CTR]),
        ([], [], [GCM, CTR]),
    ],
)
def test_who_has_gcm_is_named_gcm_alone(there: list[bytes], back: list[bytes], named: list[bytes]) -> None:
    assert algorithms.narrowed([GCM, CTR], there, back) == named


def test_where_chacha20_is_offered_the_order_is_the_clients() -> None:
    ours = [GCM, CHACHA.encode(), CTR]
    assert algorithms.narrowed(ours, [CHACHA.encode(), GCM], [CHACHA.encode(), GCM]) == ours
