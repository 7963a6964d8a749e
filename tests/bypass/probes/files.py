"""Attacks over SFTP, scp, rsync and git: what is on the target stays as it was until somebody said yes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncssh

from tests.bypass.probing import REFUSED, need
from tests.bypass.run import PATIENCE, Run
from tests.support.client import Client


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
