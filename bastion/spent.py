"""What the mint certified already, in a file: no statement of the ledger gets a second certificate, whoever starts the
mint anew.

Theory of operation. The file `minted` in the state directory has one line a statement, `MICROSECONDS LEAF`, and first
of all `MICROSECONDS -`, the horizon: nothing that was stated then or before is certified. A line is durable before the
certificate is signed.

    the file is made     by the daemon's start, with that moment as its horizon; never by the mint, which refuses
                         everything where it is missing: who removes it gains nothing but a later horizon
    it grows             at MOST lines those that are too old to be certified anyhow go, and the horizon moves up to
                         the newest of them, so that a clock that was set back brings none of them back
    we crash             before the line is durable: nothing was signed; after it: the statement is spent
                         with half a line: it goes, for nothing was signed; anything else that does not read refuses

Two mints at once wait for each other: the file is locked from the look at it to the line in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bastion.errors import StoreError
from recorder.keys import sync_directory

NAME = "minted"
"""In the state directory."""

MOST = 4096
"""Lines before the old ones go: some 350 kB, read and checked in about 2 ms."""

KEPT_SECONDS = 600
"""Younger ones stay: ten times what the mint takes for fresh."""

_LINE = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64}|-)\n", re.ASCII)


class Spent:
    """The file of one bastion."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """Where there is none yet. Raises StoreError."""
        try:
            with contextlib.suppress(FileExistsError):
                _write_new(self._path, f"{time.time_ns() // 1000} -\n")
                sync_directory(self._path.parent)
        except OSError as error:
            raise StoreError(f"cannot make {self._path}: {error.strerror}") from None

    def spend(self, leaf: str, t: int) -> bool:
        """Note that the statement with this leaf (hex), of the time `t` (microseconds since the epoch), is certified
        now; False if it was before, or can have been. Raises StoreError, and then nothing may be signed."""
        try:
            with self._locked() as fd:
                lines = self._read(fd)
                horizon = max(at for at, each in lines if each == "-")
                if t <= horizon or any(each == leaf for _, each in lines):
                    return False
                if len(lines) >= MOST:
                    self._forget(lines, leaf, t)
                else:
                    _append(fd, f"{t} {leaf}\n".encode())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"{self._path}: {why}", "no certificate is made without it") from None
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The file as it is now: it can be replaced while we wait for it."""
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_ino == os.stat(self._path).st_ino:
                    yield fd
                    return
            finally:
                os.close(fd)

    def _read(self, fd: int) -> list[tuple[int, str]]:
        """Raises ValueError for what nobody here wrote."""
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        whole = data[: data.rfind(b"\n") + 1]
        found = [_LINE.fullmatch(line) for line in whole.decode("ascii").splitlines(keepends=True)]
        lines = [(int(each[1]), each[2]) for each in found if each is not None]
        if len(lines) != len(found) or [leaf for _, leaf in lines[:1]] != ["-"]:
            raise ValueError("is damaged")
        if len(whole) != len(data):
            os.ftruncate(fd, len(whole))
        return lines

    def _forget(self, lines: list[tuple[int, str]], leaf: str, t: int) -> None:
        young = t - KEPT_SECONDS * 1_000_000
        horizon = max(at for at, each in lines if each == "-" or at <= young)
        kept = [f"{at} {each}\n" for at, each in lines if each != "-" and at > horizon]
        making = self._path.with_name(f".{self._path.name}.making")
        making.unlink(missing_ok=True)
        _write_new(making, "".join([f"{horizon} -\n", *kept, f"{t} {leaf}\n"]))
        os.replace(making, self._path)
        sync_directory(self._path.parent)


def _write_new(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(fd)


def _append(fd: int, line: bytes) -> None:
    if os.write(fd, line) != len(line):
        raise ValueError("cannot be written")
    os.fsync(fd)
