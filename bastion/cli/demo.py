"""`bastion demo`."""

from __future__ import annotations

from pathlib import Path

import click

from bastion.cli import output


@click.command("demo")
@click.option("--headless", is_flag=True, help="Decide by itself, print everything, verify; for scripts.")
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Keep everything, in DIR (a new one).")
@click.option(
    "--target",
    type=click.Choice(["auto", "sshd", "builtin"]),
    default="auto",
    show_default=True,
    help="The throwaway target: sshd where one works, else a built-in one.",
)
def command(headless: bool, keep: Path | None, target: str) -> int:
    """A throwaway target, a bastion and four agents; you decide in the console.

    Everything lies in one scratch directory and is removed at the end. Approved commands run on this machine with your
    rights, in that directory.
    """
    from bastion.demo.run import Options, run

    return run(Options(headless=headless, keep=keep, target=target), output.say)
