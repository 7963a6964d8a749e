"""An upload by rsync, received in the bastion: its own rsync in a cage, on a tree that looks like the target's.

Theory of operation. The agent's client speaks with a real `rsync --server`, which runs here (`caging.py`), on a tree
with the names, sizes and times of the target and none of its content (`seeding.py`). When it has ended, what it left
there is compared with what was planted (`harvest.py`), and becomes changes (`planning.py`), which are held, and done as
any others are. Until then nothing was written on the target. The client is told that all arrived, and then waits for
the exit status of its ssh, which is the answer: rsync ends with the same.

rsync's own failures of single files (statuses 23, 24, 25) stay: what arrived is held, and the status is the end's. With
any other nothing is done. What it writes here is counted against the limits of staging, a second at most too late.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import asyncssh
from asyncssh.stream import SSHReader, SSHWriter

from bastion import caging
from bastion.errors import BastionError, Conflict
from bastion.gate import notices
from bastion.policy.syncing import INSTEAD, Sync
from bastion.sftp import names
from bastion.sftp.asking import Asking, Refusal
from bastion.sftp.changes import Found, There
from bastion.sftp.far import Moved
from bastion.sftp.files import Files
from bastion.sftp.harvest import GROWN_LIMIT, Grown, gather, hidden
from bastion.sftp.planning import Planner
from bastion.sftp.seeding import DEPTH_LIMIT, DESTINATION, TOO_DEEP, Seeds, look, plant
from bastion.sftp.staging import FREE_LEAST, remove

ROOT = Path(__file__).resolve().parents[2]
"""Where this package is imported from."""

SECONDS = 3600
"""What a whole upload may take before it is decided."""

LOOK_SECONDS = 0.25
"""Between two looks at what rsync writes; the whole tree is counted every fourth time."""

PARTIAL = frozenset({23, 24, 25})
"""rsync(1), EXIT VALUES: some files were not transferred, vanished, or were not deleted (--max-delete)."""

BLOCK = 256 << 10
WORDS_LIMIT = 64 << 10
"""Bytes of rsync's stderr that the agent gets."""

SLOTS, SLOTS_EACH = 16, 4
"""Uploads that are being received at once, and those of one identity: each may take 512 MiB and a processor. Those that
are held have no process any more."""

NO_RSYNC = "the bastion's host has no rsync, so it cannot show what this would write"


def program() -> str:
    """The host's rsync; empty where there is none that a cage can hold (it has /usr only)."""
    found = shutil.which("rsync", path="/usr/bin:/usr/local/bin:/bin")
    real = os.path.realpath(found) if found else ""
    return real if real.startswith("/usr/") else ""


