"""Files and sockets that this process may have open at once (RLIMIT_NOFILE, getrlimit(2)).

Each connection is one, the one to its target another; the ledger, the workers, people's tools and staged files need
some, too. Where there are none left, nothing new can be opened by anybody. So the limit is raised as far as it may be,
and no more connections are let in than leave room for the rest: shells usually have a soft limit of 1,024, and services
of systemd one of 524,288 that may be reached.
"""

from __future__ import annotations

import resource

from bastion.errors import UsageError

RESERVED = 128
"""For everything that is no agent's connection. A daemon has about 25 open when it begins; the largest part is for
people's tools, and for new connections on their way to be turned away (a listener's backlog has 100)."""

EACH = 2
"""For one agent's connection: its own, and one to a target."""


def room_for(connections: int) -> int:
    """How many of these connections fit: all of them on most hosts. Raises UsageError where hardly any does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS has a lower one of its own
            hard = soft
    if hard == resource.RLIM_INFINITY:
        return connections
    fitting = (hard - RESERVED) // EACH
    if fitting < 2:
        raise UsageError(
            f"{hard} files may be open at once, and a bastion needs at least {RESERVED + 2 * EACH}",
            "raise the limit (ulimit -n, LimitNOFILE=)",
        )
    return min(connections, fitting)
