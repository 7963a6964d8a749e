"""The driver of a governed shell, against OpenSSH and real shells: state, bytes, marks, ends."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from bastion.gate import frames
from bastion.gate import shell_events as ev
from bastion.ssh.driver_channels import DriverError
from tests.support.governed import governed, posix
from tests.support.ports import until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.e2e
KINDS = ["bash", "/bin/dash", "/bin/busybox sh"]


async def test_state_is_kept_from_command_to_command(sshd: Sshd, tmp_path: Path) -> None:
    async with governed(sshd) as shell:
        assert await shell.run(f"cd {tmp_path}") == (0, b"")
        assert shell.cwd == str(tmp_path)
        assert await shell.run("false") == (1, b"")
        assert await shell.run("echo $?") == (0, b"1\r\n")
        assert await shell.run("export A=1; f() { echo f$A; }; declare -A m=([k]=v); set -- x y") == (0, b"")
        assert await shell.run("f; echo ${m[k]} $2; bash -c 'echo $A'") == (0, b"f1\r\nv y\r\n1\r\n")
        assert await shell.run("cat <<E\n$((1+1))\nE") == (0, b"2\r\n")
        assert await shell.run("alias hi='echo hello'") == (0, b"")
        assert await shell.run("hi | tr a-z A-Z") == (0, b"HELLO\r\n")
        assert await shell.run("exit 3") == (None, b"logout\r\n")
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 3)
        with pytest.raises(DriverError):
            await shell.driver.run("n", b"true")


SCRIPT: list[tuple[str, int, bytes]] = [
    ("(exit 7)", 7, b""),
    ("echo $?", 0, b"7\n"),
    ("set -e", 0, b""),
    ("false && true", 1, b""),
    ("echo [$?]", 0, b"[1]\n"),
    ("set +e; set -u", 0, b""),
    ("echo ${x-unset}; set +u", 0, b"unset\n"),
    ("set -f", 0, b""),
    ("echo *; set +f", 0, b"*\n"),
    ("IFS=0123456789", 0, b""),
    ("x=a1b; echo $x", 0, b"a b\n"),
    ("unset IFS", 0, b""),
    ("PATH=/nonexistent", 0, b""),
    ("echo still", 0, b"still\n"),
    ("PATH=/usr/bin:/bin", 0, b""),
    ("for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done", 0, b"1\n3\n"),
    ("trap 'echo usr' USR1; kill -USR1 $$; :", 0, b"usr\n"),
    ("printf '%s\\n' é ü | cat", 0, "é\nü\n".encode()),
    ("cd /nonexistent 2>/dev/null || echo no", 0, b"no\n"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_the_same_in_each_shell(sshd: Sshd, kind: str, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    posix(monkeypatch, kind)
    async with governed(sshd, **({} if terminal else {"terminal": None})) as shell:
        await shell.run("set +m; stty -onlcr 2>/dev/null")
        for command, status, text in SCRIPT:
            assert (command, *await shell.run(command)) == (command, status, text)
        assert not shell.of(ev.SpoofSeen)
        assert (await shell.run("exit 9"))[0] is None
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 9)


BASH: list[tuple[str, int, bytes]] = [
    ("set -x", 0, b""),
    ("(exit 4)", 4, b"++ exit 4\n"),
    ("echo $?", 0, b"++ echo 4\n4\n"),
    ("set +x", 0, b"++ set +x\n"),
    ("set -v", 0, b""),
    ("echo v; echo w", 0, b"echo v; echo w\nv\nw\n"),
    ("set +v", 0, b"set +v\n"),
    ("set -o posix", 0, b""),
    ("echo posix; set +o posix", 0, b"posix\n"),
    ("shopt -s extdebug; shopt -u extdebug", 0, b""),
    ("enable -n printf echo", 0, b""),
    ("true", 0, b""),
    ("enable printf echo", 0, b""),
    ("unalias -a; shopt -u expand_aliases", 0, b""),
    ("printf(){ :; }; echo(){ :; }; read(){ :; }", 0, b""),
    ("true", 0, b""),
    ("unset -f printf echo read", 0, b""),
    ("PROMPT_COMMAND='echo mine'", 0, b""),
    ("true", 0, b""),
    ("{ coproc cat; } 2>/dev/null; echo a >&${COPROC[1]}; read -u ${COPROC[0]} x; echo $x", 0, b"a\n"),
    ("kill $!; wait 2>/dev/null; :", 0, b""),
    ("set -o history -o histexpand; history -s 'echo one'", 0, b""),
    ("echo '!echo'", 0, b"!echo\n"),
    ("set +o history", 0, b""),
    ("echo $'\\x41' ${BASH_VERSION:+bash}", 0, b"A bash\n"),
    ("declare x=1; f() { return 5; }; f", 5, b""),
    ("echo $x $?", 0, b"1 5\n"),
    ("return 3 2>/dev/null", 2, b""),
    ("set -a; v=1; set +a; env | grep -c __b_", 1, b"0\n"),
    ("unset -f __b_d 2>/dev/null || echo kept", 0, b"kept\n"),
    ("trap 'n=$((n+1))' DEBUG", 0, b""),
    ("true", 0, b""),
    ("trap - DEBUG", 0, b""),
]


async def test_what_bash_can_be_told(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await shell.run("set +m; stty -onlcr")
        for command, status, text in BASH:
            assert (command, *await shell.run(command)) == (command, status, text)
        assert not shell.of(ev.SpoofSeen)
        assert shell.failed is None


@pytest.mark.parametrize("kind", KINDS)
async def test_mistakes_end_nothing(sshd: Sshd, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posix(monkeypatch, kind)
    async with governed(sshd) as shell:
        for wrong in ("echo 'a", "if", "fi", "echo ${", "readonly R=1; R=2", "set -u; echo $nothing; true", ")"):
            status, _ = await shell.run(wrong)
            assert (wrong, status) not in ((wrong, 0), (wrong, None))
            assert (await shell.run("echo on"))[1] == b"on\r\n"


@pytest.mark.parametrize("name", ["b a", "b\x07a", "b\na", "b;a", "b'a", "bé", "b\x1b]7770;D;1\x07", "b\\a", "$(x)"])
async def test_the_directory_is_told_as_it_is(sshd: Sshd, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    async with governed(sshd) as shell:
        await shell.run(f"export LC_ALL=C.UTF-8; cd {tmp_path}; cd b* || cd '$(x)'")
        assert shell.cwd == str(tmp_path / name)
        await shell.run("PWD=/etc")
        assert shell.cwd == ""


@pytest.mark.parametrize("kind", KINDS)
async def test_all_bytes_of_a_command(sshd: Sshd, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posix(monkeypatch, kind)
    every = bytes(byte for byte in range(1, 256) if byte != ord("'"))
    async with governed(sshd) as shell:
        assert await shell.run(b"export LC_ALL=C; printf %%s '%s' >%s/out" % (every, str(tmp_path).encode())) == (
            0,
            b"",
        )
    assert (tmp_path / "out").read_bytes() == every


async def test_the_longest_command(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        before, behind = b"x='", b"'; echo ${#x}"
        text = before + b"\n" * (frames.COMMAND_LIMIT - len(before + behind)) + behind
        assert await shell.run(text) == (0, b"%d\r\n" % (len(text) - len(before + behind)))


@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_output_is_delivered_whole_before_the_end_is_told(sshd: Sshd, terminal: bool) -> None:
    """20 MB of random bytes, with the reader stopping now and then."""
    async with governed(sshd, **({} if terminal else {"terminal": None})) as shell:
        await shell.run("stty raw 2>/dev/null; head -c 20000000 /dev/urandom >/tmp/.b$$")
        _, wanted = await shell.run("sha256sum </tmp/.b$$")
        shell.text.clear()
        nonce = await shell.begin("cat /tmp/.b$$; rm /tmp/.b$$")
        for _ in range(20):
            shell.driver.pause()
            await asyncio.sleep(0.002)
            shell.driver.resume()
            await asyncio.sleep(0.002)
        assert await shell.finished(nonce) == 0
        assert len(shell.text) == 20_000_000
        assert hashlib.sha256(shell.text).hexdigest().encode() == wanted.split()[0]


async def test_a_paused_driver_stops_the_command(sshd: Sshd, tmp_path: Path) -> None:
    """Back-pressure goes through to the program that writes."""
    count = tmp_path / "count"
    async with governed(sshd) as shell:
        shell.driver.pause()
        await shell.driver.run(
            "n", f"for i in $(seq 300); do head -c 100000 /dev/zero; echo $i >{count}; done".encode()
        )
        await until(lambda: count.exists() and count.read_text().strip(), "it writes")
        await asyncio.sleep(0.5)  # long enough for all of it, if nothing stopped it
        assert int(count.read_text() or 0) < 290
        shell.driver.resume()
        assert await shell.finished("n") == 0


async def test_spoofed_marks_are_taken_out_and_counted(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        spoof = "\\033]7770;D;" + "0" * 39 + ";0;x;/tmp\\007"
        nonce = await shell.begin(f"printf 'a{spoof}b'; read x; echo real")
        await shell.says(b"ab")
        assert not shell.of(ev.CommandDone)
        shell.driver.send(b"\n")
        assert await shell.finished(nonce) == 0
        assert shell.text.endswith(b"real\r\n")
        assert shell.of(ev.SpoofSeen) == [ev.SpoofSeen(1)]


async def test_a_command_sees_nothing_that_a_later_one_needs(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        _, text = await shell.run("set; env; cat /proc/$$/cmdline /proc/$$/environ; ps axww")
        sent: list[bytes] = []
        control = shell.driver._control
        write = control.write

        def watch(data: bytes) -> None:
            sent.append(data)
            write(data)

        control.write = watch  # type: ignore[method-assign]
        await shell.run("true")
        words = [word for word in b"".join(sent).replace(b"c", b" ").split() if word.isdigit() and len(word) == 39]
        assert words
        assert not any(word in text for word in words)


async def test_a_flood_of_spoofs_is_told_a_few_times(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert (await shell.run("yes $'\\033]7770;x\\007' | head -n 5000"))[0] == 0
        assert 1 <= len(shell.of(ev.SpoofSeen)) <= 14
        assert shell.of(ev.SpoofSeen)[-1].count > 2500


async def test_without_a_terminal_output_comes_apart_and_whole(sshd: Sshd) -> None:
    async with governed(sshd, terminal=None) as shell:
        for _ in range(20):
            assert await shell.run("echo out; echo err >&2") == (0, b"out\n")
            assert bytes(shell.errors) == b"err\n"
        shell.text.clear()
        nonce = await shell.begin("cat; echo end")
        shell.driver.send(b"typed\n")
        await shell.says(b"typed\n")
        shell.driver.send_eof()
        assert await shell.finished(nonce) == 0
        assert shell.text == b"typed\nend\n"


async def gone(pid: int) -> None:
    await until(lambda: not Path(f"/proc/{pid}").exists(), f"{pid} is gone")


@pytest.mark.parametrize("kind", KINDS)
async def test_ending_kills_what_ignores_the_hang_up(
    sshd: Sshd, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posix(monkeypatch, kind)
    async with governed(sshd) as shell:
        _, text = await shell.run("trap '' HUP TERM; echo $$")
        await shell.begin("while :; do :; done")
        shell.driver.end("a person ended it")
        assert shell.failed == ev.DriverFailed("a person ended it")
    await gone(int(text))


async def test_the_shell_ends_with_its_connection(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        _, text = await shell.run("trap '' HUP; echo $$")
        shell.driver._connection.abort()
        await until(lambda: shell.failed, "it is noticed")
    await gone(int(text))


async def test_without_its_control_channel_it_is_over(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        made = shell.driver._made
        assert made is not None
        await shell.begin("pkill -x -P $__b_k cat; sleep 30")
        await until(lambda: shell.failed, "it is noticed")
        assert shell.failed is not None
    await gone(made.pid)


async def test_a_shell_that_kills_itself(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert (await shell.run("kill -9 $$"))[0] is None
        assert shell.failed is not None


async def test_exec_replaces_the_shell(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert await shell.run("exec sh -c 'echo new; exit 6'") == (None, b"new\r\n")
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 6)


async def test_several_shells_on_one_machine(sshd: Sshd) -> None:
    async with governed(sshd) as one, governed(sshd) as two:
        await one.run("x=1")
        await two.run("x=2")
        assert (await one.run("echo $x"))[1] == b"1\r\n"
        assert (await two.run("echo $x"))[1] == b"2\r\n"
