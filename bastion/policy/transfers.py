"""The far ends of file transfers: what `git`, `rsync` and `scp -O` start on a target by themselves. Pure.

Theory of operation. Such a client runs one command over SSH (`git-receive-pack '/srv/x.git'`, `rsync --server …`,
`scp -t …`) and then speaks a protocol with it, both ways at once: its stdin cannot be read to its end before somebody
decides, and it is never code for an interpreter. So exactly these forms are known, by every word of them, and their
stdin streams after approval; the request says that what will be written is not seen. A push is read as far as the list
of refs that it changes (pushes.py), and held once more for that. One word more (`scp -t /x; bash`,
`rsync --server --daemon`) and it is not one of them. (`scp`, and uploads by rsync, end in the bastion before it comes
to this, and are judged file by file: copies.py, syncing.py.)

A transfer is judged as the command that does the same with files that are there (`like`): reading is `tar -c`, writing
is `cp`. git-receive-pack by itself only reads what the repository has.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bastion.policy.remembered import remembered
from bastion.policy.shell import Command, Parsed, parse

SYSTEM = frozenset(["", "/bin", "/usr/bin", "/usr/local/bin"])
"""A path in front means the program of that name only here."""


class Kind(StrEnum):
    """What moves."""

    FETCH = "fetch"
    """git: commits leave the repository."""
    PUSH = "push"
    """git: the repository says what it has, and then waits for a list of what shall change, which is held by itself."""
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One of the known forms."""

    kind: Kind
    paths: tuple[str, ...]
    deletes: bool = False
    """Files that the other side has not are deleted, or those that were sent."""

    @property
    def reads(self) -> bool:
        """Nothing on the target changes by it."""
        return self.kind in (Kind.FETCH, Kind.READ, Kind.PUSH) and not self.deletes

    @property
    def unseen(self) -> bool:
        """It writes what nobody sees beforehand, and where its client says: the path that it names is where an honest
        client begins."""
        return self.kind is Kind.WRITE

    @property
    def like(self) -> bytes:
        """The command that does the same with files that are there."""
        paths = " ".join(shlex.quote(path) for path in self.paths)
        match self.kind:
            case Kind.FETCH | Kind.PUSH:
                return f"cat -- {paths}".encode()
            case Kind.READ if not self.deletes:
                return f"tar -c -f - {paths}".encode()
            case Kind.READ:
                return f"rm -r -- {paths}".encode()
            case Kind.WRITE:
                delete = "; rm -r -- " + paths if self.deletes else ""
                return f"cp -r -- sent {paths}{delete}".encode()

    @property
    def words(self) -> str:
        """What it is, for people."""
        match self.kind:
            case Kind.FETCH:
                return "git: somebody clones or fetches from it"
            case Kind.PUSH:
                return "git push: opens the repository; what it shall change is held by itself"
            case Kind.READ:
                return "a transfer: files are sent" + (", and then deleted" if self.deletes else "")
            case Kind.WRITE:
                return "a transfer: what it writes is not seen beforehand"


def pushes_to(command: bytes) -> str:
    """The repository into which this command takes a push; empty for anything else. Never raises."""
    found = recognise(command)
    return found.paths[0] if found is not None and found.kind is Kind.PUSH else ""


def unseen(command: bytes) -> bool:
    """Whether this command takes files that nobody sees beforehand. Never raises."""
    found = recognise(command) if b"rsync" in command or b"scp" in command else None
    return found is not None and found.unseen


@remembered
def recognise(command: bytes) -> Transfer | None:
    """The transfer that this command is, every word of it; None for anything else. Never raises."""
    parsed = parse(command)
    if not isinstance(parsed, Parsed) or parsed.functions:
        return None
    found = list(parsed.commands())
    if len(found) != 1 or parsed.root.parts != (found[0],):
        return None
    written = b" ".join(word.raw.encode() for word in found[0].words)
    if command.split() != written.split():  # a comment, an `&`, a `;`
        return None
    return _simple(found[0])


