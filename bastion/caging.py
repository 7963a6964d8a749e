"""Runs one program that somebody else's bytes are fed to, in a cage: it may write below one directory and nowhere else.

Theory of operation. rsync's own server speaks its protocol with an agent (sftp/syncing.py), and it is C that has had
holes. So it is started by this file, in a process of its own, which gives up what rsync does not need, and then
becomes it. Should an agent take it over, it has the tree of its own upload, which a person is going to look at anyway.

    namespaces    where the host allows them: no other file, process or network is to be seen at all; as root, a must,
                  and then another account (65534)
    limits        memory, the size of a file, processor time, descriptors; no core
    capabilities  none; no_new_privs
    Landlock      the tree may be written; /usr may be read; rsync, and what loads it, may be run; no TCP
    seccomp       no socket, no tracing, no mount, no new namespace, no attributes

Where there are no namespaces (systemd's RestrictNamespaces, most containers), Landlock must keep signals inside, which
takes Linux 6.12 (ABI 6). Where neither is to be had, `main` ends with NOT_CAGED, and nothing was started.

Not protected against: bugs of the kernel. And where there are no namespaces: Landlock does not guard modes and dates,
so a rsync that was taken over could change those of the bastion's own files; it could not read, write or remove one.

    python -I -B -c START ROOT '{"tree": …, "file_bytes": …, "parent": …}' rsync WORDS…
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

from bastion import confine
from bastion.confine import NotConfined, check

START = "import sys; sys.path.insert(0, sys.argv[1]); from bastion.caging import main; main()"
"""Without the daemon's environment and directories on the path."""

NOT_CAGED = 70
"""Exit status: EX_SOFTWARE of sysexits.h, which rsync has not. The reason is the one line on stderr."""

MEMORY_BYTES = 512 << 20
"""Of address space. rsync takes about 100 bytes a name: 20,000 names and a megabyte of buffers take 60 MiB."""

SECONDS = 600
"""Of processor time: 64 MiB take less than one."""

DESCRIPTORS = 64

NOBODY = 65534
"""The account that owns nothing, by number (nsswitch is not asked)."""

_NEW_NS, _NEW_IPC, _NEW_USER, _NEW_PID, _NEW_NET = 0x0002_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000
"""<linux/sched.h>"""

_BIND, _REC, _PRIVATE, _DETACH = 0x1000, 0x4000, 0x4_0000, 2
"""<linux/mount.h>, umount(2)"""

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
"""glibc has no function for it."""

TREE = sum(1 << bit for bit in (1, 2, 3, 4, 5, 7, 8, 12, 13, 14))
"""Landlock: write and read files and directories, remove both, make both and symlinks, rename, truncate. No device, no
FIFO, no socket."""
RUN = 1 << 0 | confine.ACCESS_READ_FILE
"""Landlock: execute and read."""
READ = confine.ACCESS_READ_FILE | confine.ACCESS_READ_DIR

SPARED = frozenset({"execve", "fork", "vfork", "kill", "tgkill"})
"""rsync forks its receiver, and tells it by a signal when to end."""

BESIDES = {"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463)}
"""Attributes are not guarded by Landlock; by number as in confine.py."""

SCOPED_SIGNALS = 6
"""Landlock's ABI from which on signals stay inside."""

LIBRARIES = (Path("/usr"), Path("/lib"), Path("/lib64"))


def main() -> None:
    """Cage this process, and become the program."""
    order, words = json.loads(sys.argv[2]), sys.argv[3:]
    confine.die_with_parent(order["parent"])
    try:
        enter(Path(order["tree"]), int(order["file_bytes"]), words[0])
    except (NotConfined, OSError) as error:
        os.write(2, f"{error}\n".encode())
        os._exit(NOT_CAGED)
    os.umask(0o022)
    os.execve(words[0], ["rsync", *words[1:]], {"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin"})  # noqa: S606 -- no shell is the point


def enter(tree: Path, file_bytes: int, program: str) -> None:
    """All of the file's header, in its order. Raises NotConfined, OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    root, apart = os.geteuid() == 0, True
    try:
        inside = _apart(libc, tree, root=root)
    except (NotConfined, OSError):
        if root:
            raise NotConfined("rsync is not run as root here without namespaces of its own") from None
        inside, apart = tree, False
    if not apart and confine.landlock_version(libc) < SCOPED_SIGNALS:
        raise NotConfined("this host allows neither namespaces nor, before Linux 6.12, to keep signals inside")
    os.chdir(inside)
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if apart:
        confine.die_with_parent(os.getppid())  # forgotten with the account that was given up
    _limit(file_bytes)
    confine.drop_capabilities(libc)
    check(libc.prctl(confine.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    loaders = [path for directory in LIBRARIES[1:] for path in directory.glob("ld-linux*")]
    runnable = [(path, RUN) for path in (Path(program), *loaders, *(loader.resolve() for loader in loaders))]
    confine.landlock(libc, [(inside, TREE), *runnable, *((path, READ) for path in LIBRARIES)])
    confine.seccomp(libc, confine.program(platform.machine(), spared=SPARED, besides=BESIDES, forks=True))


def _limit(file_bytes: int) -> None:
    limits: tuple[tuple[int, int], ...] = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, SECONDS),
    )
    for which, most in limits:
        with contextlib.suppress(OSError, ValueError):  # as in confine.py
            resource.setrlimit(which, (most, most))
    with contextlib.suppress(OSError):
        os.nice(5)


# --- namespaces ------------------------------------------------------------------------------------------------------


def _apart(libc: ctypes.CDLL, tree: Path, *, root: bool) -> Path:
    """A root directory with nothing but /usr and the tree, the first process of its own, no network. The tree as it is
    called there. Raises NotConfined, OSError; what was done till then does no harm."""
    uid, gid = os.geteuid(), os.getegid()
    spaces = _NEW_NS | _NEW_IPC | _NEW_PID | _NEW_NET | (0 if root else _NEW_USER)
    check(libc.unshare(spaces), "namespaces")
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    _mount(libc, "none", "/", "", _REC | _PRIVATE)
    jail = tree.parent / "jail"
    jail.mkdir(mode=0o755, exist_ok=True)
    _mount(libc, "jail", str(jail), "tmpfs", 0, "size=64k,mode=755")
    for directory in LIBRARIES:
        place = jail / directory.name
        if directory.is_symlink():
            place.symlink_to(os.readlink(directory))
        elif directory.is_dir():
            place.mkdir()
            _mount(libc, str(directory), str(place), "", _BIND | _REC)
    for name in ("tree", "old"):
        (jail / name).mkdir()
    _mount(libc, str(tree), str(jail / "tree"), "", _BIND)
    os.chdir(jail)
    check(libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"old"), "pivot_root")
    os.chdir("/")
    check(libc.umount2(b"/old", _DETACH), "umount2")
    _first_process()
    return Path("/tree")


def _mount(libc: ctypes.CDLL, what: str, where: str, kind: str, flags: int, data: str = "") -> None:
    given: list[Any] = [text.encode() or None for text in (what, where, kind)]
    check(libc.mount(*given, ctypes.c_ulong(flags), data.encode() or None), f"to mount {where}")


def _first_process() -> None:
    """Go on as the first process of the new namespace: all others in it end with this one. What is left outside waits
    for its end, and ends like it."""
    child = os.fork()
    if child == 0:
        return
    for descriptor in (0, 1):
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


if __name__ == "__main__":
    main()
