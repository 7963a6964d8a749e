"""Governed shells on `--credential ca`: a real sshd that trusts the bastion's authority and nobody's key, with every
login shell. Then what the shell's own certificate is worth to somebody who has it, key and all."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.gate.dispatch import CONTROL, INNER, OBSERVER, REFUSAL, REFUSED_STATUS, SHELL, Dispatched, command
from bastion.gate.frames import nonce_of
from bastion.mint import FORCED_LIMIT, Mint
from bastion.ssh.driver import Driver
from tests.support.governed import SCREEN, Governed, plain_home
from tests.support.ports import until
from tests.support.sshd import LOGIN

pytestmark = pytest.mark.e2e

REFUSED = (asyncssh.Error, asyncssh.ChannelListenError, OSError, EOFError)
LOGINS = ["bash", "dash", "zsh", "fish", "tcsh", "mksh", "busybox sh"]


class Trusting:
    """A target that lets in whoever the authority certified."""

    def __init__(self, work: Path, login: str = "") -> None:
        self.authority = asyncssh.generate_private_key("ssh-ed25519")
        keys = (Path("/run/sshd") if os.geteuid() == 0 else work) / f"bastion-test-{secrets.token_hex(6)}"
        keys.parent.mkdir(exist_ok=True)
        keys.write_bytes(self.authority.export_public_key())
        self._keys = keys
        force = f'ForceCommand {login} -c "$SSH_ORIGINAL_COMMAND"' if login else ""
        self.sshd = plain_home(work / "sshd", f"TrustedUserCAKeys {keys}\n{force}")
        self.sshd.start()

    def close(self) -> None:
        self.sshd.stop()
        self._keys.unlink()

    def pair(self, forced: str, *, terminal: bool = True) -> Any:
        """(key, certificate), as the mint signs them."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        public = asyncssh.import_public_key(key.export_public_key())
        mint = Mint(self.authority, None, None, "test")  # type: ignore[arg-type]  # signs without looking into a ledger
        return key, asyncssh.import_certificate(mint._sign(public, forced, LOGIN, "x", time.time(), terminal=terminal))

    def connect(self, pair: Any, **more: Any) -> Any:
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{self.sshd.port} {self.sshd.host_key}")
        fixed = {"username": LOGIN, "known_hosts": known, "config": None, "agent_path": None}
        return asyncssh.connect("127.0.0.1", self.sshd.port, client_keys=[pair], **{**fixed, **more})


def programs(*, terminal: bool = True) -> Dispatched:
    return Dispatched(nonce_of(secrets.randbits(128)), f".bastion-{secrets.token_hex(12)}", terminal)


@asynccontextmanager
async def certified(target: Trusting, asked: Dispatched) -> AsyncIterator[Governed]:
    connection = await target.connect(target.pair(asked.forced(), terminal=asked.terminal))
    shell = Governed()
    shell.driver = Driver(connection, shell, terminal=SCREEN if asked.terminal else None, programs=asked)
    try:
        await shell.driver.start()
        yield shell
    finally:
        async with asyncio.timeout(20):
            await shell.driver.close()
        connection.abort()
        await connection.wait_closed()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    made = Trusting(tmp_path_factory.mktemp("target"))
    yield made
    made.close()


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_the_forced_command_is_read_alike(tmp_path: Path, login: str, terminal: bool) -> None:
    """In the place of sshd, which would give it to the account's own login shell: the same words, the same variable."""
    program = login.split(maxsplit=1)[0]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    asked = programs(terminal=terminal)
    script = tmp_path / "forced"
    script.write_text(asked.forced())
    os.chmod(script, 0o644)
    wrapper = f'exec {login} -c "$(cat {script})"'
    target = Trusting(tmp_path)
    try:
        connection = await target.connect(target.pair(wrapper, terminal=terminal))
        shell = Governed()
        shell.driver = Driver(connection, shell, terminal=SCREEN if terminal else None, programs=asked)
        await shell.driver.start()
        status, said = await shell.run("echo $((6*7))")
        assert (status, said.strip()) == (0, b"42"), shell.events
        if terminal:
            tty = await shell.driver.observe()
            assert tty is not None
            assert tty.echo
        for other in ("id", "bastion-shell; id", "bastion-shellx", ""):
            done = await connection.run(other, check=False)
            assert (done.stdout, done.exit_status) == ("", REFUSED_STATUS), (other, done)
        await shell.driver.close()
        connection.abort()
    finally:
        target.close()


