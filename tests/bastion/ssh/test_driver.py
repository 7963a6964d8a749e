"""The driver of the governed shell, against a real sshd and real shells."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.gate import frames
from bastion.gate import shell_events as ev
from bastion.ssh import driver_shell as module
from bastion.ssh.driver_awake import Awake
from bastion.ssh.driver_channels import DriverError
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


def left_behind(shell: Governed) -> list[Path]:
    places = [Path(place, shell.driver._programs.name) for place in ("/tmp", "/dev/shm", "/var/tmp", Path.home())]
    return [place for place in places if place.exists()]


# --- state ------------------------------------------------------------------------------------------------------------


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


# --- bytes ------------------------------------------------------------------------------------------------------------


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


# --- the terminal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_control_keys_and_jobs(sshd: Sshd, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posix(monkeypatch, kind)
    async with governed(sshd) as shell:
        for command in (
            "echo go; sleep 30",
            "echo go; while :; do :; done",
            "for i in 1 2; do echo go; sleep 30; done",
        ):
            shell.text.clear()
            nonce = await shell.begin(command)
            await shell.says(b"go")
            if "sleep" in command:
                await shell.has_given_the_terminal()
            shell.driver.control("^C")
            assert await shell.finished(nonce) == 130
            assert (await shell.run("echo $?"))[1] == b"130\r\n"
        nonce = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^Z")
        await shell.finished(nonce)
        assert b"topped" in (await shell.run("jobs"))[1]
        nonce = await shell.begin("fg")
        await shell.says(b"sleep 30")
        await shell.has_given_the_terminal()
        shell.driver.control("^C")
        assert await shell.finished(nonce) == 130
        assert await shell.run("jobs") == (0, b"")
        nonce = await shell.begin("cat")
        shell.driver.control("^D")
        assert await shell.finished(nonce) == 0
        shell.driver.control("^C")  # when nothing runs, it goes nowhere
        assert (await shell.run("echo on"))[1] == b"on\r\n"


async def test_a_second_exit_leaves_stopped_jobs(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await shell.begin("echo go; sleep 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        shell.driver.control("^Z")
        await shell.finished(nonce)
        for _ in range(2):
            status, text = await shell.run("exit 3")
            assert (status, b"stopped jobs" in text) == (1, True)
            await shell.run("true")
        assert (await shell.run("exit 3"))[0] == 1
        assert (await shell.run("\\builtin type -a exit"))[0] == 0  # what the bastion asks does not come between
        assert (await shell.run("exit 3"))[0] is None
        assert shell.failed == ev.DriverFailed("the shell on the target ended", 3)


async def test_typing_and_what_is_not_read(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        with pytest.raises(DriverError):
            shell.driver.send(b"x")
        nonce = await shell.begin("read -p '[Y/n] ' x; echo got $x")
        await shell.says(b"[Y/n] ")
        shell.driver.send(b"y\n")
        assert await shell.finished(nonce) == 0
        assert b"got y" in shell.text
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"left\nover\x03\x04half")
        await shell.finished(nonce)
        assert (await shell.run("read -t 0.1 x; echo [$x]"))[1] == b"[]\r\n"
        before = (await shell.run("stty raw -echo; stty -g"))[1]
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert (await shell.run("stty -g"))[1] == before


async def test_a_thief_at_the_terminal_harms_no_command(sshd: Sshd) -> None:
    """Another process group that reads the terminal can take the line that ends a flush; it is sent again."""
    async with governed(sshd) as shell:
        await shell.run('t=$(tty); setsid sh -c "exec timeout 3 head -c 60 <$t" >/dev/null 2>&1 & disown; sleep 0.2')
        nonce = await shell.begin("sleep 0.1")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert (await shell.run("echo on"))[1].endswith(b"on\r\n")


async def test_size_and_name_of_the_terminal(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert (await shell.run("stty size; echo $TERM"))[1] == b"30 100\r\nxterm-256color\r\n"
        shell.driver.resize(132, 50)
        assert (await shell.run("stty size"))[1] == b"50 132\r\n"


async def test_uppercase_terminal(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        assert await shell.run("stty olcuc -echo") == (0, b"")
        assert await shell.run("echo seen") == (0, b"SEEN\r\n")


async def test_the_observer_sees_the_mode(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        nonce = await shell.begin(
            "stty -echo; echo go; read x; stty raw; echo raw; dd count=1 bs=1 2>/dev/null; stty sane"
        )
        await shell.says(b"go")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.send(b"x\n")
        await shell.says(b"raw")
        assert await shell.driver.observe() == ev.TtyChanged(False, False, "")
        shell.driver.send(b"x")
        await shell.finished(nonce)
        assert await shell.driver.observe() == ev.TtyChanged(True, True, "")


@pytest.mark.root
async def test_the_observer_sees_who_asks_for_a_password(sshd: Sshd) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    async with governed(sshd) as shell:
        nonce = await shell.begin("setpriv --reuid=65534 --regid=65534 --clear-groups su")
        await shell.says(b"assword")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "su")
        shell.driver.send(b"wrong\n")
        assert await shell.finished(nonce) != 0
        assert b"wrong" not in shell.text


@pytest.mark.root
async def test_a_shell_behind_su_that_puts_the_echo_off_asks_for_none(sshd: Sshd) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    async with governed(sshd) as shell:
        nonce = await shell.begin("su -s /bin/sh nobody --session-command 'stty -echo; echo go; read x'")
        await shell.says(b"go")
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.send(b"x\n")
        await shell.finished(nonce)


async def test_a_program_that_calls_itself_sudo_is_not(sshd: Sshd, tmp_path: Path) -> None:
    liar = tmp_path / "sudo"
    shutil.copy("/bin/sleep", liar)
    async with governed(sshd) as shell:
        nonce = await shell.begin(f"stty -echo; echo go; {liar} 30")
        await shell.says(b"go")
        await shell.has_given_the_terminal()
        assert await shell.driver.observe() == ev.TtyChanged(False, True, "")
        shell.driver.control("^C")
        await shell.finished(nonce)


# --- without a terminal -----------------------------------------------------------------------------------------------


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


# --- TMOUT ------------------------------------------------------------------------------------------------------------

IDLE_SECONDS = 1.5
"""Longer than TMOUT=1, by more than the empty lines are apart."""


async def idle() -> None:
    """As long as somebody takes to decide."""
    await asyncio.sleep(IDLE_SECONDS)  # what is waited for is that nothing happens


@pytest.mark.parametrize("value", ["1", " 1.9"])
async def test_tmout_ends_no_shell_that_waits_for_a_person(sshd: Sshd, value: str) -> None:
    async with governed(sshd) as shell:
        await shell.run(f"TMOUT='{value}'")
        assert await shell.run("(exit 130)") == (130, b"")
        await idle()
        assert shell.failed is None
        assert await shell.run('echo "$?" "$TMOUT"; cd /') == (0, f"130 {value}\r\n".encode())
        nonce = await shell.begin("cat")
        shell.driver.send(b"typed\n\x04")
        assert await shell.finished(nonce) == 0
        assert shell.cwd == "/"


async def test_tmout_in_a_profile(tmp_path: Path) -> None:
    target = plain_home(tmp_path / "profile")
    (tmp_path / "profile" / "home" / ".bash_profile").write_text("readonly TMOUT=1\nexport TMOUT\n")
    target.start()
    try:
        async with governed(target) as shell:
            await idle()
            assert await shell.run("echo $TMOUT") == (0, b"1\r\n")
    finally:
        target.stop()


async def test_tmout_in_a_posix_shell(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox")
    posix(monkeypatch, "busybox sh")
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        await idle()
        assert await shell.run("echo $TMOUT") == (0, b"1\r\n")


async def test_without_the_empty_lines_tmout_does(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(Awake, "keep", lambda *_: None)
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        await until(lambda: shell.failed is not None, "the shell ends itself")
        assert b"auto-logout" in shell.text


async def test_nothing_is_sent_to_a_shell_without_tmout(sshd: Sshd) -> None:
    async with governed(sshd) as shell:
        await shell.run("TMOUT=1")
        assert shell.driver._awake.needed
        await shell.run("unset TMOUT")
        assert not shell.driver._awake.needed
        await shell.run("TMOUT=0")
        assert not shell.driver._awake.needed


# --- where it cannot be -----------------------------------------------------------------------------------------------

LOGINS = ["bash", "dash", "zsh", "fish", "tcsh", "mksh", "busybox sh"]


def with_login(tmp_path: Path, command: str) -> Sshd:
    target = plain_home(tmp_path / "login", f"ForceCommand {command}")
    target.start()
    return target


@pytest.mark.parametrize("login", LOGINS)
async def test_login_shells(tmp_path: Path, login: str) -> None:
    if shutil.which(login.removesuffix(" sh")) is None:
        pytest.skip(f"needs {login}")
    target = with_login(tmp_path, f'exec {login} -c "$SSH_ORIGINAL_COMMAND"')
    try:
        async with governed(target) as shell:
            assert await shell.run("echo $0; tty >/dev/null") == (0, b"-bash\r\n")
            assert await shell.driver.observe() == ev.TtyChanged(True, True, "")
    finally:
        target.stop()


@pytest.mark.parametrize("shell", ["bash --posix", "busybox sh", "mksh", "dash"])
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_what_sh_may_be_on_a_target(
    sshd: Sshd, shell: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of our programs run in it, to the end of a connection that dies before the shell starts."""
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"needs {shell}")
    command = module.driver._command
    monkeypatch.setattr(
        module.driver, "_command", lambda *words: command(*words).replace(b"exec /bin/sh", b"exec " + shell.encode())
    )
    async with governed(sshd, **({} if terminal else {"terminal": None})) as one:
        assert (await one.run("echo on"))[1].strip() == b"on"
        assert terminal == (await one.driver.observe() is not None)
    monkeypatch.setattr(module.driver, "place", lambda *_, **__: b"")
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    async with governed(sshd, ready=False, **({} if terminal else {"terminal": None})) as two:
        assert two.failed is not None
    await until(lambda: not left_behind(two), "nothing is left behind")


