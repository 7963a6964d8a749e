"""A process that gives up what it does not need, for good: files, other processes, the network, new programs. Linux.

Theory of operation. The console that is served over SSH shows what agents sent, in a process of the bastion's own
account. Should that text ever get the better of it, there must be nothing to gain: the account's files are the keys to
every target, and the account's socket (control/server.py) is the administrator's door. So before it shows anything,
the process calls `confine`, in this order, each step of which can only be tightened later:

    limits        no core, no file written, few descriptors, so much memory; best effort, the rest does not need them
    capabilities  none, where it runs as root
    no_new_privs  nothing that it could start gets rights (PR_SET_NO_NEW_PRIVS)
    Landlock      files: what is named may be read, nothing written; no TCP; no signal and no abstract socket outside
    seccomp       no program, no process, no socket, no signal, no tracing, no mount: EPERM; another ABI: killed

Landlock alone would leave unix sockets that have a path, and seccomp alone cannot tell one file from another. Where the
kernel lacks either, `confine` raises, and the caller refuses to serve.

The process that sends notifications (notify/worker.py) has to reach the network. It keeps sockets of the internet, with
which it may connect and not listen, and gives up the rest; with a desktop among its channels, unix sockets stay, too.

Not protected against: bugs of the kernel, and what the descriptors that stay open are good for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import socket
import struct
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

MEMORY_BYTES = 1 << 30
"""Of address space. A console has 250 MiB with nothing to show, and holds at most the requests of a full bastion."""

DESCRIPTORS = 64
"""A console has about a dozen."""

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 38, 22
SECCOMP_MODE_FILTER = 2
"""<linux/prctl.h>, <linux/seccomp.h>"""

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
"""System calls, the same on every architecture."""

LANDLOCK_VERSION, RULE_PATH_BENEATH = 1, 1
ACCESS_READ_FILE, ACCESS_READ_DIR = 1 << 2, 1 << 3
ACCESS_OF_FILES = 0b111 | 1 << 14 | 1 << 15
"""Rights that a single file can have: execute, write, read, truncate, ioctl of devices."""
ACCESS_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""By version of Landlock's ABI: all rights to files that it knows (<linux/landlock.h>)."""
ACCESS_NET, SCOPED, SCOPED_SIGNALS = 0b11, 0b11, 0b10
"""TCP bind and connect, from version 4; abstract unix sockets and signals, from version 6."""


class Sockets(StrEnum):
    """Which sockets a process may still make and connect."""

    NONE = "none"
    INTERNET = "internet"
    DESKTOP = "desktop"
    """Of the internet, and unix sockets: the session bus is one."""


_FAMILIES = {
    Sockets.NONE: (),
    Sockets.INTERNET: (socket.AF_INET, socket.AF_INET6),
    Sockets.DESKTOP: (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX),
}


class NotConfined(Exception):
    """This kernel cannot confine the process; the text says why."""


# --- seccomp: system calls that fail with EPERM, by architecture ---------------------------------------------------

_FORBIDDEN: dict[str, tuple[int, int]] = {
    # name: number on x86_64, on aarch64; -1 where there is none
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "mknodat": (259, 33),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
}
"""asm/unistd_64.h and asm-generic/unistd.h. clone and clone3 are looked at by their flags, below."""

