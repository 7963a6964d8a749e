"""States of a governed shell, and the table of what may happen in each. Pure data.

    NEW          nothing asked for yet
    OPENING      the driver starts on the target
    IDLE         the agent edits a line
    ASKING       a whole item: the shell is asked what its words mean, nothing proposed yet
    HELD         proposed and durable; a person decides
    STARTING     authorized and durable; the shell reads the frame, nothing may go to the terminal
    NONE         the command runs; only the four control keys reach it
    LINE         it runs, and the agent edits a line for it
    LINE_ASKING  a whole line of stdin, not proposed yet
    LINE_HELD    proposed and durable; a person decides
    VIEW, RAW    it runs, and keys reach it: those of its list, or all; for a time
    LEFT         the agent is gone, and policy lets the command run to its end
    EXITING      ^D at the prompt of an inner shell, which is told to exit; nothing of the agent's runs
    ENDING       the driver is being ended from our side
    CLOSED       over

ASKING and LINE_ASKING wait for the answer to an effect, which the session gives before any other event.

A (state, event) pair without a row is an error of the caller, and changes nothing. `None` is a row that says: this can
happen late, and means nothing any more.
"""

from __future__ import annotations

from enum import Enum, auto

from bastion.gate import events as ev
from bastion.gate import shell_events as sv


class State(Enum):
    """Where a shell's gate is."""

    NEW = auto()
    OPENING = auto()
    IDLE = auto()
    ASKING = auto()
    HELD = auto()
    STARTING = auto()
    NONE = auto()
    LINE = auto()
    LINE_ASKING = auto()
    LINE_HELD = auto()
    VIEW = auto()
    RAW = auto()
    LEFT = auto()
    EXITING = auto()
    ENDING = auto()
    CLOSED = auto()


S = State

RUNNING = frozenset({S.NONE, S.LINE, S.LINE_HELD, S.VIEW, S.RAW})
"""A command runs, and the agent is there."""
WAITING = frozenset({S.OPENING, S.IDLE, S.HELD, S.EXITING})
"""No command runs: nothing that the agent sends goes anywhere."""
OPEN = WAITING | RUNNING | {S.STARTING}

TABLE: dict[tuple[State, type], str | None] = {
    (S.NEW, sv.ShellRequested): "open",
    (S.NEW, sv.WindowChanged): None,
    (S.NEW, ev.SignalReceived): None,
    (S.NEW, ev.AgentLeft): "leave_new",
    (S.NEW, ev.Cut): "cut_new",
    (S.OPENING, sv.DriverReady): "ready",
    (S.IDLE, sv.BytesTyped): "typed",
    (S.ASKING, sv.Described): "propose",
    (S.HELD, ev.Decided): "decided",
    (S.HELD, ev.Edited): "edited",
    (S.HELD, ev.Waited): "waited",
    (S.STARTING, sv.CommandBegan): "began",
    (S.LINE, sv.BytesTyped): "typed_for_program",
    (S.LINE_ASKING, sv.Described): "propose_stdin",
    (S.LINE_HELD, ev.Decided): "decided_stdin",
    (S.LINE_HELD, ev.Waited): "waited",
    (S.VIEW, sv.BytesTyped): "key_pressed",
    (S.RAW, sv.BytesTyped): "key_pressed",
    (S.VIEW, sv.WindowOver): "window_over",
    (S.RAW, sv.WindowOver): "window_over",
    (S.LEFT, sv.CommandDone): "done_after_leaving",
    (S.LEFT, sv.DriverFailed): "failed_running",
    (S.LEFT, ev.Cut): "cut_running",
    (S.ENDING, sv.DriverFailed): "ended_by_us",
    (S.EXITING, sv.BytesTyped): "typed_while_exiting",
    (S.EXITING, sv.CommandBegan): None,
    **{(state, sv.DriverReady): "inner_ready" for state in RUNNING},
    **{(state, sv.CommandDone): "inner_over" for state in (S.IDLE, S.HELD, S.EXITING, S.STARTING)},
    **{(state, sv.BytesTyped): "typed_ahead" for state in (S.OPENING, S.HELD)},
    **{(state, sv.BytesTyped): "typed_while_running" for state in (S.STARTING, S.NONE, S.LINE_HELD)},
    **{(state, sv.InputEnded): "input_ended" for state in OPEN},
    **{(state, sv.WindowChanged): "resize" for state in OPEN},
    **{(state, ev.SignalReceived): None for state in WAITING | {S.STARTING}},
    **{(state, ev.SignalReceived): "signalled" for state in RUNNING},
    **{(state, sv.CommandDone): "done" for state in RUNNING},
    **{(state, sv.TtyChanged): "tty_changed" for state in RUNNING},
    **{(state, sv.TtyChanged): None for state in OPEN - RUNNING},
    **{(state, sv.DriverFailed): "failed" for state in WAITING},
    **{(state, sv.DriverFailed): "failed_running" for state in RUNNING | {S.STARTING}},
    **{(state, sv.SpoofSeen): "spoofed" for state in OPEN | {S.LEFT, S.ENDING}},
    **{(state, ev.AgentLeft): "leave" for state in WAITING},
    **{(state, ev.AgentLeft): "leave_command" for state in RUNNING | {S.STARTING}},
    **{(state, ev.Cut): "cut" for state in WAITING},
    **{(state, ev.Cut): "cut_running" for state in RUNNING | {S.STARTING}},
    # late: what was under way when the state changed
    **{(state, sv.Described): None for state in S if state not in (S.ASKING, S.LINE_ASKING, S.NEW)},
    **{(state, ev.Decided): None for state in S if state not in (S.HELD, S.LINE_HELD, S.NEW)},
    **{(state, ev.Edited): None for state in S if state not in (S.HELD, S.NEW)},
    **{(state, ev.Waited): None for state in S if state not in (S.HELD, S.LINE_HELD, S.NEW)},
    **{(state, sv.WindowOver): None for state in S if state not in (S.VIEW, S.RAW, S.NEW)},
    **{
        (state, kind): None
        for state in (S.LEFT, S.ENDING, S.CLOSED)
        for kind in (
            sv.BytesTyped,
            sv.InputEnded,
            sv.WindowChanged,
            sv.TtyChanged,
            ev.SignalReceived,
            ev.AgentLeft,
        )
    },
    **{(S.ENDING, kind): None for kind in (sv.DriverReady, sv.CommandBegan, sv.CommandDone, ev.Cut)},
    **{
        (S.CLOSED, kind): None
        for kind in (sv.DriverReady, sv.CommandBegan, sv.CommandDone, sv.DriverFailed, sv.SpoofSeen, ev.Cut)
    },
}
