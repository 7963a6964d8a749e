"""Files of the bastion's own that it could not take away again: it was killed while it wrote beside a file's place, or
the target was gone in that moment. They are removed when that target is spoken to next.

Theory of operation. Before the first file of an approved request is written on a target, the names that it will have
there (`applying.beside`) go into a note in the daemon's state directory; when all of them are gone again, so is the
note. Whichever transfer with the same target and login comes first looks for what is left of other notes. Only a plain
file under exactly such a name is removed: nobody else uses them.

If we crash here: before the note, nothing was written; behind it, the next contact finds nothing, or what was left. A
note that a power cut made unreadable is dropped, and its files stay.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from bastion.sftp.changes import There
from bastion.sftp.far import Far

log = logging.getLogger(__name__)

AT_ONCE = 2_000
"""Names that one contact looks for, a round trip each: as many as one request can have. The rest is the next one's."""


@dataclass(frozen=True, slots=True)
class Note:
    """What one request may have left."""

    request: str
    target: str
    login: str
    paths: tuple[bytes, ...]


class Leftovers:
    """All notes of one daemon."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._notes: dict[str, Note] = {}
        self._writing: set[str] = set()
        """Requests that are being applied now: theirs is nothing left over."""

    def prepare(self) -> None:
        """Read what earlier runs noted. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._directory.iterdir()):
            note = _read(path)
            if note is None:
                log.warning("a note of files left on a target does not read, and is dropped: %s", path.name)
                path.unlink()
            else:
                self._notes[note.request] = note
                log.warning("%s may have left files on %s: removed by the next transfer there", path.name, note.target)

    def begin(self, note: Note) -> None:
        """Its files are about to be written. Raises OSError."""
        if note.paths:
            self._writing.add(note.request)
            self._keep(note)

    def end(self, request: str, left: Sequence[bytes]) -> None:
        """It is applied, or not; `left` is what could not be taken away again."""
        self._writing.discard(request)
        note = self._notes.get(request)
        if note is None:
            return
        if left:
            log.warning("%s left %d files on %s: removed by the next transfer there", request, len(left), note.target)
        self._shorten(note, left)

    async def clear(self, far: Far, target: str, login: str) -> list[bytes]:
        """Remove what is left there; what was removed. Nothing here keeps a transfer from going on."""
        removed: list[bytes] = []
        looked = 0
        for note in [each for each in self._notes.values() if (each.target, each.login) == (target, login)]:
            if note.request in self._writing or looked >= AT_ONCE:
                continue
            looked += len(note.paths)
            self._writing.add(note.request)  # for another channel that comes meanwhile
            left = list(note.paths)
            try:
                for path in note.paths:
                    if (await far.found(path)).there is There.FILE:
                        await far.client.remove(path)
                        removed.append(path)
                    left.remove(path)  # or it is a directory: none of ours
            except (asyncssh.Error, OSError) as error:
                log.warning("what %s left on %s cannot be removed: %s", note.request, target, error)
            finally:
                self._writing.discard(note.request)
                self._shorten(note, left)
        if removed:
            log.info("removed %d files that were left on %s", len(removed), target)
        return removed

    def _shorten(self, note: Note, left: Sequence[bytes]) -> None:
        if left:
            try:
                self._keep(Note(note.request, note.target, note.login, tuple(left)))
            except OSError as error:  # the longer one stays
                log.warning("%s: %s", note.request, error)
            return
        self._notes.pop(note.request, None)
        with contextlib.suppress(OSError):  # then the next start looks once more, and finds nothing
            (self._directory / note.request).unlink()

    def _keep(self, note: Note) -> None:
        if self._notes.get(note.request) == note:
            return
        text = {"target": note.target, "login": note.login, "paths": [path.hex() for path in note.paths]}
        path = self._directory / note.request
        new = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(text, file)
        new.replace(path)
        self._notes[note.request] = note


@dataclass(frozen=True, slots=True)
class Place:
    """What concerns one target and login."""

    leftovers: Leftovers
    target: str
    login: str

    def begin(self, request: str, paths: Sequence[bytes]) -> None:
        """As Leftovers."""
        self.leftovers.begin(Note(request, self.target, self.login, tuple(paths)))

    def end(self, request: str, left: Sequence[bytes]) -> None:
        """As Leftovers."""
        self.leftovers.end(request, left)

    async def clear(self, far: Far) -> list[bytes]:
        """As Leftovers."""
        return await self.leftovers.clear(far, self.target, self.login)


def _read(path: Path) -> Note | None:
    try:
        text = json.loads(path.read_text())
        paths = tuple(bytes.fromhex(each) for each in text["paths"])
        return Note(path.name, str(text["target"]), str(text["login"]), paths) if not path.suffix else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
