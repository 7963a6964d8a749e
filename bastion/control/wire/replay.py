"""Messages of the control protocol: a recording, looked at from any moment on."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call
from bastion.control.wire.sessions import FrameInfo


class MarkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command begins."""

    frame: int
    """Number of the frame that marks it."""
    at: int
    """Microseconds since the recording began."""
    request: str


class TimelineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A recording as far as it is durable, and what is known of it."""

    session: str
    frames: int
    """In all; 0: nothing was recorded."""
    until: int
    """Time of the last one, microseconds since the recording began."""
    terminal: bool
    """False: an exec's streams, which no terminal has seen."""
    columns: int
    lines: int
    """Of the terminal's window at the beginning; 0 where there was none."""
    marks: list[MarkInfo]
    """Of what is rendered, by time."""
    chunks: int
    rendered: int
    """Of the chunks, so many from the first on: up to there a seek is quick and marks are known."""
    stopped: str = ""
    """Why no more is rendered. As it was found: not harmless yet."""


class MomentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What leads to a moment: a screen, and the frames from there."""

    screen: bytes
    """A keyframe (recorder.keyframe.unpack); empty: begin with an empty screen."""
    first: int
    """Number of the first frame of `frames`, and where the screen stands."""
    frames: list[FrameInfo]
    """At most about 1 MiB."""
    target: int
    """Number of the frame that comes next at that moment; further than `first + len(frames)` where it is far from the
    last keyframe: read on from there."""
    at: int
    """The moment, microseconds since the recording began."""


class ReadTimeline(Call, frozen=True, kw_only=True, tag="read-timeline"):
    """-> TimelineInfo. What is not rendered yet is rendered from now on."""

    session: str


class ReadMoment(Call, frozen=True, kw_only=True, tag="read-moment"):
    """-> MomentInfo: the state behind all frames up to `at`, or before the frame of that number."""

    session: str
    at: int = 0
    """Microseconds since the recording began; beyond the end: the end."""
    frame: int = -1
    """Not negative: instead of `at`."""
    reveal: bool = False
    """As in ReadRecording."""