async def test_a_shell_over_its_certificate(target: Trusting) -> None:
    async with certified(target, programs()) as shell:
        assert await shell.run("cd /usr; false") == (1, b"")
        assert await shell.run("echo $? $PWD") == (0, b"1 /usr\r\n")
        assert (await shell.driver.observe()) is not None
    async with certified(target, programs(terminal=False)) as shell:
        assert await shell.run("echo out; echo err >&2") == (0, b"out\n")


async def test_stolen_it_runs_nothing_but_its_programs(target: Trusting, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    asked = programs()
    pair = target.pair(asked.forced())
    async with target.connect(pair) as connection:
        words = [word.decode() for word in (SHELL, CONTROL, OBSERVER, INNER)]
        attempts = [
            "id", "sh", "bash -i", f"touch {canary}", f"exec touch {canary}", "scp -t /tmp", "scp -f /etc/passwd",
            "/usr/lib/openssh/sftp-server", "rsync --server . /tmp", "git-upload-pack /tmp", "$(id)", "`id`", "*", "?*",
            "bastion-*", *(f"{word} {tail}" for word in words for tail in (f"; touch {canary}", "x")),
            *(f"{word}\ntouch {canary}" for word in words), *(f" {word}" for word in words),
            *(word.upper() for word in words), asked.forced(), "x" * 1000,
        ]  # fmt: skip
        for attempt in attempts:
            done = await connection.run(attempt, check=False)
            assert (done.stdout, done.exit_status) == ("", REFUSED_STATUS), attempt
            assert done.stderr == f"{REFUSAL}\n", attempt
        async with connection.create_process(term_type="xterm") as login_shell:  # a shell, not an exec
            login_shell.stdin.write(f"touch {canary}\n")
            done = await login_shell.wait()
            assert done.exit_status == REFUSED_STATUS
        with pytest.raises(REFUSED):
            async with connection.start_sftp_client() as sftp:
                await sftp.mkdir(str(canary))
        with pytest.raises(REFUSED):
            await connection.open_connection("127.0.0.1", target.sshd.port)
        with pytest.raises(REFUSED):
            await connection.open_unix_connection(str(tmp_path / "socket"))
        with pytest.raises(REFUSED):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)
        with pytest.raises(REFUSED):
            await connection.forward_remote_path(str(tmp_path / "listen"), "127.0.0.1")
    assert not canary.exists()


