"""Asking a witness for its cosignature. Blocking: to be called in a thread. http.client is enough for one POST."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from bastion.errors import Unreachable, UsageError
from bastion.oserrors import in_words
from bastion.witness.request import PATH, encode
from recorder import cosignature
from recorder.checkpoint import Checkpoint
from recorder.cosignature import Witness
from recorder.errors import NoteError

ANSWER_LIMIT = 64 << 10
"""Bytes of an answer: sixteen lines of the largest signatures that C2SP has."""
SECONDS = 5.0
"""For an answer. A command of the high tier waits for it."""

Prove = Callable[[int, int], Sequence[bytes]]
"""(old size, size) -> the consistency proof between them."""


class Behind(Unreachable):
    """The witness has seen a longer ledger than this one: this one was put back, or another one took its place."""


class WitnessClient:
    """One witness, as one ledger sees it. For one thread at a time."""

    def __init__(self, url: str, witness: Witness) -> None:
        """Raises UsageError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"{url!r} is no address of a witness", "http://HOST:PORT or https://HOST")
        self.url, self.witness = url, witness
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + PATH
        self._size = 0
        """What the witness had last, as far as we know; it says so when we are wrong."""

    def cosign(self, head: Checkpoint, prove: Prove) -> str:
        """Its line over that head. Raises Unreachable, which includes every answer but a good one."""
        for _ in range(2):
            old = self._size if self._size <= head.size else 0
            status, text = self._post(encode(old, prove(old, head.size), head.note))
            if status == 409:
                self._learn(text, head)
                continue
            if status != 200:
                raise Unreachable(f"the witness at {self.url} refused: {status} {text.strip()[:200]}")
            try:
                line, _ = cosignature.verify(text, head, self.witness)
            except NoteError as error:
                raise Unreachable(f"the witness at {self.url}: {error.message}") from None
            self._size = head.size
            return line
        raise Unreachable(f"the witness at {self.url} has another history of this ledger")

    def _learn(self, text: str, head: Checkpoint) -> None:
        size = text.strip()
        if not (size.isascii() and size.isdigit() and len(size) < 17):
            raise Unreachable(f"the witness at {self.url} does not say what it has")
        if int(size) > head.size:
            raise Behind(
                f"the witness at {self.url} has seen {size} entries, and this ledger has {head.size}: it was put back"
            )
        self._size = int(size)

    def _post(self, body: bytes) -> tuple[int, str]:
        connection: http.client.HTTPConnection
        if self._secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "text/plain; charset=utf-8"})
            answer = connection.getresponse()
            return answer.status, answer.read(ANSWER_LIMIT).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"the witness at {self.url} does not answer: {in_words(error)}") from None
        finally:
            connection.close()
