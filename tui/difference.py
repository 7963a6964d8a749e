"""What differs between a request and an earlier one that was approved. Pure.

Commands are compared by words, everything else that decides what runs by fields. Both sides are shown by name, so that
no colour and no mark inside the text has to be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from bastion.control import wire

WORDS_COMPARED = 1000
"""Of each command; beyond that only the fact that they differ is said."""

FIELDS = (
    ("agent", "identity"),
    ("login", "login"),
    ("target", "target"),
    ("environment", "env"),
    ("directory", "cwd"),
    ("script", "script"),
)
"""What beside the command decides what runs, and is shown as it was."""

CONTENTS = (("stdin", "stdin_code"), ("script's content", "script_code"))
"""The same, of which only is said that it differs: it stands on the screen itself."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From the earlier one to this one."""

    added: tuple[bytes, ...] = ()
    """Runs of words that only this one has."""
    removed: tuple[bytes, ...] = ()
    """Runs of words that only the earlier one had."""
    spaces: bool = False
    """The words are the same, what is between them is not."""
    others: tuple[tuple[str, str], ...] = ()
    """(field, what it was then)."""
    contents: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """They are the same."""
        return self == Difference()


def difference(earlier: wire.RequestInfo, this: wire.RequestInfo) -> Difference:
    """What differs. Never raises."""
    old, new = earlier.command.split(), this.command.split()
    added: list[bytes] = []
    removed: list[bytes] = []
    if len(old) > WORDS_COMPARED or len(new) > WORDS_COMPARED:
        added, removed = ([this.command], [earlier.command]) if old != new else ([], [])
    else:
        for tag, begin, end, start, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                removed += [b" ".join(old[begin:end])] if end > begin else []
                added += [b" ".join(new[start:stop])] if stop > start else []
    return Difference(
        tuple(added),
        tuple(removed),
        old == new and earlier.command != this.command,
        tuple((name, getattr(earlier, each)) for name, each in FIELDS if getattr(earlier, each) != getattr(this, each)),
        tuple(name for name, each in CONTENTS if getattr(earlier, each) != getattr(this, each)),
    )
