"""What to do about it: imperative, frozen. The session executes them strictly in list order; the first failure ends
the channel. So "recorded, then run" is the order of a list.

Permission carries its restrictions: Run takes an Authorization, and an Authorization cannot be made without the
decision or verdict that allows exactly this digest.
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.gate.notices import Notice
from bastion.model import Decision, Request, State, TtyMode, Verdict
from bastion.policy.judge import Judgement


@dataclass(frozen=True, slots=True)
class Authorization:
    """Leave to run one request, with the grounds for it. Raises ValueError if the grounds are for anything else."""

    request: Request
    grounds: Decision | Judgement

    def __post_init__(self) -> None:
        match self.grounds:
            case Decision(state=State.APPROVED, digest=digest, request=request) if request == self.request.id:
                granted = digest
            case Judgement(verdict=Verdict.ALLOW, digest=digest):
                granted = digest
            case _:
                raise ValueError("no approval, no authorization")
        if granted != self.request.digest:
            raise ValueError("the approval is for another digest")

    @property
    def mode(self) -> TtyMode:
        """What may be typed into the command: as the approvers said, else as asked."""
        chosen = self.grounds.mode if isinstance(self.grounds, Decision) else None
        return self.request.mode if chosen is None else chosen

    @property
    def seconds(self) -> int:
        """How long keys may pass, in seconds; 0 where nobody said."""
        return self.grounds.seconds if isinstance(self.grounds, Decision) else 0


@dataclass(frozen=True, slots=True)
class Collect:
    """Read stdin to its end and report it as events."""


@dataclass(frozen=True, slots=True)
class FindTwin:
    """Look for an identical request of this identity that its client left behind, and claim it."""

    request: Request


@dataclass(frozen=True, slots=True)
class RecordProposed:
    """Commit `request.proposed`."""

    request: Request
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class RecordAttached:
    """Commit `request.attached`: this session waits for, or uses, a request of an earlier session."""

    request: Request


@dataclass(frozen=True, slots=True)
class RecordStarted:
    """Commit `command.started`."""

    authorization: Authorization


@dataclass(frozen=True, slots=True)
class RecordFinished:
    """Commit the rest of the recording, then `command.finished`."""

    request: Request
    status: int | None
    signal: str
    note: str
    """Why it did not run to its own end; empty if it did."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Hand the request to the desk."""

    request: Request


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take the request back from the desk."""

    request: Request
    reason: str


@dataclass(frozen=True, slots=True)
class Detach:
    """The client is gone: leave the request at the desk for an identical one."""

    request: Request


@dataclass(frozen=True, slots=True)
class Run:
    """Send the approved bytes to the target."""

    authorization: Authorization


@dataclass(frozen=True, slots=True)
class ForwardSignal:
    """Signal the running command."""

    name: str


@dataclass(frozen=True, slots=True)
class StopUpstream:
    """Close the command's channel on the target."""


@dataclass(frozen=True, slots=True)
class Say:
    """One line to the agent, on stderr."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Exit:
    """End the agent's channel, after everything sent before it."""

    status: int
    signal: str = ""
    """If not empty, the command was ended by this signal, and no status is sent."""
    why: str = ""
    """For the ledger: how the session ended."""


Effect = (
    Collect
    | FindTwin
    | RecordProposed
    | RecordAttached
    | RecordStarted
    | RecordFinished
    | Hold
    | Withdraw
    | Detach
    | Run
    | ForwardSignal
    | StopUpstream
    | Say
    | Exit
)
