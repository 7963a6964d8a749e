"""`bastion ledger`: the signed record. Whether it was changed is the subject of verifying.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach, verifying
from bastion.cli.options import REVEAL, Settings, local_verb, remote_verb
from bastion.errors import BastionError, Conflict, NotFound, StoreError, Unreachable, UsageError

if TYPE_CHECKING:
    from bastion.cli.sources import Source
    from bastion.control.client import Client
    from bastion.control.wire import LedgerLine
    from recorder.checkpoint import Checkpoint

LIST_LIMIT = 200
"""Entries that `list` shows."""


@click.group("ledger")
def command() -> None:
    """The signed record of everything: list, show, head, verify, export, rotate-key, accept."""


command.add_command(verifying.verify)


@command.command("list")
@click.option("--after", type=click.IntRange(-1), metavar="SEQ", help="Only entries behind this one, oldest first.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=LIST_LIMIT, show_default=True, help="How many.")
@remote_verb
def list_(settings: Settings, after: int | None, limit: int) -> None:
    """List the newest entries, the newest last."""

    async def work() -> list[LedgerLine]:
        async with reach.source(settings) as source:
            first = after if after is not None else (await _head(source)).size - limit - 1
            return await source.entries(max(first, -1), limit)

    rows = [as_entry(row) for row in reach.run(work())]
    if settings.json:
        output.as_json(rows)
        return
    output.table(
        ("SEQ", "TIME", "TYPE", "ACTOR", "ABOUT"),
        [(str(row["seq"]), output.when(row["t"]), row["type"], row["actor"], _about(row)) for row in rows],
    )


@command.command("show")
@click.argument("seq", type=click.IntRange(0))
@REVEAL
@remote_verb
def show(settings: Settings, seq: int, reveal: bool) -> None:
    """Show one entry, complete, with its leaf hash."""
    from bastion.covering import revealing

    async def work() -> list[LedgerLine]:
        async with reach.source(settings) as source:
            found = await source.entries(seq - 1, 1)
            if not found or found[0].seq != seq:
                raise NotFound(f"there is no entry {seq}", "`bastion ledger head` says how many there are")
            return await source.revealed(seq) if reveal else found

    rows = reach.run(work())
    with revealing(reveal):
        entry = as_entry(rows[0])
    if settings.json:
        output.as_json(entry)
        return
    output.say(_heading(entry))
    output.say(json.dumps(entry, indent=2, ensure_ascii=True))
    for noun in ("request", "session"):
        if entry.get(noun):
            output.say(f"more: bastion {noun} show {output.shown(str(entry[noun]))}")


def _heading(entry: dict[str, Any]) -> str:
    """Number, time, type and who, in words."""
    at = entry.get("t")
    words = [f"entry {entry.get('seq')}", output.when(at) if isinstance(at, int) else "", str(entry.get("type"))]
    return output.shown("  ".join([*words, f"by {entry.get('actor')}"]))


@command.command("head")
@remote_verb
def head(settings: Settings) -> None:
    """Print the signed head. Its last word is the anchor: keep it elsewhere, and give it to `verify --head`."""

    async def work() -> Checkpoint:
        async with reach.source(settings) as source:
            return await _head(source)

    found = reach.run(work())
    if settings.json:
        output.as_json(
            {
                "origin": found.origin,
                "size": found.size,
                "root": found.root.hex(),
                "note": found.note,
                "anchor": found.anchor,
            }
        )
    else:
        output.say(f"{output.shown(found.origin)}  {found.size} entries  {found.anchor}")


@command.command("export")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="With what agents sent and saw, secrets included, readable.")
@click.option(
    "--format", "form", type=click.Choice(["bundle", "ocsf"]), default="bundle", show_default=True,
    help="ocsf: events for a SIEM, a line of JSON each, into the new file DIR, or to stdout for `-`.",
)  # fmt: skip
@click.option("--after", type=click.IntRange(-1), default=-1, metavar="SEQ", help="With ocsf: entries behind this one.")
@local_verb
def export(settings: Settings, directory: Path, content: bool, form: str, after: int) -> None:
    """Write the ledger to DIR, a new directory, as flat files that `sha256sum` and `ssh-keygen` can check.

    DIR/README says how. Without --content nothing is in it but the entries: who, when, what hash. With --format ocsf
    the entries are events of the Open Cybersecurity Schema Framework, secrets covered; docs/ocsf.md has the mapping.
    """
    if form == "ocsf":
        if content:
            raise UsageError("--content goes with a bundle")
        from bastion.cli import events

        events.export(settings, directory, after)
        return
    if after >= 0:
        raise UsageError("--after goes with --format ocsf")
    from recorder.errors import RecorderError
    from recorder.export import bundle

    config = reach.here(settings).config
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        raise Conflict(f"{directory} exists and is not empty", "nothing was written; choose a new directory")
    try:
        made = bundle(config.store, directory, content=content)
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    if settings.json:
        output.as_json({"directory": str(directory), "origin": made.origin, "size": made.size, "anchor": made.anchor})
    else:
        output.say(f"exported {made.size} entries to {output.shown(str(directory))}; anchor {made.anchor}")


@command.command("rotate-key")
@local_verb
def rotate_key(settings: Settings) -> None:
    """Change the key that signs the ledger, on the bastion's own host; a daemon that runs goes on with the new one.

    The old key signs the entry that announces the new one, and is then destroyed. Hand out the new public key.
    """
    line = reach.run(_rotated(settings))
    if settings.json:
        output.as_json({"key": line})
    else:
        output.say(f"the ledger is signed from here on by {line}")


async def _rotated(settings: Settings) -> str:
    from bastion import ledgerkey
    from bastion.control import wire
    from recorder.errors import RecorderError, StoreBusy

    config = reach.here(settings).config
    try:
        client = await reach.local_client(config)
    except Unreachable:
        try:
            return ledgerkey.rotate(config, reach.local_name()).line
        except StoreBusy as error:
            raise Conflict(error.message, "a daemon that does not answer, or another command: try again") from None
        except RecorderError as error:
            raise StoreError(error.message, error.hint) from None
    async with client:
        return await client.call(wire.RotateKey, str, seconds=600.0)


@command.command("accept")
@click.argument("anchor")
@remote_verb
def accept(settings: Settings, anchor: str) -> None:
    """Say that ANCHOR is the bastion's head from now on, whatever it showed before: you know why, from its people.

    Your tools refuse a bastion that cannot prove that its ledger continues the one that they saw. After a move or a
    restore from a backup this tells them that it is right. The bastion must still prove that it continues ANCHOR.
    """
    from bastion.control.endpoints import Local
    from recorder import checkpoint
    from recorder.entry import leaf_hash
    from recorder.errors import NoteError
    from recorder.proof import Pin, ProofError, check

    try:
        size, root = checkpoint.parse_anchor(anchor)
    except NoteError as error:
        raise UsageError(error.message, error.hint) from None

    async def work() -> Pin:
        async with reach.unpinned(settings) as (client, endpoint):
            found = await source_of(client).proof(size)
            try:
                pin = Pin(client.welcome.origin, size, root, leaf_hash(found.genesis))
                pin = check(found, pin)[2]
            except ProofError as error:
                raise Conflict(f"this bastion does not continue {anchor}: {error}", "nothing was changed") from None
            reach.pins().accept("" if isinstance(endpoint, Local) else str(endpoint), pin)
            return pin

    pin = reach.run(work())
    if settings.json:
        output.as_json({"origin": pin.origin, "size": pin.size, "anchor": pin.anchor})
    else:
        output.say(f"{output.shown(pin.origin)} is held to {pin.anchor} from now on")


def source_of(client: Client) -> Source:
    """A daemon as a source."""
    from bastion.cli.sources import DaemonSource

    return DaemonSource(client)


async def _head(source: Source) -> Checkpoint:
    """The newest head, proved by the ledger's own keys. Raises StoreError."""
    from recorder import proof

    try:
        return proof.check(await source.proof(0), None)[0]
    except proof.ProofError as error:
        raise StoreError(f"the head cannot be read: {error}") from None


def as_entry(row: LedgerLine) -> dict[str, Any]:
    """An entry's own fields with its leaf hash (hex). Raises BastionError when it is no JSON object."""
    try:
        entry = json.loads(row.entry)
    except (ValueError, RecursionError):
        raise BastionError(f"entry {row.seq} cannot be read") from None
    if not isinstance(entry, dict):
        raise BastionError(f"entry {row.seq} cannot be read")
    from bastion import covering

    return {**covering.value(entry), "leaf": row.leaf}


def _about(row: dict[str, Any]) -> str:
    """What an entry is about, in a few words for the list."""
    body = row.get("body")
    names = [str(row.get("session") or ""), str(row.get("request") or "")]
    if isinstance(body, dict):
        names += [str(body[name]) for name in ("name", "choice", "verdict", "target", "end") if body.get(name)]
        names += [f"exit {body['status']}"] if isinstance(body.get("status"), int) else []
    return " ".join(name for name in names if name)
