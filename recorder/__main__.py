"""`python -m recorder`: for auditors who have a store or a bundle and nothing else of the bastion."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click

from recorder import export
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.reader import Reader
from recorder.verify import exit_status, verify

_PATH = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def main() -> None:
    """Check and read a ledger, offline. Exit status: 0 good, 1 not, 2 wrong usage or nothing to read."""


@main.command("verify")
@click.argument("path", type=_PATH)
@click.option("--head", metavar="ANCHOR", help="SIZE:ROOT, kept elsewhere: finds a rollback and a fork.")
@click.option("--key", metavar="FILE.pub", type=click.File(), help="The log's public key, from elsewhere.")
@click.option("--witness", metavar="VKEY", help="A witness's verifier key: who must have signed heads.")
@click.option("--anchors", type=_PATH, help="Directory, or clone, of heads that the bastion copied there.")
@click.option("--fresh", type=click.IntRange(0), metavar="N", help="At most N entries behind the last anchor.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def verify_command(
    path: Path,
    head: str | None,
    key: TextIO | None,
    witness: str | None,
    anchors: Path | None,
    fresh: int | None,
    as_json: bool,
) -> None:
    """Was the ledger in PATH (a store or an exported bundle) changed?"""
    report = verify(path, head=head, key=key.read() if key else None, witness=witness, copies=anchors, fresh=fresh)
    if as_json:
        click.echo(json.dumps({**asdict(report), "good": report.good}, indent=2))
    else:
        at = f" at entry {report.seq}" if report.seq is not None else ""
        click.echo(f"{report.verdict}{at}: {_shown(report.message)}")
        for problem in report.problems[1:]:
            click.echo(
                f"  {'entry ' + str(problem.seq) if problem.seq is not None else 'also'}: {_shown(problem.message)}"
            )
        for note in report.notes:
            click.echo(f"  note: {_shown(note)}")
        click.echo(f"  origin {report.origin}\n  key    {report.key}\n  head   {report.head}")
    sys.exit(exit_status(report))


@main.command()
@click.argument("path", type=_PATH)
def head(path: Path) -> None:
    """Print the signed head of the store in PATH; its anchor is the last word."""
    with Reader.open(path) as reader:
        checkpoint = reader.checkpoint()
    click.echo(checkpoint.note)
    click.echo(f"anchor {checkpoint.anchor}")


@main.command("list")
@click.argument("path", type=_PATH)
@click.option("--type", "types", multiple=True, help="Only entries of this type; may be repeated.")
@click.option("--session", default="", help="Only entries of this session.")
@click.option("--request", default="", help="Only entries of this request.")
@click.option("--after", default=-1, help="Only entries with a higher number.")
@click.option("--limit", type=int, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the entries' own bytes, one a line.")
def list_command(
    path: Path, types: tuple[str, ...], session: str, request: str, after: int, limit: int | None, as_json: bool
) -> None:
    """Print entries of the store in PATH."""
    with Reader.open(path) as reader:
        for entry in reader.entries(after, limit, types, session, request):
            click.echo(entry.bytes if as_json else _line(entry))


@main.command("cast")
@click.argument("path", type=_PATH)
@click.argument("session")
@click.option("--format", "form", type=click.Choice(["cast", "cast2", "txt"]), default="cast", show_default=True)
def cast_command(path: Path, session: str, form: str) -> None:
    """Print the recording of SESSION as asciicast v3 or v2, or as text."""
    with Reader.open(path) as reader:
        if form == "txt":
            for line in export.text(reader, session):
                click.echo(line)
        else:
            for line in export.cast(reader, session, version=3 if form == "cast" else 2):
                click.echo(line, nl=False)


@main.command("export")
@click.argument("path", type=_PATH)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="With payloads and recordings: what agents saw, secrets included.")
def export_command(path: Path, out: Path, content: bool) -> None:
    """Write the ledger in PATH to the directory OUT as a bundle that stock tools can check."""
    made = export.bundle(path, out, content=content)
    click.echo(f"{made.size} entries of {made.origin}\nanchor {made.anchor}")


def _line(entry: Entry) -> str:
    words = (entry.actor, entry.session, entry.request)
    return f"{entry.seq:>7} {entry.type:<20} " + " ".join(_shown(word) for word in words if word)


def _shown(text: str) -> str:
    """Text from a ledger without anything that a terminal acts on."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def run() -> None:
    """The command, with failures as one line."""
    try:
        main(standalone_mode=True)
    except RecorderError as error:
        click.echo(f"recorder: {_shown(str(error))}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    run()
