"""A real OpenSSH sshd on loopback, as a target."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from pathlib import Path

from tests.support.keys import make_key
from tests.support.ports import free_port, listening, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or "sshd"
LOGIN = getpass.getuser()


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, as /proc tells."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


class Sshd:
    """One sshd with its own host key, which lets in one key."""

    def __init__(self, work: Path, *, extra: str = "") -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.port = work, free_port()
        self.host_key = make_key(work / "host_key")
        self.credential = work / "credential"
        self._extra = extra
        # sshd reads this as the account that logs in, which cannot look into pytest's directories
        open_to_all = Path(tempfile.mkdtemp(prefix="bastion-sshd-"))
        open_to_all.chmod(0o755)
        weakref.finalize(self, shutil.rmtree, open_to_all, ignore_errors=True)
        self._authorized = open_to_all / "authorized_keys"
        self._authorized.write_text(make_key(self.credential))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # privilege separation wants it
        config = self.work / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.work / 'host_key'}\n"
            f"AuthorizedKeysFile {self._authorized}\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"PermitRootLogin yes\nAcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\n{self._extra}\n"
        )
        self._process = subprocess.Popen(
            [SSHD, "-D", "-f", str(config), "-E", str(self.work / "log")], start_new_session=True
        )
        wait_until(lambda: listening(self.port), "sshd listens")

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it and everything that it has forked, connections with it."""
        if self._process is not None:
            for pid in [*descendants(self._process.pid), self._process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def new_host_key(self) -> None:
        """The target shows another key from now on."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.work / name).unlink()
        make_key(self.work / "host_key")
        self.start()
