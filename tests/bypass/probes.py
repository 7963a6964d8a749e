"""Attacks that no list of steps can say: they speak SSH itself, or to the approver's side. Each raises Broken when
something that has to hold does not; the canary is looked at afterwards, as always."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.packet import Boolean, String, UInt32

from tests.bypass.run import PATIENCE, Broken, Run, comes
from tests.support.client import Client
from tests.support.ports import free_port

REFUSED = (asyncssh.Error, asyncssh.ChannelListenError, OSError, EOFError)


def need(holds: object, what: str) -> None:
    """Raises Broken."""
    if not holds:
        raise Broken(what)


@contextlib.asynccontextmanager
async def connected(run: Run) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """The agent's connection, gone afterwards."""
    connection = await run.adapter.connect()
    try:
        yield connection
    finally:
        connection.abort()


class Session(asyncssh.SSHClientSession[bytes]):
    """Takes what comes."""


async def channel_of(connection: asyncssh.SSHClientConnection) -> Any:
    """An open session channel; nothing was asked for on it yet."""
    loop = asyncio.get_running_loop()
    channel: Any = asyncssh.SSHClientChannel(connection, loop, "strict", None, "strict", 1 << 20, 32768)
    await channel._open(b"session")
    channel._session = Session()
    channel._session.connection_made(channel)
    channel.resume_reading()
    return channel


async def _touch(run: Run) -> str:
    return f"touch {run.canary}"


# --- protocol -----------------------------------------------------------------------------------------------------


async def odd_commands(run: Run) -> None:
    """NUL inside, overlong UTF-8, bytes that are no UTF-8, nothing at all."""
    touch = (await _touch(run)).encode()
    async with connected(run) as connection:
        for command in (b"true\0; " + touch, b"true\xc0\x8a" + touch, b"\xff\xfe" + touch, b""):
            channel = await channel_of(connection)
            with contextlib.suppress(*REFUSED):
                taken = await channel._make_request(b"exec", String(command))
                if taken and b"\0" in command:
                    async with asyncio.timeout(PATIENCE):
                        await channel.wait_closed()
                    need(channel.get_exit_status() not in (0, None), "a command with NUL ended well")
            need(not [item for item in await run.look() if b"\0" in item.command], "a command with NUL is held")
            channel.close()


async def second_command(run: Run) -> None:
    """exec after exec, shell after exec, exec after shell."""
    touch = (await _touch(run)).encode()
    async with connected(run) as connection:
        channel = await channel_of(connection)
        need(await channel._make_request(b"exec", String(b"sleep 0")), "a first command is not taken")
        await run.held(b"sleep 0")
        for kind, words in ((b"exec", (String(touch),)), (b"shell", ()), (b"subsystem", (String(b"sftp"),))):
            need(not await channel._make_request(kind, *words), f"a second request ({kind!r}) is taken")
        need(len(await run.look()) == 1, "a second request is held")
        channel.close()
        other = await channel_of(connection)
        await other._make_request(b"shell")
        with contextlib.suppress(*REFUSED):
            need(not await other._make_request(b"exec", String(touch)), "exec after shell is taken")
        other.close()


async def late_requests(run: Run) -> None:
    """What the approver saw is what counts, whatever is set afterwards."""
    run.evil.write_text(await _touch(run))
    async with connected(run) as connection:
        channel = await channel_of(connection)
        await channel._make_request(b"exec", String(b"bash -c true"))
        channel.write_eof()
        item = await run.held(b"bash -c true")
        need(
            not await channel._make_request(b"env", String(b"BASH_ENV"), String(str(run.evil))),
            "env is taken afterwards",
        )
        terminal = (String(b"xterm"), UInt32(80), UInt32(24), UInt32(0), UInt32(0), String(b""))
        await channel._make_request(b"pty-req", *terminal)  # a yes without a terminal is one, too
        now = [each for each in await run.look() if each.id == item.id]
        need(now and now[0].digest == item.digest, "what is held has changed")
        need(now and now[0].shown == item.shown, "what is shown has changed")
        await run.approve(b"bash -c true")
        async with asyncio.timeout(PATIENCE):
            await channel.wait_closed()


