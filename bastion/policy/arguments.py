"""Which words of a command may stand for others of their kind when an approval is remembered. Pure; mostly data.

Theory of operation. ROWS says, for a program and its sub-command, which options it has, which of them take a value
and of what kind, and of what kind its operands are. A simple command in which every option is in its row has places
where a hole may be; one with an option that the row does not know has none, since it might take the next word as its
value. What no row names is remembered as it is or not at all.

Not here, on purpose: whatever runs an operand (`bash`, `find -exec`, `ssh`, `xargs`), copies one file over another
(`cp`, `mv`), takes a mode or an owner, or installs what anybody may publish (`pip`, `npm`).

Sources: the manual pages of coreutils 9, grep 3, systemd 257, docker 27, podman 5, kubectl 1.31, apt 2.9, iputils,
git 2.47.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bastion.policy.pattern import Kind
from bastion.policy.shell import Command, Node, Parsed, Pipeline
from bastion.policy.words import Word

Span = tuple[int, int]
"""Bytes of a command, from and to."""

_TABLE = """\
cat                     | -n -b -A -E -e -s -T -t -v        |                                       | path*
tac nl                  |                                   |                                       | path*
head                    | -q -v                             | -n=number -c=number                   | path*
tail                    | -f -F -q -v --follow --retry      | -n=number -c=number -s=-              | path*
ls                      | -l -a -A -h -t -r -R -S -1 -d -i  |                                       | path*
wc                      | -l -c -w -m -L                    |                                       | path*
stat                    | -L -t                             | -c=-                                  | path*
du                      | -s -h -a -c -x -k -m              | -d=number                             | path*
df                      | -h -i -T -k                       |                                       | path*
file                    | -b -L -i                          |                                       | path*
md5sum sha1sum sha256sum sha512sum b2sum cksum | -b -t      |                                       | path*
readlink realpath       | -f -e -m                          |                                       | path*
grep egrep fgrep zgrep  | -i -v -n -c -l -r -E -F -w -H -h -o -q -s -a -x | -A=number -B=number -C=number | - path*
zcat                    |                                   |                                       | path*
mkdir                   | -p -v                             |                                       | path*
touch                   | -c -a -m                          |                                       | path*
rm                      | -f -v                             |                                       | path*
rmdir                   | -v                                |                                       | path*
sleep                   |                                   |                                       | number
ping                    | -4 -6 -n -q                       | -c=number -W=number -w=number -i=-    | host
host nslookup           |                                   |                                       | host -
journalctl              | -r -x -e -k -q --no-pager --utc   | -u=unit -n=number -p=- -o=- --since=- --until=- | -
service                 |                                   |                                       | unit -
systemctl status start stop restart reload try-restart is-active is-enabled | --no-pager -l | -n=number | unit*
docker podman | restart stop     |                          | -t=number                             | container*
docker podman | start inspect top port pause unpause |      |                                       | container*
docker podman | logs             | -f -t                    | --tail=number -n=number --since=- --until=- | container
kubectl | logs                   | -f -p --timestamps       | -n=- -c=- --tail=number --since=-     | name
kubectl | describe get           |                          | -n=- -o=-                             | - name*
kubectl rollout | status restart |                          | -n=-                                  | - name*
apt apt-get | install            | -y -q --yes --no-install-recommends --only-upgrade |                | package*
apt apt-cache | show policy      |                          |                                       | package*
dnf yum apk | install add        | -y -q                    |                                       | package*
git | show                       | --stat --name-only --oneline |                                   | commit*
git | log                        | --stat --oneline         | -n=number                             |
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one program, or one of its sub-commands, takes."""

    flags: frozenset[str]
    """Options without a value."""
    valued: dict[str, Kind | None]
    """Options whose value is the next word; None: a value that stays as it is."""
    operands: tuple[Kind | None, ...]
    """Kinds of the operands in order; None: one that stays as it is."""
    more: bool
    """The last of them may be repeated."""


def _rows() -> dict[tuple[str, ...], Row]:
    rows: dict[tuple[str, ...], Row] = {}
    for line in _TABLE.strip().splitlines():
        cells = [cell.split() for cell in line.split("|")]
        flags, valued, operands = cells[-3:]
        kinds = tuple(None if word == "-" else Kind(word.rstrip("*")) for word in operands)
        row = Row(
            frozenset(flags),
            {name: None if kind == "-" else Kind(kind) for name, kind in (word.split("=") for word in valued)},
            kinds,
            bool(operands) and operands[-1].endswith("*"),
        )
        for key in _keys(cells[:-3]):
            rows[key] = row
    return rows


def _keys(names: list[list[str]]) -> Iterator[tuple[str, ...]]:
    """`cat` by itself; `systemctl status start`: each sub-command; `docker podman | stop start`: each with each."""
    if len(names) == 2:
        programs, verbs = names
        heads = [tuple(programs)] if programs == ["kubectl", "rollout"] else [(program,) for program in programs]
        yield from ((*head, verb) for head in heads for verb in verbs)
    elif names[0][0] == "systemctl":
        yield from (("systemctl", verb) for verb in names[0][1:])
    else:
        yield from ((name,) for name in names[0])


ROWS = _rows()
"""By program, or program and sub-command."""

SYSTEM = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/")
"""A path in front means the program of that name only here."""

_SUDO = (("sudo", "-n"), ("sudo",))
"""In front of a program that is still looked up; sudo with any other option is not."""

_PLAIN = re.compile(r"[A-Za-z0-9._+@/-]+", re.ASCII)
_EDGE = rb"(?:(?<=[\s;|&()<>])|^)"
_END = rb"(?=[\s;|&()<>]|$)"


def places(command: bytes, parsed: Parsed) -> dict[Span, Kind]:
    """The words of `command` that may be holes, by where they stand. Empty where the line has structure that one word
    could not stand in for: substitutions, functions, loops, conditions, here-documents."""
    simple = list(_flat(parsed.root.parts))
    if parsed.functions or None in simple:
        return {}
    found: list[tuple[str, Kind | None]] = []
    for each in simple:
        if each is None or each.assignments or any(word.inner for word in each.words):
            return {}
        if any(redirect.operator.startswith("<<") for redirect in each.redirects):
            return {}
        found += zip((word.raw for word in each.words), _kinds(each.words), strict=True)
    return _located(command, found)


def _flat(parts: tuple[Node, ...]) -> Iterator[Command | None]:
    """The simple commands; None for what is no plain list of pipelines."""
    for part in parts:
        if isinstance(part, Command):
            yield part
        elif isinstance(part, Pipeline) or (
            part.kind == "list" and not part.words and not part.redirects and not part.evaluates
        ):
            yield from _flat(part.parts)
        else:
            yield None


def _kinds(words: tuple[Word, ...]) -> list[Kind | None]:
    """For each word the kind that may stand in its place, or None."""
    none: list[Kind | None] = [None] * len(words)
    texts = [word.text if word.constant and word.raw == word.text else "" for word in words]
    start = next((len(sudo) for sudo in _SUDO if tuple(texts[: len(sudo)]) == sudo), 0)
    row, at = _row(texts, start)
    if row is None or not all(word.constant for word in words):
        return none
    return _fitted(row, words, at) or none


def _row(texts: list[str], start: int) -> tuple[Row | None, int]:
    """The row of the program at `start`, and where its own words begin."""
    if start >= len(texts):
        return None, start
    name = texts[start]
    if name.startswith(SYSTEM) and name.count("/") <= 3:
        name = name.rpartition("/")[2]
    for length in (3, 2, 1):
        key = (name, *texts[start + 1 : start + length])
        if len(key) == length and key in ROWS:
            return ROWS[key], start + length
    return None, start


def _fitted(row: Row, words: tuple[Word, ...], at: int) -> list[Kind | None]:
    """The kinds of all words, empty when one of them is no word of the row."""
    kinds: list[Kind | None] = [None] * at
    operands, value, ended = 0, False, False
    wanted: Kind | None = None
    for word in words[at:]:
        text = word.text
        if value:
            kinds.append(wanted)
            value = False
        elif not ended and text == "--":
            ended = True
            kinds.append(None)
        elif not ended and text.startswith("-") and text != "-":
            if text in row.valued:
                value, wanted = True, row.valued[text]
            elif not _known_flag(row, text):
                return []
            kinds.append(None)
        else:
            if operands >= len(row.operands) and not row.more:
                return []
            kinds.append(row.operands[min(operands, len(row.operands) - 1)] if row.operands else None)
            operands += 1
    return [] if value else kinds


def _known_flag(row: Row, text: str) -> bool:
    name, equals, _ = text.partition("=")
    if text in row.flags or (equals and name.startswith("--") and name in row.valued):
        return True
    return not text.startswith("--") and len(text) > 2 and all(f"-{sign}" in row.flags for sign in text[1:])


def _located(command: bytes, found: list[tuple[str, Kind | None]]) -> dict[Span, Kind]:
    """Where each word stands. A word of which the line shows more than the parser saw as words (in quotes, in a
    comment, as a destination) is no hole, since it is not certain which is which."""
    spans: dict[Span, Kind] = {}
    for raw in {raw for raw, kind in found if kind is not None and _PLAIN.fullmatch(raw)}:
        kinds = [kind for word, kind in found if word == raw]
        shown = [match.span() for match in re.finditer(_EDGE + re.escape(raw.encode()) + _END, command)]
        if len(shown) == len(kinds):
            for span, kind in zip(shown, kinds, strict=True):
                if kind is not None and command[span[0] - 1 : span[0]] in (b" ", b"\t"):
                    spans[span] = kind
    return spans
