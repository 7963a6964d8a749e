"""The ledger's key in a process of its own, which signs only what extends what it signed.

Theory of operation. The daemon starts `python -m recorder.signer` with one end of a socketpair; the key is read there
and nowhere else. The process gets the entries of each commit, builds the tree and the flat files over them itself
(recorder.notary.Clerk), and gives back signatures. Nothing that it is sent can make it sign a root or a file that does
not follow from entries, nor a head that does not extend the last one.

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
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from recorder import checkpoint, layout, strict
from recorder.checkpoint import Checkpoint
from recorder.errors import KeyFileError, NoteError, RecorderError, StoreFailed
from recorder.keyring import NAMESPACE as ROTATION
from recorder.keyring import TYPE, Keyring, RotationError, statement
from recorder.keys import LedgerKey
from recorder.merkle import check_consistency
from recorder.notary import Clerk, Sealed, Standing
from recorder.publickey import public_bytes
from recorder.schema import SegmentRow

MESSAGE_LIMIT = 64 << 20
"""Bytes of one message: the entries of an open segment or a group, 16 KiB each at most, with room."""
AT_ONCE = 256 << 10
"""Bytes that are read at once: a command's entries have two kilobytes, what it gets for them one."""
SECONDS = 30
"""For an answer. Signing takes a millisecond; a process that does not answer is gone."""
ENDS_SECONDS = 2.0
"""That it gets to end by itself when something has failed: it may be what failed, and nothing is lost with it."""
NOBODY = 65534
"""User and group without rights (Debian's base-passwd)."""
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _MCL_BOTH = 4, 38, 3


class Hello(msgspec.Struct, tag=True):
    """The signer is there."""

    public: bytes
    size: int
    """Of the head that the store must extend; 0: any."""


class Resume(msgspec.Struct, tag=True):
    """Where the store stands (recorder.notary.Standing)."""

    origin: str
    number: int
    first: int
    previous: str
    peaks: list[bytes]
    entries: list[bytes]
    sealed: bool
    head: str
    proof: list[bytes]
    """Consistency of the head with the size that `Hello` named."""


class Seal(msgspec.Struct, tag=True):
    """Sign what these entries lead to."""

    entries: list[bytes]
    close: bool


class Prove(msgspec.Struct, tag=True):
    """Prove the key as the next one of that ledger (recorder.keyring); before there is a store."""

    origin: str
    previous: str
    """The key in force."""


class Proved(msgspec.Struct, tag=True):
    """The answer to Prove."""

    line: str
    proof: str


class Done(msgspec.Struct, tag=True):
    """The newest head is committed; end."""


class Signed(msgspec.Struct, tag=True):
    """The answer to Seal; an empty note to Resume."""

    origin: str = ""
    size: int = 0
    root: bytes = b""
    note: str = ""
    sshsig: str = ""
    segments: list[tuple[int, int, int, str, str]] = []


class Refused(msgspec.Struct, tag=True):
    """Nothing was signed."""

    message: str
    hint: str = ""


_encode = msgspec.msgpack.Encoder().encode
_to_signer = msgspec.msgpack.Decoder(Resume | Seal | Prove | Done)
_from_signer = msgspec.msgpack.Decoder(Hello | Signed | Proved | Refused)


def _send(link: socket.socket, message: msgspec.Struct) -> None:
    data = _encode(message)
    if len(data) > MESSAGE_LIMIT:
        raise OSError("a message that is too long")
    link.sendall(len(data).to_bytes(4, "big") + data)


def _receive(link: socket.socket) -> bytes:
    """One message; empty at the end. Raises OSError. Each end waits for the other's, so there is never a second one."""
    data = bytearray(link.recv(AT_ONCE))
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if len(data) >= 4 and int.from_bytes(data[:4], "big") > MESSAGE_LIMIT:
            raise OSError("a message that is too long")
        more = link.recv(AT_ONCE)
        if not more:
            return b""
        data += more
    if len(data) != 4 + int.from_bytes(data[:4], "big"):
        raise OSError("a message that nobody waits for")
    return bytes(data[4:])


# --- the daemon's end -------------------------------------------------------------------------------------------------


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
                _send(self._link, Done())
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
            _send(self._told(), message)
        except OSError as error:
            raise StoreFailed(f"the signer is gone: {error}", "see its last words in the log") from None

    def _told(self) -> socket.socket:
        if self._link is None:
            raise StoreFailed("the signer was never started")
        return self._link

    def _answer(self, link: socket.socket) -> Hello | Signed | Proved:
        try:
            data = _receive(link)
            answer: Hello | Signed | Proved | Refused | None = _from_signer.decode(data) if data else None
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreFailed(f"the signer does not answer: {error}") from None
        if answer is None:
            raise StoreFailed("the signer has ended", "see its last words in the log")
        if isinstance(answer, Refused):
            kind = KeyFileError if self._hello is None else StoreFailed
            raise kind(answer.message, answer.hint)
        return answer


# --- the signer's end -------------------------------------------------------------------------------------------------


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
        _send(link, Refused(error.message, error.hint))
        return 2
    except OSError as error:
        _send(link, Refused(f"{memory} cannot be used: {error.strerror}"))
        return 2
    _send(link, signer.hello())
    answer: Signed | Proved | Refused
    while data := _receive(link):
        match _to_signer.decode(data):
            case Resume() as said:
                answer = signer.resume(said)
            case Seal() as said:
                answer = signer.seal(said)
            case Prove() as said:
                answer = signer.prove(said)
            case Done():
                signer.done()
                return 0
        _send(link, answer)
        signer.settle()
    return 0


if __name__ == "__main__":
    try:
        status = main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), make=sys.argv[4:] == ["make"])
    except (OSError, msgspec.MsgspecError) as failure:  # the daemon is gone, or the disk
        sys.stderr.write(f"signer: {failure}\n")
        status = 2
    os._exit(status)  # nothing of the interpreter's end is needed, and it takes a while