async def tunnels(run: Run) -> None:
    """direct-tcpip to where the agent likes."""
    async with connected(run) as connection:
        spelled = ("127.1", "2130706433", "0x7f000001", "::1", "::ffff:127.0.0.1", "LOCALHOST", "localhost.", "0.0.0.0")  # noqa: S104
        asked = [("127.0.0.1", 22), ("localhost", free_port()), ("169.254.169.254", 80), ("web-1\0", 22)]
        for host, port in (*asked, *((each, 22) for each in spelled)):
            with contextlib.suppress(*REFUSED):
                _, writer = await connection.open_connection(host, port)
                writer.close()
                raise Broken(f"a tunnel to {host!r}:{port} is given")


async def socket_tunnel(run: Run) -> None:
    """direct-streamlocal to a socket of the target's."""
    path = str(run.adapter.work / "socket")
    server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), path)
    try:
        async with connected(run) as connection:
            for each in (path, "/run/docker.sock"):
                with contextlib.suppress(*REFUSED):
                    _, writer = await connection.open_unix_connection(each)
                    writer.close()
                    raise Broken(f"a tunnel to {each} is given")
    finally:
        server.close()
        Path(path).unlink(missing_ok=True)


async def listener(run: Run) -> None:
    """tcpip-forward and its cousin."""
    async with connected(run) as connection:
        for port in (0, free_port()):
            with contextlib.suppress(*REFUSED):
                opened = await connection.forward_remote_port("127.0.0.1", port, "127.0.0.1", 9)
                opened.close()
                raise Broken("a listener is given")
        with contextlib.suppress(*REFUSED):
            there = await connection.forward_remote_path(str(run.adapter.work / "listen"), "127.0.0.1")
            there.close()
            raise Broken("a listener on a path is given")


async def agent_and_display(run: Run) -> None:
    """auth-agent-req, x11-req, and what nobody knows."""
    async with connected(run) as connection:
        channel = await channel_of(connection)
        x11 = (Boolean(False), String(b"MIT-MAGIC-COOKIE-1"), String(b"00"), UInt32(0))
        for kind, words in ((b"auth-agent-req@openssh.com", ()), (b"x11-req", x11), (b"evil@example.org", ())):
            need(not await channel._make_request(kind, *words), f"{kind!r} is taken")
        channel.close()


async def signals(run: Run) -> None:
    """On what is held, a signal can only take it back."""
    touch = await _touch(run)
    async with connected(run) as connection:
        for name in ("INT", "TERM", "KILL", "HUP", "USR1", "\x1b[2J"):
            channel = await channel_of(connection)
            need(await channel._make_request(b"exec", String(touch.encode())), "a command is not taken")
            await run.held(touch.encode())
            channel._send_request(b"signal", String(name))
            channel._send_request(b"break", UInt32(100))
            async with asyncio.timeout(PATIENCE):
                while channel.get_exit_status() is None and await run.look():
                    await run.deny_rest()
            channel.close()


async def terminal_names(run: Run) -> None:
    """TERM with code in it, and a window of no size."""
    touch = await _touch(run)
    async with connected(run) as connection:
        for name in (f"x;{touch}", f"`{touch}`", f"$({touch})", "x" * 60_000, "\x1b]0;x\x07"):
            channel = await channel_of(connection)
            sizes = (UInt32(0), UInt32(2**32 - 1), UInt32(0), UInt32(0))
            with contextlib.suppress(*REFUSED):
                await channel._make_request(b"pty-req", String(name), *sizes, String(b""))
                await channel._make_request(b"exec", String(b"true"))
                for item in await run.look():
                    await run.adapter.approve(item)
            await run.deny_rest()
            channel.close()
        need(not connection.is_closed(), "a terminal's name ends the connection")


async def dropped(run: Run) -> None:
    """The agent's connection breaks while its command runs: the command has nobody left to read from, and ends."""
    command = f"cat > /dev/null; touch {run.evil}"
    async with connected(run) as connection:
        channel = await channel_of(connection)
        await channel._make_request(b"exec", String(command))
        await run.approve(command.encode())
        channel.write(b"x")
        await asyncio.sleep(0.3)
        need(not run.evil.exists(), "the command ended by itself")
    need(await comes(run.evil, PATIENCE), "the command still waits for its agent")


