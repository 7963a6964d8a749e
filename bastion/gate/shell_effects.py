"""What a governed shell does about it: imperative, frozen, executed strictly in list order; the first failure ends the
shell. So "recorded, then run" is the order of a list.

Nothing goes to the target without an Authorization that allows it: RunLine sends the approved command; SendTty sends
exactly the bytes of an approved item of stdin, or keys inside the window that a decision opened; SendControl is one of
four keys; NestLine starts a shell, with words of ours behind those approved, which is the only way in which what runs
is not what was typed; LeaveShell ends one. That is the whole list of what an agent can send (GATING: the invariant).
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.gate import effects as do
from bastion.gate.effects import Authorization
from bastion.gate.nested import Nesting
from bastion.gate.shell_nesting import reached
from bastion.model import Request, RequestKind, StdinMode, TtyMode
from bastion.policy.judge import Judgement

LEAVING = "leaving"
"""Nonce of LeaveShell; those of commands are 32 hex digits."""

CONTROL_KEYS = {"^C": b"\x03", "^Z": b"\x1a", "^\\": b"\x1c", "^D": b"\x04"}
"""Keys that reach a running command without being asked for; each acts only on it."""

# --- for the driver -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenShell:
    """Start the shell on the target; DriverReady or DriverFailed follows."""

    terminal: str
    """TERM, empty for a shell without a terminal."""
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """Have the shell run the approved command; `nonce` names its end."""

    authorization: Authorization
    nonce: str
    depth: int = 0
    """Shells round the one for which it was approved: in no other it runs."""

    def __post_init__(self) -> None:
        if self.authorization.request.kind is not RequestKind.LINE:
            raise ValueError("only a line is run in a shell")


@dataclass(frozen=True, slots=True)
class RunAside:
    """Run what policy or the whitelist allows in a process of its own, in the shell's directory; `nonce` names its
    end."""

    authorization: Authorization
    nonce: str
    cwd: str

    def __post_init__(self) -> None:
        if self.authorization.request.kind is not RequestKind.LINE or not self.cwd.startswith("/"):
            raise ValueError("only a line in a known directory is run beside a shell")


@dataclass(frozen=True, slots=True)
class NestLine:
    """Start the shell of the approved command as a governed one. CommandBegan follows, then DriverReady when it is up;
    CommandDone when it has ended, or where it does not come up."""

    authorization: Authorization
    nonce: str
    depth: int
    """As of RunLine."""
    inside: str
    """What reaches the container in which the command runs; empty outside one."""

    def __post_init__(self) -> None:
        request = self.authorization.request
        if request.kind is not RequestKind.LINE or self.authorization.mode is not TtyMode.LINE:
            raise ValueError("only a line whose input is held is run as a governed shell")
        _ = self.how

    @property
    def how(self) -> Nesting:
        """From the approved bytes, and nothing else."""
        return reached(self.authorization.request.command, self.inside)


@dataclass(frozen=True, slots=True)
class LeaveShell:
    """Have the innermost shell exit, as it does on ^D; `LEAVING` names the end of this if it stays."""

    depth: int
    """Shells round it: no other one is left."""
    again: bool = False
    """It stayed the last time, as bash does that has stopped jobs, and nothing was run since."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError("the first shell is ended with EndShell")


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Start an approved exec on a terminal of its own; `nonce` names its end."""

    authorization: Authorization
    nonce: str

    def __post_init__(self) -> None:
        if self.authorization.request.kind is not RequestKind.EXEC or not self.authorization.request.terminal:
            raise ValueError("only an exec with a terminal is started on one")


@dataclass(frozen=True, slots=True)
class SendTty:
    """Send bytes to the running command's terminal."""

    authorization: Authorization
    data: bytes

    def __post_init__(self) -> None:
        request = self.authorization.request
        match request.kind:
            case RequestKind.STDIN if request.stdin is StdinMode.SECRET:
                if self.data.count(b"\n") != 1 or not self.data.endswith(b"\n"):
                    raise ValueError("a password is one line")
            case RequestKind.STDIN:
                if self.data != request.command:
                    raise ValueError("other bytes than those approved")
            case RequestKind.LINE | RequestKind.EXEC if self.authorization.mode in (TtyMode.RAW, TtyMode.VIEW):
                pass
            case _:
                raise ValueError("nobody allowed keys for this")


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send one of CONTROL_KEYS to the running command's terminal."""

    key: str

    def __post_init__(self) -> None:
        if self.key not in CONTROL_KEYS:
            raise ValueError(f"{self.key!r} is no control key")


@dataclass(frozen=True, slots=True)
class Resize:
    """Tell the target's terminal its size."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class EndShell:
    """End the shell on the target and all that it runs; DriverFailed follows when it is gone."""

    reason: str


# --- for the session ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Echo:
    """Bytes for the agent's terminal that are not output of a command."""

    data: bytes
    fresh: bool = False
    """It begins on a line of its own, wherever output has left the cursor."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Make a fresh id and nonce, and ask the shell what the item's words mean; Described follows."""

    item: bytes
    ask: bool
    """False for stdin, while a command runs: the shell cannot be asked."""


@dataclass(frozen=True, slots=True)
class RecordSent:
    """Commit `stdin.sent`."""

    authorization: Authorization
    parent: Request


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """Keys pass from now on: end it after so many seconds with WindowOver."""

    request: Request
    mode: TtyMode
    seconds: int


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """No key passes any more."""

    request: Request


@dataclass(frozen=True, slots=True)
class NoteSpoof:
    """Count a spoof attempt in the ledger."""

    count: int


ForCommand = do.FindTwin | do.RecordAttached | do.Detach | do.ForwardSignal | RunCommand
"""Only of one command with a terminal (gate/command.py)."""

Effect = (
    OpenShell
    | RunLine
    | RunAside
    | NestLine
    | LeaveShell
    | RunCommand
    | SendTty
    | SendControl
    | Resize
    | EndShell
    | Echo
    | Describe
    | RecordSent
    | OpenWindow
    | CloseWindow
    | NoteSpoof
    | do.FindTwin
    | do.RecordProposed
    | do.RecordAttached
    | do.RecordStarted
    | do.RecordFinished
    | do.Hold
    | do.Withdraw
    | do.Detach
    | do.ForwardSignal
    | do.Say
    | do.Exit
)

__all__ = ["Authorization", "Effect", "Judgement"]
