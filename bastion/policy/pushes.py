"""What a `git push` asks for: the list of ref updates that a client sends before its pack. Pure.

Theory of operation. The client of git-receive-pack (gitprotocol-pack(5), "Pushing Data To a Server") sends, in packets
of four hexadecimal digits of length and content:

    *("shallow" SP ID)   1*(OLD SP NEW SP REF [NUL CAPABILITIES])   0000   [*OPTION 0000]   [PACK]

OLD is zeroes for a ref that is made, NEW for one that is deleted. Everything up to the pack is read here, strictly: a
form that git would read and this does not is refused, never passed on. The pack is data: it can bring objects, but no
ref moves by it.

What a push does is the list: made, moved, deleted. Whether a move goes forward or throws commits away (a push by force)
nobody can tell from the list alone. Where the target has both commits it is asked (`question`); what it does not have
yet is in the pack, and then the approver is told that it is not known.

Signed pushes are refused: their list is inside a certificate that only the target's git reads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bastion.model import Assessment, EffectKind, Reversible
from bastion.policy import score
from bastion.policy.findings import Finding
from bastion.policy.programs import Action

PACKET_LIMIT = 65_520
"""Bytes of one packet, its length included: gitprotocol-common(5), "pkt-line Format"."""
UPDATES_LIMIT = 256
"""Refs that one push changes; all of them stand before a person, and in one command's bytes."""
LIST_LIMIT = 256 << 10
"""Bytes of the whole list: so many updates with names of REF_LIMIT, the capabilities, and options."""
REF_LIMIT = 255
"""Bytes of a ref's name: it is a path on the target, whose parts have NAME_MAX."""
OPTIONS_LIMIT = 32
"""Push options; each is shown."""
ASKED_LIMIT = 64
"""Updates of which the target is asked whether they go forward."""

_ID = r"(?:[0-9a-f]{40}|[0-9a-f]{64})"
_UPDATE = re.compile(rf"({_ID}) ({_ID}) (refs/[!-~\u0080-\U0010ffff]+)")
_SHALLOW = re.compile(rf"shallow ({_ID})")
_FORBIDDEN = re.compile(r"\.\.|[~^:?*\[\\]|@\{|//|/\.|\.lock(?:/|\Z)|[./]\Z")
"""git-check-ref-format(1)."""
_CAPABILITIES = re.compile(r"[ -~]*")


class NoPush(ValueError):
    """That is no list of ref updates, or one that is not taken; the message is for the agent."""


class Way(StrEnum):
    """What becomes of a ref."""

    CREATED = "create"
    FORWARD = "forward"
    """What it had stays part of it."""
    FORCED = "force"
    """What it had is not part of what it gets."""
    UNKNOWN = "update"
    """One of the two: its new commit is still in the pack."""
    DELETED = "delete"


@dataclass(frozen=True, slots=True)
class Update:
    """One line of the list."""

    ref: str
    old: str
    new: str

    @property
    def way(self) -> Way:
        """As far as the list says."""
        if not self.new.strip("0"):
            return Way.DELETED
        return Way.CREATED if not self.old.strip("0") else Way.UNKNOWN


@dataclass(frozen=True, slots=True)
class Push:
    """The whole list."""

    raw: bytes
    """As it was sent, and as it goes on: all packets up to the pack."""
    updates: tuple[Update, ...]
    shallow: tuple[str, ...] = ()
    """Commits that the client's history ends at."""
    options: tuple[str, ...] = ()

    def text(self, ways: Mapping[str, Way] | None = None) -> bytes:
        """The list for people, a line each; it is what is decided on, together with `raw`. `ways`: what the target
        said, by ref."""
        lines = []
        for update in self.updates:
            way = (ways or {}).get(update.ref, update.way)
            ids = {Way.CREATED: update.new, Way.DELETED: update.old}.get(way, f"{update.old} {update.new}")
            lines.append(f"{way.value} {update.ref} {ids}")
        lines += [f"shallow {each}" for each in self.shallow]
        lines += [f"option {each}" for each in self.options]
        return "\n".join(lines).encode()


