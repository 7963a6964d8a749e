"""What is left to a confined process, tried from within one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.confine import NotConfined, Sockets, program

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
    assert all(len(program(machine, sockets)) % 8 == 0 for sockets in Sockets)


# --- what has to reach the network ---------------------------------------------------------------------------------


SENDING = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
sockets, hidden, port, door, bus = sys.argv[1:6]
from bastion import confine
readable = [*confine.all_but(Path(hidden), Path("/proc")), Path(sys.prefix), Path(sys.base_prefix)]
confine.confine(readable, sockets=confine.Sockets(sockets), memory=1 << 30, descriptors=256)

def attempt(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

def connect(family, address):
    with socket.socket(family) as one:
        one.connect(address)

def listen():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))

def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()

found = {
    "connect": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", int(port)))),
    "look a name up": attempt(lambda: socket.getaddrinfo("localhost", int(port))),
    "a thread": attempt(thread),
    "read beside it": attempt(lambda: Path(hidden, "../beside").resolve().read_text()),
    "read certificates": attempt(lambda: os.listdir("/etc")),
    "the administrator's socket": attempt(lambda: connect(socket.AF_UNIX, door)),
    "an abstract socket": attempt(lambda: connect(socket.AF_UNIX, chr(0) + bus)),
    "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "listen": attempt(listen),
    "read a key": attempt(lambda: Path(hidden, "key").read_text()),
    "read it through a link": attempt(lambda: Path(hidden, "../link/key").read_text()),
    "the daemon's environment": attempt(lambda: open(f"/proc/{os.getppid()}/environ", "rb")),
    "write": attempt(lambda: Path(hidden, "../new").write_text("x")),
    "a child": attempt(lambda: subprocess.run(["/bin/true"])),
    "fork": attempt(os.fork),
    "a signal": attempt(lambda: os.kill(os.getppid(), 0)),
    "memory": attempt(lambda: bytearray(1 << 30)),
}
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("sockets", "more"),
    [("internet", set[str]()), ("desktop", {"the administrator's socket", "an abstract socket"})],
)
def test_what_is_left_to_what_sends(tmp_path: Path, sockets: str, more: set[str]) -> None:
    hidden = tmp_path / "state"
    hidden.mkdir()
    (hidden / "key").write_text("the keys to everything")
    (tmp_path / "beside").write_text("fine")
    (tmp_path / "link").symlink_to(hidden)
    import socket

    bus = f"bastion-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as door,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        door.bind(str(tmp_path / "control.sock"))
        abstract.bind("\0" + bus)
        for each in (door, abstract):
            each.listen()
        where = [sockets, str(hidden), str(server.getsockname()[1]), str(tmp_path / "control.sock"), bus]
        done = subprocess.run(
            [sys.executable, "-c", SENDING, *where], capture_output=True, text=True, timeout=60, check=True
        )
    found = json.loads(done.stdout)
    allowed = {"connect", "look a name up", "a thread", "read beside it", "read certificates"}
    assert {name for name, how in found.items() if how == "done"} == allowed | more, found
    assert found["memory"] == "MemoryError"