async def shared(run: Run) -> None:
    """ControlMaster: an approval of one client is none for the next."""
    run.evil.write_text(await _touch(run))
    path = run.adapter.work / "control"
    master = ("-o", "ControlMaster=auto", "-o", f"ControlPath={path}", "-o", "ControlPersist=yes")
    await run.start(run.adapter.ssh("true", options=master), terminal=False)
    await run.approve(b"true")
    await run.agent.ends()
    first = run.agent
    command = f"sh {run.evil}"
    run.client = await Client.start(run.adapter.ssh(command, options=master), terminal=False)
    run.client.end_input()
    try:
        await run.held(command.encode())
        await run.deny_rest()
        need(await run.agent.ends() != 0, "a second client's command ended well")
    finally:
        ended = await Client.start(run.adapter.ssh(options=(*master, "-O", "exit")), terminal=False)
        await ended.ends()
        await ended.close()
        await first.close()


async def new_keys(run: Run) -> None:
    """Keys exchanged anew every kilobyte while something is held."""
    command = await _touch(run)
    await run.start(run.adapter.ssh(command, options=("-o", "RekeyLimit=16K")), terminal=False)
    await run.held(command.encode())
    run.agent.send(b"x" * 200_000)
    await asyncio.sleep(0.3)
    need([item for item in await run.look() if item.command == command.encode()], "new keys took the request away")


async def flood(run: Run) -> None:
    """More at once than people could look at: the surplus is refused, and the approver's side answers."""
    touch = await _touch(run)
    async with connected(run) as connection:
        opened = 0
        for _ in range(80):
            with contextlib.suppress(*REFUSED):
                channel = await channel_of(connection)
                channel._send_request(b"exec", String(touch))
                opened += 1
        need(opened < 80, "one connection opens as many channels as it likes")
        async with asyncio.timeout(PATIENCE):
            items = await run.look()
        need(len(items) <= opened, "more is held than was asked")


async def garbage(run: Run) -> None:
    """Requests that are cut off or too long: at most their own channel, or the sender's connection, is gone."""
    async with connected(run) as connection, connected(run) as other:
        channel = await channel_of(other)
        await channel._make_request(b"exec", String(b"sleep 0"))
        held = await run.held(b"sleep 0")
        for kind, words in (
            (b"exec", (b"\0\0\xff\xff",)),
            (b"pty-req", (String(b"x"),)),
            (b"env", (String(b"A"),)),
            (b"signal", ()),
            (b"window-change", (b"\0",)),
            (b"exec", (String(b"scp -t"),)),
            (b"exec", (String(b"scp"), b"trailing")),
            (b"subsystem", (String(b"\xff"),)),
        ):
            with contextlib.suppress(*REFUSED, TimeoutError):
                async with asyncio.timeout(2):
                    mine = await channel_of(connection)
                    mine._send_request(kind, *words)
        need(held.id in [item.id for item in await run.look()], "garbage of one connection took away another's request")
        channel.close()


# --- the approver's side --------------------------------------------------------------------------------------------


async def _one(run: Run, command: str) -> Any:
    await run.start(run.adapter.ssh(command), terminal=False)
    run.agent.end_input()
    return await run.held(command.encode())


async def other_digest(run: Run) -> None:
    """An approval with the digest of something else counts for nothing."""
    first = await _one(run, await _touch(run))
    forged = type(first)(**{**{name: getattr(first, name) for name in first.__slots__}, "digest": "0" * 64})
    with contextlib.suppress(AssertionError):
        need(not await run.adapter.approve(forged), "an approval of another digest counts")


async def twice(run: Run) -> None:
    """Once approved, a second approval is refused, and the command runs once."""
    command = f"sh -c 'echo x >> {run.evil}'"
    item = await _one(run, command)
    await run.approve(command.encode())
    need(not await run.adapter.approve(item), "the same approval counts twice")
    await run.agent.ends()
    need(run.evil.read_text() == "x\n", "it ran more than once")


async def denied_first(run: Run) -> None:
    """Deny wins."""
    item = await _one(run, await _touch(run))
    await run.adapter.deny(item)
    need(not await run.adapter.approve(item), "an approval counts after a denial")
    need(await run.agent.ends() != 0, "a denied command ended well")


