"""Attacks through a jump, and past the bastion."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess

from tests.bypass.probing import REFUSED, connected, need
from tests.bypass.run import Broken, Run


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
