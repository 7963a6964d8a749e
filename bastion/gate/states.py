"""States of the gate of one session channel, and the table of what may happen in each. Pure data.

    OPEN        nothing asked for yet
    COLLECTING  the command reads code from stdin: reading it to its end, nothing proposed yet
    SEEKING     looking whether an identical request was left behind
    HELD        proposed and durable; a person decides
    STARTING    authorized and durable; on its way to the target
    RUNNING     the target runs it; bytes flow past the gate
    ENDING      the target's channel is being closed from our side
    CLOSED      over

SEEKING and STARTING wait for the answer to an effect, and the session delivers that answer before any other event: what
was claimed or started is always accounted for before the agent's leaving is looked at.

A (state, event) pair without a row is an error of the caller, and changes nothing. `None` is a row that says:
this can happen late, and means nothing any more.
"""

from __future__ import annotations

from enum import Enum, auto

from bastion.gate import events as ev


class State(Enum):
    """Where a channel's gate is."""

    OPEN = auto()
    COLLECTING = auto()
    SEEKING = auto()
    HELD = auto()
    STARTING = auto()
    RUNNING = auto()
    ENDING = auto()
    CLOSED = auto()


S = State

TABLE: dict[tuple[State, type], str | None] = {
    (S.OPEN, ev.ExecRequested): "propose_or_collect",
    (S.OPEN, ev.AgentLeft): "leave",
    (S.OPEN, ev.Cut): "cut_early",
    (S.OPEN, ev.SignalReceived): None,
    (S.COLLECTING, ev.StdinReceived): "collect",
    (S.COLLECTING, ev.StdinEnded): "propose_collected",
    (S.COLLECTING, ev.StillReading): "still_collecting",
    (S.COLLECTING, ev.AgentLeft): "leave",
    (S.COLLECTING, ev.SignalReceived): "interrupt_early",
    (S.COLLECTING, ev.Cut): "cut_early",
    (S.SEEKING, ev.TwinFound): "take_up",
    (S.SEEKING, ev.NoTwinFound): "judged",
    (S.SEEKING, ev.StdinReceived): None,
    (S.SEEKING, ev.StdinEnded): None,
    (S.HELD, ev.Decided): "decided",
    (S.HELD, ev.Edited): "edited",
    (S.HELD, ev.Waited): "waited",
    (S.HELD, ev.AgentLeft): "detach",
    (S.HELD, ev.SignalReceived): "interrupt",
    (S.HELD, ev.Cut): "cut_held",
    (S.HELD, ev.StdinReceived): None,
    (S.HELD, ev.StdinEnded): None,
    (S.STARTING, ev.UpstreamOpened): "opened",
    (S.STARTING, ev.UpstreamFailed): "not_started",
    (S.RUNNING, ev.UpstreamEnded): "ended",
    (S.RUNNING, ev.StdinRefused): "refuse_stdin",
    (S.RUNNING, ev.AgentLeft): "abandon",
    (S.RUNNING, ev.SignalReceived): "forward_signal",
    (S.RUNNING, ev.Cut): "cut_running",
    (S.RUNNING, ev.Waited): None,
    (S.ENDING, ev.UpstreamEnded): "ended",
    (S.ENDING, ev.StdinRefused): None,
    (S.ENDING, ev.AgentLeft): None,
    (S.ENDING, ev.SignalReceived): None,
    (S.ENDING, ev.Cut): None,
    (S.ENDING, ev.Waited): None,
    **{(state, ev.StillReading): None for state in S if state is not S.COLLECTING},
    **{
        (S.CLOSED, kind): None
        for kind in (
            ev.StdinReceived,
            ev.StdinEnded,
            ev.Decided,
            ev.Edited,
            ev.Waited,
            ev.UpstreamEnded,
            ev.StdinRefused,
            ev.SignalReceived,
            ev.AgentLeft,
            ev.Cut,
        )
    },
}
