"""Where copies of the ledger's head go: a directory and a git remote, each off this host if it is to be of use.

Both hold the same: `HOST-xxxxxxxx/checkpoint-SIZE.note`, the signed head as it was then; the directory also holds the
sealed segments with their signatures. Files are made, never changed and never removed; to the git remote nothing is
ever forced. `bastion ledger verify --anchors DIR` takes the directory, or a clone.

Blocking: to be called in a thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from bastion.errors import StoreError, Unreachable
from recorder import layout
from recorder.checkpoint import Checkpoint
from recorder.keys import sync_directory

GIT_SECONDS = 30.0
"""For one git command that talks to a remote."""
BRANCH = "main"


def place(origin: str) -> str:
    """Directory of one ledger's copies. An origin has letters, digits, dots, dashes and one slash."""
    return origin.replace("/", "-")


def note_name(size: int) -> str:
    """File of one head; the digits make names sort by size."""
    return f"checkpoint-{size:012d}.note"


class DirectoryAnchor:
    """Copies in a directory: another disk, a share, what a backup takes away."""

    kind = "directory"

    def __init__(self, directory: Path, store: Path) -> None:
        self._directory, self._store = directory, store

    @property
    def where(self) -> str:
        """For people and the ledger."""
        return str(self._directory)

    def put(self, head: Checkpoint) -> None:
        """Copy that head, and sealed segments that are not there. Raises StoreError."""
        try:
            if not self._directory.is_dir():
                raise StoreError(f"{self._directory} is no directory", "is it mounted? It is never made here")
            out = self._directory / place(head.origin)
            out.mkdir(mode=0o755, exist_ok=True)
            for path in sorted((self._store / layout.SEGMENTS).glob("seg-*.jsonl*")):
                _new(out / path.name, path.read_bytes())
            _new(out / note_name(head.size), head.note.encode())
            sync_directory(out)
        except OSError as error:
            raise StoreError(f"{self._directory} cannot take a copy: {error.strerror or error}") from None


def _new(path: Path, data: bytes) -> None:
    """A new file, durable; one that is there stays as it is. Raises OSError."""
    if path.exists():
        return
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(making, path)
    making.unlink()


class GitAnchor:
    """Heads in a git repository, through a clone of our own in the state directory."""

    kind = "git"

    def __init__(self, remote: str, clone: Path) -> None:
        self.where, self._clone = remote, clone

    def put(self, head: Checkpoint) -> None:
        """Commit that head and push it. Raises Unreachable, StoreError."""
        try:
            if not (self._clone / ".git").is_dir():
                shutil.rmtree(self._clone, ignore_errors=True)
                self._clone.mkdir(mode=0o700)
                self._git("init", "--quiet")
            ours = self._ours()
            theirs = self._fetch()
            if ours and theirs and not self._follows(ours, theirs):
                raise Unreachable(
                    f"the history of {self.where} was rewritten: it lacks {ours[:12]}, which was pushed before",
                    f"find out by whom; {self._clone} has what was pushed. Then move that directory away",
                )
            if theirs:
                self._git("reset", "--quiet", "--hard", theirs)
            path = self._clone / place(head.origin) / note_name(head.size)
            path.parent.mkdir(exist_ok=True)
            if path.exists():
                return
            path.write_text(head.note, "utf-8")
            self._git("add", "--", str(path.relative_to(self._clone)))
            self._git("commit", "--quiet", "--no-verify", "-m", f"{head.origin} {head.anchor}")
            self._git("push", "--quiet", self.where, f"HEAD:refs/heads/{BRANCH}")
            self._git("update-ref", "refs/anchors/pushed", "HEAD")
        except OSError as error:
            raise StoreError(f"{self._clone} cannot be written: {error.strerror or error}") from None

    def _ours(self) -> str:
        """What we pushed last."""
        return self._git("for-each-ref", "--format=%(objectname)", "refs/anchors/pushed").strip()

    def _fetch(self) -> str:
        """What the remote has; empty when its branch is not there yet."""
        if not self._git("ls-remote", "--heads", "--", self.where, f"refs/heads/{BRANCH}").strip():
            return ""
        self._git("fetch", "--quiet", "--no-tags", "--", self.where, f"+refs/heads/{BRANCH}:refs/anchors/remote")
        return self._git("rev-parse", "refs/anchors/remote").strip()

    def _follows(self, old: str, new: str) -> bool:
        return self._run("merge-base", "--is-ancestor", old, new).returncode == 0

    def _git(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise Unreachable(f"git {words[0]} of {self.where}: {said[-1] if said else done.returncode}")
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C.UTF-8"}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "agent-bastion", f"GIT_{who}_EMAIL": "agent-bastion@localhost"}
        options = ("core.hooksPath=/dev/null", "commit.gpgSign=false", f"init.defaultBranch={BRANCH}", "gc.auto=0")
        command = ["git", *(part for option in options for part in ("-c", option)), *words]
        try:
            return subprocess.run(
                command, cwd=self._clone, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=GIT_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unreachable(f"git {words[0]} of {self.where} took more than {GIT_SECONDS:.0f} s") from None
        except FileNotFoundError:
            raise StoreError("git is not installed", "the anchor in a git repository needs it") from None