REFUSED = {
    'exec rbash -c "$SSH_ORIGINAL_COMMAND"': "restricted",
    "exec /usr/sbin/nologin": "This account is currently not available",
    "exec /bin/false": "starts no",
    "echo garbage; exit 0": "garbage",
    "exec yes garbage": "print more than 65536 bytes",
    'PATH=/nonexistent; eval "$SSH_ORIGINAL_COMMAND"': "no directory for a pipe on the target",
    'ulimit -f 0; ulimit -n 3; eval "$SSH_ORIGINAL_COMMAND"': "starts no",
}


@pytest.mark.parametrize("command", REFUSED)
@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "pipe"])
async def test_no_governed_shell_says_why(tmp_path: Path, command: str, terminal: bool) -> None:
    target = with_login(tmp_path, command)
    try:
        async with governed(target, ready=False, **({} if terminal else {"terminal": None})) as shell:
            assert shell.failed is not None
            assert REFUSED[command] in shell.failed.reason
            assert shell.failed.reason.isprintable()
            assert len(shell.events) == 1
        await until(lambda: not left_behind(shell), "nothing is left behind")
    finally:
        target.stop()


async def test_one_channel_only(tmp_path: Path) -> None:
    target = plain_home(tmp_path / "one", "MaxSessions 1")
    target.start()
    try:
        async with governed(target, ready=False) as shell:
            assert shell.failed is not None
            assert "MaxSessions" in shell.failed.reason
        await until(lambda: not left_behind(shell), "nothing is left behind")
    finally:
        target.stop()


async def test_start_up_files_that_print(tmp_path: Path) -> None:
    """What they say is passed on, without the prompt."""
    target = with_login(tmp_path, 'echo welcome; eval "$SSH_ORIGINAL_COMMAND"')
    try:
        async with governed(target) as shell:
            assert shell.text == b"welcome\r\n"
            assert (await shell.run("echo on"))[1] == b"on\r\n"
    finally:
        target.stop()


async def test_a_shell_that_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    target = with_login(tmp_path, "exec sleep 60")
    try:
        async with governed(target, ready=False) as shell:
            assert shell.failed is not None
            assert "not ready within 0.5 s" in shell.failed.reason
    finally:
        target.stop()


# --- the end ----------------------------------------------------------------------------------------------------------


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


async def test_a_connection_that_dies_before_the_shell_starts_leaves_nothing(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T waits for the other end of its pipe, which never comes."""
    monkeypatch.setattr(module.driver, "place", lambda *_: b"")
    monkeypatch.setattr(module, "START_SECONDS", 1.0)
    async with governed(sshd, ready=False) as shell:
        assert shell.failed is not None
    await until(lambda: not left_behind(shell), "nothing is left behind")


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