def _simple(command: Command) -> Transfer | None:
    if command.assignments or command.redirects or not command.words:
        return None
    if not all(word.constant and not word.splits and not word.inner and "$" not in word.raw for word in command.words):
        return None
    directory, _, name = command.words[0].text.rpartition("/")
    reader = _PROGRAMS.get(name) if directory in SYSTEM else None
    return reader([word.text for word in command.words[1:]]) if reader is not None else None


def _plain(paths: Sequence[str]) -> bool:
    """Paths, and nothing that could be an option."""
    return bool(paths) and all(path and not path.startswith("-") for path in paths)


def _git(kind: Kind) -> Callable[[list[str]], Transfer | None]:
    def read(words: list[str]) -> Transfer | None:
        return Transfer(kind, tuple(words)) if len(words) == 1 and _plain(words) else None

    return read


def _scp(words: list[str]) -> Transfer | None:
    """`scp [-v] [-r] [-p] [-d] -t|-f PATH…`: OpenSSH's scp.c, with -O."""
    options = [word for word in words if word.startswith("-")]
    paths = words[len(options) :]
    if words[: len(options)] != options or not set(options) <= {"-v", "-r", "-p", "-d", "-t", "-f", "-q"}:
        return None
    ways = [option for option in options if option in ("-t", "-f")]
    if len(ways) != 1 or not _plain(paths):
        return None
    if ways == ["-f"]:
        return Transfer(Kind.READ, tuple(paths))
    return Transfer(Kind.WRITE, tuple(paths)) if len(paths) == 1 else None


_RSYNC_SHORT = re.compile(r"-[vlogDtprRqhHAXzxSWcuiImOJbLkKdyUnN0P]*(?:e[0-9]*\.[0-9]*[A-Za-z]*)?", re.ASCII)
"""Bundled options that only say how files are copied, and behind `e` what the client can do (rsync(1), options.c). Not
`s` (--secluded-args): with it the far end reads its real options and paths from stdin, past everybody."""
_RSYNC_LONG = re.compile(
    r"--(?:numeric-ids|partial|inplace|append|append-verify|ignore-existing|existing|size-only|no-implied-dirs|"
    r"delay-updates|fuzzy|no-i-r|no-inc-recursive|use-qsort|ignore-errors|prune-empty-dirs|omit-dir-times|"
    r"(?:timeout|bwlimit|block-size|compress-level|checksum-seed|max-size|min-size|modify-window|max-alloc)=[0-9.kKmMgG]+|"
    r"(?:checksum-choice|compress-choice|new-compress)=[a-z0-9,]+|(?:log-format|out-format)=[%A-Za-z]+|"
    r"(?:info|debug)=[a-z0-9,]+)",
    re.ASCII,
)
_RSYNC_DELETES = re.compile(
    r"--(?:del|delete(?:-before|-during|-delay|-after|-excluded)?|remove-source-files)", re.ASCII
)


def _rsync(words: list[str]) -> Transfer | None:
    """`rsync --server [--sender] OPTIONS . PATH…`"""
    if words[:1] != ["--server"] or "." not in words:
        return None
    dot = words.index(".")
    options, paths = words[1:dot], words[dot + 1 :]
    sender = options[:1] == ["--sender"]
    options = options[1:] if sender else options
    deletes = [option for option in options if _RSYNC_DELETES.fullmatch(option)]
    known = (_RSYNC_SHORT, _RSYNC_LONG, _RSYNC_DELETES)
    if not all(any(form.fullmatch(option) for form in known) for option in options) or not _plain(paths):
        return None
    if sender:
        return Transfer(Kind.READ, tuple(paths), deletes="--remove-source-files" in deletes)
    return Transfer(Kind.WRITE, tuple(paths), deletes=bool(deletes)) if len(paths) == 1 else None


_PROGRAMS: dict[str, Callable[[list[str]], Transfer | None]] = {
    "git-upload-pack": _git(Kind.FETCH),
    "git-upload-archive": _git(Kind.FETCH),
    "git-receive-pack": _git(Kind.PUSH),
    "rsync": _rsync,
    "scp": _scp,
}
