"""What was found in a command, one thing at a time, with its weight. Pure.

A finding is an action of facts/actions.toml on something; where that something is (facts/places.toml) adds to its
weight. The classifier collects findings, score.py adds them up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bastion.model import Effect
from bastion.policy.places import Places
from bastion.policy.programs import Action
from bastion.policy.visible import CUT, visible_line
from bastion.policy.words import UNKNOWN, Word

MEDIUM, HIGH = 25, 60
"""Scores from which the tier is medium, high."""
WHAT_WIDTH = 80
"""Characters of what a sentence names; the whole command stands beside it."""
GAP = "<?>"
"""In sentences, for what only run time knows."""
OPEN = "…"
"""The same in effects: no path of a policy can mean it."""
PATH_LIMIT = 4_096
"""Characters of one of them: PATH_MAX of Linux; what is longer is no path that could be opened."""
NOWHERE = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2", "/dev/full"))
"""Writing there changes nothing."""
_DEVICES = re.compile(r"/dev/(?:null|zero|full|u?random|tty|std(?:in|out|err)|fd/\d+|shm/.*)", re.DOTALL)
"""What may be read without a second thought; others are disks, keyboards, memory, or act when they are opened."""
SOCKETS = ("/dev/tcp/", "/dev/udp/")
"""bash(1) REDIRECTION: names that open a connection."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a command does."""

    action: Action
    what: str = ""
    """What it touches, as in the command; agent's text."""
    place: str = ""
    """What its place adds, as words."""
    weight: int = 0
    """After its place."""
    verbs: tuple[str, ...] = ()
    """What its place adds to the action's verbs."""
    things: tuple[str, ...] = field(default=(), compare=False)
    """The single things that `what` names."""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What it does to what it touches."""
        things = [thing[:PATH_LIMIT].replace(UNKNOWN, OPEN) for thing in self.things or (self.what,)]
        return tuple(Effect(kind, thing) for kind in self.action.effects for thing in things)

    @property
    def sentence(self) -> str:
        """For a person."""
        what = visible_line(self.what, WHAT_WIDTH) if UNKNOWN not in self.what else _with_gaps(self.what)
        what = what.replace(CUT, "...")  # whoever shows it makes it visible once more
        text = self.action.say.replace("{what}", what).rstrip(" :")
        return f"{text} ({self.place})" if self.place else text


def _with_gaps(text: str) -> str:
    """Harmless to show, with a sign where only run time knows."""
    return visible_line(text.replace(UNKNOWN, GAP), WHAT_WIDTH)


class Finder:
    """Makes findings by the facts about actions and places."""

    def __init__(self, actions: Mapping[str, Action], places: Places) -> None:
        self.actions = actions
        self.places = places

    def find(self, name: str, what: str = "", things: Sequence[str] = ()) -> Finding:
        """An action on something that is no path."""
        action = self.actions[name]
        return Finding(action, what, "", action.weight, (), tuple(things))

    def path(self, name: str, word: Word, directories: tuple[str, ...] = ()) -> list[Finding]:
        """An action on a path: where it points counts. `directories`: what `cd` may have made the current one."""
        action = self.actions[name]
        text = word.text
        if text in NOWHERE or (text == "-" and not action.code):
            return []
        if text.startswith(SOCKETS):
            return [self.find("connect" if name == "read" else "send", text)]
        if name == "read":
            return self.reading(word, directories) or [Finding(action, text, "", 0)]
        place = self.places.of_change(text, directories)
        verbs = place.verbs if place is not None else ()
        deletes = "deletes" in action.effects
        if place is None and text.startswith(UNKNOWN) and deletes:
            return [Finding(action, text, "known only when it runs", max(action.weight, HIGH))]
        if place is None:
            return [self.find(name, text)]
        gentle = place.writes is not None and not deletes and "recursively" not in action.say
        weight = action.weight + (place.writes if gentle and place.writes is not None else place.weight)
        if place.weight < 0:
            weight = max(weight, MEDIUM)
        return [Finding(action, text, place.say, min(weight, 100), verbs)]

    def naming(self, word: Word) -> list[Finding]:
        """A word that names a secret, as a path or as the last part of one (`find -name id_rsa`)."""
        place = self.places.of_name(word.text) if "/" not in word.text else None
        if place is None:
            return self.reading(word)
        action = self.actions["read-secret"]
        return [Finding(action, word.text, place.say, action.weight, place.verbs)]

    def reading(self, word: Word, directories: tuple[str, ...] = ()) -> list[Finding]:
        """What is found when the contents of a path are read: a secret, or nothing."""
        if word.text.startswith("/dev/") and not _DEVICES.fullmatch(word.text):
            return [Finding(self.actions["read-secret"], word.text, "is a device", self.actions["read-secret"].weight)]
        place = self.places.of_read(word.text, directories, wild=word.glob or UNKNOWN in word.text)
        if place is None:
            return []
        action = self.actions["read-secret"]
        return [Finding(action, word.text, place.say, action.weight, place.verbs)]
