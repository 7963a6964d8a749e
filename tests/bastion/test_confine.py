"""What is left to a confined process, tried from within one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.confine import NotConfined, program

ATTEMPTS = """
import ctypes, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
secret, open_dir, socket_path, victim = sys.argv[1:5]
from bastion import confine
before = socket.socketpair()
readable = [Path(open_dir), Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib"), Path("/lib64")]
confine.confine([*readable, Path("/does-not-exist")])

def attempt(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()

def connect():
    socket.socket(socket.AF_UNIX).connect(socket_path)

def write():
    with open(os.path.join(open_dir, "new"), "w") as file:
        file.write("x")

def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    def attempt():
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")
    return attempt

found = {
    "read what is allowed": attempt(lambda: Path(open_dir, "seen").read_text()),
    "use an open socket": attempt(lambda: before[0].send(b"x")),
    "a thread": attempt(thread),
    "socketpair": attempt(socket.socketpair),
    "read a secret": attempt(lambda: Path(secret).read_text()),
    "list its directory": attempt(lambda: os.listdir(os.path.dirname(secret))),
    "read of the parent's memory": attempt(lambda: open(f"/proc/{os.getppid()}/mem", "rb")),
    "read of one's own environment": attempt(lambda: open("/proc/self/environ", "rb")),
    "write": attempt(write),
    "remove": attempt(lambda: os.unlink(os.path.join(open_dir, "seen"))),
    "link": attempt(lambda: os.link(os.path.join(open_dir, "seen"), os.path.join(open_dir, "two"))),
    "the administrator's socket": attempt(connect),
    "a socket": attempt(lambda: socket.socket()),
    "a signal": attempt(lambda: os.kill(int(victim), 9)),
    "a signal to itself": attempt(lambda: os.kill(os.getpid(), signal.SIGSTOP)),
    "fork": attempt(os.fork),
    "a program": attempt(lambda: os.execv("/bin/sh", ["sh"])),
    "a child": attempt(lambda: subprocess.run(["/bin/true"])),
    "ptrace": attempt(lambda: call(101 if os.uname().machine == "x86_64" else 117, 16, int(victim), 0, 0)()),
    "clone3": attempt(lambda: call(435, None, 0)()),
    "io_uring": attempt(lambda: call(425, 1, None)()),
}
print(json.dumps(found))
"""

ALLOWED = {"read what is allowed", "use an open socket", "a thread", "socketpair"}


def test_what_is_left(tmp_path: Path) -> None:
    secret, open_dir = tmp_path / "state" / "key", tmp_path / "open"
    secret.parent.mkdir()
    open_dir.mkdir()
    secret.write_text("the keys to everything")
    (open_dir / "seen").write_text("fine")
    import socket

    door = socket.socket(socket.AF_UNIX)
    door.bind(str(tmp_path / "control.sock"))
    door.listen()
    victim = subprocess.Popen(["sleep", "60"])
    try:
        where = [str(secret), str(open_dir), str(tmp_path / "control.sock"), str(victim.pid)]
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS, *where], capture_output=True, text=True, timeout=60, check=True
        )
        found = json.loads(done.stdout)
        assert {name for name, how in found.items() if how == "done"} == ALLOWED, found
        assert set(found.values()) <= {"done", "PermissionError", "OSError"}, found
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
        door.close()
    assert sorted(each.name for each in open_dir.iterdir()) == ["seen"]


def test_another_machine_is_refused() -> None:
    with pytest.raises(NotConfined, match="riscv64"):
        program("riscv64")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_has_the_form_that_the_kernel_takes(machine: str) -> None:
    code = program(machine)
    assert len(code) % 8 == 0
    assert len(code) // 8 < 4096  # BPF_MAXINSNS
