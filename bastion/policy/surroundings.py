"""What a command stands in: its stdin, how deep it is, which functions and directories the line knows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Input:
    """What a command's stdin is."""

    text: str | None = None
    """When it is known: written in the command line, or read and bound beforehand."""
    piped: bool = False
    """Comes from another command or a file."""
    fetched: bool = False
    """Through something that came over the network."""
    decoded: bool = False
    """Through a decoder."""
    secret: bool = False
    """A secret flows in it."""
    hoard: bool = False
    """Names of files where secrets lie."""
    anchored: bool = False
    """Names of files, each ended by NUL and beginning with `/`, `./` or `~`."""


@dataclass(slots=True)
class Spent:
    """What judging one line has taken so far; shared by everything inside it."""

    text: int = 0
    """Characters of databases' languages that were parsed."""


@dataclass(frozen=True, slots=True)
class Where:
    """Surroundings of a command."""

    stdin: Input
    depth: int = 0
    """Commands inside commands."""
    functions: frozenset[str] = frozenset()
    """Names that this line has defined for certain before it comes here."""
    directories: tuple[str, ...] = ()
    """What the current directory may be, as far as it is known."""
    terminal: bool = False
    """The line runs on a terminal, where programs open pagers."""
    captured: bool = False
    """Its output goes to another program or a file."""
    spent: Spent = field(default_factory=Spent, compare=False)

    def reads(self, stdin: Input, *, captured: bool) -> Where:
        """The same, with this on stdin, and its output captured or not. As dataclasses.replace, in a quarter of the
        time; most commands find what there was."""
        if stdin is self.stdin and captured is self.captured:
            return self
        return Where(stdin, self.depth, self.functions, self.directories, self.terminal, captured, self.spent)
