"""What works through a governed shell, with OpenSSH's client on a real terminal. Each line is approved by its exact
bytes. With SHELL_TESTS=plain the same steps run without a bastion: what a test expects of a shell is what a shell does.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bypass.adapter import Adapter
from tests.bypass.adapters.naive import Naive
from tests.bypass.adapters.ours import SHELLS, Ours
from tests.support.client import Client
from tests.support.ports import until
from tests.support.shell import Shell, shell

PLAIN = os.environ.get("SHELL_TESTS") == "plain"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not SHELLS and not PLAIN, reason="shells are not open in this release"),
]

LINE_END = r"\r?\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def adapter() -> AsyncIterator[Adapter]:
    async with Naive() if PLAIN else Ours() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def sh(adapter: Adapter) -> AsyncIterator[Shell]:
    async with shell(adapter) as made:
        yield made


# --- the language -------------------------------------------------------------------------------------------------


async def test_state_stays_from_line_to_line(sh: Shell) -> None:
    await sh.line("cd /usr/lib; export A=one B='t wo'")
    await sh.line('f() { echo "<$A-$1-$PWD>"; }')
    await sh.line("alias ll='f aliased'")
    await sh.line("ll", "<one-aliased-/usr/lib>" + LINE_END)
    await sh.line("bash -c 'echo \"[$B]\"'", r"\[t wo\]" + LINE_END)
    await sh.line("cd - >/dev/null; pwd | tr / :", r":[\w:]*" + LINE_END)


async def test_commands_of_several_lines(sh: Shell) -> None:
    await sh.line('for i in 1 2 3\ndo echo "<$i>"\ndone', f"<1>{LINE_END}<2>{LINE_END}<3>{LINE_END}")
    await sh.line("cat <<END | tr a-z A-Z\nfirst $((1 + 1))\nsecond\nEND", f"FIRST 2{LINE_END}SECOND{LINE_END}")
    await sh.line("echo 'open\nquote'", f"open{LINE_END}quote{LINE_END}")
    await sh.line('g() {\n  echo "g$1"\n}')
    await sh.line("g 1; g 2", f"g1{LINE_END}g2{LINE_END}")
    await sh.line("while read -r x; do echo \"=$x=\"; done < <(printf '%s\\n' a b)", f"=a={LINE_END}=b={LINE_END}")


async def test_status(sh: Shell) -> None:
    await sh.line("(exit 41)")
    await sh.line('echo "status $?"', "status 41" + LINE_END)
    await sh.line('false | true; echo "${PIPESTATUS[*]}-"', "1 0-" + LINE_END)
    await sh.line("exit 7")
    assert await sh.client.ends() == 7


async def test_exec_is_the_end_of_the_shell(sh: Shell) -> None:
    await sh.line("exec sh -c 'echo la''st; exit 3'", "last" + LINE_END)
    assert await sh.client.ends() == 3


async def test_options_of_the_shell(sh: Shell) -> None:
    await sh.line("set -u")
    await sh.line('echo "${NOT_SET_HERE-}unset"', "unset" + LINE_END)
    await sh.line("set -x; set -v; set -f")
    await sh.line("echo /usr/bi*", r"/usr/bi\*" + LINE_END)
    await sh.line("set +xvfu; echo qu''iet", "quiet" + LINE_END)
    await sh.line("set -e; echo st''rict", "strict" + LINE_END)
    await sh.line("false")
    assert await sh.client.ends() == 1


# --- keys and jobs ------------------------------------------------------------------------------------------------


async def test_interrupt_ends_a_loop(sh: Shell) -> None:
    await sh.line("while true; do echo lo''op; sleep 0.1; done", "loop" + LINE_END)
    sh.type("\x03")
    await sh.line("echo st''atus $?", "status 130" + LINE_END)


async def test_stop_and_go_on(sh: Shell) -> None:
    await sh.line("sh -c 'echo sl''eeping; exec sleep 30'", "sleeping" + LINE_END)
    await asyncio.sleep(0.2)  # sleep itself has to have the terminal
    sh.type("\x1a")
    await sh.line("jobs", r"Stopped[^\n]*sleep")
    await sh.line("fg", "sleep")
    await asyncio.sleep(0.2)
    sh.type("\x03")
    await sh.line("echo st''atus $?", "status 130" + LINE_END)


async def test_background_jobs(sh: Shell) -> None:
    await sh.line("sleep 0.2 & wait $!; echo wa''ited-$?", "waited-0" + LINE_END)
    await sh.line("sleep 30 & jobs", "Running")
    await sh.line("kill %1; wait; echo go''ne", "gone" + LINE_END)


async def test_end_of_input_ends_a_command_and_then_the_shell(sh: Shell) -> None:
    await sh.line("cat > /dev/null; echo ca''t-$?")
    await asyncio.sleep(0.2)
    sh.type("\x04")
    await sh.sees("cat-0" + LINE_END)
    await sh.prompted()
    sh.type("\x04")
    assert await sh.client.ends() == 0


async def test_the_window_has_the_size_that_the_client_says(sh: Shell) -> None:
    await sh.line("stty size", "30 100" + LINE_END)
    sh.client.resize(77, 33)
    await asyncio.sleep(0.1)  # the client tells by itself, and nothing says that it did
    await sh.line("stty size", "33 77" + LINE_END)


# --- bytes --------------------------------------------------------------------------------------------------------


async def test_text_of_all_scripts(adapter: Adapter) -> None:
    async with shell(adapter, options=("-o", "SetEnv=LANG=C.UTF-8")) as sh:
        await sh.line("echo 'grüße, 漢字, 🙂' | cat", "grüße, 漢字, 🙂" + LINE_END)
        await sh.line("x='漢'; echo ${#x}-", "1-" + LINE_END)


async def test_all_bytes_come_through(sh: Shell) -> None:
    everything = bytes(range(1, 256))
    spelled = "".join(f"\\x{byte:02x}" for byte in everything)
    await sh.line(f"stty -opost; printf '<<{spelled}>>'; stty opost")
    found = await sh.client.sees(b"<<(\x01.{253}\xff)>>")
    assert found[1] == everything


async def test_a_hundred_megabytes(sh: Shell) -> None:
    size = 100_000_000
    before = len(sh.client.output)
    await sh.line(f"head -c {size} /dev/zero | tr '\\0' x; echo; echo fi''n")
    await sh.client.until(lambda: b"\nfin\r\n" in sh.client.output[-200:], "all of it comes", 90)
    assert sh.client.output[before:].count(b"x") >= size
    sh.client.output.clear()
    sh.client._seen = 0


# --- programs that read -------------------------------------------------------------------------------------------


async def test_a_question(sh: Shell) -> None:
    await sh.line("read -r -p 'Continue? [Y/n] ' x; echo \"<$x>\"", "Continue")
    await sh.line("y", "<y>" + LINE_END)


async def test_sqlite(sh: Shell) -> None:
    await sh.line("sqlite3 :memory:", "sqlite> ")
    await sh.line("create table t(x);", "sqlite> ")
    await sh.line("insert into t values('a'),('b');", "sqlite> ")
    await sh.line("select '<' || group_concat(x, '+') || '>' from t;", r"<a\+b>" + LINE_END)
    await sh.line(".quit")
    await sh.prompted()
    await sh.line("echo ba''ck", "back" + LINE_END)


async def test_python(sh: Shell) -> None:
    await sh.line("python3 -q -i", ">>> ")
    await sh.line("x = 6 * 7", ">>> ")
    await sh.line("print('<%d>' % x)", "<42>" + LINE_END)
    await sh.line("exit()")
    await sh.prompted()
    await sh.line("echo ba''ck", "back" + LINE_END)


async def test_less(sh: Shell, adapter: Adapter) -> None:
    (adapter.work / "rows").write_text("".join(f"row-{number}\n" for number in range(1, 1001)))
    await sh.line(f"less {adapter.work}/rows", "row-1" + LINE_END, mode="view")
    sh.type("G")
    await sh.client.until(lambda: "row-1000" in sh.client.text, "the last row")
    sh.type("q")
    await sh.prompted()
    await sh.line("echo ba''ck", "back" + LINE_END)


async def test_vim(sh: Shell, adapter: Adapter) -> None:
    path = adapter.work / "edited"
    await sh.line(f"vim -u NONE -N {path}", r'edited" \[New', mode="raw")
    sh.type("ihello\x1b:wq\r")
    await sh.prompted()
    assert path.read_text() == "hello\n"
    await sh.line("echo ba''ck", "back" + LINE_END)


async def test_top(sh: Shell) -> None:
    await sh.line("top -d 1", "PID", mode="view")
    sh.type("q")
    await sh.prompted()
    await sh.line("echo ba''ck", "back" + LINE_END)


async def test_tmux(sh: Shell, adapter: Adapter) -> None:
    socket = adapter.work / "tmux"
    await sh.line(f"tmux -S {socket} -f /dev/null new-session sh", "0:", mode="raw")
    sh.type("echo in''side\r")
    await sh.client.until(lambda: "inside\n" in re.sub(" +\n", "\n", sh.client.text), "the inner shell answers")
    sh.type("exit\r")
    await sh.sees("exited")
    await sh.prompted()
    await sh.line("echo ba''ck", "back" + LINE_END)


# --- without a terminal -------------------------------------------------------------------------------------------

SCRIPT = ["x=1", 'f() {\n  echo "f $1 $x"\n}', "cat <<END\nhere $x\nEND", "cd /usr", "f a; pwd", "exit 5"]


async def test_a_script_on_stdin(adapter: Adapter) -> None:
    client = await Client.start(adapter.ssh(options=("-T",)), terminal=False)
    script = Shell(adapter, client)
    try:
        client.send("\n".join([*SCRIPT, ""]).encode())
        client.end_input()
        for command in SCRIPT:
            await script.approve(command)
        assert await client.ends() == 5
    finally:
        await client.close()
    assert bytes(client.output) == b"here 1\nf a 1\n/usr\n"


async def test_a_script_ends_with_its_last_status(adapter: Adapter) -> None:
    client = await Client.start(adapter.ssh(options=("-T",)), terminal=False)
    script = Shell(adapter, client)
    try:
        client.send(b"(exit 9)\n")
        client.end_input()
        await script.approve("(exit 9)")
        assert await client.ends() == 9
    finally:
        await client.close()


# --- other clients ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(PLAIN, reason="about the bastion's own keys")
@pytest.mark.parametrize("name", ["dbclient", "plink"])
async def test_other_clients(adapter: Adapter, tmp_path: Path, name: str) -> None:
    assert isinstance(adapter, Ours)
    if shutil.which(name) is None:
        pytest.fail(f"{name} is missing: `./dev test` installs it")
    house = adapter.house
    key, converted = str(house.work / "agent-7"), str(tmp_path / "key")
    command: list[str | bytes]
    if name == "dbclient":
        await _program("dropbearconvert", "openssh", "dropbear", key, converted)
        command = ["dbclient", "-y", "-y", "-t", "-i", converted, "-p", str(house.port), "web-1@127.0.0.1"]
    else:
        await _program("puttygen", key, "-O", "private", "-o", converted)
        shown = await _program("ssh-keygen", "-lf", str(house.config.state / "host_key.pub"))
        command = ["plink", "-batch", "-ssh", "-t", "-hostkey", shown.split()[1], "-i", converted]
        command += ["-P", str(house.port), "web-1@127.0.0.1"]
    async with shell(adapter, command=command) as sh:
        await sh.line("cd /usr; pwd | tr / :", ":usr" + LINE_END)
        await sh.line("exit 4")
        assert await sh.client.ends() == 4


async def _program(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-1)
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr
    return stdout.decode()


async def test_asyncssh_as_client(adapter: Adapter) -> None:
    connection = await adapter.connect()
    process = await connection.create_process(term_type="xterm", term_size=(80, 24))
    helper = Shell(adapter, await Client.start(["true"], terminal=False))
    process.stdin.write('cd /usr; echo "<$PWD>"\r')
    await helper.approve('cd /usr; echo "<$PWD>"')
    async with asyncio.timeout(20):
        await process.stdout.readuntil(re.compile("</usr>\r?\n"))
    process.stdin.write("exit 6\r")
    await helper.approve("exit 6")
    async with asyncio.timeout(20):
        result = await process.wait(check=False)
    assert result.exit_status == 6
    connection.abort()


# --- comings and goings -------------------------------------------------------------------------------------------


async def test_two_shells_on_one_connection(adapter: Adapter) -> None:
    path = adapter.work / "c"
    master = ("-o", "ControlMaster=auto", "-o", f"ControlPath={path}", "-o", "ControlPersist=yes")
    try:
        async with shell(adapter, options=master) as first, shell(adapter, options=master) as second:
            await first.line("x=first; cd /usr")
            await second.line("x=second; cd /")
            await first.line('echo "<$x$PWD>"', "<first/usr>" + LINE_END)
            await second.line('echo "<$x$PWD>"', "<second/>" + LINE_END)
            await first.line("exit 1")
            assert await first.client.ends() == 1
            await second.line("echo st''ill", "still" + LINE_END)
    finally:
        end = await Client.start(adapter.ssh(options=(*master, "-O", "exit")), terminal=False)
        await end.ends()
        await end.close()


async def test_who_leaves_while_something_runs_leaves_nothing_running(adapter: Adapter) -> None:
    path = adapter.work / "pid"
    async with shell(adapter) as sh:
        await sh.line(f"sh -c 'echo $$ > {path}; exec sleep 600'")
        await until(lambda: path.exists() and path.read_text().strip(), "it runs")
        process = Path("/proc") / path.read_text().strip()
        assert process.exists()
        sh.client.signal(signal.SIGKILL)
        await sh.client.ends()
    await until(lambda: not process.exists(), "it has ended")


@pytest.mark.skipif(PLAIN, reason="nothing is held there")
async def test_who_leaves_while_something_is_held_runs_nothing(adapter: Adapter) -> None:
    path = adapter.work / "left"
    async with shell(adapter) as sh:
        sh.type(f"touch {path}\r")
        item = await sh.held(f"touch {path}".encode())
        await sh.client.close()
        await _held_no_more(adapter, item.id)
        assert not await adapter.approve(item)
    assert not path.exists()


async def _held_no_more(adapter: Adapter, request: str) -> None:
    async with asyncio.timeout(20):
        while request in [item.id for item in await adapter.held()]:  # noqa: ASYNC110 -- asks the daemon
            await asyncio.sleep(0.02)


@pytest.mark.skipif(PLAIN, reason="nothing is denied there")
async def test_a_denial_says_why_and_the_shell_goes_on(adapter: Adapter) -> None:
    async with shell(adapter) as sh:
        sh.type("reboot\r")
        assert await adapter.deny(await sh.held(b"reboot"))
        await sh.sees(r"bastion: denied[^\n]*ana[^\n]*by the suite")
        await sh.line("echo go''es-on $?", r"goes-on \d+" + LINE_END)
