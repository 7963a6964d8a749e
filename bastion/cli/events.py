"""`bastion ledger export --format ocsf`: entries as events, one line each, as many as there are, in flat memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from bastion import __version__, covering
from bastion.cli import output, reach
from bastion.cli.options import Settings
from bastion.errors import Conflict, StoreError
from bastion.ocsf import Exporter
from recorder.errors import RecorderError
from recorder.reader import Reader


def export(settings: Settings, path: Path, after: int) -> None:
    """Write the events of the entries behind `after`. Raises Conflict, StoreError."""
    config = reach.here(settings).config
    if str(path) == "-":
        _write(config.store, after, sys.stdout)
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{path} exists", "nothing was written; choose another file") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            count, last = _write(config.store, after, file)
    except BaseException:
        path.unlink(missing_ok=True)  # nothing half written stays
        raise
    if settings.json:
        output.as_json({"file": str(path), "events": count, "last": last})
    else:
        output.say(f"wrote {count} events to {output.shown(str(path))}; go on with --after {last}")


def _write(store: Path, after: int, file: IO[str]) -> tuple[int, int]:
    """How many, and the number of the last entry."""
    exporter, count, last = Exporter(__version__), 0, after
    try:
        with Reader.open(store) as reader:
            # sessions that were open by then: what comes needs where they came from
            for entry in reader.entries(types=("session.opened", "session.closed", "session.interrupted")):
                if entry.seq > after:
                    break
                list(exporter.events(entry))
            for entry in reader.entries(after=after):
                for event in exporter.events(entry):
                    file.write(output.to_json(covering.value(event)) + "\n")
                    count += 1
                last = entry.seq
    except BrokenPipeError:
        output.silence()
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    return count, last
