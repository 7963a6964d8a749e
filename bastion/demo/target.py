"""The demo's target: OpenSSH's sshd where it is installed and works here, else the built-in one (builtin.py).

Theory of operation. Both let in one key, the bastion's, and both run every command through files/enter.sh in the
scratch world. sshd runs as whoever runs the demo and logs in as the same: without root it can do nothing else, and
as root the demo makes /run/sshd, which sshd insists on. Whether it works here (an account that is locked, a login shell
that runs nothing, start-up files that print) is found out by a login with the bastion's key; where it does not, the
reason is kept and shown.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bastion.demo.children import Children
from bastion.demo.programs import environment, free_port, listening, make_key
from bastion.errors import BastionError
from bastion.names import LOGIN

SSHD_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/lib/openssh", "/usr/libexec")
"""Where sshd is, beside PATH: Debian and others keep it off everybody's."""

START_SECONDS = 10.0
"""For a target to listen, and again for the login that tries it."""

BUILTIN_LOGIN = "demo"


@dataclass(frozen=True, slots=True)
class Running:
    """A target that listens."""

    what: str
    """For people: what it is."""
    port: int
    login: str
    host_key: str
    """`ssh-ed25519 base64`."""


class Unusable(BastionError):
    """This kind of target does not work here."""


def start(kind: str, children: Children, work: Path, home: Path, credential: Path) -> Running:
    """Start the target: `sshd`, `builtin`, or with `auto` the first of them that works.

    `work` is for its files, `home` the scratch world, `credential` the key that it lets in (FILE.pub beside it).
    Raises Unusable, OSError.
    """
    if kind == "builtin":
        return _builtin(children, work, home, credential, "")
    try:
        return _sshd(children, work, home, credential)
    except Unusable as error:
        if kind == "sshd":
            raise
        return _builtin(children, work, home, credential, error.message)


def find_sshd(path: str) -> str | None:
    """The sshd in `path` or where systems keep it; None if there is none. It has to be called by its full name."""
    return shutil.which("sshd", path=os.pathsep.join([path, *SSHD_PLACES]))


def _sshd(children: Children, work: Path, home: Path, credential: Path) -> Running:
    program = find_sshd(os.environ.get("PATH", ""))
    if program is None:
        raise Unusable("no sshd is installed", "apt install openssh-server")
    login = whoami()
    if not LOGIN.fullmatch(login):
        raise Unusable(f"sshd cannot log in {login!r}")
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = make_key(work / "target_host_key")
    port = free_port()
    config = work / "sshd_config"
    config.write_text(sshd_config(work, home, credential, port))
    log = work / "sshd.log"
    process = children.start("sshd", [program, "-D", "-e", "-f", str(config)], log=log, cwd=work, env=dict(os.environ))
    try:
        _wait(children, process, port, log)
        _try_login(work, port, login, host_key, credential)
    except Unusable:
        children.end(process)
        raise
    return Running(f"OpenSSH sshd ({program})", port, login, host_key)


def whoami() -> str:
    """The account that runs this; `uid N` where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def public(key: Path) -> Path:
    """The public half beside a private key."""
    return key.with_name(f"{key.name}.pub")


def sshd_config(work: Path, home: Path, credential: Path, port: int) -> str:
    """sshd_config(5) for loopback only, one key, no terminal, no forwards, and the scratch world for every command."""
    enter = shlex.join(["/bin/sh", str(home / "lib" / "enter.sh"), str(home)])
    return (
        f"ListenAddress 127.0.0.1:{port}\n"
        f"HostKey {work / 'target_host_key'}\n"
        f"AuthorizedKeysFile {credential.with_suffix('.pub')}\n"
        f"ForceCommand {enter}\n"
        "AuthenticationMethods publickey\n"
        "PermitRootLogin prohibit-password\n"
        "DisableForwarding yes\n"
        "PermitTTY no\n"
        "PermitUserRC no\n"
        "AcceptEnv LANG LC_*\n"
        "PidFile none\n"
        "PrintMotd no\n"
        "UsePAM no\n"
        "StrictModes no\n"  # the key lies in a scratch directory, whose parents may be anybody's
    )


def _try_login(work: Path, port: int, login: str, host_key: str, credential: Path) -> None:
    """Run `true` on it with the bastion's key. Raises Unusable with the reason."""
    known = work / "target_known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {host_key}\n")
    options = {
        "IdentityFile": credential,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": known,
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    try:
        done = subprocess.run(
            ["ssh", "-F", "none", *words, "-p", str(port), f"{login}@127.0.0.1", "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unusable("the sshd here does not answer") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        raise Unusable(f"the sshd here lets {login} run nothing: {lines[-1]}")
    if noise := (done.stdout + done.stderr).decode(errors="replace").strip():  # ~/.bashrc, for one
        raise Unusable(f"the sshd here puts {noise.splitlines()[0]!r} in front of what a command of {login} prints")


def _builtin(children: Children, work: Path, home: Path, credential: Path, why: str) -> Running:
    host_key = make_key(work / "builtin_host_key")
    port = free_port()
    log = work / "builtin.log"
    process = children.start(
        "built-in target",
        [
            *(sys.executable, "-P", "-m", "bastion.demo.builtin"),
            *(str(port), str(work / "builtin_host_key"), str(public(credential)), str(home)),
        ],
        log=log,
        cwd=work,
        env=environment(work),
    )
    _wait(children, process, port, log)
    return Running(f"the built-in SSH target{f' ({why})' if why else ''}", port, BUILTIN_LOGIN, host_key)


def _wait(children: Children, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the process listens. Raises Unusable with its own last words."""
    end = time.monotonic() + START_SECONDS
    while not listening(port):
        if process.poll() is not None or time.monotonic() > end:
            children.end(process)
            lines = log.read_text(errors="replace").strip().splitlines() or ["without a word"]
            program = Path(str(process.args[0])).name  # type: ignore[index]  # a list: Children starts nothing else
            raise Unusable(f"{program} did not start: {lines[-1]}")
        time.sleep(0.01)  # a port that opens wakes nobody
