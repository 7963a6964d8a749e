"""deploy/target/apply: writes, checks with a real sshd, puts back what was there when a check fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import SSHD

APPLY = Path(__file__).resolve().parents[2] / "deploy" / "target" / "apply"

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not shutil.which(SSHD), reason="no sshd")]


class Host:
    """A tree with a sshd_config as Debian has it, whose host key is real."""

    def __init__(self, root: Path, *, more: str = "", include: bool = True) -> None:
        self.root, self.ssh = root, root / "etc/ssh"
        self.parts = self.ssh / "sshd_config.d"
        self.parts.mkdir(parents=True)
        make_key(self.ssh / "host_key")
        first = f"# Debian's\n\nInclude {self.parts}/*.conf\n" if include else ""
        (self.ssh / "sshd_config").write_text(f"{first}HostKey {self.ssh}/host_key\nUsePAM no\n{more}")
        make_key(root / "key")

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        fixed = ["--bastion", "192.0.2.44", "--login", "deploy", "--root", str(self.root)]
        return subprocess.run([APPLY, *fixed, *words], capture_output=True, text=True, check=False, timeout=60)

    def files(self) -> dict[str, str]:
        return {str(each.relative_to(self.ssh)): each.read_text() for each in self.ssh.rglob("*") if each.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, more="PasswordAuthentication yes\nAllowTcpForwarding yes\nX11Forwarding yes\n")


def test_a_key_and_again(host: Host) -> None:
    done = host.apply("--key", str(host.root / "key.pub"))
    assert done.returncode == 0, done.stderr
    assert "192.0.2.10" not in (host.parts / "10-agent-bastion.conf").read_text()
    allowed = (host.ssh / "authorized_keys.d/deploy").read_text()
    key = " ".join((host.root / "key.pub").read_text().split()[:2])
    assert allowed == f'from="192.0.2.44",restrict,pty {key} agent-bastion\n'
    again = host.apply("--key", str(host.root / "key.pub"))
    assert (again.returncode, "wrote /" in again.stdout) == (0, False)
    assert host.apply("--check").returncode == 0


def test_certificates(host: Host) -> None:
    done = host.apply("--ca", str(host.root / "key.pub"))
    assert done.returncode == 0, done.stderr
    assert set(host.files()) >= {"agent-bastion-ca.pub", "sshd_config.d/20-agent-bastion-ca.conf"}
    assert host.apply("--check").returncode == 0
    (host.parts / "05-first.conf").write_text("TrustedUserCAKeys /etc/other\n")
    checked = host.apply("--check")
    assert (checked.returncode, "trustedusercakeys is /etc/other" in checked.stderr) == (1, True)


@pytest.mark.parametrize(
    ("earlier", "why"),
    [
        ("PasswordAuthentication yes", "passwordauthentication is yes"),
        ("ForceCommand /bin/false", "ForceCommand is /bin/false"),
        ("PermitUserRC yes", "permituserrc is yes"),
        ("Nonsense yes", "Bad configuration option"),
    ],
)
def test_what_wins_over_it_is_seen_and_everything_is_put_back(host: Host, earlier: str, why: str) -> None:
    (host.parts / "00-cloud.conf").write_text(f"{earlier}\n")
    (host.parts / "10-agent-bastion.conf").write_text("# of somebody\n")
    before = host.files()
    done = host.apply("--key", str(host.root / "key.pub"))
    assert done.returncode == 1
    assert why in done.stderr
    assert host.files() == before


def test_a_check_of_a_host_that_is_not_one(host: Host) -> None:
    before = host.files()
    done = host.apply("--check")
    assert (done.returncode, "is not as the bastion needs it" in done.stderr) == (1, True)
    assert host.files() == before


def test_a_configuration_that_does_not_include_it(tmp_path: Path) -> None:
    host = Host(tmp_path, include=False)
    done = host.apply("--key", str(host.root / "key.pub"))
    assert (done.returncode, "first line" in done.stderr) == (1, True)
    assert not list(host.parts.iterdir())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--bastion", "x; id", "--check"), "an IP address"),
        (("--bastion", "192.0.2.1\nPermitRootLogin yes", "--check"), "an IP address"),
        (("--login", "../../x", "--check"), "name of an account"),
        (("--login", "-x", "--check"), "name of an account"),
        (("--key", "/nonexistent"), "there is no"),
        (("--key", "/etc/passwd"), "not one public key"),
        ((), "--key FILE.pub"),
        (("--what",), "no option"),
        (("--key",), "takes a value"),
    ],
)
def test_what_it_does_not_take(host: Host, words: tuple[str, ...], why: str) -> None:
    before = host.files()
    done = host.apply(*words)
    assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    assert host.files() == before


def test_a_key_with_options_or_a_second_line_is_none(host: Host) -> None:
    key = (host.root / "key.pub").read_text()
    for text in (f'command="id" {key}', f"{key}{key}", "ssh-dss AAAA x\n", f"#{key}"):
        (host.root / "odd.pub").write_text(text)
        done = host.apply("--key", str(host.root / "odd.pub"))
        assert done.returncode == 1, text
        assert not (host.ssh / "authorized_keys.d").exists() or not list((host.ssh / "authorized_keys.d").iterdir())