class ListReader:
    """Takes what the client sends, in whatever pieces, until the list is whole."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._lines: list[str] = []
        self._options: list[str] | None = None
        self.rest = b""
        """What came behind the list."""

    def feed(self, data: bytes) -> Push | None:
        """The list once it is whole, else None. Raises NoPush; then nothing more may be fed."""
        self._data += data
        while (line := self._packet()) is not None:
            if not line:
                if (done := self._flush()) is not None:
                    return done
            elif self._options is not None:
                self._take_option(line)
            else:
                self._take_line(line)
        if len(self._data) > LIST_LIMIT:
            raise NoPush(f"a push's list of refs has at most {LIST_LIMIT:,} bytes")
        return None

    def _packet(self) -> bytes | None:
        """The next packet's content, empty for a flush; None while it is not whole."""
        head = bytes(self._data[self._at : self._at + 4])
        if len(head) < 4:
            return None
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", head):
            raise NoPush("that is no packet of git's protocol")
        size = int(head, 16)
        if size == 0:
            self._at += 4
            return b""
        if not 4 < size <= PACKET_LIMIT:
            raise NoPush("a packet of git's protocol has another length")
        if len(self._data) < self._at + size:
            return None
        content = bytes(self._data[self._at + 4 : self._at + size])
        self._at += size
        return content

    def _take_line(self, content: bytes) -> None:
        try:
            line = content.decode()
        except UnicodeDecodeError:
            raise NoPush("a ref's name is UTF-8 text here") from None
        line, nul, capabilities = line.partition("\0")
        if nul and self._updating:
            raise NoPush("capabilities stand on the first line only")
        if line == "push-cert" or line.startswith("push-cert\n"):
            raise NoPush("a signed push is not taken: what it changes would not be seen (git push --no-signed)")
        line = line if nul else line.removesuffix("\n")
        if _SHALLOW.fullmatch(line) and not nul and not self._updating:
            self._lines.append(line)
            return
        match = _UPDATE.fullmatch(line)
        if match is None or len(match[1]) != len(match[2]) or _FORBIDDEN.search(match[3]):
            raise NoPush("a line of the push's list is not OLD NEW REF")
        if len(match[3].encode()) > REF_LIMIT or not match[3].isprintable():
            raise NoPush(f"a ref's name has at most {REF_LIMIT} bytes, and no control characters")
        if not match[1].strip("0") and not match[2].strip("0"):
            raise NoPush("an update from nothing to nothing")
        if nul:
            capabilities = capabilities.removesuffix("\n")
            if not _CAPABILITIES.fullmatch(capabilities):
                raise NoPush("the capabilities are not printable")
            line = f"{line}\0{capabilities}"
        self._lines.append(line)
        if len(self._lines) > UPDATES_LIMIT:
            raise NoPush(f"one push changes at most {UPDATES_LIMIT} refs here")

    @property
    def _updating(self) -> bool:
        return any(not line.startswith("shallow ") for line in self._lines)

    def _take_option(self, content: bytes) -> None:
        assert self._options is not None  # noqa: S101 -- the caller looked
        text = content.decode("utf-8", "backslashreplace").removesuffix("\n")
        if not text.isprintable() or len(self._options) >= OPTIONS_LIMIT:
            raise NoPush(f"at most {OPTIONS_LIMIT} push options, each one printable line")
        self._options.append(text)

    def _flush(self) -> Push | None:
        """The list, or the options behind it, are over."""
        if self._options is None and "push-options" in self._capabilities():
            self._options = []
            return None
        self.rest = bytes(self._data[self._at :])
        updates = [line.partition("\0")[0].split(" ", 2) for line in self._lines if not line.startswith("shallow ")]
        shallow = [line.removeprefix("shallow ") for line in self._lines if line.startswith("shallow ")]
        found = tuple(Update(ref, old, new) for old, new, ref in updates)
        if len({update.ref for update in found}) != len(found):
            raise NoPush("a ref stands in the list twice")
        return Push(bytes(self._data[: self._at]), found, tuple(shallow), tuple(self._options or ()))

    def _capabilities(self) -> set[str]:
        """Names, whatever value they have: git looks for them between blanks (parse_feature_request)."""
        first = next((line for line in self._lines if "\0" in line), "")
        return {word.partition("=")[0] for word in first.partition("\0")[2].split()}


