"""What an attack is: data. A vector says what an agent does, what a person approves meanwhile, and what must hold.

`{X}` stands for the vector's canary: a path on the target that only code which nobody approved would create. One rule
holds for all of them: the canary never appears unless something was approved that names it. `{E}` stands for another
path, of a file that may be named in what is approved (and whose text may make the canary, if somebody runs it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

TOUCH = b"touch {X}"
"""What makes the canary."""


class Channel(StrEnum):
    """How the attack comes in. An adapter says which it offers, which it refuses as a whole, and which it lacks."""

    SHELL = "shell"
    """An interactive shell with a terminal."""
    PIPE = "pipe"
    """A shell without a terminal, fed by stdin."""
    EXEC = "exec"
    """One command; `env+exec` in the corpus, too."""
    PROTOCOL = "protocol"
    """Requests of RFC 4254 as no ordinary client sends them."""
    APPROVER = "approver"
    """What an approver is shown, and what an approval is worth."""
    AUTOMATIC = "automatic"
    """What is let through without a person."""
    FILES = "files"
    """sftp, scp, rsync, git."""
    JUMP = "jump"
    """direct-tcpip to a target: `ssh -J`."""


# --- what happens, in order ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shell:
    """Open a shell: on a terminal, or fed by stdin."""

    terminal: bool = True
    options: tuple[str, ...] = ()
    term: str = "xterm-256color"


@dataclass(frozen=True, slots=True)
class Exec:
    """Run one command with the ordinary client."""

    command: bytes
    options: tuple[str, ...] = ()
    open: bool = False
    """More comes on stdin; otherwise it ends at once."""


@dataclass(frozen=True, slots=True)
class Type:
    """Bytes to the terminal, or to stdin."""

    data: bytes
    apart: bool = False
    """One byte a packet."""


@dataclass(frozen=True, slots=True)
class End:
    """EOF on stdin."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Once exactly this is held, approve it. A target without a bastion holds nothing: there it means nothing."""

    command: bytes
    stdin: bytes = b""
    mode: str = ""
    """What may be typed into it, where that is asked: none, line, view, raw."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Once exactly this is held, deny it."""

    command: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """Wait until exactly this is held, and leave it."""

    command: bytes
    stdin: bytes = b""
    line: bool = False
    """As a command of its own, not as input of one that runs."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds pass, for what a target does by the clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Sees:
    """Wait until the agent got something of this form (a regular expression)."""

    pattern: bytes


@dataclass(frozen=True, slots=True)
class Exists:
    """Wait until this file is on the target: something approved has come so far."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """Another size of the window, so often."""

    columns: int
    rows: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Leave:
    """The client is killed, without a word."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the approver is shown of what is held has these texts, and none of those."""

    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allow:
    """A person has said that this command needs no person any more."""

    command: bytes


@dataclass(frozen=True, slots=True)
class Plant:
    """A file on the target, from before."""

    path: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """A function of probes/: what no list of steps can say."""

    name: str


Step = (
    Shell
    | Exec
    | Type
    | End
    | Approve
    | Deny
    | Held
    | Pause
    | Sees
    | Exists
    | Resize
    | Leave
    | Shown
    | Allow
    | Plant
    | Probe
)


class Ends(StrEnum):
    """How the runner knows that everything which was sent has had its effect."""

    SENTINEL = "sentinel"
    """A last line is typed; once it is held or has run, all before it was dealt with."""
    CLOSED = "closed"
    """The client ends by itself, once what is still held was denied."""
    CUT = "cut"
    """Nothing will end it: the runner gives it a moment, and cuts it."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One attack."""

    id: str
    category: str
    channel: Channel
    must: str
    """In words."""
    steps: tuple[Step, ...]
    held: tuple[bytes, ...] = ()
    """Commands, each of which must have been held as an item of its own, exactly so."""
    flagged: tuple[str, ...] = ()
    """Of the first of `held`: one of these words must stand in the reasons of its assessment."""
    ends: Ends = Ends.SENTINEL
    bites: bool = True
    """The target without a bastion falls for it. False where the attack is on a bastion's own parts."""
    needs: frozenset[str] = field(default_factory=frozenset)
    """What an adapter must offer beyond the channel: raw."""
