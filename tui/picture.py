"""Pictures of the console for the documents: `python -m tui.picture --all docs` makes all of them anew,
`python -m tui.picture OUT.svg --size 120x34 --keys down,a` one.

It is the app itself, run without a terminal on the requests of `tui/samples.py`. `--live` opens it in the terminal
instead, for trying it out without a bastion: decisions there change nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import click

from tui.app import BastionConsole
from tui.sample_bastion import Bastion
from tui.samples import NOW

TITLE = "bastion.example"

PICTURES = {
    "console.svg": ((120, 40), ("G",)),
    "console-edit.svg": ((100, 30), ("down", "e", "end", "ctrl+w", *"apache2", "ctrl+s")),
    "console-figures.svg": ((100, 32), ("8",)),
}
"""Of the documents: size, and the keys that are pressed before."""

WEB_FONTS = re.compile(r"@font-face\s*\{[^}]*\}")
"""Taken out of the picture: whoever looks at the README should not load a font from somewhere for it."""


async def picture(size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> str:
    """The screen as SVG, after the keys were pressed, seconds apart."""
    clock, bastion = [1000.0], Bastion()
    app = BastionConsole(bastion.connect, TITLE, clock=lambda: clock[0], wall=lambda: NOW, theme=theme)
    async with app.run_test(size=size) as pilot:
        while not app.link.up:
            await pilot.pause(0.01)
        app.draw()
        await pilot.pause()
        for key in keys:
            clock[0] += 5
            await pilot.press(key)
            asked = [one for one in app.workers if one.name in ("look", "judge", "freezes") or " r-" in one.name]
            if asked:
                await app.workers.wait_for_complete(asked)
        app.draw()
        await pilot.pause()
        return WEB_FONTS.sub("", app.export_screenshot(title="bastion tui"))


def live(theme: str) -> None:
    """The console in this terminal, on the sample requests."""
    began = time.monotonic()

    def wall() -> int:
        return NOW + int((time.monotonic() - began) * 1e6)

    BastionConsole(Bastion().connect, TITLE, wall=wall, theme=theme).run()


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--size", default="120x34", help="Columns and rows.")
@click.option("--theme", default="", help="A Textual theme.")
@click.option("--keys", default="G", help="Keys to press first, separated by commas.")
@click.option(
    "--all", "every", type=click.Path(path_type=Path, file_okay=False), help="All pictures, into this directory."
)
@click.option("--live", "in_terminal", is_flag=True, help="Open it in this terminal instead.")
def main(out: Path | None, size: str, theme: str, keys: str, every: Path | None, in_terminal: bool) -> None:
    """Draw the approver's console with sample requests."""
    if every is not None:
        for name, (dimensions, pressed) in PICTURES.items():
            (every / name).write_text(asyncio.run(picture(dimensions, theme, pressed)), encoding="utf-8")
        return
    if in_terminal:
        live(theme)
        return
    columns, _, rows = size.partition("x")
    if out is None or not (columns.isdigit() and rows.isdigit()):
        raise click.UsageError("give an output file, and --size as COLSxROWS")
    pressed = tuple(key for key in keys.split(",") if key)
    out.write_text(asyncio.run(picture((int(columns), int(rows)), theme, pressed)), encoding="utf-8")


if __name__ == "__main__":
    main()