async def test_stolen_openssh_gets_no_agent_and_no_forward(target: Trusting, tmp_path: Path) -> None:
    """With the stock client, which asks for what ours never would."""
    key, certificate = target.pair(programs().forced())
    (tmp_path / "key").write_bytes(key.export_private_key())
    os.chmod(tmp_path / "key", 0o600)
    (tmp_path / "key-cert.pub").write_bytes(certificate.export_certificate())
    (tmp_path / "known").write_text(f"[127.0.0.1]:{target.sshd.port} {target.sshd.host_key}")
    listening = tmp_path / "agent"
    agent = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", str(listening), stdout=asyncio.subprocess.DEVNULL
    )
    base = [
        "-F", "none", "-i", str(tmp_path / "key"), "-o", f"UserKnownHostsFile={tmp_path / 'known'}",
        "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip
    there = ["-p", str(target.sshd.port), f"{LOGIN}@127.0.0.1"]
    environment = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": str(listening), "HOME": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words, env=environment, capture_output=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )

    try:
        await until(listening.exists, "the agent listens")
        refused = await asyncio.to_thread(run, "ssh", "-A", *base, *there, "env")
        assert (refused.returncode, refused.stdout) == (REFUSED_STATUS, b"")
        # the control program waits for its line, so its environment can be looked at: no agent in it
        asked = await asyncio.create_subprocess_exec(
            "ssh", "-A", *base, *there, CONTROL.decode(), stdin=asyncio.subprocess.PIPE, env=environment
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asked.wait()
        mine = [path for path in Path("/proc").glob("[0-9]*/environ") if _has(path, b"SSH_ORIGINAL_COMMAND=" + CONTROL)]
        assert mine
        assert not any(_has(path, b"SSH_AUTH_SOCK") for path in mine)
        assert asked.stdin is not None
        asked.stdin.close()
        await asked.wait()
        for forward in (["-W", f"127.0.0.1:{target.sshd.port}"], ["-s", "sftp"]):
            words = ["ssh", *base, *forward[:1], *forward[1:], *there] if forward[0] == "-W" else [
                "ssh", *base, "-s", *there, "sftp"]  # fmt: skip
            outcome = await asyncio.to_thread(run, *words)
            assert outcome.returncode != 0
            assert outcome.stdout == b""
        port = ["-P", str(target.sshd.port)]
        for mode in ([], ["-O"]):
            copied = await asyncio.to_thread(
                run, "scp", *mode, *base, *port, f"{LOGIN}@127.0.0.1:/etc/hostname", str(tmp_path / "copy")
            )
            assert copied.returncode != 0
        assert not (tmp_path / "copy").exists()
    finally:
        agent.terminate()
        await agent.wait()


def _has(path: Path, text: bytes) -> bool:
    try:
        return text in path.read_bytes().split(b"\0") or any(
            each.startswith(text + b"=") for each in path.read_bytes().split(b"\0")
        )
    except OSError:
        return False


async def test_what_the_observer_and_the_inner_program_are_told(target: Trusting, tmp_path: Path) -> None:
    """Their first line is data, whatever stands in it."""
    canary = tmp_path / "canary"
    async with target.connect(target.pair(programs().forced())) as connection:
        lines = [
            f"$(touch {canary}) x",
            f"`touch {canary}` `touch {canary}`",
            f"; touch {canary}",
            "-e -e",
            '" "',
            "' '",
        ]
        for line in [*lines, f"1 ../../{str(canary).lstrip('/')}", "/dev/tty ../../etc", "\\ \\", ""]:
            for word in (OBSERVER, INNER):
                done = await connection.run(word.decode(), input=f"{line}\nx\n", check=False, encoding="utf-8")
                assert done.exit_status is not None
    assert not canary.exists()


@pytest.mark.parametrize("login", LOGINS)
async def test_a_command_with_a_terminal_and_its_observer(tmp_path: Path, login: str) -> None:
    """The approved bytes run as the login shell would have run them; only the observer's word runs anything else."""
    program = login.split(maxsplit=1)[0]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    quoted = b"\"a  b\" '\\n!' " if login != "tcsh" else b"'a  b'"
    text = b"printf '%s|' " + quoted + b"; tty; head -n 1"
    script = tmp_path / "forced"
    script.write_text(command(text))
    target = Trusting(tmp_path)
    login_shell = shutil.which(program) if program != "busybox" else pwd.getpwnam(LOGIN).pw_shell
    try:
        wrapper = f'export SHELL={login_shell}; exec {login} -c "$(cat {script})"'
        async with (
            target.connect(target.pair(wrapper)) as connection,
            connection.create_process("anything at all", term_type="xterm") as running,
        ):
            said = await running.stdout.readuntil("pts/")
            assert said.startswith("a  b|")
            observer = await connection.create_process(OBSERVER.decode())
            observer.stdin.write("7\n")
            assert await observer.stdout.readline() == "O;7;1;1;\n"
            observer.stdin.write_eof()
            running.stdin.write("\n")
            assert (await running.wait()).exit_status == 0
    finally:
        target.close()


async def test_the_longest_with_a_terminal(target: Trusting) -> None:
    text = b"echo end"
    most = text.rjust((FORCED_LIMIT - len(command(text))) // 6 + len(text))
    assert FORCED_LIMIT - 6 < len(command(most)) <= FORCED_LIMIT
    async with target.connect(target.pair(command(most))) as connection:
        assert (await connection.run("x", term_type="xterm")).stdout == "end\r\n"


def test_no_shell_without_its_nonce_and_directory() -> None:
    good = programs()
    wrong = [("1", good.name), (good.mark, "x"), (good.mark, f"{good.name}; id"), (f"{good.mark} ", good.name)]
    for mark, name in wrong:
        with pytest.raises(ValueError, match="nonce and directory"):
            Dispatched(mark, name, True).forced()
