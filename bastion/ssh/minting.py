"""The daemon's end of the mint: starts its process when a certificate is first wanted, asks, starts it anew if it died.

One question at a time: an answer takes about a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncssh

from bastion import cakeys
from bastion.config import Config
from bastion.errors import Unreachable
from bastion.gate.dispatch import Dispatched
from bastion.spent import NAME, Spent

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Until an answer; the first one includes the start of the process, half a second."""

ANSWER_LIMIT = 1 << 20
"""Bytes of one answer: a certificate with a command of 120 kB has 170 kB."""


def minting_of(config: Config) -> Minting:
    """That of a configuration. Raises UsageError, StoreError."""
    return Minting(config.store, config.upstream_ca, config.state / NAME, config.host_name, config.source_address)


Certify = Callable[[str], Awaitable[asyncssh.SSHKeyPair]]
"""(the bastion's address on the connection, "" where that is not known) -> a fresh key with its certificate. Called
when the target has shown its host key and asks who is there. Raises Unreachable."""


class Minting:
    """One daemon's mint. `store` is the ledger's directory, `key` the file of the upstream CA, `spent` that of what was
    certified; both are made where there is none. Raises UsageError for a key that cannot be used, StoreError."""

    def __init__(self, store: Path, key: Path, spent: Path, name: str, source: str) -> None:
        cakeys.load_or_make(key)
        Spent(spent).make()
        self._arguments = (str(store), str(key), str(spent), name, source)
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()

    def for_request(self, request: str, digest: str) -> Certify:
        """A fresh key, certified for the one command of a started request."""
        return partial(self._pair, {"request": request, "digest": digest})

    def for_shell(self, session: str, programs: Dispatched) -> Certify:
        """A fresh key, certified for the programs of a governed shell that the ledger says is opened."""
        terminal = "tty" if programs.terminal else "pipe"
        return partial(
            self._pair, {"shell": session, "mark": programs.mark, "name": programs.name, "terminal": terminal}
        )

    def for_script(self, session: str, path: str) -> Certify:
        """A fresh key, certified to read a file that the ledger says is read."""
        return partial(self._pair, {"script": session, "path": path})

    def for_probe(self, login: str) -> Certify:
        """A fresh key that makes a target answer dialects.QUESTION, and nothing else."""
        return partial(self._pair, {"probe": login})

    async def _pair(self, question: dict[str, str], source: str) -> asyncssh.SSHKeyPair:
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with self._asking:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await self._ask({**question, "source": source, "public": cakeys.public_line(key)})
            except (OSError, TimeoutError, ValueError, EOFError) as error:
                await self._stop()
                log.error("the mint does not answer: %r", error)
                raise Unreachable("the bastion's mint does not answer", "the admin finds why in its log") from None
        if "certificate" not in answer:
            raise Unreachable(f"no certificate: {answer.get('refused', 'refused')}")
        certificate = asyncssh.import_certificate(answer["certificate"])
        return next(pair for pair in asyncssh.load_keypairs([(key, certificate)]) if pair.has_cert)

    async def wake(self) -> None:
        """Start the process, if none runs: a certificate will be wanted. Raises OSError."""
        async with self._asking:
            await self._awake()

    async def _awake(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "bastion.mint", *self._arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=ANSWER_LIMIT,
            )  # fmt: skip
        return process

    async def _ask(self, question: dict[str, str]) -> dict[str, str]:
        process = await self._awake()
        assert process.stdin is not None  # noqa: S101 -- PIPE
        assert process.stdout is not None  # noqa: S101 -- PIPE
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("it has ended")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("that is no answer")
        return answer

    async def close(self) -> None:
        """End the process."""
        async with self._asking:
            await self._stop()

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
