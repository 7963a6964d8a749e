"""What vouches for a ledger from outside: an anchor that somebody kept, copies of heads, cosignatures of a witness.

Read-only. A directory of copies holds `HOST-xxxxxxxx/checkpoint-SIZE.note`, and may hold sealed segments beside them
(what a bastion's `[anchor]` writes, or a clone of its git remote).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recorder import checkpoint, cosignature
from recorder.checkpoint import NOTE_LIMIT, Checkpoint
from recorder.cosignature import Witness
from recorder.errors import NoteError, StoreFailed
from recorder.keyring import Keyring
from recorder.segments import Segment, file_name


@dataclass(frozen=True, slots=True)
class Vouched:
    """One head that something outside knows."""

    size: int
    root: bytes
    what: str
    """In words, for the report."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an entry `checkpoint.anchored` says."""

    seq: int
    size: int
    root: bytes
    cosignature: str


def claim(seq: int, body: Mapping[str, object]) -> Claim:
    """Read such an entry. Raises NoteError."""
    anchor, line = body.get("anchor"), body.get("cosignature")
    if not isinstance(anchor, str) or not isinstance(line, str):
        raise NoteError("an anchor without a head")
    size, root = checkpoint.parse_anchor(anchor)
    if not 0 < size <= seq:
        raise NoteError("an anchor of a head that was not there yet")
    return Claim(seq, size, root, line)


def witnessed(claims: Iterable[Claim], origin: str, witness: Witness) -> Iterator[Vouched]:
    """The heads that this witness signed."""
    for each in claims:
        head = Checkpoint(origin, each.size, each.root, "")
        try:
            cosignature.verify(each.cosignature, head, witness)
        except NoteError:
            continue
        yield Vouched(each.size, each.root, f"what {witness.name} signed")


class Copies:
    """A directory of copies of one ledger."""

    def __init__(self, directory: Path, origin: str) -> None:
        """Raises StoreFailed when there is none of this ledger."""
        self._place = directory / origin.replace("/", "-")
        if not self._place.is_dir():
            raise StoreFailed(f"{directory} has no copies of {origin}", f"they would be in {self._place.name}")

    def heads(self, origin: str, keys: Keyring, notes: list[str]) -> Iterator[Vouched]:
        """The heads that are signed by the key of their size; what is not is noted. Raises StoreFailed."""
        for path in sorted(self._place.glob("checkpoint-*.note")):
            try:
                text = path.read_bytes()[: 4 * NOTE_LIMIT].decode()
                claimed, _ = checkpoint.read(text)
                found = checkpoint.parse(text, keys.at(claimed.size))
                if found.origin != origin:
                    raise NoteError("of another ledger")
            except OSError as error:
                raise StoreFailed(f"{path} cannot be read: {error.strerror}") from None
            except (NoteError, UnicodeDecodeError):
                notes.append(f"{path.name} is not signed by a key of this ledger: it vouches for nothing")
                continue
            yield Vouched(found.size, found.root, path.name)

    def differing(self, segments: Iterable[Segment]) -> Segment | None:
        """The first segment whose copy is another one. Raises StoreFailed."""
        for each in segments:
            path = self._place / file_name(each.number)
            try:
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != each.sha256:
                        return each
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreFailed(f"{path} cannot be read: {error.strerror}") from None
        return None
