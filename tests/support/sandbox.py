"""Runs a command line where it can do no harm, and says what it tried to do.

The sandbox is bubblewrap's: the whole file system read-only, a private /tmp of 32 MiB, own processes, no network, no
capabilities, an empty environment. Inside, strace lists the calls that change files, reach out or signal. `attempts`
names those that a command which only reads has no reason to make, whether they succeeded or not: here they could not.

It starts in a directory where every file that the command names exists (`stage`), so that programs come to the point
where they would write. Not seen: what a program does only with a terminal, a network or another kernel's answers.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

SECONDS = 4.0
"""For one command; what runs on (`tail -f`) has done by then what it does."""

CALLS = (
    "open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,"
    "rmdir,truncate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,mknod,mknodat,setxattr,lsetxattr,fsetxattr,"
    "removexattr,utimensat,utimes,utime,mount,umount2,swapon,swapoff,connect,kill,tkill,tgkill,reboot,sethostname,"
    "setdomainname,init_module,finit_module,delete_module,settimeofday,clock_settime"
)

LOCAL = ("/var/run/nscd/", "/run/nscd/", "/run/systemd/", "/run/dbus/", "/run/udev/", "/var/run/dbus/", "/tmp/tmux-")
"""Sockets of this machine that the C library and systemd's tools ask for names and states."""

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_STRING = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "((?:[^"\\]|\\.)*)"|"((?:[^"\\]|\\.)*)"')
_WRITES = re.compile(r"O_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")
_FINE = re.compile(
    r"/tmp(?:/.*)?|/dev/shm/.*|/dev/(?:null|tty|zero|full|stdout|stderr|fd/\d+|pts/\d+|ptmx)|/proc/self/fd/\d+"
    r"|/var/cache/man/.*|/etc/\.pwd\.lock|/dev|/dev/mapper(?:/control)?|/proc/self/coredump_filter"
)
"""Places that are ours, or nowhere; man(1) keeps formatted pages, lckpwdf(3) takes a lock to read, libdevmapper makes
its own node where the kernel has none, java says what a crash of its own would dump."""
_NOBODY = re.compile(r'AF_UNSPEC|inet_addr\("0\.0\.0\.0"\)|"::"')
"""Sends nothing: getaddrinfo(3) asks the kernel which own address it would take."""


@functools.cache
def missing() -> str:
    """Why there is no sandbox here, or nothing."""
    for program in ("bwrap", "strace"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run([*_bwrap(Path("/"), Path("/tmp")), "strace", "-f", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no sandbox: {tried.stderr.decode(errors='replace').strip()[-200:]}"


def stage(command: str, where: Path) -> None:
    """Makes a small file for each relative name in the command."""
    for word in set(re.findall(r"[\w.][\w./+-]*", command)):
        path = where / word
        if word.strip("./") and ".." not in word and len(word) < 100:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.write_text("alpha 1\nbeta 2\n")
            except OSError:
                continue  # a name that is a directory's or a file's already


def attempts(command: str, scratch: Path) -> list[str]:
    """What the command tried that more than reads, as strace shows it. `scratch` is an empty directory of ours."""
    home, log = scratch / "home", scratch / "log"
    home.mkdir()
    log.mkdir()
    stage(command, home)
    limits = ["prlimit", "--as=2000000000", "--fsize=20000000", "--nproc=500", "--"]
    trace = ["strace", "-f", "-qq", "-y", "-s", "200", "-o", "/mnt/trace", "-e", f"trace={CALLS}", "--"]
    process = subprocess.Popen(
        [*_bwrap(home, log), *limits, *trace, "bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # all that it started is in its name space and goes with it
        process.wait()
    trace_file = log / "trace"
    lines = trace_file.read_text(errors="replace").splitlines() if trace_file.exists() else []
    assert lines, f"was not traced: {command}"
    return [line for line in lines if _more_than_reads(line)]


def _bwrap(home: Path, log: Path) -> list[str]:
    return [
        *("bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--clearenv", "--setenv", "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        *("--setenv", "HOME", "/tmp", "--setenv", "LC_ALL", "C.UTF-8", "--setenv", "TERM", "xterm"),
        *("--setenv", "PYTHONDONTWRITEBYTECODE", "1"),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--size", "33554432", "--tmpfs", "/tmp"),
        *("--tmpfs", "/srv", "--ro-bind", str(home), "/srv/home", "--remount-ro", "/srv", "--bind", str(log), "/mnt"),
        *("--chdir", "/srv/home", "--"),
    ]


def _more_than_reads(line: str) -> bool:
    found = _CALL.match(line)
    if found is None:
        return False
    call, rest = found[1], found[2]
    if call == "connect":
        return not (_NOBODY.search(rest) or any(f'"{path}' in rest for path in LOCAL))
    if call in ("tkill", "tgkill"):
        return False  # to itself: abort(3)
    if call.startswith(("open", "creat")) and not _WRITES.search(rest) and call != "creat":
        return False
    paths = [_path(one) for one in _STRING.finditer(rest)] or re.findall(r"^\d+<([^>]*)>", rest)
    return not paths or not all(_FINE.fullmatch(path) for path in paths)


def _path(found: re.Match[str]) -> str:
    directory, relative, alone = found.groups()
    path = alone if relative is None else relative
    return path if path.startswith("/") else f"{directory or '/srv/home'}/{path}"
