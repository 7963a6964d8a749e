"""tui/widgets/paint.py: the table of styles and the style sheet agree."""

from __future__ import annotations

import re
from pathlib import Path

import tui
from tui.widgets.paint import STYLES

SHEET = (Path(tui.__file__).parent / "app.tcss").read_text(encoding="utf-8")


def test_the_sheet_knows_every_style_and_no_other() -> None:
    assert set(re.findall(r"^\.paint--([a-z]+)", SHEET, re.MULTILINE)) == set(STYLES)


def test_every_style_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path(tui.__file__).parent.rglob("*.py"))
    for name in STYLES:
        assert code.count(f'"{name}"') >= 2, name