_CLONE, _CLONE3 = (56, 220), 435
_CLONE_THREAD, _CLONE_NEW = 0x0001_0000, 0x7E02_0000
"""<linux/sched.h>; the second are all namespaces."""
_ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""Column of the table, and AUDIT_ARCH of <linux/audit.h>."""
_X32 = 0x4000_0000
"""Bit of the numbers of the x32 ABI, which x86_64 kernels may also take."""

_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF: load a word of struct seccomp_data; jump if equal, at least, has a bit; return (<linux/bpf_common.h>)."""
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data: the call, the architecture, the low word of its first argument."""
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOSYS = 1, 38


def program(
    machine: str,
    sockets: Sockets = Sockets.NONE,
    *,
    spared: frozenset[str] = frozenset(),
    besides: Mapping[str, tuple[int, int]] | None = None,
    forks: bool = False,
) -> bytes:
    """The seccomp filter for a machine, as an array of struct sock_filter: without the calls that are spared, with
    those `besides`; with `forks` new processes are let be, new namespaces are not. Raises NotConfined for another."""
    if machine not in _ARCHITECTURES:
        raise NotConfined(f"the list of system calls for {machine} is not known here")
    column, arch = _ARCHITECTURES[machine]
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, arch),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JGE, 0, 1, _X32),
        (_RET, 0, 0, _KILL),
        (_JEQ, 0, 1, _CLONE3),
        (_RET, 0, 0, _ERRNO | _ENOSYS),  # its flags are out of reach behind a pointer: glibc then falls back to clone
    ]
    families = _FAMILIES[sockets]
    for name, numbers in {**_FORBIDDEN, **(besides or {})}.items():
        if name == "socket" and families:
            steps += [(_JEQ, 0, 3 + len(families), numbers[column]), (_LOAD, 0, 0, _ARGUMENT)]
            steps += [(_JEQ, len(families) - number, 0, family) for number, family in enumerate(families)]
            steps += [(_RET, 0, 0, _ERRNO | _EPERM), (_RET, 0, 0, _ALLOW)]
        elif numbers[column] >= 0 and name not in spared and not (name == "connect" and families):
            steps += [(_JEQ, 0, 1, numbers[column]), (_RET, 0, 0, _ERRNO | _EPERM)]
    steps += [
        (_JEQ, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENT),
        (_JSET, 0, 1, _CLONE_NEW) if forks else (_JSET, 1, 0, _CLONE_THREAD),  # a thread is no new process
        (_RET, 0, 0, _ERRNO | _EPERM),
        (_RET, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


# --- the steps -------------------------------------------------------------------------------------------------------


def confine(
    readable: Iterable[Path],
    *,
    sockets: Sockets = Sockets.NONE,
    memory: int = MEMORY_BYTES,
    descriptors: int = DESCRIPTORS,
) -> None:
    """Give up all but reading below the paths of `readable`, `sockets`, and using what is open. Raises NotConfined.

    To be called with one thread only; applies to all that are started later.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _limit(memory, descriptors)
    if os.geteuid() == 0:
        drop_capabilities(libc)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    landlock(libc, ((path, ACCESS_READ_FILE | ACCESS_READ_DIR) for path in readable), sockets)
    seccomp(libc, program(platform.machine(), sockets))


def all_but(*hidden: Path) -> list[Path]:
    """Everything there is, but what lies below these directories: of each directory on the way to one, the others in
    it. What is replaced there later (a new file of the same name) is not among it."""
    closed = {each.resolve() for each in hidden}
    found: list[Path] = []
    ways = [Path("/")]
    while ways:
        with contextlib.suppress(OSError):
            for each in ways.pop().iterdir():
                if each in closed or each.is_symlink():  # where a link leads is looked at where it lies
                    continue
                (ways if any(other.is_relative_to(each) for other in closed) else found).append(each)
    return found


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; at once if it is no longer `parent`."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def check(result: int, what: str) -> int:
    """The result of a call; raises NotConfined where that failed."""
    if result < 0:
        raise NotConfined(f"this kernel refuses {what}: {os.strerror(ctypes.get_errno())}")
    return result


def _limit(memory: int, descriptors: int) -> None:
    limits = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_AS, memory),
    )
    for which, most in limits:
        with contextlib.suppress(OSError, ValueError):  # a service manager may forbid the call, and limits by itself
            resource.setrlimit(which, (most, most))
    with contextlib.suppress(OSError):
        os.nice(5)  # bytes go first, pictures of them second


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """capset(2): none permitted, effective or inheritable."""
    header = struct.pack("=Ii", 0x2008_0522, 0)
    check(libc.capset(header, bytes(24)), "capset")


def landlock_version(libc: ctypes.CDLL) -> int:
    """Of the kernel's ABI. Raises NotConfined where there is none."""
    return check(libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION), "Landlock")


def landlock(libc: ctypes.CDLL, allowed: Iterable[tuple[Path, int]], sockets: Sockets = Sockets.NONE) -> None:
    """landlock(7): nothing but these rights below these paths. Raises NotConfined."""
    version = landlock_version(libc)
    rights = ACCESS_FS.get(version, ACCESS_FS[max(ACCESS_FS)])
    net = ACCESS_NET if sockets is Sockets.NONE else 0
    scoped = SCOPED_SIGNALS if sockets is Sockets.DESKTOP else SCOPED  # a bus may have an abstract address
    fields = [rights, net if version >= 4 else 0, scoped if version >= 6 else 0]
    attributes = struct.pack("=QQQ", *fields)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = check(libc.syscall(LANDLOCK_CREATE, attributes, size, 0), "Landlock")
    try:
        for path, access in allowed:
            _allow(libc, rules, path, access & rights)
        check(libc.syscall(LANDLOCK_RESTRICT, rules, 0), "Landlock")
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        spot = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = struct.pack("=Qi", access if path.is_dir() else access & ACCESS_OF_FILES, spot)
        check(libc.syscall(LANDLOCK_ADD, rules, RULE_PATH_BENEATH, rule, 0), f"a rule for {path}")
    finally:
        os.close(spot)


def seccomp(libc: ctypes.CDLL, program: bytes) -> None:
    """seccomp(2). Raises NotConfined."""
    code = ctypes.create_string_buffer(program)
    count = (len(code) - 1) // 8
    header = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(code)))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0), "seccomp")
