"""The shells inside a governed shell, as its gate knows them: which are up, which may come up, what is said of them.
Pure.

Theory of operation. A line that is approved in mode LINE and is exactly a command of `gate.nested` is a level while its
shell is up: commands go to the innermost shell, and are requests of their own. The command of a level ends by its own
nonce only; with it all that is inside has ended, whatever that was about to do. Nothing that was approved for an inner
shell can run in an outer one: a line carries the depth that it was approved for (`shell_effects.RunLine.depth`), and
what was typed ahead for a shell that was lost is dropped.

What runs is not what was typed: the prefix is the agent's, the shell behind it is our bootstrap, which becomes that
shell. The approver is told so in the request's context, which the ledger keeps with the proposal.

In a container, more shells are reached through the same prefix, one behind the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bastion.gate import effects as do
from bastion.gate.nested import Nesting, nesting
from bastion.gate.ungoverned import Leads, leads_to
from bastion.model import Request, TtyMode
from bastion.policy.visible import visible_line

DEPTH_MOST = 4
"""Shells inside the first one. Each takes a channel beside the three of the first, and sshd has MaxSessions 10; people
go two deep (`sudo -i`, then a container)."""
WHO_SHOWN = 40
"""Characters of what an inner shell says of who and where it is, in the prompt."""

GOVERNED = (
    "run as a governed shell: the bastion's words start it behind what was typed, and every line in it is held. With "
    "mode view, raw or none, or where its control channel cannot be had, it runs as typed"
)
TOO_DEEP = f"{DEPTH_MOST} shells are open inside each other: this one runs as typed, and lines for it are held as input"

BY_LINES = (
    "seems to start a shell that cannot be governed: it runs as typed, and each line for it is held as its input; "
    "where it is, and what its words mean there, is not known"
)
ELSEWHERE = (
    "leads to another host, where no policy or grant of the bastion holds, and is not governed: each line for it is "
    "held as its input. A registered target is reached through the bastion (ssh TARGET@bastion)"
)


def governed(item: bytes) -> Nesting | None:
    """How to govern the shell that an item starts; comments before it belong to it, and say nothing to a shell."""
    lines = item.split(b"\n")
    while len(lines) > 1 and (not lines[0].strip() or lines[0].lstrip().startswith(b"#")):
        del lines[0]
    return nesting(lines[0]) if len(lines) == 1 else None


@dataclass(frozen=True, slots=True)
class Level:
    """A shell with another one in it, and the line there that started the other."""

    request: Request
    nonce: str
    kind: str
    """Of the outer shell."""
    cwd: str
    inside: str
    """What reaches the inner one's container; empty where it runs on the target itself."""
    who: str
    """Who and where one is in the inner one, as it says itself."""


class Nests:
    """The levels of one shell, the outermost first."""

    def __init__(self) -> None:
        self.levels: list[Level] = []
        self.coming = False
        """The line that runs, or is being started, brings up another one."""
        self.stayed = False
        """The innermost was told to exit, and did not; nothing was run since."""

    @property
    def depth(self) -> int:
        """Shells round the one that commands go to."""
        return len(self.levels)

    @property
    def inside(self) -> str:
        """What reaches the container of the innermost shell."""
        return self.levels[-1].inside if self.levels else ""

    @property
    def parent(self) -> str:
        """Id of the line whose shell commands go to."""
        return self.levels[-1].request.id if self.levels else ""

    def opens(self, item: bytes, mode: TtyMode) -> bool:
        """Whether an item that runs in this mode is run as a governed shell."""
        return mode is TtyMode.LINE and self.depth < DEPTH_MOST and governed(item) is not None

    def context(self, item: bytes) -> tuple[tuple[str, str], ...]:
        """What the approver is told of an item beside what the shell says."""
        told: list[tuple[str, str]] = []
        if self.levels:
            # the commands, which people approved; what the target says of itself comes apart, and says so
            told.append(("inside", " > ".join(visible_line(level.request.command, 60) for level in self.levels)))
            told.append(("there", f"{self.levels[-1].who or 'nobody'}, as that shell says"))
        if governed(item) is not None:
            told.append(("nested", GOVERNED if self.depth < DEPTH_MOST else TOO_DEEP))
        elif (leads := leads_to(item)) is not None:
            told.append(("nested", ELSEWHERE if leads is Leads.AWAY else BY_LINES))
        return tuple(told)

    def where(self) -> str:
        """For the prompt, behind the target's name."""
        return "".join(f">{level.who or '?'}" for level in self.levels)

    def enter(self, request: Request, nonce: str, *, kind: str, cwd: str, who: str) -> None:
        """The shell that `request` started waits for commands. `kind` and `cwd` are those of the shell round it."""
        found = governed(request.command)
        inside = self.inside + (found.inside if found is not None else "")
        self.levels.append(Level(request, nonce, kind, cwd, inside, visible_line(who, WHO_SHOWN)))
        self.coming = False

    def leave(self, nonce: str) -> tuple[Level, list[Request]] | None:
        """The command of that nonce has ended: its level, and the requests of those that were inside, the innermost
        first. None if no level has it."""
        number = next((n for n, level in enumerate(self.levels) if level.nonce == nonce), None)
        if number is None:
            return None
        level, inside = self.levels[number], [each.request for each in reversed(self.levels[number + 1 :])]
        del self.levels[number:]
        self.coming = False
        return level, inside

    def over(self, note: str) -> list[do.RecordFinished]:
        """All has ended: the lines that started the levels, the innermost first."""
        finished = [do.RecordFinished(level.request, None, "", note) for level in reversed(self.levels)]
        self.levels.clear()
        self.coming = False
        return finished


def reached(item: bytes, inside: str) -> Nesting:
    """How to start what an approved item starts, in the container that `inside` reaches. Raises ValueError if it starts
    nothing that can be governed."""
    found = governed(item)
    if found is None:
        raise ValueError("this starts no shell that can be governed")
    return replace(found, inside=inside + found.inside)
