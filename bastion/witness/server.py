"""`bastion witness serve`: add-checkpoint over HTTP (C2SP tlog-witness), as an ASGI application under uvicorn.

Theory of operation. `judge` is the whole protocol: one submission against what the store has, in the order of the
specification's checks; it is synchronous and runs under one lock, so that looking at the old head and writing the new
one are one step. Whoever can reach the port may ask: only a ledger's own signature gets a cosignature. Plain HTTP does
for that, since everything in an answer is signed; TLS (`--tls-cert`) keeps the names of the ledgers from the network.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bastion.errors import StoreError, UsageError
from bastion.witness.request import BODY_LIMIT, PATH, SIZE_TYPE, BodyError, Submission, decode
from bastion.witness.store import Log, WitnessStore
from recorder import checkpoint, cosignature
from recorder.checkpoint import Checkpoint
from recorder.errors import NoteError
from recorder.merkle import check_consistency

CONNECTIONS = 100
"""HTTP requests at once; more get 503. A bastion has one at a time."""
IDLE_SECONDS = 75
"""Between two requests of a connection, as nginx has it."""
BODY_SECONDS = 10.0
"""For a body to arrive."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: str = ""
    kind: str = "text/plain; charset=utf-8"


class Desk:
    """Judges submissions for one store."""

    def __init__(self, store: WitnessStore, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now

    def judge(self, body: bytes) -> Answer:
        """The answer to one body."""
        try:
            asked = decode(body)
            claimed, _ = checkpoint.read(asked.note)
        except (BodyError, NoteError) as error:
            return Answer(400, f"{error}\n")
        try:
            known = self._store.log(claimed.origin)
            if known is None:
                return Answer(404, "this ledger is not watched here\n")
            head = _signed(asked.note, known)
            if head is None:
                return Answer(403, "not signed by a key of this ledger\n")
            return self._extend(asked, head, known)
        except StoreError as error:
            log.error("%s", error)
            return Answer(500, "the witness cannot write its record\n")

    def _extend(self, asked: Submission, head: Checkpoint, known: Log) -> Answer:
        if asked.old_size > head.size:
            return Answer(400, "the old size is larger than the checkpoint's\n")
        if asked.old_size != known.size:
            return Answer(409, f"{known.size}\n", SIZE_TYPE)
        if known.size == head.size:
            if known.size and head.root != known.root:
                log.critical("%s shows two histories of %d entries", known.origin, head.size)
                return Answer(409, f"{known.size}\n", SIZE_TYPE)
            if asked.proof:
                return Answer(422, "a proof where nothing is to be proved\n")
        elif known.size == 0:
            if asked.proof:
                return Answer(422, "a proof where nothing is to be proved\n")
        elif not check_consistency(known.size, known.root, head.size, head.root, asked.proof):
            log.critical("%s cannot prove that %d entries extend %d", known.origin, head.size, known.size)
            return Answer(422, "the proof does not hold\n")
        self._store.put(replace(known, size=head.size, root=head.root, note=asked.note))
        witness, key = self._store.witness, self._store.key
        return Answer(200, cosignature.cosign(witness, key.sign, head.text, int(self._now())))


def _signed(note: str, known: Log) -> Checkpoint | None:
    for public in known.keys:
        try:
            return checkpoint.parse(note, public)
        except NoteError:
            continue
    return None


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """ASGI 3: one path, one method."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = asyncio.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        headers = [(b"content-type", answer.kind.encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body.encode()})

    async def _answer(self, scope: dict[str, Any], receive: Receive) -> Answer:
        if not scope["path"].endswith(PATH):
            return Answer(404, f"there is {PATH} and nothing else\n")
        if scope["method"] != "POST":
            return Answer(405, "POST\n")
        body = b""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        return Answer(400)
                    body += event.get("body", b"")
                    if len(body) > BODY_LIMIT:
                        return Answer(413, f"at most {BODY_LIMIT} bytes\n")
                    if not event.get("more_body"):
                        break
        except TimeoutError:
            return Answer(408, "too slow\n")
        async with self._lock:
            return await asyncio.to_thread(self._desk.judge, body)


def serve(
    directory: Path, host: str, port: int, *, cert: str = "", key: str = "", ready: Callable[[int], None]
) -> None:
    """Serve until SIGTERM or SIGINT. Raises BastionError."""
    import socket

    import uvicorn

    store = WitnessStore(directory)
    store.lock()  # held until the process ends
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    try:
        config = uvicorn.Config(
            Application(Desk(store)), http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=5, ssl_certfile=cert or None, ssl_keyfile=key or None,
        )  # fmt: skip
        if cert:
            config.load()
        server = uvicorn.Server(config)
    except (OSError, ValueError) as error:
        door.close()
        raise UsageError(f"the certificate cannot be used: {error}") from None
    door.listen(CONNECTIONS)
    ready(int(door.getsockname()[1]))
    server.run(sockets=[door])
