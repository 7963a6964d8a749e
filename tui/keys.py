"""Every key of the console, as data. The ids are stable: a keymap in the client's configuration names them.

Screens take their bindings from here, the help screen prints them from here, and a test presses each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding, BindingType
from textual.keys import _character_to_key

from bastion import errors


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a key does."""

    id: str
    keys: str
    """Names as Textual spells them, separated by commas."""
    action: str
    label: str
    """For the footer, as short as can be; empty: it stands in the help only."""
    help: str

    def binding(self) -> Binding:
        return Binding(self.keys, self.action, self.label or self.help, show=bool(self.label), id=self.id)


DECIDE = (
    Key("request.approve", "a", "approve", "approve", "approve the request on display"),
    Key("request.confirm", "y", "confirm", "yes, approve", "confirm an approval that needs a second key"),
    Key(
        "request.remember",
        "A",
        "remember",
        "and remember",
        "approve it and remember it: shows exactly what, where, how long",
    ),
    Key("request.identical", "i", "identical", "", "approve it and all that are identical to it: lists them first"),
    Key("request.mode", "m", "mode", "", "approve a shell's line, choosing what may be typed into it"),
    Key("request.deny", "d", "deny", "deny", "deny it; the reason that you type goes to the agent"),
    Key("request.edit", "e", "edit", "", "edit it and approve that: judged anew, and the agent is told"),
    Key("request.snooze", "s", "snooze", "", "put it aside for 30 s, for yourself only; again: take it back"),
    Key("request.escalate", "greater_than_sign", "escalate", "", "ask the next group that policy names to decide it"),
    Key("session.watch", "w", "watch", "watch", "watch its session live"),
    Key("session.replay", "v", "replay", "", "view its session's recording, from where the request began"),
    Key("request.reveal", "R", "reveal", "", "show it with its secrets, which the ledger notes"),
    Key("session.kill", "x", "kill", "kill", "end its session at once, or only the keys that pass to it (asks first)"),
)
LISTS = (
    Key("list.filter", "slash", "filter", "filter", "filter all lists, e.g. web-1 risk:high -agent:ci"),
    Key("list.clear", "escape", "clear_filter", "show all", "clear the filter"),
    Key("list.order", "o", "order", "", "next order of the queue: time left, risk, newest"),
    Key("list.up", "up,k", "move(-1)", "", "row up"),
    Key("list.down", "down,j", "move(1)", "", "row down"),
    Key("list.first", "g", "move(-100000)", "", "first row"),
    Key("list.last", "G", "move(100000)", "", "last row"),
    Key("pane.next", "tab", "pane_step(1)", "", "next list"),
    Key("pane.previous", "shift+tab", "pane_step(-1)", "", "list before"),
    Key("pane.queue", "1", "pane('queue')", "", "held requests"),
    Key("pane.sessions", "2", "pane('sessions')", "", "sessions"),
    Key("pane.decided", "3", "pane('decided')", "", "lately decided requests"),
)
SCREENS = (
    Key("screen.ledger", "4", "open('ledger')", "", "the ledger: newest entries, page by page"),
    Key("screen.whitelist", "5", "open('whitelist')", "", "the whitelist: what runs without asking"),
    Key("screen.access", "6", "open('access')", "", "grants and freezes: who may reach what, until when"),
    Key("screen.policy", "7", "open('policy')", "", "the policy in force, in plain words and as it is written"),
    Key("screen.stats", "8", "open('stats')", "", "how deciding goes: times, habits, what asks most"),
)
TEXT = (
    Key("text.down", "space,pagedown", "page(1)", "", "read on: next page of the text"),
    Key("text.up", "b,pageup", "page(-1)", "", "page before"),
    Key("text.line_down", "J,shift+down", "line(1)", "", "text one row down"),
    Key("text.line_up", "K,shift+up", "line(-1)", "", "text one row up"),
    Key("text.top", "home", "edge(-1)", "", "beginning of the text"),
    Key("text.end", "end", "edge(1)", "", "end of the text"),
)
CONSOLE = (
    Key("console.help", "question_mark", "help", "help", "this page"),
    Key("console.freeze", "f", "freeze", "", "freeze everything: nothing new runs (asks why first)"),
    Key("console.palette", "colon,ctrl+p", "app.command_palette", "", "all commands, by what they do"),
    Key("console.reconnect", "r", "reconnect", "", "connect again now"),
    Key("console.theme", "t", "theme", "", "next theme (dark, light, the terminal's own colours)"),
    Key(
        "console.preferences",
        "P",
        "preferences",
        "",
        "your keys and theme over ssh: the bastion keeps them, you sign them",
    ),
    Key("console.quit", "q", "app.quit", "quit", "leave; held requests stay held"),
)
BULK = (
    Key("request.confirm", "y", "confirm", "yes, approve", "approve each of them"),
    Key("identical.cancel", "escape", "cancel", "cancel", "back, approving nothing"),
)
"""Of the dialog that lists identical requests; its first key is the one that confirms everywhere."""
WATCH = (
    Key("watch.back", "escape,w", "back", "back", "back to the lists"),
    Key("watch.reveal", "R", "reveal", "", "with the secrets that are covered, or not; the ledger notes it"),
    Key("watch.kill", "x", "kill", "kill", "end the session at once (asks first)"),
    Key("watch.help", "question_mark", "help", "help", "this page"),
    Key("watch.quit", "q", "app.quit", "quit", "leave"),
)

