"""`bastion risk`: what a command would do, and how risky that is. Judges what it is given and runs nothing of it.

`bastion risk -` judges a stream: one JSON string a line in, one JSON assessment a line out, in the same order, each
written before the next is read. A line that is no JSON string gives `{"error": …}` in its place, and exit status 2 at
the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from json import loads
from typing import IO, TYPE_CHECKING, Any

import click

from bastion.cli import output
from bastion.model import COMMAND_LIMIT

if TYPE_CHECKING:
    from bastion.model import Assessment

LINE_LIMIT = 6 * COMMAND_LIMIT + 16
"""Bytes of one line of `-`: JSON writes one byte of a command as at most six (`\\u0001`), and there are quotes."""

LANGUAGES = ("bash", "psql", "mysql", "sqlite", "ansi", "redis", "mongo")
COLOURS = {"low": "green", "medium": "yellow", "high": "red"}
UNDO = {"yes": "can be undone", "partly": "can partly be undone", "no": "cannot be undone", "unknown": ""}


@click.command("risk")
@click.argument("text", metavar="COMMAND")
@click.option("--language", type=click.Choice(LANGUAGES), default="bash", show_default=True, help="What COMMAND is.")
@click.option("--terminal", is_flag=True, help="It would run on a terminal, where programs open pagers.")
@click.option("--json", "json", is_flag=True, help="Print JSON (docs/json.md).")
def command(text: str, language: str, terminal: bool, json: bool) -> None:
    """Say what COMMAND (one argument, so quote it) would do and how risky that is: 0-100, low, medium or high.

    Nothing is run. With - instead of COMMAND: one JSON string a line in, one JSON assessment a line out.
    """
    from bastion.policy.risk import assess

    if text == "-":
        stream(lambda one: assess(one, language=language, terminal=terminal))
        return
    found = assess(os.fsencode(text), language=language, terminal=terminal)
    if json:
        output.as_json(structure(found))
    else:
        describe(found)


def structure(found: Assessment) -> dict[str, Any]:
    """An assessment as JSON values."""
    return {
        "score": found.score,
        "tier": found.tier.value,
        "reasons": list(found.reasons),
        "weights": list(found.weights),
        "reversible": found.reversible.value,
        "effects": [[effect.kind.value, effect.what] for effect in found.effects],
        "verbs": list(found.verbs),
    }


def describe(found: Assessment) -> None:
    """For a person: the verdict, what adds up to it, what is touched."""
    words = f"{found.score} {found.tier.value}"
    undo = UNDO[found.reversible.value] if found.tier.value != "low" else ""
    output.say(styled(words, COLOURS[found.tier.value]) + (f"   {undo}" if undo else ""))
    for weight, reason in zip(found.weights, found.reasons, strict=True):
        output.say(f"  {f'+{weight}' if weight else '':>4}  {output.shown(reason)}")
    kinds: dict[str, list[str]] = {}
    for effect in found.effects:
        what = output.shown(effect.what.replace("…", "<?>"))  # … is what only run time knows
        kinds.setdefault(effect.kind.value, []).extend([what] if what else [])
    kinds.pop("irreversible", None)  # said above
    for kind, things in kinds.items():
        output.say(f"  {kind:11}{', '.join(dict.fromkeys(things))}".rstrip())
    if found.verbs:
        output.say(f"  {'verbs':11}{', '.join(found.verbs)}")


def styled(text: str, colour: str) -> str:
    """In colour, where somebody looks."""
    plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))
    return text if plain else click.style(text, fg=colour, bold=True)


def stream(assess: Callable[[bytes], Assessment]) -> None:
    """One JSON string a line in, one JSON object a line out. Exits 2 when a line was none."""
    broken = False
    for number, line in enumerate(_lines(sys.stdin.buffer), 1):
        given = _command(line)
        if given is None:
            broken = True
            output.stream(output.to_json({"error": f"line {number} is not a JSON string"}))
        else:
            output.stream(output.to_json(structure(assess(given))))
    if broken:
        raise click.exceptions.Exit(2)


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Lines; None for one that is longer than any command's, which is read past in pieces."""
    while line := file.readline(LINE_LIMIT):
        if len(line) < LINE_LIMIT or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
            pass
        yield None


def _command(line: bytes | None) -> bytes | None:
    """The command's bytes; None when the line is not a JSON string, or one that no bytes can stand for."""
    try:
        value = loads(line) if line is not None else None
        return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
