"""tui/picture.py: the README's picture is the app itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tui.picture import main


def drawn(svg: str) -> str:
    return svg.replace("&#160;", " ")


def test_it_draws_the_console(tmp_path: Path) -> None:
    out = tmp_path / "console.svg"
    result = CliRunner().invoke(main, [str(out)])
    assert result.exit_code == 0, result.output
    svg = drawn(out.read_text(encoding="utf-8"))
    for words in (
        "agent-bastion",
        "systemctl restart nginx",
        "psql -v ON_ERROR_STOP=1 shop",
        "1 of 2 approvals",
        "approve",
    ):
        assert words in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    assert "@font-face" not in svg


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        CliRunner().invoke(main, [str(tmp_path / name), "--size", "80x24", "--keys", "a"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "y = yes" in drawn((tmp_path / "a.svg").read_text(encoding="utf-8"))


@pytest.mark.parametrize("arguments", [[], ["x.svg", "--size", "big"], ["x.svg", "--size", "80"]])
def test_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2
