"""`bastion ledger verify`: was the record changed? Offline, beside a daemon or without one."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb
from bastion.errors import StoreError, UsageError

if TYPE_CHECKING:
    from recorder.verify import Report

BAR_WIDTH = 30
"""Characters of the progress bar."""


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--head", "anchor", metavar="ANCHOR", help="What `bastion ledger head` printed, kept elsewhere.")
@click.option("--log-key", metavar="FILE.pub", help="The ledger's public key from elsewhere (state/ledger_key.pub).")
@click.option("--witness", metavar="VKEY", help="A witness's key, as `bastion witness init` printed it.")
@click.option(
    "--anchors", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Copies of heads: see [anchor]."
)
@click.option("--fresh", type=click.IntRange(0), metavar="N", help="At most N entries behind the last anchor.")
@local_verb
def verify(
    settings: Settings,
    path: Path | None,
    anchor: str | None,
    log_key: str | None,
    witness: str | None,
    anchors: Path | None,
    fresh: int | None,
) -> int:
    """Was the record changed? Offline, on this host's store or on a copy or bundle in PATH, beside a daemon too.

    Exit status 0 only for OK and TORN (a crash that the next start mends); 1 for TAMPER, ROLLBACK, FORK and UNANCHORED
    (more entries than --fresh allows follow the last that --head, --anchors or --witness vouch for).
    """
    from recorder.errors import KeyFileError, NoteError, RecorderError
    from recorder.verify import exit_status
    from recorder.verify import verify as check

    store = find_store(path) if path is not None else reach.here(settings).config.store
    key = _log_key(log_key) if log_key else None
    try:
        report = check(
            store, head=anchor, key=key, witness=witness, copies=anchors, fresh=fresh, progress=_progress(store)
        )
    except (NoteError, KeyFileError) as error:
        raise UsageError(error.message, error.hint) from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    finally:
        if sys.stderr.isatty():
            output.clear_progress()
    if settings.json:
        output.as_json(_report(report))
    else:
        _print(report)
    return exit_status(report)


def _print(report: Report) -> None:
    if report.good:
        # The one line of the README; an anchor's first digits are enough to recognise it.
        root = report.head.partition(":")[2]
        host = output.shown(report.origin.rpartition("/")[0])
        counts = f"{report.entries} entries, {report.sessions} session{'' if report.sessions == 1 else 's'}"
        torn = f" ({output.shown(report.message)})" if report.verdict == "TORN" else ""
        output.say(f"{report.verdict.lower()}: {counts}, head {root[:12]}…, signed by {host}{torn}")
    else:
        output.say(f"{report.verdict}: {_placed(report.seq, report.message)}")
        for problem in report.problems[1:]:
            output.say(f"  {_placed(problem.seq, problem.message)}")
    for note in report.notes:
        output.say(f"note: {output.shown(note)}")


def _placed(seq: int | None, message: str) -> str:
    """With the entry that it is about, once: many messages begin with that themselves."""
    if seq is None:
        return output.shown(message)
    where = f"entry {seq}"
    rest = message.removeprefix(where) if message.startswith((f"{where} ", f"{where}:")) else message
    return output.shown(f"{where}: {rest.lstrip(': ')}")


def _report(report: Report) -> dict[str, Any]:
    return {
        "verdict": report.verdict.value,
        "message": report.message,
        "seq": report.seq,
        "entries": report.entries,
        "sessions": report.sessions,
        "head": report.head,
        "origin": report.origin,
        "key": report.key,
        "anchored": report.anchored,
        "redacted": report.redacted,
        "deleted": report.deleted,
        "problems": [{"seq": problem.seq, "message": problem.message} for problem in report.problems],
        "notes": list(report.notes),
    }


def _progress(store: Path) -> Any:
    """A bar on stderr while a person looks on; None otherwise."""
    if not sys.stderr.isatty():
        return None
    total = _size(store)

    def show(count: int) -> None:
        if total < count:
            output.progress(f"{count} entries")
        else:
            done = count * BAR_WIDTH // total
            output.progress(f"[{'#' * done}{'.' * (BAR_WIDTH - done)}] {count:,} of {total:,} entries")

    return show


def _size(store: Path) -> int:
    """How many entries there seem to be; 0 where that cannot be told."""
    from recorder.errors import RecorderError
    from recorder.source import open_source

    try:
        with closing(open_source(store)) as source:
            return max((size for size, _, _ in source.checkpoints()), default=0)
    except RecorderError:
        return 0  # `verify` says what is wrong


def find_store(path: Path) -> Path:
    """The store that `path` means: itself, or the one in a state directory or beside a bastion.toml."""
    for candidate in (path, path / "store", path / "state" / "store"):
        if (candidate / "ledger.sqlite3").exists():
            return candidate
    return path


def _log_key(given: str) -> str:
    from bastion.cli.identity import read_key_lines

    line = given if given.startswith("ssh-") else read_key_lines(Path(given), one=True)[0]
    return " ".join(line.split()[:2])
