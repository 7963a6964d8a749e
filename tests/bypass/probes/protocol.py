"""Attacks that speak SSH itself: requests that no client program sends, or not then."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from asyncssh.packet import Boolean, String, UInt32

from tests.bypass.probing import REFUSED, channel_of, connected, need, touching
from tests.bypass.run import PATIENCE, Broken, Run, comes
from tests.support.client import Client
from tests.support.ports import free_port


async def odd_commands(run: Run) -> None:
    """NUL inside, overlong UTF-8, bytes that are no UTF-8, nothing at all."""
    touch = touching(run).encode()
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
    touch = touching(run).encode()
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
    run.evil.write_text(touching(run))
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
    touch = touching(run)
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
    touch = touching(run)
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
    run.evil.write_text(touching(run))
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
    command = touching(run)
    await run.start(run.adapter.ssh(command, options=("-o", "RekeyLimit=16K")), terminal=False)
    await run.held(command.encode())
    run.agent.send(b"x" * 200_000)
    await asyncio.sleep(0.3)
    need([item for item in await run.look() if item.command == command.encode()], "new keys took the request away")


async def flood(run: Run) -> None:
    """More at once than people could look at: the surplus is refused, and the approver's side answers."""
    touch = touching(run)
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
