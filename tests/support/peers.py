"""Other people's SSH software in Python, in an environment of its own: nothing of it is in requirements.lock.

`install` makes the environment under the cache directory, from wheels only, so nothing runs at install time. A file
beside it says what it was made of, and is written last: an interrupted installation is made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "ssh-mitm==6.0.1"
"""It brings paramiko 5.0.0, which it pins."""
SECONDS = 300
"""For one installation, which takes 16 s on a fast line."""

HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-bastion" / "peers"
PYTHON = HOME / "venv" / "bin" / "python"


LAUNCH = """
import sys
from paramiko.auth_handler import AuthHandler
from sshmitm.workarounds import auth_handler
auth_handler.auth_handler_parse_service_request = AuthHandler._parse_service_request
from sshmitm.cli import main
sys.argv[0] = "ssh-mitm"
sys.exit(main())
"""
"""6.0.1 sends a second SSH_MSG_EXT_INFO after SERVICE_ACCEPT, on which OpenSSH clients before 9.5 (Debian 12 has 9.2)
end the connection ("bad message during authentication: type 7"). With paramiko's own function they log in."""


def mitm_command(port: int, host_key: Path, target: int, login: str, credential: Path, logs: Path) -> list[str]:
    """ssh-mitm on a port of loopback, in front of an sshd on another, which it logs in to with its own key."""
    upstream = ["--remote-host", "127.0.0.1", "--remote-port", str(target)]
    upstream += ["--auth-username", login, "--auth-key", str(credential), "--accept-first-publickey"]
    own = ["--listen-address", "127.0.0.1", "--listen-port", str(port), "--max-connections", "0"]
    own += ["--host-key-algorithms", "ed25519", "--host-key-ed25519", str(host_key)]
    return [str(PYTHON), "-c", LAUNCH, "server", *own, *upstream, "--session-log-dir", str(logs)]


def _made_of() -> str:
    return f"{PACKAGE}\n{sys.version}\n"


def installed() -> bool:
    """Whether it is there, whole."""
    try:
        return PYTHON.exists() and (HOME / "made.of").read_text() == _made_of()
    except OSError:
        return False


def install() -> str:
    """Make it if it is not there; returns why that is impossible, or nothing."""
    try:
        HOME.mkdir(parents=True, exist_ok=True)
        with (HOME / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if installed():
                return ""
            (HOME / "made.of").unlink(missing_ok=True)
            shutil.rmtree(HOME / "venv", ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(HOME / "venv"))
            pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
            _run(str(PYTHON), *pip, "--only-binary", ":all:", PACKAGE)
            (HOME / "made.of").write_text(_made_of())
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        return f"{PACKAGE} could not be installed: {last or error}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{PACKAGE} could not be installed: {error}"
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
