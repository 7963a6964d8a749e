"""How Python is set for a daemon: its loop, its threads' turns, its collector of garbage.

A daemon answers keys and starts commands: what holds the interpreter for long is what people feel.
"""

from __future__ import annotations

import asyncio
import gc
import sys

COLLECT_AFTER = (10_000, 20, 10)
"""Objects more than before, and how many looks at younger ones come before one at older ones. Python's own (700, 10,
10) looks a dozen times at what one command needs; with these a look takes about a millisecond."""

SWITCH_SECONDS = 0.001
"""That the loop waits at most for a thread that has the interpreter (the packer of recordings, the ledger's writer), if
there are no others; Python's own is 5 ms, and each of them is a key's echo later."""


def runner() -> asyncio.Runner:
    """What runs the loop: uvloop's, where there is one."""
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def spare_what_stays() -> None:
    """What is there by now stays until the end: the collector need not look at it again. A look at all of it held
    everybody up for 80 ms, some of them in every minute of work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
