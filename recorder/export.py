"""Out of the store, for others: a session as asciicast or text, and the whole ledger as a bundle of flat files.

A bundle is checked with stock tools (`verify.sh`: sh, sha256sum, ssh-keygen), or wholly, tree and causes and content,
with `python -m recorder verify BUNDLE`. Nothing is signed for it: the signatures are those that every commit left.

    seg-000000.jsonl (+ .sig) …    the entries; each file's first line holds the SHA-256 of the one before
    checkpoint                     the signed head, a C2SP note
    checkpoint.txt (+ .sig)        its text, with an SSHSIG
    verify.sh  README  SHA256SUMS
    payloads.jsonl  chunks.jsonl  chunks.pack  casts/     only with `content`: opened values, recordings with their keys
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from recorder import asciicast, replay
from recorder.checkpoint import Checkpoint
from recorder.errors import RecorderError, StoreDamaged, StoreFailed
from recorder.flatfiles import write_segment
from recorder.keys import public_line
from recorder.reader import Missing, Reader
from recorder.readstore import ReadStore
from recorder.schema import DELETED, TOMBSTONES
from recorder.segments import Segments, file_name

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}", re.ASCII)

VERIFY_SH = Path(__file__).with_name("verify.sh")
"""What goes into every bundle."""

README = """\
A ledger of agent-bastion, exported for checking.

    origin   {origin}
    entries  {size}
    anchor   {anchor}

1. Get the log's public key from somewhere that the people under audit do not control: a ticket, a colleague, a page
   that was printed when the bastion was set up. Not from this bundle, and not from whoever sent it to you: anybody can
   make a bundle that agrees with itself. On the bastion's host it is in state/ledger_key.pub.
2. Put it into a file of your own: one line, `ssh-ed25519 AAAA…`. Where the log has changed its key, any of its keys
   will do, but one that was stolen vouches for nothing that was written while it was in force.
3. sh verify.sh YOUR-FILE

It says ok when the key signed every entry that is here, in this order, with nothing in between left out. It cannot know
whether newer entries exist: compare the anchor above with one that was kept elsewhere, at an earlier time
(`python -m recorder verify --head ANCHOR .`).

The same command without --head also checks the Merkle tree, the order of causes (every command that ran was approved by
somebody who could, over exactly that request), and, where they are in the bundle, payloads and recordings. SHA256SUMS
finds accidents in those; what binds them to the signed entries is that command.
"""


def cast(reader: Reader, session: str, *, version: int = 3) -> Iterator[str]:
    """Lines of an asciicast (2 or 3) of a session. Raises Missing when nothing was recorded of it, StoreDamaged."""
    first = next(iter(reader.entries(session=session, limit=1)), None)
    screen, frames = replay.screen_for(reader.frames(session))
    head = next(frames, None)
    if first is None or head is None:
        raise Missing(f"nothing was recorded of session {session!r}")
    header = asciicast.Header(version, screen.columns, screen.lines, first.t // 1_000_000, f"{first.origin} {session}")
    return asciicast.write(header, asciicast.events(itertools.chain([head], frames), newline=screen.newline))


def text(reader: Reader, session: str) -> Iterator[str]:
    """Lines that the session's terminal showed. Raises Missing, StoreDamaged."""
    _, frames = replay.screen_for(reader.frames(session))
    head = next(frames, None)
    if head is None:
        raise Missing(f"nothing was recorded of session {session!r}")
    return replay.text(itertools.chain([head], frames))


def bundle(directory: Path, out: Path, *, content: bool = False) -> Checkpoint:
    """Write a bundle of the store in `directory` to `out`, which is new or empty. Gives the head that it ends with.

    With `content`, payloads and recordings go with it, decrypted or with their keys: what agents saw, secrets included.
    Files are for their owner only. Raises RecorderError; what is written by then stays, without SHA256SUMS.
    """
    store = ReadStore.open(directory)
    reader, stone = Reader(store), store.newest_of(TOMBSTONES)
    try:
        out.mkdir(mode=0o700, exist_ok=True)
        if any(out.iterdir()):
            raise RecorderError(f"{out} is not empty", "a bundle is made in a directory of its own")
        with store.snapshot():
            head = reader.checkpoint()
            _write_segments(store, out, head)
            _write_head(out, head)
            if content:
                _write_payloads(store, out)
                _write_chunks(store, out)
                _write_casts(reader, out)
        _put(out / "log-key.pub", public_line(reader.keys().current) + "\n")
        _put(out / "README", README.format(origin=head.origin, size=head.size, anchor=head.anchor))
        _put(out / "verify.sh", VERIFY_SH.read_text("utf-8"))
        _write_sums(out)
        return head
    except (Missing, StoreDamaged):
        if _shredded_since(directory, stone):
            raise StoreFailed("something was redacted or deleted while it was exported", "export it again") from None
        raise
    except OSError as error:
        raise StoreFailed(f"the bundle cannot be written: {error}") from None
    finally:
        reader.close()


def _shredded_since(directory: Path, stone: int) -> bool:
    store = ReadStore.open(directory)
    try:
        return store.newest_of(TOMBSTONES) != stone
    finally:
        store.close()


def _write_segments(store: ReadStore, out: Path, head: Checkpoint) -> None:
    flat = Segments(head.origin)
    for row in store.segments():
        with _open(out / file_name(row.number)) as file:
            found = write_segment(store, flat, row, file)
        if (row.entries, row.sha256) != (found.entries, found.sha256):
            raise StoreDamaged(f"segment {row.number} is not the one that was signed", seq=found.first)
        _put(out / f"{file_name(row.number)}.sig", row.sshsig)


def _write_head(out: Path, head: Checkpoint) -> None:
    _put(out / "checkpoint", head.note)
    _put(out / "checkpoint.txt", head.text.decode())
    _put(out / "checkpoint.txt.sig", head.sshsig)


def _write_payloads(store: ReadStore, out: Path) -> None:
    with _open(out / "payloads.jsonl") as file:
        for seq, name in store.payload_names():
            row = store.payload(seq, name)
            if row is not None:
                fields = {"seq": seq, "name": name, "salt": _b64(row.salt), "data": _b64(row.data)}
                file.write(json.dumps(fields).encode() + b"\n")


def _write_chunks(store: ReadStore, out: Path) -> None:
    offset = 0
    with _open(out / "chunks.jsonl") as index, _open(out / "chunks.pack") as pack:
        for seq in store.chunk_seqs():
            row = store.chunk(seq)
            if row is not None:
                data = store.ciphertext(row)
                fields = {"seq": seq, "offset": offset, "length": len(data), "key": _b64(row.key)}
                index.write(json.dumps(fields).encode() + b"\n")
                pack.write(data)
                offset += len(data)


def _write_casts(reader: Reader, out: Path) -> None:
    (out / "casts").mkdir(mode=0o700)
    sessions = dict.fromkeys(entry.session for entry in reader.entries(types=("recording.chunk",)))
    gone = {entry.session for entry in reader.entries(types=(DELETED,))}  # what is left of them is that entry
    for number, session in enumerate(each for each in sessions if each not in gone):
        name = session if _FILE_NAME.fullmatch(session) else f"session-{number}"
        with _open(out / "casts" / f"{name}.cast") as file:
            file.writelines(line.encode() for line in cast(reader, session))


def _write_sums(out: Path) -> None:
    lines = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(out)}\n")
    _put(out / "SHA256SUMS", "".join(lines))


def _open(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _put(path: Path, data: str) -> None:
    with _open(path) as file:
        file.write(data.encode())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
