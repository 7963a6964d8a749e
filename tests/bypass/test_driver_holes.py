"""Four holes that an earlier driver had, and what else approved commands can try on the shell that runs them.

Each hole is shown twice: with the driver as it is, where nothing runs that was not sent as a command, and with the one
fix taken out (here, in the test: the product has no such switch), where the attack works. A test that passes without
the fix shows nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion import ids
from bastion.gate import driver as program
from bastion.gate import frames
from bastion.gate import shell_events as ev
from bastion.ssh.driver import Driver
from tests.support.governed import Governed, governed, plain_home, posix
from tests.support.ports import until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e

KINDS = ["bash", "/bin/dash", "/bin/busybox sh"]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    target = plain_home(tmp_path_factory.mktemp("target"))
    target.start()
    yield target
    target.stop()


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def pid_of(shell: Governed) -> int:
    made = shell.driver._made
    assert made is not None
    return made.pid


# --- 1: ^C while the shell still reads a frame -----------------------------------------------------------------------


def naive_run(command: bytes, start: str, done: str, **_: object) -> bytes:
    """A frame of several lines, as a here-document: what the first driver sent."""
    load = b"IFS= \\builtin read -r -d '' __b_c <<'E%s'\n%s\nE%s\n" % (start.encode(), command, start.encode())
    begin = b'__b_i=%s; \\__b_s %s; \\builtin eval "$__b_c" <&7 7<&- 8>&-\n' % (start.encode(), start.encode())
    return load + begin + frames.finish(done)


def read_by(shell: Governed) -> int:
    """Bytes that the shell has read so far (proc_pid_io(5)); from a pipe it takes one at a time."""
    return int(Path(f"/proc/{pid_of(shell)}/io").read_text().split()[1])


async def interrupt_while_it_reads(sshd: Sshd, canary: Path, cut: float) -> None:
    """The network delivers a frame in two pieces, and the interrupt comes when the shell has read the first."""
    inert = b": <<'E'\n" + b"touch %s\n" % str(canary).encode() * 40 + b"E\n"
    async with governed(sshd) as shell:
        rest, control, first = b"", shell.driver._control, read_by(shell)
        write = control.write

        def in_pieces(data: bytes) -> None:
            nonlocal rest, first
            at = int(len(data) * cut)
            rest = data[at:]
            first += at
            write(data[:at])

        control.write = in_pieces  # type: ignore[method-assign]
        await shell.driver.run("n", inert)
        control.write = write  # type: ignore[method-assign]
        shell.driver._interrupted = lambda _nonce: None  # type: ignore[method-assign]  # it would end the shell here already
        await until(lambda: read_by(shell) >= first, "the shell reads the first piece")
        for _ in range(3):
            await asyncio.sleep(0.01)  # until it is at the builtin that reads on
            os.kill(pid_of(shell), signal.SIGINT)
        await asyncio.sleep(0.01)
        write(rest)
        write(frames.finish(ids.nonce()))
        await until(lambda: shell.failed or shell.of(ev.CommandDone) or canary.exists(), "it settles")


@pytest.mark.parametrize("cut", [0.03, 0.2, 0.5, 0.8, 0.95, 0.97, 0.99])
async def test_an_interrupt_in_a_frame_makes_no_command(sshd: Sshd, canary: Path, cut: float) -> None:
    await interrupt_while_it_reads(sshd, canary, cut)
    assert not canary.exists()


async def test_without_inert_frames_it_does(sshd: Sshd, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "run", naive_run)
    await interrupt_while_it_reads(sshd, canary, 0.5)
    assert canary.exists()


# --- 2: input that was typed and not read ----------------------------------------------------------------------------


async def leave_input_behind(sshd: Sshd, canary: Path) -> None:
    async with governed(sshd) as shell:
        nonce = await shell.begin("sleep 0.2")
        shell.driver.send(b"touch %s\n" % str(canary).encode() * 2 + b"touch unfinished")
        await shell.finished(nonce)
        nonce = await shell.begin("sh; echo over")
        await until(lambda: b"$ " in shell.text or b"# " in shell.text, "sh asks")
        shell.driver.send(b"\nexit\n")
        await shell.finished(nonce)


async def test_the_next_command_does_not_read_it(sshd: Sshd, canary: Path) -> None:
    await leave_input_behind(sshd, canary)
    assert not canary.exists()


async def test_without_the_flush_it_does(sshd: Sshd, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_flush(self: Driver) -> bool:
        return True

    monkeypatch.setattr(Driver, "flush", no_flush)
    await leave_input_behind(sshd, canary)
    assert canary.exists()


# --- 3: descriptors in which the shell keeps its pipe ----------------------------------------------------------------


async def repoint(sshd: Sshd, canary: Path, how: str) -> Governed:
    evil = canary.with_name("evil")
    evil.write_text(f"touch {canary}\n" * 300)
    async with governed(sshd) as shell:
        for number, command in enumerate((how.replace("EVIL", str(evil)), "true", "true")):
            if shell.failed is None and not canary.exists():
                await shell.driver.run(f"x{number}", command.encode())
                await until(
                    lambda n=number: shell.failed or canary.exists() or len(shell.of(ev.CommandDone)) > n, "it ends"
                )
        return shell


REPOINT = [
    "exec 0<EVIL",
    "exec 7<EVIL",
    "exec 10<EVIL 11<EVIL 12<EVIL 13<EVIL 14<EVIL 15<EVIL",
    "exec 0<EVIL; exec 10<EVIL",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", REPOINT)
async def test_a_file_does_not_become_commands(
    sshd: Sshd, canary: Path, how: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posix(monkeypatch, kind)
    await repoint(sshd, canary, how)
    assert not canary.exists()


async def test_not_even_by_a_debug_trap(sshd: Sshd, canary: Path) -> None:
    shell = await repoint(sshd, canary, "trap 'exec 0<EVIL' DEBUG")
    assert not canary.exists()
    assert shell.failed is not None


@pytest.mark.parametrize(
    ("kind", "how"), [("bash", "trap 'exec 0<EVIL' DEBUG"), ("/bin/busybox sh", REPOINT[2])], ids=["bash", "busybox"]
)
async def test_without_the_guard_it_does(
    sshd: Sshd, canary: Path, kind: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posix(monkeypatch, kind)
    monkeypatch.setattr(program, "BASH", program.BASH.replace("\\builtin kill -9 $$", ":"))
    monkeypatch.setattr(program, "POSIX", program.POSIX.replace("\\kill -9 $$", ":"))
    await repoint(sshd, canary, how)
    assert canary.exists()


# --- 4: marks on a descriptor of the command -------------------------------------------------------------------------


async def test_marks_do_not_go_where_output_goes(sshd: Sshd, tmp_path: Path) -> None:
    async with governed(sshd) as shell:
        assert await shell.run(f"exec >{tmp_path / 'out'} 2>&1") == (0, b"")
        assert await shell.run("echo hidden") == (0, b"")
        assert await shell.run("exec >/dev/tty 2>&1") == (0, b"")
        assert await shell.run("echo seen") == (0, b"seen\r\n")
    assert (tmp_path / "out").read_text() == "hidden\n"


async def test_without_a_private_descriptor_they_do(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "BASH", program.BASH.replace(">&8", ">&1"))
    async with governed(sshd) as shell:
        await shell.begin(f"exec >{tmp_path / 'out'} 2>&1")
        await until(lambda: (tmp_path / "out").exists() and b"7770;D" in (tmp_path / "out").read_bytes(), "the mark")
        assert not shell.of(ev.CommandDone)


# --- ^C at the end of a command --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupt_as_the_command_ends_loses_nothing(
    sshd: Sshd, canary: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """^C at random moments about the end: the end is always reported, and the shell goes on."""
    posix(monkeypatch, kind)
    chance = random.Random(kind)
    async with governed(sshd) as shell:
        for _ in range(25):
            nonce = await shell.begin("sleep 0.01; true")
            await asyncio.sleep(chance.uniform(0, 0.018))
            for _ in range(chance.randint(1, 4)):
                shell.driver.control("^C")
                await asyncio.sleep(chance.uniform(0, 0.002))
            assert await shell.finished(nonce) in (0, 130)
        status, text = await shell.run("echo still here")
        assert status == 0
        assert text.endswith(b"still here\r\n")  # a late ^C is echoed before it
        assert shell.failed is None
        assert not shell.of(ev.SpoofSeen)
