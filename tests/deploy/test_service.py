"""deploy/bastion.service: does the real daemon do its job under what the unit takes away?

systemd itself is not needed: a process that has given up the same things by prctl(2) and setpriv(1) keeps them given up
across exec. The unit's file rules and system call filter are not covered here.
"""

from __future__ import annotations

import configparser
import ctypes
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.sshd import Sshd

UNIT = Path(__file__).resolve().parents[2] / "deploy/bastion.service"

DENY_EXEC_GAIN = """
import ctypes, os, resource, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit("this kernel has no PR_SET_MDWE (Linux 6.3)")
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.umask(0o077)
os.execvp(sys.argv[1], sys.argv[1:])
"""
PR_GET_MDWE = 66
KERNEL_KNOWS = ctypes.CDLL(None).prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0

CAPLESS = ("setpriv", "--no-new-privs", *(("--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()))
HARDENED = (*CAPLESS, sys.executable, "-c", DENY_EXEC_GAIN)

needs_kernel = pytest.mark.skipif(not KERNEL_KNOWS, reason="PR_SET_MDWE came with Linux 6.3")


def unit() -> configparser.RawConfigParser:
    """The unit's settings; of a repeated key the last."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser


@needs_kernel
def test_memory_rule_is_felt() -> None:
    """The control: under HARDENED, memory that is writable and executable cannot be had."""
    program = f"import mmap; mmap.mmap(-1, 4096, prot={mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC})"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    refused = subprocess.run([*HARDENED, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "PermissionError" in refused.stderr


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A bastion whose daemon has given up what the unit takes away."""
    sshd = Sshd(tmp_path / "target")
    sshd.start()
    made = House(tmp_path / "house")
    made.add_target("web-1", sshd)
    try:
        made.start(program=(*HARDENED, sys.executable, "-m", "bastion"))
        yield made
    finally:
        made.stop()
        sshd.stop()


@pytest.mark.e2e
@needs_kernel
async def test_does_its_job_without(house: House) -> None:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{house.pid}/status").read_text().splitlines())
    assert int(status["CapBnd"] if os.geteuid() == 0 else "0", 16) == 0
    assert (status["NoNewPrivs"].strip(), int(status["CapEff"], 16)) == ("1", 0)

    ana = await house.remote("ana")
    agent = await house.ssh("web-1", "echo done; exit 3")
    await house.decide(ana)
    outcome = await house.finish(agent)
    await ana.close()
    assert (outcome.status, outcome.stdout) == (3, b"done\n"), outcome.stderr


def test_unit_says_so() -> None:
    """What the tests here stand for is what the unit asks for."""
    service = unit()["Service"]
    asked = {
        name: service[name]
        for name in ("MemoryDenyWriteExecute", "NoNewPrivileges", "CapabilityBoundingSet", "LimitCORE")
    }
    assert asked == {
        "MemoryDenyWriteExecute": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "LimitCORE": "0",
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """No unknown setting; exposure as low as a network service can have (systemd's own scale: below 2 is OK)."""
    here = tmp_path / "bastion.service"
    here.write_text(UNIT.read_text().replace("/opt/agent-bastion/.venv/bin/bastion", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    threshold = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", here]
    assert subprocess.run(threshold, capture_output=True, check=False).returncode == 0