REPLAY = (
    Key("replay.pause", "space", "change('pause')", "play/pause", "play, or stand still"),
    Key("replay.faster", "plus,equals_sign", "change('faster')", "", "faster"),
    Key("replay.slower", "minus", "change('slower')", "", "slower"),
    Key("replay.idle", "i", "change('idle')", "", "limit pauses to 2 s, or not"),
    Key("replay.earlier", "left,h", "move('back')", "", "5 s back"),
    Key("replay.later", "right,l", "move('forward')", "", "5 s forth"),
    Key("replay.next", "right_square_bracket,tab", "move('next')", "next command", "to the next command"),
    Key("replay.previous", "left_square_bracket,shift+tab", "move('previous')", "previous", "to the command before"),
    Key("replay.search", "slash", "ask('search')", "search", "search this session, and go there"),
    Key("replay.hit", "n", "move('hit')", "", "next place that was found"),
    Key("replay.hit_back", "N", "move('hit_back')", "", "place before that was found"),
    Key("replay.place", "g", "ask('place')", "", "to a time, such as 1:23.5"),
    Key("replay.begin", "home", "move('begin')", "", "to the beginning"),
    Key("replay.end", "end,G", "move('end')", "", "to the end"),
    Key("replay.frame", "full_stop", "move('frame')", "", "one frame further"),
    Key("replay.reveal", "R", "reveal", "", "with the secrets that are covered, or not; the ledger notes it"),
    Key("replay.list", "c", "list", "commands", "list of commands in the place of the screen, where it is narrow"),
    Key("replay.pan_left", "shift+left", "pan(-1, 0)", "", "more of a screen that does not fit: left"),
    Key("replay.pan_right", "shift+right", "pan(1, 0)", "", "right"),
    Key("replay.pan_up", "shift+up", "pan(0, -1)", "", "up"),
    Key("replay.pan_down", "shift+down", "pan(0, 1)", "", "down"),
    Key("replay.pan_end", "p", "pan(0, 0)", "", "the part with the cursor again"),
    Key("replay.leave", "escape,v", "back", "back", "back to the lists"),
    Key("replay.help", "question_mark", "help", "help", "this page"),
    Key("replay.quit", "q", "back", "", "back to the lists"),
)

RECORDS = (
    Key("records.back", "escape,q", "back", "back", "back to the lists"),
    Key("records.up", "up,k", "move(-1)", "", "row up"),
    Key("records.down", "down,j", "move(1)", "", "row down"),
    Key("records.first", "g", "move(-100000)", "", "first row"),
    Key("records.last", "G", "move(100000)", "", "last row"),
    Key("records.older", "left", "step(-1)", "older", "the page before, of the ledger"),
    Key("records.newer", "right", "step(1)", "newer", "the next page, of the ledger"),
    Key("records.end", "x", "end", "end it", "remove, revoke or lift what is selected (asks first)"),
    Key("records.reveal", "R", "reveal", "", "of the ledger: the entry with its secrets, which the ledger notes"),
    Key("records.reload", "r", "reload", "ask again", "ask the bastion again"),
    Key("records.help", "question_mark", "help", "help", "this page"),
)
POLICY = (
    Key("policy.back", "escape,q", "back", "back", "back to the lists"),
    Key("policy.turn", "tab,e", "turn", "text or words", "as it is written, or in plain words"),
    Key("policy.reload", "r", "reload", "ask again", "ask the bastion again"),
    Key("policy.help", "question_mark", "help", "help", "this page"),
)
STATS = (
    Key("stats.back", "escape,q", "back", "back", "back to the lists"),
    Key("stats.turn", "tab,e", "turn", "30, 7 or 1 day", "of the last 30, 7 or 1 days"),
    Key("stats.reload", "r", "reload", "ask again", "ask the bastion again"),
    Key("stats.help", "question_mark", "help", "help", "this page"),
)