async def withdrawn(run: Run) -> None:
    """The agent takes it back with a signal; the approver clicks too late."""
    touch = await _touch(run)
    async with connected(run) as connection:
        channel = await channel_of(connection)
        await channel._make_request(b"exec", String(touch))
        item = await run.held(touch.encode())
        channel._send_request(b"signal", String("INT"))
        async with asyncio.timeout(PATIENCE):
            for _ in iter(int, 1):
                if not await run.look():
                    break
                await asyncio.sleep(0.02)
        need(not await run.adapter.approve(item), "an approval counts for what was taken back")


# --- files, jumps --------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _sftp(run: Run) -> AsyncIterator[asyncssh.SFTPClient | None]:
    """The agent's sftp, if it is given. Meanwhile what only looks is approved, and whatever else is held is denied."""

    async def deny() -> None:
        while True:
            for item in await run.look():
                if b" look " in item.command:
                    await run.adapter.approve(item)
            await run.deny_rest()
            await asyncio.sleep(0.02)

    connection = await run.adapter.connect()
    denying = asyncio.create_task(deny())
    try:
        try:
            async with asyncio.timeout(PATIENCE):
                client = await connection.start_sftp_client()
        except REFUSED:
            client = None
        async with asyncio.timeout(4 * PATIENCE):
            yield client
    finally:
        connection.abort()
        denying.cancel()
        await asyncio.gather(denying, return_exceptions=True)


