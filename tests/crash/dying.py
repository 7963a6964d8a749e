"""The real daemon, which kills itself (SIGKILL) at one step, named in DIE_AT. Run as a program.

`before TYPE` and `after TYPE` are the moments round the commit of an entry of that type; `before dial`, `before exec`
and `after exec` lie round the sending of the command.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from bastion.audit import Audit
from bastion.cli import main
from bastion.ssh.upstream import Pool

STEP = os.environ["DIE_AT"]

write, start, open_channel = Audit.write, Pool.start, Pool._open


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


Audit.write = dying_write  # type: ignore[method-assign]
Pool.start = dying_start  # type: ignore[method-assign]
Pool._open = dying_open  # type: ignore[method-assign]
main()