REVEALED = (
    Key("revealed.back", "escape,q,R", "back", "back", "back: everything is covered again"),
    Key("revealed.help", "question_mark", "help", "help", "this page"),
)

GROUPS: tuple[tuple[str, tuple[Key, ...]], ...] = (
    ("Decide", DECIDE),
    ("Lists", LISTS),
    ("Screens", SCREENS),
    ("Read", TEXT),
    ("Console", CONSOLE),
    ("While watching", WATCH),
    ("Replay", REPLAY),
    ("Ledger, whitelist, grants", RECORDS),
    ("Policy", POLICY),
    ("Figures", STATS),
    ("Revealed", REVEALED),
)


DEFAULTS = {key.id: key.keys for _, group in GROUPS for key in group}
"""Keys by id, where nobody maps them anew."""

TOGETHER: tuple[tuple[tuple[Key, ...], ...], ...] = (
    (DECIDE, LISTS, SCREENS, TEXT, CONSOLE),
    (WATCH,),
    (REPLAY,),
    (RECORDS, TEXT),
    (POLICY, TEXT),
    (STATS, TEXT),
    (REVEALED, TEXT),
)
"""Groups that stand on one screen: a key means one thing there."""

NAME = re.compile(
    r"(?:(?:ctrl|shift|alt)\+)*[a-z][a-z_]{1,40}[0-9]{0,2}|f[0-9]{1,2}|(?:(?:ctrl|alt)\+)*[A-Za-z0-9]", re.ASCII
)
"""Names of keys: letters, digits, and what Textual calls the others."""


def checked(keymap: Mapping[str, str]) -> dict[str, str]:
    """A keymap that can be used, in Textual's names.

    Raises UsageError for an unknown id, for what is no key's name, for keys that would mean two things, and where the
    second key would be the first.
    """
    for id in keymap:
        if id not in DEFAULTS:
            raise errors.UsageError(f"no key is called {id}", "the ids are those of tui/keys.py")
    named = {id: ",".join(_name(id, key.strip()) for key in text.split(",")) for id, text in keymap.items()}
    used = {id: set(text.split(",")) for id, text in (DEFAULTS | named).items()}
    if used["request.approve"] & used["request.confirm"]:
        raise errors.UsageError("request.approve and request.confirm need different keys", "a held key would do both")
    for groups in TOGETHER:
        taken: dict[str, str] = {}
        for id in (key.id for group in groups for key in group):
            for name in used[id]:
                if taken.setdefault(name, id) != id:
                    raise errors.UsageError(f"{spelled(name)} is the key of both {taken[name]} and {id}")
    return named


def _name(id: str, key: str) -> str:
    """A key as Textual names it. Raises UsageError."""
    if len(key) == 1 and key.isascii() and key.isprintable() and not key.isalnum() and key != " ":
        return _character_to_key(key)
    if not NAME.fullmatch(key):
        raise errors.UsageError(f"{key!r} is no key, for {id}", "such as f5, ctrl+g, x, shift+down, slash")
    return key


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """Textual bindings of some groups, in their order."""
    return [key.binding() for group in groups for key in group]


def spelled(keys: str) -> str:
    """Key names as a person knows them: `slash` is `/`."""
    names = {
        "greater_than_sign": ">",
        "slash": "/",
        "question_mark": "?",
        "plus": "+",
        "minus": "-",
        "colon": ":",
        "left_square_bracket": "[",
        "right_square_bracket": "]",
        "equals_sign": "=",
        "pagedown": "PgDn",
        "pageup": "PgUp",
        "shift+tab": "Shift-Tab",
    }
    names |= {"shift+down": "Shift-Down", "shift+up": "Shift-Up", "escape": "Esc", "up": "Up", "down": "Down"}
    names |= {"space": "Space", "tab": "Tab", "home": "Home", "end": "End"}
    return " ".join(names.get(key, key) for key in keys.split(","))
