"""The real daemon, which kills itself (SIGKILL) at one step, named in DIE_AT. Run as a program.

`before TYPE` and `after TYPE` are the moments round the commit of an entry of that type, whatever else goes with it;
nobody has been told of it yet. `before dial`, `before exec` and `after exec` lie round the sending of the command;
`before write`, `before rename` and `after rename` lie in the applying of a file over SFTP.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPClientHandler

from bastion.cli import main
from bastion.ssh.upstream import Pool
from recorder.notary import Sealed
from recorder.store import Group, Store

STEP = os.environ["DIE_AT"]

commit, start, open_channel = Store.commit, Pool.start, Pool._open
rename, far_write = asyncssh.SFTPClient.posix_rename, SFTPClientHandler.write


def die(step: str) -> None:
    if step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)


def dying_commit(self: Store, group: Group) -> Sealed:
    for entry in group.entries:
        die(f"before {entry.type}")
    sealed = commit(self, group)
    for entry in group.entries:
        die(f"after {entry.type}")
    return sealed


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
Store.commit = dying_commit  # type: ignore[method-assign]
Pool.start = dying_start  # type: ignore[method-assign]
Pool._open = dying_open  # type: ignore[method-assign]
main()
