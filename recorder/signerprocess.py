"""The daemon's end of the process that has the ledger's key (recorder.signer, which says what is signed and what not).

Theory of operation. It looks like any notary (recorder.notary). The process is started when it is first asked for
something, gets one end of a socketpair and the names of two files, and ends with the link. The thread that writes the
ledger asks, lets the disk work, and takes the answer. A process that is gone, does not answer, or answers something
else is StoreFailed: nothing can be signed any more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from recorder.checkpoint import Checkpoint
from recorder.errors import KeyFileError, StoreFailed
from recorder.notary import Sealed, Standing
from recorder.schema import SegmentRow
from recorder.signerwire import Done, Hello, Prove, Proved, Refused, Resume, Seal, Signed, from_signer, receive, send

SECONDS = 30
"""For an answer. Signing takes a millisecond; a process that does not answer is gone."""
ENDS_SECONDS = 2.0
"""That it gets to end by itself when something has failed: it may be what failed, and nothing is lost with it."""


class SignerProcess:
    """A Notary whose key is in another process. For the thread that writes the ledger."""

    def __init__(self, key: Path, memory: Path, *, make: bool = False) -> None:
        """It starts when it is first asked for something, which is under the store's lock: beside a running daemon
        none starts. `memory` is its file. `make`: it makes the key, in a new file."""
        self._key, self._memory, self._make = key, memory, make
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._hello: Hello | None = None
        self._closed = False

    def _start(self) -> socket.socket:
        """Raises StoreFailed."""
        if self._closed:
            raise StoreFailed("the signer was closed")
        ours, theirs = socket.socketpair()
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # Python's own timeout asks poll(2) before each call
            ours.setsockopt(socket.SOL_SOCKET, way, struct.pack("@ll", SECONDS, 0))
        files = [str(theirs.fileno()), str(self._key), str(self._memory), *(["make"] if self._make else [])]
        command = [sys.executable, "-P", "-m", "recorder.signer", *files]
        root = str(Path(__file__).resolve().parents[1])
        environment = {"PYTHONPATH": root, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
        if (handed := os.environ.get("CREDENTIALS_DIRECTORY")) is not None:
            environment["CREDENTIALS_DIRECTORY"] = handed  # says how such a key's mode is to be read
        try:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/", env=environment,
                start_new_session=True,  # Ctrl-C is for the daemon, which still has entries to sign
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise StoreFailed(f"the signer cannot be started: {error}") from None
        finally:
            theirs.close()
        self._link = ours
        return ours

    def _greeting(self) -> Hello:
        if self._hello is None:
            answer = self._answer(self._link or self._start())
            if not isinstance(answer, Hello):
                raise StoreFailed("the signer does not greet")
            self._hello = answer
        return self._hello

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid if self._process is not None else 0

    @property
    def public(self) -> bytes:
        """As Notary. Raises KeyFileError when the key cannot be used, StoreFailed."""
        return self._greeting().public

    @property
    def extends(self) -> int:
        """As Notary."""
        return self._greeting().size

    def resume(self, standing: Standing, proof: Sequence[bytes]) -> None:
        """As Notary. Raises StoreFailed for a store that does not extend what was signed."""
        self._greeting()
        values = {name: getattr(standing, name) for name in standing.__dataclass_fields__}
        values |= {"peaks": list(standing.peaks), "entries": list(standing.entries), "proof": list(proof)}
        self._signed(self._asked(Resume(**values)))

    def ask(self, entries: Sequence[bytes], *, close: bool = False) -> None:
        """As Notary."""
        self._tell(Seal(list(entries), close))

    def answer(self) -> Sealed:
        """As Notary."""
        said = self._signed(self._answer(self._told()))
        head = Checkpoint(said.origin, said.size, said.root, said.note, said.sshsig)
        return Sealed(head, tuple(SegmentRow(*row) for row in said.segments))

    def prove(self, origin: str, previous: str) -> tuple[str, str]:
        """As Successor."""
        self._greeting()
        answer = self._asked(Prove(origin, previous))
        if not isinstance(answer, Proved):
            raise StoreFailed("the signer answers something else")
        return answer.line, answer.proof

    def close(self, *, committed: bool = False) -> None:
        """As Notary. Ends the process, also one that does not answer."""
        process, self._process, self._closed = self._process, None, True
        if process is None or self._link is None:
            return
        if committed:
            with contextlib.suppress(OSError):
                send(self._link, Done())
        self._link.close()
        try:
            process.wait(SECONDS if committed else ENDS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signed(self, answer: Hello | Signed | Proved) -> Signed:
        if not isinstance(answer, Signed):
            raise StoreFailed("the signer answers something else")
        return answer

    def _asked(self, message: msgspec.Struct) -> Hello | Signed | Proved:
        self._tell(message)
        return self._answer(self._told())

    def _tell(self, message: msgspec.Struct) -> None:
        try:
            send(self._told(), message)
        except OSError as error:
            raise StoreFailed(f"the signer is gone: {error}", "see its last words in the log") from None

    def _told(self) -> socket.socket:
        if self._link is None:
            raise StoreFailed("the signer was never started")
        return self._link

    def _answer(self, link: socket.socket) -> Hello | Signed | Proved:
        try:
            data = receive(link)
            answer: Hello | Signed | Proved | Refused | None = from_signer.decode(data) if data else None
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreFailed(f"the signer does not answer: {error}") from None
        if answer is None:
            raise StoreFailed("the signer has ended", "see its last words in the log")
        if isinstance(answer, Refused):
            kind = KeyFileError if self._hello is None else StoreFailed
            raise kind(answer.message, answer.hint)
        return answer