async def _write(sftp: asyncssh.SFTPClient, path: str, data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        async with sftp.open(path, "wb") as file:
            await file.write(data)


async def overwrite(run: Run) -> None:
    """Opening a file to write it must not empty it, nor must anything before somebody said yes."""
    run.evil.write_text("as it was")
    async with _sftp(run) as sftp:
        if sftp is not None:
            await _write(sftp, str(run.evil), b"evil")
            with contextlib.suppress(*REFUSED):
                await sftp.truncate(str(run.evil), 0)
    need(run.evil.read_text() == "as it was", "the file was overwritten")


async def through_a_link(run: Run) -> None:
    """A file reached through a link."""
    real = run.adapter.work / "real"
    real.mkdir(exist_ok=True)
    run.evil.symlink_to(real)
    async with _sftp(run) as sftp:
        if sftp is not None:
            await _write(sftp, f"{run.evil}/file", b"evil")
            shown = " ".join(item.shown for item in run.seen.values())
            need(f"{real}/file" in shown or not run.seen, f"what is shown is not where it leads: {shown}")
    need(not (real / "file").exists(), "a file was written through a link")


async def rename(run: Run) -> None:
    """rename and posix-rename."""
    run.evil.write_text("x")
    async with _sftp(run) as sftp:
        for call in (sftp.rename, sftp.posix_rename) if sftp is not None else ():
            with contextlib.suppress(*REFUSED):
                await call(str(run.evil), str(run.canary))
    need(run.evil.exists(), "a file was renamed")


async def set_mode(run: Run) -> None:
    """setuid."""
    run.evil.write_text("x")
    run.evil.chmod(0o644)
    async with _sftp(run) as sftp:
        if sftp is not None:
            with contextlib.suppress(*REFUSED):
                await sftp.chmod(str(run.evil), 0o4755)
    need(run.evil.stat().st_mode & 0o7777 == 0o644, "a mode was changed")


async def changed_meanwhile(run: Run) -> None:
    """Somebody says yes to everything, and the file is another one by the time that it is to be replaced."""
    run.evil.write_text("as it was")
    swapped: list[str] = []

    async def approve() -> None:
        while True:
            for item in await run.look():
                if b" write " in item.command:
                    swapped.append(item.id)
                    run.evil.write_text("as somebody else has it")
                await run.adapter.approve(item)
            await asyncio.sleep(0.02)

    connection = await run.adapter.connect()
    approving = asyncio.create_task(approve())
    try:
        async with asyncio.timeout(4 * PATIENCE):
            await _write(await connection.start_sftp_client(), str(run.evil), b"as the agent wants it")
    except REFUSED:
        return
    finally:
        connection.abort()
        approving.cancel()
        await asyncio.gather(approving, return_exceptions=True)
    need(swapped, "the write was never held")
    need(run.evil.read_text() == "as somebody else has it", "an approval was used on another file than was shown")


async def path_with_code(run: Run) -> None:
    """scp to a path that a shell would run."""
    await _copy(run, f"{run.adapter.work}/$(touch${{IFS}}{run.canary})`id`")


async def _copy(run: Run, path: str) -> None:
    """scp with both of its protocols; whatever is held is denied."""
    (run.adapter.work / "mine").write_text("x")
    base = run.adapter.ssh()
    options = [str(word) if word != "-p" else "-P" for word in base[1:-1]]
    for protocol in ("-O", "-s"):
        client = await Client.start(
            ["scp", protocol, *options, str(run.adapter.work / "mine"), f"{base[-1]!s}:{path}"], terminal=False
        )
        await _denied(run, client, 2)  # where scp's own protocol is not spoken, it waits for ever
        need(client.status != 0, f"scp {protocol} ended well")


async def _denied(run: Run, client: Client, seconds: float) -> None:
    """Deny whatever is held until the client ends, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while client.status is None:
                await run.deny_rest()
                await asyncio.sleep(0.02)
    await client.close()


async def _commands(run: Run, *commands: str) -> None:
    """Each is held, or refused; none runs."""
    for command in commands:
        client = await Client.start(run.adapter.ssh(command), terminal=False)
        client.end_input()
        await _denied(run, client, PATIENCE)
        need(client.status not in (0, None), f"{command!r} ended well")


async def rsync_daemon(run: Run) -> None:
    """A configuration with a command in it."""
    run.evil.write_text(f"[x]\npath = /tmp\npre-xfer exec = touch {run.canary}\n")
    await _commands(run, f"rsync --server --daemon --config={run.evil} .")


async def git_arguments(run: Run) -> None:
    """More than one path, and transports that run programs."""
    await _commands(
        run,
        f"git-upload-pack '/x' --upload-pack='touch {run.canary}'",
        f"git clone 'ext::sh -c touch% {run.canary}' {run.adapter.work}/clone",
    )


async def read_secret(run: Run) -> None:
    """A file that only its owner should read."""
    async with _sftp(run) as sftp:
        for path in ("/etc/shadow", "/etc/../etc/shadow", "//etc//shadow") if sftp is not None else ():
            with contextlib.suppress(*REFUSED):
                assert sftp is not None
                async with sftp.open(path, "rb") as file:
                    need(not await file.read(), f"{path} is given away")


async def extensions(run: Run) -> None:
    """copy-data, hardlink, lsetstat."""
    run.evil.write_text("x")
    async with _sftp(run) as sftp:
        if sftp is not None:
            with contextlib.suppress(*REFUSED):
                await sftp.link(str(run.evil), str(run.canary))
            with contextlib.suppress(*REFUSED):
                await sftp.remote_copy(str(run.evil), str(run.canary))
            with contextlib.suppress(*REFUSED):
                await sftp.symlink("/etc/shadow", str(run.canary))
    need(not run.canary.exists(), "a file was copied by an extension")


async def jump_elsewhere(run: Run) -> None:
    """Names that are not quite a target's, and ports that are not quite SSH's."""
    async with connected(run) as connection:
        for host, port in (("web-1", 80), ("127.0.0.1", 22), ("WEB-1.", 22), ("web-1\0x", 22), ("../web-1", 22)):
            with contextlib.suppress(*REFUSED):
                _, writer = await connection.open_connection(host, port)
                writer.close()
                raise Broken(f"a jump to {host!r}:{port} is given")


def _jump(run: Run, *words: str, options: tuple[str, ...] = ()) -> list[str | bytes]:
    make = getattr(run.adapter, "jump", None)
    need(make, "the adapter does not say how to jump")
    command: list[str | bytes] = make(*words, options=options) if make else []
    return command


async def jump(run: Run) -> None:
    """`ssh -J`: what comes through is held like everything else."""
    command = f"touch {run.canary}"
    await run.start(_jump(run, command), terminal=False)
    run.agent.end_input()
    await run.held(command.encode())
    await run.deny_rest()
    need(await run.agent.ends() != 0, "a denied command ended well")


async def second_hop(run: Run) -> None:
    """Forwards from inside a jump."""
    for options in (("-W", "web-1:22"), ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9")):
        await run.start(_jump(run, options=options), terminal=False)
        run.agent.end_input()
        need(await run.agent.ends() != 0, f"{options[0]} is given inside a jump")
        need(b"SSH-2.0" not in run.agent.output, "a second hop is given")


_STRANGER = ["ssh", "-F", "none"] + [
    word
    for option in ("BatchMode=yes", "StrictHostKeyChecking=no", "IdentitiesOnly=yes", "UserKnownHostsFile=/dev/null")
    for word in ("-o", option)
]


async def directly(run: Run) -> None:
    """The key that opens the bastion opens no target: P5."""
    base = [str(word) for word in run.adapter.ssh()]
    key = base[base.index("-i") + 1]
    for name in sorted(run.adapter.work.parent.glob("sshd/sshd_config")):
        port = next(line.split()[1] for line in name.read_text().splitlines() if line.startswith("Port "))
        done = await asyncio.to_thread(
            subprocess.run,
            [*_STRANGER, "-i", key, "-p", port, "127.0.0.1", f"touch {run.canary}"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=30,
            check=False,
        )
        need(done.returncode == 255, "the agent's key opens the target")


# --- masquerades ------------------------------------------------------------------------------------------------------


async def subsystem_names(run: Run) -> None:
    """Names that are not quite sftp, some with a command in them."""
    for name in (
        "sftp ",
        " sftp",
        "SFTP",
        "sftp\0",
        "internal-sftp",
        f"sftp; touch {run.canary}",
        f"/bin/touch {run.canary}",
    ):
        async with connected(run) as connection:
            channel = await channel_of(connection)
            if await channel._make_request(b"subsystem", String(name)):
                async with asyncio.timeout(PATIENCE):
                    await channel.wait_closed()
                need(channel.get_exit_status() not in (0, None), f"a subsystem {name!r} is given")
    need(not await run.look(), "a subsystem of another name is held")


def _repository(run: Run) -> tuple[Path, str]:
    """A bare repository on the target, and a commit in it that no ref has."""
    bare = run.adapter.work / f"{run.evil.name}.git"

    def git(*words: str, given: bytes = b"") -> str:
        fixed = ("-c", "user.name=a", "-c", "user.email=a@example")
        return (
            subprocess.run(["git", *fixed, *words], input=given, check=True, capture_output=True)
            .stdout.decode()
            .strip()
        )

    git("init", "-q", "--bare", str(bare))
    tree = git("-C", str(bare), "mktree")
    return bare, git("-C", str(bare), "commit-tree", "-m", "x", tree)


def _refs(bare: Path) -> str:
    return subprocess.run(["git", "-C", str(bare), "for-each-ref"], check=True, capture_output=True, text=True).stdout


def _list(commit: str, ref: str) -> bytes:
    line = f"{'0' * 40} {commit} {ref}\0report-status".encode()
    return b"%04x" % (len(line) + 4) + line + b"0000"


async def push_of_a_remembered_repository(run: Run) -> None:
    """To open it needs nobody: what it shall change does."""
    bare, commit = await asyncio.to_thread(_repository, run)
    command = f"git-receive-pack '{bare}'".encode()
    await run.adapter.allow(command)
    await run.start(run.adapter.ssh(command), terminal=False)
    listed = _list(commit, "refs/heads/x")
    run.agent.send(listed)
    run.agent.end_input()
    await run.held(f"create refs/heads/x {commit}".encode(), listed)
    need(not _refs(bare), "a ref was made before anybody decided")
    await run.deny_rest()
    need(await run.agent.ends() != 0, "a denied push ended well")
    need(not _refs(bare), "a denied push made a ref")


async def second_list_of_a_push(run: Run) -> None:
    """One list is approved; a second one follows it in the same packet."""
    bare, commit = await asyncio.to_thread(_repository, run)
    command = f"git-receive-pack '{bare}'".encode()
    await run.adapter.allow(command)
    await run.start(run.adapter.ssh(command), terminal=False)
    first = _list(commit, "refs/heads/approved")
    run.agent.send(first + _list(commit, "refs/heads/sneaked"))
    await run.approve(f"create refs/heads/approved {commit}".encode(), first)
    run.agent.end_input()
    await run.agent.ends()
    need("sneaked" not in _refs(bare), "a ref was made that nobody approved")
