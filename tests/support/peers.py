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
