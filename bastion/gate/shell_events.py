"""What happened on one governed shell: past tense, frozen, with the time on it where time matters.

The first part comes from the driver on the target, the second from the agent, the rest from the session. Decided,
Waited, AgentLeft, Cut and SignalReceived are those of `gate.events`: they mean the same here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.gate import events as ev

# --- from the driver ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DriverReady:
    """The shell on the target waits for its first command; or one inside it, which a command started."""

    cwd: str
    kind: str
    """`bash` or `sh`."""
    who: str = ""
    """Of an inner shell: who and where it says that one is, for the prompt."""


@dataclass(frozen=True, slots=True)
class CommandBegan:
    """The shell read the whole frame and starts the command: from here on the terminal is the command's."""

    nonce: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """The command of that nonce ended, and the shell waits for the next."""

    nonce: str
    status: int
    cwd: str
    signal: str = ""
    """What ended it, without SIG (RFC 4254 section 6.10), where it was no command of a shell."""


@dataclass(frozen=True, slots=True)
class TtyChanged:
    """What the observer sees of the terminal while a command runs."""

    echo: bool
    canonical: bool
    owner: str
    """`sudo`, `su` or `passwd` where the foreground process is that program, owned by root; else empty."""


@dataclass(frozen=True, slots=True)
class DriverFailed:
    """The shell on the target is gone, cannot be had, or did something that the protocol does not know."""

    reason: str
    status: int | None = None
    """The shell's own exit status, where it ended in the course of a command (`exit 3`)."""


@dataclass(frozen=True, slots=True)
class SpoofSeen:
    """Sequences of the driver's own number came that the driver did not send; they were taken out."""

    count: int


# --- from the agent -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShellRequested:
    """RFC 4254 section 6.5 `shell`, with or without a `pty-req` before it."""

    terminal: str
    """TERM; empty without a terminal."""
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class CommandRequested:
    """RFC 4254 section 6.5 `exec` behind a `pty-req`."""

    command: bytes
    terminal: str
    """TERM."""
    columns: int
    rows: int
    request: str
    """A fresh request id, in case this becomes a new request."""
    nonce: str
    now: int
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class BytesTyped:
    """Bytes of the agent, as they came."""

    data: bytes


@dataclass(frozen=True, slots=True)
class InputEnded:
    """RFC 4254 section 5.3 EOF: nothing more will come."""


@dataclass(frozen=True, slots=True)
class WindowChanged:
    """RFC 4254 section 6.7."""

    columns: int
    rows: int


# --- from the session -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Described:
    """What was asked with Describe: a fresh id and nonce, the time, and what the shell says of the item's words."""

    request: str
    nonce: str
    now: int
    """Microseconds since the epoch."""
    context: tuple[tuple[str, str], ...] = ()
    """(name, text) as the approver is shown it: aliases, functions, traps, `type -a`, the screen before."""
    plain: bool = False
    """The shell makes of the item's words what anybody would: no alias, function or trap is in the way."""
    tty: TtyChanged | None = None
    """For stdin: the terminal as it is at this moment."""


@dataclass(frozen=True, slots=True)
class WindowOver:
    """The time of a RAW or view grant is over, or a person ended it."""

    request: str
    reason: str


FromDriver = DriverReady | CommandBegan | CommandDone | TtyChanged | DriverFailed | SpoofSeen
Event = (
    FromDriver
    | ShellRequested
    | CommandRequested
    | BytesTyped
    | InputEnded
    | WindowChanged
    | Described
    | WindowOver
    | ev.TwinFound
    | ev.NoTwinFound
    | ev.Decided
    | ev.Edited
    | ev.Waited
    | ev.SignalReceived
    | ev.AgentLeft
    | ev.Cut
)
