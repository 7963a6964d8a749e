"""Words of programs that see to a machine: clock, processes, services, kernel, containers; and code of languages that
are not parsed. Pure."""

from __future__ import annotations

import re

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN


def date(word: str) -> list[Act]:
    """`date +%F` prints; `date 0102` sets the clock."""
    return [] if word.startswith("+") else [("clock", word)]


_SET_OPTIONS = frozenset(
    ("errexit", "errtrace", "functrace", "noclobber", "noexec", "noglob", "nounset", "pipefail", "verbose", "xtrace")
)


def set_option(word: str) -> list[Act]:
    """`set -o NAME`; others change how words are read (`posix`, `keyword`) or what is kept (`history`)."""
    return [] if word in _SET_OPTIONS else [("session-change", f"option {word}")]


def tput(word: str) -> list[Act]:
    """`tput init` and `tput reset` may run the program that terminfo names as `iprog` (tput(1))."""
    return [("run-helper", f"terminal program of tput {word}")] if word in ("init", "reset") else []


_INTERPRETED = re.compile(
    r"rmtree|unlink|remove|rmdir|system|popen|subprocess|exec|spawn|socket|connect|urlopen|requests|fork|kill|truncate"
    r"|`|chmod|chown|eval|compile|os\.|write|pty|import\s*\(|FileUtils|File\.|qx|child_process|fs\.|net\."
)


def code(text: str) -> list[Act]:
    """Code of a language that is not parsed here: run, and worse when it names what deletes, connects or runs."""
    dangerous = _INTERPRETED.search(text) is not None
    return [("run-dangerous-code" if dangerous else "run-code", "code given on the command line")]


def container_mount(word: str) -> list[Act]:
    """A host's directory, socket or name space inside a container."""
    host = word.split(":", maxsplit=1)[0].removeprefix("type=bind,")
    risky = word in ("host", "ALL", "SYS_ADMIN") or host in ("/", "/etc", "/root", "/home", "/var/run/docker.sock")
    risky = risky or "source=/," in word or "docker.sock" in word or "unconfined" in word
    return [("container-host", word)] if risky else []


def sysctl(word: str) -> list[Act]:
    """`name=value` sets (sysctl(8))."""
    return [("kernel", word)] if "=" in word else []


def kill(word: str) -> list[Act]:
    """`-1` as a process is every process (kill(1))."""
    if word in ("-l", "-L", "--list", "--table"):
        return [("listed", "")]
    if re.fullmatch(r"-(?:SIG)?(?!1$)[A-Z0-9]+", word):
        return []  # the signal
    if UNKNOWN in word:
        return [("kill-many", "processes that are known only when it runs")]
    return [("kill-many", "every process")] if word == "-1" else [("kill", word)]


def service(word: str) -> list[Act]:
    """The action of `service NAME ACTION`."""
    known = {"status": "listed", "stop": "service-stop", "start": "service-start", "restart": "service-restart"}
    return [(known[word], "")] if word in known else []


def replicas(word: str) -> list[Act]:
    """Scaling to nothing stops what runs (kubectl-scale)."""
    return [("cluster-disrupt", "all replicas")] if word == "0" else []


def nft(word: str) -> list[Act]:
    """A word of nft(8): what begins another command, or another line, changes."""
    return [("firewall", word)] if ";" in word or "\n" in word or UNKNOWN in word else []


def assigned(word: str) -> list[Act]:
    """`name=value` sets, a name alone is shown (postconf(1))."""
    return [("edit", word)] if "=" in word else []


_PARTED = frozenset(
    ("print", "unit", "free", "all", "list", "devices", "align-check", "help", "version", "min", "opt", "s", "b", "%")
) | {f"{size}{unit}" for size in ("k", "m", "g", "t") for unit in ("b", "ib")}


def parted(word: str) -> list[Act]:
    """Commands of parted(8) that only show."""
    return [] if word.lower() in _PARTED or word.isdigit() else [("disk-change", word)]


def tmux_format(word: str) -> list[Act]:
    """A word of tmux(1): one that ends in `;` begins another command, `#(…)` in a format runs one."""
    if word.endswith(";") or "#(" in word or UNKNOWN in word:
        return [("run-helper", word)]
    return []
