"""What is left to a program in a cage, tried from within one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.caging import NOBODY, NOT_CAGED, START

ROOT = Path(__file__).parents[2]
PROGRAM = os.path.realpath("/usr/bin/python3")
"""A cage has /usr only; the interpreter of the tests may be elsewhere."""

ATTEMPTS = r"""
import ctypes, json, os, signal, socket, subprocess, sys
secret, port, victim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir("dest")

def attempt(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

def child():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

def own_child():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGTERM)
    os.wait()

def write(path, size=1):
    with open(path, "wb") as file:
        file.write(bytes(size))

def namespace():
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "refused")

def grow():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    write("big", (1 << 20) + 1)

found = {
    "write": attempt(lambda: write("new")),
    "mkdir": attempt(lambda: os.mkdir("inside")),
    "symlink": attempt(lambda: os.symlink("/etc/passwd", "link")),
    "rename": attempt(lambda: os.rename("new", "inside/new")),
    "chmod": attempt(lambda: os.chmod("inside/new", 0o751)),
    "a child": attempt(child),
    "a signal to it": attempt(own_child),
    "socketpair": attempt(socket.socketpair),
    "read a secret": attempt(lambda: open(secret).read()),
    "write it": attempt(lambda: write(secret)),
    "remove it": attempt(lambda: os.unlink(secret)),
    "list its directory": attempt(lambda: os.listdir(os.path.dirname(secret))),
    "read accounts": attempt(lambda: open("/etc/passwd").read()),
    "through a link": attempt(lambda: open("link").read()),
    "above the tree": attempt(lambda: write("../../beside")),
    "write to /usr": attempt(lambda: write("/usr/new")),
    "a fifo": attempt(lambda: os.mkfifo("fifo")),
    "the network": attempt(lambda: socket.create_connection(("127.0.0.1", port), 2)),
    "a unix socket": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "a signal outside": attempt(lambda: os.kill(victim, 0)),
    "another program": attempt(lambda: subprocess.run(["/usr/bin/id"])),
    "more than a file may have": attempt(grow),
    "a new namespace": attempt(namespace),
    "an attribute": attempt(lambda: os.setxattr("inside/new", "user.x", b"x")),
}
print(json.dumps(found))
"""

ALLOWED = {"write", "mkdir", "symlink", "rename", "chmod", "a child", "a signal to it", "socketpair"}

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="no interpreter below /usr")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "cell" / "tree"
    (made / "dest").mkdir(parents=True)
    if os.geteuid() == 0:
        for path in (made, made / "dest"):
            os.chown(path, NOBODY, NOBODY)
    return made


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def caged(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    order = json.dumps({"tree": str(tree), "file_bytes": 1 << 20, "parent": os.getpid()})
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", START, str(ROOT), order, *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode == NOT_CAGED:
        pytest.skip(f"this host cannot: {done.stderr}")
    return done


def test_what_is_left(tree: Path, tmp_path: Path, listening: int) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the key")
    secret.chmod(0o666)
    tmp_path.chmod(0o777)  # whatever modes say
    done = caged(tree, PROGRAM, "-I", "-S", "-B", "-c", ATTEMPTS, str(secret), str(listening), str(os.getpid()))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {what for what, outcome in found.items() if outcome == "done"} == ALLOWED, found
    assert secret.read_text() == "the key"
    assert not (tmp_path / "cell" / "beside").exists()
    assert (tree / "dest" / "inside" / "new").stat().st_mode & 0o777 == 0o751
    assert (tree / "dest" / "big").stat().st_size <= 1 << 20


def test_its_status_is_the_programs(tree: Path) -> None:
    assert caged(tree, PROGRAM, "-I", "-S", "-c", "raise SystemExit(23)").returncode == 23


def test_it_ends_with_who_started_it(tree: Path) -> None:
    """Also what it started itself: all of them have this end of a pipe, which is at its end when the last is gone."""
    script = f"""
import json, os, subprocess, sys
order = json.dumps({{"tree": {str(tree)!r}, "file_bytes": 1 << 20, "parent": os.getpid()}})
body = "import os, signal; os.fork(); print('up', flush=True); signal.pause()"
words = [sys.executable, "-I", "-B", "-c", {START!r}, {str(ROOT)!r}, order, {PROGRAM!r}, "-I", "-S", "-c", body]
child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=2)
if b"up" in child.stdout.readline():
    os.kill(os.getpid(), 9)
raise SystemExit(child.wait())
"""
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, timeout=60, check=False)
    if done.returncode == NOT_CAGED:
        pytest.skip("this host cannot")
    assert done.returncode == -9
