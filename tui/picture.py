"""A picture of the console for the README: `python -m tui.picture OUT.svg --size 120x34`.

It is the app itself, run without a terminal on the requests of `tui/samples.py`. `--live` opens it in the terminal
instead, for trying it out without a bastion: decisions there change nothing.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from tui.app import BastionConsole
from tui.samples import NOW, Bastion


def sample_app(bastion: Bastion, *, theme: str = "", clock: float | None = None) -> BastionConsole:
    """The console on the sample requests; with `clock` both clocks stand still at the moment of the samples."""
    if clock is None:
        began = time.monotonic()
        wall = lambda: NOW + int((time.monotonic() - began) * 1e6)  # noqa: E731
        return BastionConsole(bastion.connect, "bastion.example", wall=wall, theme=theme)
    return BastionConsole(bastion.connect, "bastion.example", clock=lambda: clock, wall=lambda: NOW, theme=theme)


async def picture(size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> str:
    """The screen as SVG, after the keys were pressed."""
    app = sample_app(Bastion(), theme=theme, clock=1000.0)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        while not app.view.rows(app.view.pane):
            await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        return app.export_screenshot(title="bastion tui")


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--size", default="120x34", help="Columns and rows.")
@click.option("--theme", default="", help="A Textual theme.")
@click.option("--keys", default="", help="Keys to press first, separated by commas.")
@click.option("--live", is_flag=True, help="Open it in this terminal instead.")
def main(out: Path | None, size: str, theme: str, keys: str, live: bool) -> None:
    """Draw the approver's console with sample requests."""
    if live:
        sample_app(Bastion(), theme=theme).run()
        return
    columns, _, rows = size.partition("x")
    if out is None or not (columns.isdigit() and rows.isdigit()):
        raise click.UsageError("give an output file, and --size as COLSxROWS")
    pressed = tuple(key for key in keys.split(",") if key)
    out.write_text(asyncio.run(picture((int(columns), int(rows)), theme, pressed)), encoding="utf-8")


if __name__ == "__main__":
    main()
