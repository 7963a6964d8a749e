"""The programs on the target: whatever the login shell is, it reads them alike."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from bastion.gate import driver, frames

MARK, NAME = frames.nonce_of(5), ".bastion-00ff"
COMMANDS = {
    "tty": driver.bootstrap(MARK, NAME, terminal=True),
    "pipe": driver.bootstrap(MARK, NAME, terminal=False),
    "control": driver.control(MARK, NAME),
    "observer": driver.observer("/dev/pts/3", 77),
    "inner": driver.inner("", MARK, NAME),
    "inside": driver.inner("docker exec -i web ", MARK, NAME),
}
SHELLS = ["bash", "dash", "zsh", "fish", "mksh", "busybox"]


@pytest.mark.parametrize("what", COMMANDS)
def test_quoting(what: str) -> None:
    """Nothing that one shell reads differently from another inside single quotes, and quotes only round the program."""
    text = COMMANDS[what].decode("ascii")
    before, program, behind = text.split("'")
    assert re.fullmatch(r"exec [ -&(-~]*/bin/sh -c ", before)
    assert re.fullmatch(r"[ -~]+", program)
    assert "!" not in program
    assert not re.search(r"\\(?![0-9])", program)
    assert re.fullmatch(r"[A-Za-z0-9./ -]+", behind)
    assert len(text) < 8192


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("what", COMMANDS)
def test_each_shell_parses_it(shell: str, what: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    program = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run([*program, "-n", "-c", COMMANDS[what]], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("kind", "shell"), [("bash", "bash"), ("sh", "dash"), ("sh", "bash")])
def test_the_functions_parse(kind: str, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    text = driver.functions(kind, control=12, interrupts=frames.nonce_of(1), ready=frames.nonce_of(2))
    assert subprocess.run([shell, "-n"], input=text, capture_output=True, check=True).stderr == b""
    assert text.endswith(f"\\__b_a {frames.nonce_of(2)}\n".encode())


def test_words_that_could_be_something_else_are_refused() -> None:
    for name in ("", "a b", "a'b", "$(x)", "a/b", "a" * 81):
        with pytest.raises(ValueError, match="name"):
            driver.bootstrap(MARK, name, terminal=True)
    assert driver.place(1, 77, terminal=True) == b"1 77 1\n"
