"""What the connection tells the app. All of them are facts in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from bastion.control import wire
from bastion.model import Choice


@dataclass
class Connected(Message):
    """The daemon answered; everything that is known now follows in it."""

    welcome: wire.Welcome
    requests: list[wire.RequestInfo]
    sessions: list[wire.SessionInfo]


@dataclass
class Disconnected(Message):
    """There is no connection; what is shown is old."""

    reason: str
    retry: float
    """Seconds until the next attempt; 0: none by itself."""


@dataclass
class Pushed(Message):
    """The daemon pushed something."""

    push: wire.Push


@dataclass
class Gone(Message):
    """The daemon does not know a request that was held here."""

    request: str


@dataclass
class Voted(Message):
    """A vote was counted; how the request stands after it."""

    info: wire.RequestInfo
    choice: Choice


@dataclass
class VoteFailed(Message):
    """A vote was not counted, or nobody knows."""

    request: str
    words: str


@dataclass
class Kept(Message):
    """What the bastion keeps of how this person wants the console over ssh."""

    text: str


@dataclass
class Told(Message):
    """Something for the notice line."""

    words: str
    style: str = "value"
