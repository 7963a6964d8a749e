"""What was certified is never certified again: by no process, after no crash, at no setting of the clock. P4."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bastion.errors import StoreError
from bastion.spent import KEPT_SECONDS, MOST, Spent

SECOND = 1_000_000


def leaf(number: int) -> str:
    return f"{number:064x}"


def now() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def spent(tmp_path: Path) -> Spent:
    made = Spent(tmp_path / "minted")
    made.make()
    return made


def test_once(spent: Spent, tmp_path: Path) -> None:
    t = now()
    assert spent.spend(leaf(1), t)
    assert not spent.spend(leaf(1), t)
    assert spent.spend(leaf(2), t)
    spent.make()  # changes nothing
    assert not Spent(tmp_path / "minted").spend(leaf(2), t)
    assert (tmp_path / "minted").stat().st_mode & 0o777 == 0o600


def test_what_was_stated_before_it_was_made(tmp_path: Path) -> None:
    before = now()
    made = Spent(tmp_path / "minted")
    made.make()
    assert not made.spend(leaf(1), before)
    assert made.spend(leaf(1), now())


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="minted"):
        Spent(tmp_path / "minted").spend(leaf(1), now())
    assert not (tmp_path / "minted").exists()


def test_a_link_in_its_place(tmp_path: Path, spent: Spent) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "minted")
    with pytest.raises(StoreError):
        Spent(tmp_path / "link").spend(leaf(1), now())


@pytest.mark.parametrize("data", [b"", b"x\n", b"1 " + b"0" * 64 + b"\n", b"1 -\n1 x\n", b"1 -\n\n", b"1 -\n\xff\n"])
def test_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "minted").write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged|decode"):
        Spent(tmp_path / "minted").spend(leaf(1), now())


def test_half_a_line_of_a_crash(tmp_path: Path, spent: Spent) -> None:
    t = now()
    assert spent.spend(leaf(1), t)
    with (tmp_path / "minted").open("ab") as file:
        file.write(b"17 0000")
    assert spent.spend(leaf(2), t)
    assert not spent.spend(leaf(1), t)
    assert not spent.spend(leaf(2), t)


def test_the_old_ones_go_and_do_not_come_back(tmp_path: Path) -> None:
    t = now()
    old = t - (KEPT_SECONDS + 1) * SECOND
    lines = [f"{old - MOST * SECOND} -\n", *(f"{old - each} {leaf(each)}\n" for each in range(MOST - 3))]
    young = [f"{t - 5} {leaf(MOST)}\n", f"{t - 4} {leaf(MOST + 1)}\n"]
    (tmp_path / "minted").write_text("".join(lines + young))
    spent = Spent(tmp_path / "minted")
    assert spent.spend(leaf(MOST + 2), t)
    assert len((tmp_path / "minted").read_text().splitlines()) == 4
    for number, at in ((0, old), (7, old - 7), (MOST, t - 5), (MOST + 1, t - 4), (MOST + 2, t)):
        assert not spent.spend(leaf(number), at)
    assert not spent.spend(leaf(MOST + 3), old - 3)  # stated then, whatever the clock says now


def test_of_many_processes_one_gets_it(tmp_path: Path, spent: Spent) -> None:
    t = now()
    code = (
        "import sys; from pathlib import Path; from bastion.spent import Spent; sys.stdin.readline();"
        f"print(Spent(Path({str(tmp_path / 'minted')!r})).spend({leaf(9)!r}, {t}))"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)
    ]
    answers = [worker.communicate(b"go\n")[0].strip() for worker in workers]
    assert sorted(answers) == [b"False"] * 3 + [b"True"]
