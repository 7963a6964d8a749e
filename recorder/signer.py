"""The ledger's key in a process of its own, which signs only what extends what it signed.

Theory of operation. The daemon (recorder.signerprocess) starts `python -m recorder.signer` with one end of a
socketpair; the key is read there and nowhere else. The process gets the entries of each commit, builds the tree and the
flat files over them itself (recorder.notary.Clerk), and gives back signatures. Nothing that it is sent can make it sign
a root or a file that does not follow from entries, nor a head that does not extend the last one.

It remembers what it signed in a small file, two slots of one note each, as the head file has them. A head counts as
committed when the next one is asked for, or when the daemon says so at its end; the newest may not have been: the
process that asked for it may have died before its COMMIT. So after a start the store must extend the head *before* the
newest one signed. What that leaves to somebody who takes the daemon over is to have the newest group signed twice.

    1. the note goes into the file       crash: a head is remembered that nobody has seen; see above
    2. the answer                        the daemon commits it
    3. fdatasync of the file             done before the next head is signed; after a power cut the file may be one
                                         head behind, which is as if that head had never been asked for

Where it runs as root it gives up everything but its open files; in any case no core is dumped, no debugger attaches
(PR_SET_DUMPABLE), no privileges come back, and its memory is locked where the limits let it.

Not protected: a daemon that runs under the same account can read the key file itself, remove the memory, and so on. The
process keeps the key out of the daemon's memory; to keep it out of reach, run the daemon as root or give the files to
another account. Against the host's administrator there are anchors.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import resource
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from recorder import checkpoint, layout, strict
from recorder.checkpoint import Checkpoint
from recorder.errors import NoteError, RecorderError
from recorder.keyring import NAMESPACE as ROTATION
from recorder.keyring import TYPE, Keyring, RotationError, statement
from recorder.keys import LedgerKey
from recorder.merkle import check_consistency
from recorder.notary import Clerk, Standing
from recorder.publickey import public_bytes
from recorder.signerwire import Done, Hello, Prove, Proved, Refused, Resume, Seal, Signed, receive, send, to_signer

NOBODY = 65534
"""User and group without rights (Debian's base-passwd)."""
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _MCL_BOTH = 4, 38, 3


class Memory:
    """The file of what was signed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.path = path
        data = os.pread(self._fd, 2 * layout.SLOT, 0)
        found = sorted(layout.claims(data), key=lambda each: each[1].size)
        self.committed: Checkpoint | None = found[0][1] if found else None
        """What the store must extend: the head before the newest."""
        self._slot = found[0][0] if found else 0

    def put(self, head: Checkpoint) -> None:
        """Remember a head that is about to be signed. Raises OSError."""
        data = head.note.encode().ljust(layout.SLOT, b"\0")
        if os.pwrite(self._fd, data, self._slot * layout.SLOT) != layout.SLOT:
            raise OSError("short write")
        self._slot = 1 - self._slot

    def sync(self) -> None:
        """Make it durable. Raises OSError."""
        os.fdatasync(self._fd)

    def confirm(self, head: Checkpoint) -> None:
        """That head is committed. Raises OSError."""
        self.put(head)
        self.put(head)
        self.sync()


class Signer:
    """What the process does with messages, one after another."""

    def __init__(self, key: LedgerKey, memory: Memory) -> None:
        self._clerk, self._memory = Clerk(key), memory
        self._head: Checkpoint | None = None

    def hello(self) -> Hello:
        """The first message."""
        committed = self._memory.committed
        return Hello(self._clerk.public, committed.size if committed else 0)

    def prove(self, said: Prove) -> Proved | Refused:
        """The key as the next one of a ledger; what is signed is made here."""
        if self._head is not None:
            return Refused("the signer has a store already")
        key = self._clerk.key
        text = statement(said.origin, said.previous, key.line)
        return Proved(key.line, key.sshsig(hashlib.sha512(text).digest(), ROTATION))

    def resume(self, said: Resume) -> Signed | Refused:
        """Take up a store, if it extends what was signed."""
        if self._head is not None:
            return Refused("the signer has a store already")
        standing = Standing(
            said.origin, said.number, said.first, said.previous, tuple(said.peaks), tuple(said.entries), said.sealed
        )
        try:
            head = self._by_us(said)
            self._clerk.resume(standing)
        except (NoteError, ValueError) as error:
            return Refused(f"the store's head is not signed by this key: {error}")
        tree = self._clerk.tree
        if (tree.size, tree.root(), said.origin) != (head.size, head.root, head.origin):
            return Refused("the store's entries are not those of its head")
        known = self._memory.committed
        if known is not None and not _extends(known, head, said.proof):
            how = "was put back" if head.size < known.size else "is another history"
            return Refused(
                f"the signer has signed {known.size} entries of {known.origin}, and the store, with {head.size} of"
                f" {head.origin}, does not extend them: it {how}",
                f"if that is meant, remove {self._memory.path}; whoever has seen the old head will know",
            )
        self._memory.confirm(head)
        self._head = head
        return Signed()

    def _by_us(self, said: Resume) -> Checkpoint:
        """The store's head, signed by our key, or by the one before when its last entry announces ours."""
        try:
            return checkpoint.parse(said.head, self._clerk.public)
        except NoteError:
            last = strict.parse(said.entries[-1]) if said.entries else None
            if last is None or last.type != TYPE:
                raise
            keys = Keyring(public_bytes(str(last.body.get("previous"))))
            try:
                keys.rotate(last.seq, last.origin, last.body)
            except RotationError as error:
                raise NoteError(str(error)) from None
            if keys.current != self._clerk.public:
                raise
            return checkpoint.parse(said.head, keys.at(0))

    def seal(self, said: Seal) -> Signed | Refused:
        """Sign."""
        if self._head is None:
            return Refused("the signer has no store yet")
        signed = self._clerk.seal(said.entries, close=said.close)
        head = signed.head
        if head.size > self._head.size:
            self._memory.put(head)
        self._head = head
        rows = [(row.number, row.entries, row.sealed, row.sha256, row.sshsig) for row in signed.segments]
        return Signed(head.origin, head.size, head.root, head.note, head.sshsig, rows)

    def settle(self) -> None:
        """Between two messages: what was signed becomes durable."""
        self._memory.sync()

    def done(self) -> None:
        """The newest head is committed."""
        if self._head is not None:
            self._memory.confirm(self._head)


def _extends(known: Checkpoint, head: Checkpoint, proof: Sequence[bytes]) -> bool:
    return known.origin == head.origin and check_consistency(known.size, known.root, head.size, head.root, proof)


def _harden() -> None:
    """Before the key is read. What the system does not let us do is left out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with contextlib.suppress(ValueError, OSError):  # a limit would make later allocations fail: all or nothing
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        libc.mlockall(_MCL_BOTH)


def _drop() -> None:
    """As root: everything but what is open. A root without the capability to become somebody else stays."""
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # a change of user sets it anew


def main(fd: int, key: Path, memory: Path, *, make: bool = False) -> int:
    """The process."""
    _harden()
    link = socket.socket(fileno=fd)
    try:
        signer = Signer(LedgerKey.create(key) if make else LedgerKey.load(key), Memory(memory))
        _drop()
    except RecorderError as error:
        send(link, Refused(error.message, error.hint))
        return 2
    except OSError as error:
        send(link, Refused(f"{memory} cannot be used: {error.strerror}"))
        return 2
    send(link, signer.hello())
    answer: Signed | Proved | Refused
    while data := receive(link):
        match to_signer.decode(data):
            case Resume() as said:
                answer = signer.resume(said)
            case Seal() as said:
                answer = signer.seal(said)
            case Prove() as said:
                answer = signer.prove(said)
            case Done():
                signer.done()
                return 0
        send(link, answer)
        signer.settle()
    return 0


if __name__ == "__main__":
    try:
        status = main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), make=sys.argv[4:] == ["make"])
    except (OSError, msgspec.MsgspecError) as failure:  # the daemon is gone, or the disk
        sys.stderr.write(f"signer: {failure}\n")
        status = 2
    os._exit(status)  # nothing of the interpreter's end is needed, and it takes a while
