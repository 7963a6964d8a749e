"""The ways to one OpenSSH target on loopback that are compared: ours, and what people would use instead.

    direct    ssh to the target's sshd
    jump      ssh -J through a second OpenSSH sshd, which records nothing
    script    ssh to an OpenSSH sshd whose ForceCommand runs `ssh target` inside script(1), which records the terminal
    tlog      the same with tlog-rec(8)
    ssh-mitm  ssh-mitm 6, which records
    bastion   ssh to the bastion, command whitelisted

Every way uses the same client and a new connection for each measurement. Of `script`, `tlog` and `ssh-mitm` the second
connection is one of their own for each command; the bastion keeps its to the target open. That is how they are used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import peers
from tests.support.governed import plain_home
from tests.support.house import House
from tests.support.keys import make_key
from tests.support.ports import free_port, listening, wait_until
from tests.support.sshd import LOGIN, Sshd, descendants

CIPHER = "aes128-gcm@openssh.com"
TICKS = os.sysconf("SC_CLK_TCK")
MANY = "MaxStartups 100"

SCRIPT = """#!/bin/sh
# The terminal is raw, so that script passes on bytes as they are.
export SSH_ORIGINAL_COMMAND
exec script -qe -E never -O '{log}'.$$ -c 'stty raw -echo; exec ssh -F {config} inner "$SSH_ORIGINAL_COMMAND"'
"""
TLOG = """#!/bin/sh
exec tlog-rec --writer=file --file-path='{log}'.$$ ssh -F {config} inner "$SSH_ORIGINAL_COMMAND"
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the target."""

    name: str
    command: tuple[str, ...]
    """ssh's words, but for the remote command."""
    pids: tuple[int, ...] = ()
    """What stands between client and target."""
    records: tuple[Path, ...] = ()
    """Where it writes what it records."""
    forks: bool = False
    """Its work is done by children, whose time counts when they have been waited for."""

    def ssh(self, remote: str) -> list[str]:
        """ssh's command line for a command on the target."""
        return [*self.command, remote]

    def cpu(self) -> float:
        """Seconds of processor time that it has used, with the children that have ended."""
        if self.forks:
            wait_until(lambda: not any(descendants(pid) for pid in self.pids), "its children end")
        spent = 0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                spent += sum(int(field) for field in fields[11:15])
        return spent / TICKS

    def written(self) -> int:
        """Bytes that lie where it records."""
        files = (file for place in self.records for file in place.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files)


@dataclass(slots=True)
class Ways:
    """All of them, running; in the order in which they are taken."""

    work: Path
    defaults: bool = False
    """Each client's and server's own choice of ciphers, instead of one for all."""
    found: list[Way] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a way is not there."""
    house: House = field(init=False)
    target: Sshd = field(init=False)

    @contextlib.contextmanager
    def running(self) -> Iterator[Ways]:
        """Start everything; end it."""
        with contextlib.ExitStack() as stack:
            self.target = self._sshd(stack, "target")
            jump = self._sshd(stack, "jump")
            self.house = House(self.work / "house")
            self.house.add_target("web-1", self.target)
            self.house.start()
            stack.callback(self.house.stop)
            places = {"direct": (self.target.port, self.target.host_key, LOGIN, self.target.credential)}
            places["inner"] = places["direct"]
            places["hop"] = (jump.port, jump.host_key, LOGIN, jump.credential)
            places["bastion"] = (self.house.port, self.house.host_key, "web-1", self.house.work / "agent-7")
            config = self._config(self.work / "ssh_config", places)
            self.found = [Way("direct", self._ssh(config, "direct"))]
            self.found.append(
                Way("jump", (*self._ssh(config, "inner")[:-1], "-J", "hop", "inner"), (jump.pid,), forks=True)
            )
            for name, text, program in (("script", SCRIPT, "script"), ("tlog", TLOG, "tlog-rec")):
                if shutil.which(program) is None:
                    self.absent[name] = f"{program} is not installed"
                else:
                    self.found.append(self._forced(stack, name, text, places))
            self._mitm(stack)
            store = (Path(self.house.config.store),)
            self.found.append(Way("bastion", self._ssh(config, "bastion"), (self.house.pid,), store))
            yield self

    def _sshd(self, stack: contextlib.ExitStack, name: str, extra: str = "") -> Sshd:
        sshd = plain_home(self.work / name, f"{MANY}\n{extra}")
        sshd.start()
        stack.callback(sshd.stop)
        return sshd

    def _config(self, path: Path, places: Mapping[str, tuple[int, str, str, Path]]) -> Path:
        """An ssh_config with a host for each place, and its known_hosts."""
        known = path.with_suffix(".known")
        known.write_text("".join(f"[127.0.0.1]:{port} {key.strip()}\n" for port, key, _, _ in places.values()))
        ciphers = "" if self.defaults else f" Ciphers {CIPHER}\n"
        path.write_text(
            f"Host *\n HostName 127.0.0.1\n UserKnownHostsFile {known}\n StrictHostKeyChecking yes\n BatchMode yes\n"
            f" IdentitiesOnly yes\n LogLevel ERROR\n{ciphers}"
            + "".join(
                f"Host {name}\n Port {port}\n User {login}\n IdentityFile {key}\n"
                for name, (port, _, login, key) in places.items()
            )
        )
        return path

    @staticmethod
    def _ssh(config: Path, host: str) -> tuple[str, ...]:
        return ("ssh", "-F", str(config), host)

    def _forced(
        self, stack: contextlib.ExitStack, name: str, text: str, places: Mapping[str, tuple[int, str, str, Path]]
    ) -> Way:
        """An OpenSSH bastion that records by ForceCommand."""
        logs = self.work / f"{name}-logs"
        logs.mkdir()
        config = self._config(self.work / f"{name}-inner", {"inner": places["inner"]})
        program = self.work / f"{name}-command"
        program.write_text(text.format(log=logs / "log", config=config))
        program.chmod(0o755)
        sshd = self._sshd(stack, name, f"ForceCommand {program}")
        outer = self._config(self.work / f"{name}-outer", {name: (sshd.port, sshd.host_key, LOGIN, sshd.credential)})
        return Way(name, self._ssh(outer, name), (sshd.pid,), (logs,), forks=True)

    def _mitm(self, stack: contextlib.ExitStack) -> None:
        """ssh-mitm, from an environment of its own."""
        if why := peers.install():
            self.absent["ssh-mitm"] = why
            return
        home, port = self.work / "mitm", free_port()
        home.mkdir()
        make_key(home / "agent")
        host_key = make_key(home / "host_key")
        command = peers.mitm_command(
            port, home / "host_key", self.target.port, LOGIN, self.target.credential, home / "logs"
        )
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home)
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until(lambda: process.poll() is not None or listening(port), "ssh-mitm listens")
        if process.poll() is not None:
            self.absent["ssh-mitm"] = "it does not start"
            return
        config = self._config(self.work / "mitm-outer", {"mitm": (port, host_key, LOGIN, home / "agent")})
        self.found.append(Way("ssh-mitm", self._ssh(config, "mitm"), (process.pid,), (home / "logs",)))
