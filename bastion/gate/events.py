"""What happened on one session channel: past tense, frozen, with the time on it where time matters."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.gate.notices import Notice
from bastion.model import Decision, Request


@dataclass(frozen=True, slots=True)
class ExecRequested:
    """RFC 4254 section 6.5 `exec`: the command as bytes, and what was set for it before."""

    command: bytes
    request: str
    """A fresh request id, in case this becomes a new request."""
    now: int
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class StdinReceived:
    """Bytes of stdin, while the gate collects them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StdinEnded:
    """The agent sent EOF (RFC 4254 section 5.3), while the gate collects stdin."""

    now: int


@dataclass(frozen=True, slots=True)
class StillReading:
    """The gate collects stdin for a moment now, and there is no end yet."""


@dataclass(frozen=True, slots=True)
class TwinFound:
    """An identical request of the same identity was left behind: still held, or approved and not used yet."""

    request: Request
    decision: Decision | None
    """None while still held."""


@dataclass(frozen=True, slots=True)
class NoTwinFound:
    """No identical request was left behind."""

    now: int
    script: str = ""
    """The file on the target that the command runs, if that is known and could be read."""
    script_code: bytes = b""
    """What it holds."""
    shell: str = ""
    """What reads commands on the target, if that is known (policy/dialects.py)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The held request ended."""

    decision: Decision
    seconds: float
    """How long it was held."""


@dataclass(frozen=True, slots=True)
class Edited:
    """An approver put another request in the held one's place."""

    request: Request
    """The new one; it says which it was made from."""


@dataclass(frozen=True, slots=True)
class Waited:
    """The request is held for so many seconds now."""

    seconds: int
    of: int


@dataclass(frozen=True, slots=True)
class UpstreamOpened:
    """The target's sshd accepted the command."""


@dataclass(frozen=True, slots=True)
class UpstreamFailed:
    """The command could not be started on the target."""

    reason: str
    sent: bool = False
    """It was sent, and the target did not say what became of it."""


@dataclass(frozen=True, slots=True)
class UpstreamEnded:
    """The target's channel closed after everything it sent was delivered."""

    status: int | None
    """Exit status, None if there was none."""
    signal: str = ""
    """Signal name without SIG (RFC 4254 section 6.10), if that ended it."""
    confirmed: bool = True
    """False: it was stopped, and the target did not say that it ended."""


@dataclass(frozen=True, slots=True)
class StdinRefused:
    """What the agent sent into its running command was judged by itself, and is not to go on."""

    notice: Notice
    status: int
    """For the agent."""
    why: str
    """For the ledger."""


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """The agent asks to signal its command (RFC 4254 section 6.9); the name has no SIG."""

    name: str


@dataclass(frozen=True, slots=True)
class AgentLeft:
    """The agent's channel or connection is gone."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A human or the daemon ends this session: killed, revoked, recording failed, shutting down."""

    reason: str
    keeps: bool = False
    """What is held stays at the desk: the daemon stops, and takes it up again when it is back."""


Event = (
    ExecRequested
    | StdinReceived
    | StdinEnded
    | StillReading
    | TwinFound
    | NoTwinFound
    | Decided
    | Edited
    | Waited
    | UpstreamOpened
    | UpstreamFailed
    | UpstreamEnded
    | StdinRefused
    | SignalReceived
    | AgentLeft
    | Cut
)
