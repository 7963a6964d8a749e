"""The channel table (P3): what a client may ask of the SSH server, and what becomes of it. Pure data.

Every channel type (RFC 4254 section 5.1), channel request (6.2-6.10) and global request (4, 7.1) that a client can
send has a row here. What has no row is refused: `look_up` of an unknown name gives UNKNOWN. Rows are opened one by
one as the parts that govern them land; a refused row says in one sentence what to do instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bastion.policy.variables import LOCALE


class Treatment(StrEnum):
    """What happens to a thing that a client asks for."""

    GATED = "gated"
    PASSED = "passed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    treatment: Treatment
    reason: str
    """For REFUSED: one sentence to the agent."""


def _refused(reason: str) -> Row:
    return Row(Treatment.REFUSED, reason)


_BACK = "a forward back (ssh -R) would let others in through you, so it is refused"

TABLE: dict[str, Row] = {
    # channel types
    "channel session": Row(Treatment.GATED, ""),
    # gated where policy names the destination (forward.py); this is for everywhere else
    "channel direct-tcpip": _refused(
        "a forward leads to the SSH port of a registered target (ssh -J bastion TARGET), "
        "or from the target that you name to where policy names"
    ),
    "channel direct-streamlocal@openssh.com": _refused(
        "a socket in the target's file system is not governed here, so forwarding to it is refused"
    ),
    "channel tun@openssh.com": _refused("tunnels cannot be governed, so they are refused"),
    "channel forwarded-tcpip": _refused("only a server opens this channel"),
    "channel x11": _refused("only a server opens this channel"),
    # requests on a session channel
    "request exec": Row(Treatment.GATED, ""),
    "request shell": Row(Treatment.GATED, ""),
    "request subsystem sftp": Row(Treatment.GATED, ""),
    "request subsystem": _refused("of subsystems, only sftp is open"),
    "request pty-req": Row(Treatment.PASSED, ""),
    "request window-change": Row(Treatment.PASSED, ""),
    "request env": Row(Treatment.GATED, ""),
    "request signal": Row(Treatment.PASSED, ""),
    "request break": _refused("a break is not passed on: ^C, ^\\ and ^Z reach a running command"),
    "request x11-req": _refused("X11 forwarding cannot be governed, so it is refused"),
    "request auth-agent-req@openssh.com": _refused("agent forwarding would hand your keys to the target"),
    "request eow@openssh.com": Row(Treatment.PASSED, ""),
    "request keepalive@openssh.com": Row(Treatment.PASSED, ""),
    # global requests
    "global tcpip-forward": _refused(_BACK),
    "global cancel-tcpip-forward": _refused(_BACK),
    "global streamlocal-forward@openssh.com": _refused(_BACK),
    "global cancel-streamlocal-forward@openssh.com": _refused(_BACK),
    "global keepalive@openssh.com": Row(Treatment.PASSED, ""),
    "global no-more-sessions@openssh.com": Row(Treatment.PASSED, ""),
    "global hostkeys-prove-00@openssh.com": Row(Treatment.PASSED, ""),
}

TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
"""What a terminal's name is made of (terminfo(5)); anything else is taken for `dumb`, which can do nothing."""

UNKNOWN = _refused("the bastion does not know this, so it is refused")

PASSED_ENVIRONMENT = frozenset(
    {"LANG"}
    | {f"LC_{name}" for name in ("ADDRESS", "ALL", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES")}
    | {f"LC_{name}" for name in ("MONETARY", "NAME", "NUMERIC", "PAPER", "TELEPHONE", "TIME")}
)
"""Variables that go to the target, and into the digest: locale(7). Debian's ssh sends them, its sshd accepts them. Only
with values in which its shell reads a command as it was judged (variables.LOCALE); others are refused."""

INTENT_ENVIRONMENT = (
    *("BASTION_REASON", "BASTION_ROLLBACK", "BASTION_TASK", "BASTION_BREAK_GLASS"),
    *("BASTION_OUTPUT", "BASTION_WAIT", "BASTION_RSYNC"),
)
"""Variables that speak to the bastion and stop there."""

INTENT_LIMIT = 1024
"""Bytes of one such variable: it stands in a ledger entry and on the approver's screen."""

ENVIRONMENT_COUNT = 64
"""Requests to set a variable on one channel; OpenSSH's sshd stops at 128."""


def terminal_name(name: bytes) -> str:
    """TERM as it may be handed on."""
    text = name.decode("ascii", "replace")
    return text if TERM.fullmatch(text) else "dumb"


def look_up(name: str) -> Row:
    """The row of `channel TYPE`, `request TYPE` or `global TYPE`; UNKNOWN if there is none."""
    return TABLE.get(name, UNKNOWN)


def admits(name: bytes, value: bytes) -> bool:
    """Whether an environment variable of that name and value is taken at all."""
    try:
        key, text = name.decode("ascii"), value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if key in INTENT_ENVIRONMENT:
        return len(value) <= INTENT_LIMIT
    return key in PASSED_ENVIRONMENT and LOCALE.fullmatch(text) is not None
