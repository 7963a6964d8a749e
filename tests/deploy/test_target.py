"""deploy/target: what is written there, in a real sshd on loopback, asked by a real ssh from the bastion's address
(127.0.0.1 here) and from another (127.0.0.2).

The sshd_config around the drop-in is Debian's in shape and hostile in content: everything that the drop-in must win
against stands behind it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.ports import free_port, listening, wait_until
from tests.support.sshd import LOGIN, SSHD, descendants

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BASTION, ELSEWHERE = "127.0.0.1", "127.0.0.2"

HOSTILE = """
AllowUsers *
PasswordAuthentication yes
PermitUserRC yes
PermitUserEnvironment yes
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
X11Forwarding yes
PermitTunnel yes
DisableForwarding no
"""

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Target:
    """A running sshd."""

    port: int
    key: Path
    work: Path

    def ssh(self, source: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """ssh from `source` to this sshd; ARGS are options and the command."""
        base = ["ssh", "-F", "none", "-b", source, "-p", str(self.port), "-i", str(self.key)]
        fixed = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10")
        hosts = f"UserKnownHostsFile={self.work / 'known_hosts'}"
        options = [word for option in (*fixed, hosts) for word in ("-o", option)]
        command = [*base, *options, *args]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, **env},
            check=False,
        )


def sshd_config(work: Path, *, drop_in: bool, restrict: bool) -> Path:
    """Writes a sshd_config with its keys. `drop_in`: include deploy/target's; `restrict`: its options on the key."""
    host_key = make_key(work / "host")
    agent_key = " ".join(make_key(work / "key").split()[:2])
    allowed = (DEPLOY / "target/authorized_keys").read_text().replace("192.0.2.10", BASTION)
    allowed = re.sub(r"ssh-ed25519 \S+", agent_key, allowed)
    keys = work / "keys"
    keys.mkdir()
    (keys / LOGIN).write_text(allowed if restrict else agent_key)

    included = work / "sshd_config.d"
    included.mkdir()
    if drop_in:
        text = (DEPLOY / "target/10-agent-bastion.conf").read_text().replace("192.0.2.10", BASTION)
        text = text.replace("/etc/ssh/authorized_keys.d/", f"{keys}/")
        (included / "10-agent-bastion.conf").write_text(text)
    port = free_port()
    (work / "known_hosts").write_text(f"[{BASTION}]:{port} {host_key}")
    config = work / "sshd_config"
    config.write_text(
        f"StrictModes no\nUsePAM no\nPidFile none\nListenAddress {BASTION}:{port}\nHostKey {work / 'host'}\n"
        f"Include {included}/*.conf\nAuthorizedKeysFile {keys}/%u\n{HOSTILE}"
    )
    return config


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A sshd as a target has it; parametrised by the parts of deploy/target that it gets."""
    parts = getattr(request, "param", {"drop_in": True, "restrict": True})
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd as root refuses to start without it
    config = sshd_config(tmp_path, **parts)
    port = int((tmp_path / "known_hosts").read_text().split("]:")[1].split()[0])
    process = subprocess.Popen([SSHD, "-D", "-f", config, "-E", tmp_path / "log"], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening(port) or process.poll() is not None, "sshd listens")
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield Target(port, tmp_path / "key", tmp_path)
    finally:
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)


def test_bastion_is_accepted(target: Target) -> None:
    done = target.ssh(BASTION, BASTION, "echo in; exit 7")
    assert (done.stdout, done.returncode) == ("in\n", 7), done.stderr


PARTS = {
    "both": {"drop_in": True, "restrict": True},
    "drop-in alone": {"drop_in": True, "restrict": False},
    "key options alone": {"drop_in": False, "restrict": True},
}
each_part = pytest.mark.parametrize("target", PARTS.values(), ids=PARTS, indirect=True)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (PARTS["both"], "no authentication methods enabled"),
        (PARTS["drop-in alone"], "no authentication methods enabled"),
        (PARTS["key options alone"], "Permission denied (publickey"),
    ],
    ids=PARTS,
    indirect=["target"],
)
def test_elsewhere_is_refused(target: Target, why: str) -> None:
    done = target.ssh(ELSEWHERE, BASTION, "echo in")
    assert (done.stdout, done.returncode) == ("", 255)
    assert why in done.stderr


@pytest.mark.parametrize("target", [pytest.param({"drop_in": False, "restrict": False}, id="nothing")], indirect=True)
def test_elsewhere_gets_in_without_it(target: Target) -> None:
    """The control of the test above: the same key, sshd and address, without what deploy/target adds."""
    done = target.ssh(ELSEWHERE, BASTION, "echo in")
    assert done.stdout == "in\n", done.stderr


@each_part
def test_agent_and_tcp_forwards_are_refused(target: Target) -> None:
    done = target.ssh(
        BASTION, "-A", BASTION, 'echo "agent:$SSH_AUTH_SOCK"', SSH_AUTH_SOCK=str(target.work / "no-agent")
    )
    assert done.stdout == "agent:\n", done.stderr
    done = target.ssh(BASTION, "-W", f"{BASTION}:{target.port}", BASTION)
    assert done.returncode != 0
    assert "SSH-2.0" not in done.stdout


def test_environment_is_the_locale_only(target: Target) -> None:
    sent = "LANG=C.UTF-8 LC_TIME=C BASH_ENV=/nowhere GIT_PAGER=false BASTION_PROBE=1"
    done = target.ssh(BASTION, "-o", f"SetEnv={sent}", BASTION, "env")
    assert {word for word in sent.split() if word in done.stdout.splitlines()} == {"LANG=C.UTF-8", "LC_TIME=C"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (BASTION, {"denyusers": None, "pubkeyauthentication": "yes"}),
        (ELSEWHERE, {"denyusers": "*", "pubkeyauthentication": "no"}),
    ],
)
def test_what_sshd_understands(tmp_path: Path, source: str, expected: dict[str, str | None]) -> None:
    """`sshd -t` accepts it without a word, and `sshd -T` shows that the drop-in won against what stands behind it."""
    config = sshd_config(tmp_path, drop_in=True, restrict=True)
    checked = subprocess.run([SSHD, "-t", "-f", config], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

    who = f"user={LOGIN},host=host,addr={source},laddr={BASTION},lport=22"
    shown = subprocess.run([SSHD, "-T", "-f", config, "-C", who], capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(" ", 1) for line in shown.splitlines())
    off = ("allowtcpforwarding", "allowstreamlocalforwarding", "allowagentforwarding", "x11forwarding", "permittunnel")
    won = {**dict.fromkeys((*off, "permituserrc", "permituserenvironment", "passwordauthentication"), "no"), **expected}
    assert {name: settings.get(name) for name in won} == won
    assert settings["disableforwarding"] == "yes"
    assert settings["authenticationmethods"] == "publickey"