class Slots:
    """How many run at once."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, identity: str) -> Iterator[None]:
        """For this identity. Raises Conflict."""
        if self._of[identity] >= SLOTS_EACH or self._of.total() >= SLOTS:
            raise Conflict("too many uploads by rsync are being received", "try again when one has ended")
        self._of[identity] += 1
        try:
            yield
        finally:
            self._of[identity] -= 1


class Syncing:
    """One client. `tell` takes what rsync says on stderr; `slot` is had while it runs, and raises Conflict where too
    many do."""

    def __init__(
        self,
        files: Files,
        asking: Asking,
        call: Sync,
        reader: SSHReader[bytes],
        writer: SSHWriter[bytes],
        tell: Callable[[bytes], None],
        slot: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._files, self._asking, self._call, self._tell = files, asking, call, tell
        self._reader, self._writer, self._slot = reader, writer, slot
        self._process: asyncio.subprocess.Process | None = None
        self._grown: dict[bytes, Grown] = {}
        self._counted = 0
        self._spoilt = ""
        """Why rsync was stopped."""
        self.trouble = ""
        self.status = 0

    async def run(self) -> None:
        """See Worker."""
        try:
            await self._run()
        except asyncssh.SFTPConnectionLost:
            raise
        except (Conflict, Moved) as error:
            self.trouble = str(error)
        except asyncssh.SFTPError as error:
            if not self._files.settling.refusals:
                reason = error.reason.removeprefix("bastion: ")
                self._asking.say(notices.refused(reason))
                self._files.settling.refused(Refusal(reason, notices.EXIT_DENIED))

    async def _run(self) -> None:
        seeds, area = await self._seeds(), self._files.area
        tree = area.directory() / "tree"
        with self._slot():
            await asyncio.to_thread(plant, tree, seeds)
            begun = time.time()
            status = await self._receive(tree)
        if self._spoilt:
            raise Conflict(self._spoilt)
        if status not in PARTIAL | {0}:
            raise Conflict(f"rsync ended with {status}, so nothing of it is written")
        self._count(-self._counted)
        self._grown = await asyncio.to_thread(gather, os.fsencode(tree), seeds, area, begun)
        await asyncio.to_thread(remove, tree)  # what is held for an hour has no 20,000 holes on the disk
        files = self._files
        plan = await Planner(files.far, files.writes, self._call, seeds, self._grown).plan()
        if plan.items:
            await files.settling.settle(plan.items, plan.contents)
        else:
            files.settling.note(f"rsync to {names.shown(seeds.root)}: nothing is to be changed")
        if status:
            self._tell(f"rsync: not all of it was received (status {status})\n".encode())
            self.status = status

    # --- before -----------------------------------------------------------------------------------------------------

    async def _seeds(self) -> Seeds:
        """Where it goes, and what is there. Raises asyncssh.SFTPError, Conflict."""
        files = self._files
        files.settling.takes_changes()
        root, asked = await files.paths.target(self._call.path)
        files.settling.look(root, asked)
        there = await files.far.found(root)
        match there.there:
            case There.SYMLINK | There.OTHER:
                raise asyncssh.SFTPFailure(f"{names.shown(root)} is neither a file nor a directory")
            case There.NOTHING:
                await self._parent(root)
        return await look(files.far, files.settling, root, asked, deep=self._call.deep)

    async def _parent(self, root: bytes) -> Found:
        directory, name = names.split(root)
        found = await self._files.far.found(directory)
        if not name or name == b".." or found.there is not There.DIRECTORY:
            raise asyncssh.SFTPNoSuchFile(f"there is no directory {names.shown(directory)}")
        return found

    # --- rsync ------------------------------------------------------------------------------------------------------

    async def _receive(self, tree: Path) -> int:
        """Let the client and rsync speak to each other; rsync's exit status."""
        slash = "/" if self._call.path.endswith((b"/", b"/.")) or self._call.path == b"." else ""
        order = {"tree": str(tree), "file_bytes": self._files.area.staging.file_limit, "parent": os.getpid()}
        words = ["--server", "--whole-file", *self._call.options, ".", DESTINATION.decode() + slash]
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-c", caging.START, str(ROOT), json.dumps(order), program(), *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
        )
        assert process.stdin is not None  # noqa: S101 -- PIPE
        assert process.stdout is not None  # noqa: S101 -- PIPE
        assert process.stderr is not None  # noqa: S101 -- PIPE
        words_of_it = bytearray()
        loop = asyncio.get_running_loop()
        feeding = loop.create_task(self._feed(process.stdin), name="rsync in")
        passing = loop.create_task(self._pass(process.stdout), name="rsync out")
        hearing = loop.create_task(self._listen(process.stderr, words_of_it), name="rsync words")
        watching = loop.create_task(self._watch(tree), name="rsync watch")
        try:
            await asyncio.wait({passing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():  # a client that takes nothing would keep what rsync had said
                watching.result()
                return -1
            passing.result()
            await hearing
            status = await process.wait()
        finally:
            await self._end()
            for task in (feeding, passing, hearing, watching):
                task.cancel()
            await asyncio.gather(feeding, passing, hearing, watching, return_exceptions=True)
        if status == caging.NOT_CAGED:
            why = words_of_it.decode("ascii", "replace").strip()
            raise Conflict(f"rsync cannot be confined here ({why}), so what it writes cannot be shown: {INSTEAD}")
        self._tell(bytes(words_of_it))
        return status

    async def _feed(self, stdin: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(BLOCK):
                stdin.write(data)
                await stdin.drain()
            stdin.write_eof()

    async def _pass(self, stdout: asyncio.StreamReader) -> None:
        while data := await stdout.read(BLOCK):
            self._writer.write(data)
            await self._files.pace()

    async def _listen(self, stderr: asyncio.StreamReader, kept: bytearray) -> None:
        while data := await stderr.read(BLOCK):
            kept += bytes(each if 0x20 <= each < 0x7F or each == 0x0A else 0x3F for each in data)
            del kept[WORDS_LIMIT:]

    # --- limits -----------------------------------------------------------------------------------------------------

    async def _watch(self, tree: Path) -> None:
        """Stop rsync when it takes more than staging gives, or too long."""
        begun, turn = time.monotonic(), 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            turn += 1
            try:
                free = os.statvfs(tree)
                if free.f_bavail * free.f_frsize < FREE_LEAST:
                    raise Conflict("the bastion's disk is nearly full")
                if turn % 4 == 0:
                    self._count(await asyncio.to_thread(used, tree) - self._counted)
                if time.monotonic() - begun > SECONDS:
                    raise Conflict(f"rsync took more than {SECONDS} s")
            except (BastionError, OSError) as error:
                self._spoilt = str(error)
                return

    def _count(self, more: int) -> None:
        """Against the limits, what lies in the tree. Raises Conflict."""
        self._files.area.take(more, 0)
        self._counted += more

    async def _end(self) -> None:
        """Nothing of it runs any more. Once: its number may be another's later."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def stop(self) -> None:
        """See Worker."""
        await self._end()
        if self._counted:
            self._count(-self._counted)
        for grown in self._grown.values():
            if grown.staged is not None:
                grown.staged.drop()


def used(tree: Path) -> int:
    """Bytes on disk; what was planted are holes. Raises Conflict for more names, or deeper ones, than there may be."""
    used, count = 0, 0
    waiting = [(os.fsencode(tree), 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth > DEPTH_LIMIT + 1 or len(place) > names.PATH_LIMIT - names.NAME_LIMIT:
            raise Conflict(TOO_DEEP)  # and what cannot be named is not counted
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                count += 1
                if count > GROWN_LIMIT:
                    raise Conflict(f"rsync made more than {GROWN_LIMIT} names")
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    used += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        hidden(status.st_mode)
                        waiting.append((entry.path, depth + 1))
    return used
