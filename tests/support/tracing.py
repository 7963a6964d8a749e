"""The system calls of a process that runs, counted by strace(1)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def can_trace() -> bool:
    """Whether there is a strace that may attach."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        tried = subprocess.run(
            ["timeout", "-s", "INT", "0.3", "strace", "-qq", "-o", "/dev/null", "-p", str(sleeper.pid)],
            capture_output=True,
            check=False,
        )
        return not tried.stderr
    except FileNotFoundError:
        return False
    finally:
        sleeper.kill()
        sleeper.wait()


@asynccontextmanager
async def counted(pid: int, log: Path) -> AsyncIterator[Counter[str]]:
    """Counts the calls that the process makes within the block; the counts are there when it is over."""
    counts: Counter[str] = Counter()
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-o", str(log), "-p", str(pid), stderr=subprocess.PIPE
    )
    assert tracer.stderr is not None
    try:
        attached = await tracer.stderr.readline()  # "strace: Process N attached with M threads"
        assert b"attached" in attached, attached
        yield counts
    finally:
        tracer.send_signal(signal.SIGINT)
        await tracer.communicate()
    for line in log.read_text(errors="replace").splitlines():
        name = line.split(None, 1)[1].partition("(")[0]
        if name.isidentifier():
            counts[name] += 1