# --- forward or not ---------------------------------------------------------------------------------------------------


def moves(push: Push) -> tuple[Update, ...]:
    """The updates that may go forward or not."""
    return tuple(each for each in push.updates if each.way is Way.UNKNOWN)[:ASKED_LIMIT]


def question(path: str, updates: Sequence[Update]) -> bytes:
    """What to run on the target: a line for each update, 0 where its old commit is part of the new one, 1 where it is
    not, anything else where the target does not know. Only reads."""
    here = f"git -C {shlex.quote(path)} merge-base --is-ancestor"
    return "; ".join(f"{here} {each.old} {each.new} 2>/dev/null; echo $?" for each in updates).encode()


def answered(push: Push, said: bytes) -> dict[str, Way]:
    """What the target said of `moves`, by ref; nothing for what it does not know."""
    asked = moves(push)
    lines = said.split()
    if len(lines) != len(asked):
        return {}
    known = {b"0": Way.FORWARD, b"1": Way.FORCED}
    return {each.ref: known[line] for each, line in zip(asked, lines, strict=True) if line in known}


# --- risk -------------------------------------------------------------------------------------------------------------

_MOVES = (EffectKind.VCS,)
_LOSES = (EffectKind.VCS, EffectKind.IRREVERSIBLE)
_ACTIONS = {
    Way.CREATED: Action("ref-created", 35, "makes {what}", _MOVES, Reversible.YES, ("push",)),
    Way.FORWARD: Action("ref-forward", 40, "moves {what} forward", _MOVES, Reversible.PARTLY, ("push",)),
    Way.UNKNOWN: Action(
        "ref-moved", 50, "moves {what}; whether by force is not known before the pack is there", _MOVES,
        Reversible.UNKNOWN, ("push",),
    ),
    Way.FORCED: Action(
        "ref-forced", 75, "moves {what} by force: commits that it has are lost", _LOSES, Reversible.NO,
        ("push", "delete"),
    ),
    Way.DELETED: Action("ref-deleted", 75, "deletes {what}", _LOSES, Reversible.NO, ("push", "delete")),
}  # fmt: skip
"""Weights as of `git push` and `git push --force` (facts/git.toml): 46 and 75."""
_TAG = Action(
    "tag-moved", 65, "moves the tag {what}, which others take for fixed", _MOVES, Reversible.PARTLY, ("push",)
)
_ODD = Action("ref-odd", 55, "changes {what}, which is neither branch nor tag", _MOVES, Reversible.PARTLY, ("push",))
_OPTION = Action("push-option", 30, "tells the target's hooks {what}", (), Reversible.UNKNOWN, ("push",))
_SHALLOWS = Action("push-shallow", 30, "from a history that is cut off at {what}", (), Reversible.UNKNOWN, ("push",))


def assess(push: Push, ways: Mapping[str, Way]) -> Assessment:
    """How risky it is; `ways` is what `answered` found."""
    return score.assess(_findings(push, ways))


def _findings(push: Push, ways: Mapping[str, Way]) -> Iterator[Finding]:
    for update in push.updates:
        way = ways.get(update.ref, update.way)
        yield from _found(_ACTIONS[way], [update.ref])
        if update.ref.startswith("refs/tags/") and way in (Way.FORWARD, Way.UNKNOWN):
            yield from _found(_TAG, [update.ref])
        elif not update.ref.startswith(("refs/tags/", "refs/heads/")):
            yield from _found(_ODD, [update.ref])
    yield from _found(_OPTION, push.options)
    yield from _found(_SHALLOWS, push.shallow)


def _found(action: Action, whats: Iterable[str]) -> Iterator[Finding]:
    for what in whats:
        yield Finding(action, what, weight=action.weight)
