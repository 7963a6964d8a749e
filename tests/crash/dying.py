"""The real daemon, which kills itself (SIGKILL) at one step, named in DIE_AT. Run as a program.

`before TYPE` and `after TYPE` are the moments round the commit of an entry of that type; `before dial`, `before exec`
and `after exec` lie round the sending of the command; `before write`, `before rename` and `after rename` lie in the
applying of a file over SFTP.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPClientHandler

from bastion.audit import Audit
from bastion.cli import main
from bastion.ssh.upstream import Pool

STEP = os.environ["DIE_AT"]

write, start, open_channel = Audit.write, Pool.start, Pool._open
rename, far_write = asyncssh.SFTPClient.posix_rename, SFTPClientHandler.write


def die(step: str) -> None:
    if step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)


async def dying_write(self: Audit, *drafts: Any) -> Any:
    for draft in drafts:
        die(f"before {draft.type}")
    entries = await write(self, *drafts)
    for draft in drafts:
        die(f"after {draft.type}")
    return entries


async def dying_start(self: Pool, *args: Any, **more: Any) -> Any:
    die("before dial")
    return await start(self, *args, **more)


async def dying_open(self: Pool, *args: Any, **more: Any) -> Any:
    die("before exec")
    channel = await open_channel(self, *args, **more)
    die("after exec")
    return channel


async def dying_rename(self: asyncssh.SFTPClient, *args: Any) -> None:
    die("before rename")
    await rename(self, *args)
    die("after rename")


async def dying_far_write(self: SFTPClientHandler, *args: Any) -> int:
    die("before write")
    return await far_write(self, *args)


asyncssh.SFTPClient.posix_rename = dying_rename  # type: ignore[method-assign]
SFTPClientHandler.write = dying_far_write  # type: ignore[method-assign]
Audit.write = dying_write  # type: ignore[method-assign]
Pool.start = dying_start  # type: ignore[method-assign]
Pool._open = dying_open  # type: ignore[method-assign]
main()
