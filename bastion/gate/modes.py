"""What may be typed into a command: which mode a command asks for, and the keys that only look. Pure; tables.

A request *asks for* a mode; the approver may grant another one. The table goes by the program's name, which proves
nothing: it is a proposal. LINE is what everything gets that is not listed, because it governs whatever the program is.

    NONE   programs that never read their terminal: what is typed meanwhile waits, and becomes a command's line
    LINE   each line is an item of its own, held and shown
    VIEW   keys of a pager or of top that move about, one by one, from a list
    RAW    full-screen programs that are useless without keys: every key, for a time, recorded, nobody looks

The lists of VIEW hold no key that starts a program, writes a file, kills, or asks for a line of text: `!`, `|`, `v`,
`s`, `o`, `:`, `/`, `-`, `E` of less(1), `k`, `r`, `W`, `u`, `o`, `n` of top(1).
"""

from __future__ import annotations

import re

from bastion.model import TtyMode
from bastion.policy.shell import Parsed, parse

WINDOW_SECONDS = 300
"""How long keys pass where the approver said nothing: an edit or a look."""
WINDOW_MOST = 3600
"""At most; longer work is granted again, in sight of somebody."""

_SILENT = (
    "[ : alias arch basename bg break cd continue date declare df dirname du echo exit export false free getent groups "
    "hash hostname id jobs kill ln local logger ls mkdir mkfifo mktemp nproc popd printenv printf ps pushd pwd "
    "readlink readonly realpath return seq set shift shopt sleep stat sync test times touch trap true tty type ulimit "
    "umask unalias uname unset uptime users wait who whoami"
)
SILENT = frozenset(_SILENT.split())
"""Programs and builtins that never read stdin, whatever their arguments."""

_ARROWS = frozenset({b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1bOA", b"\x1bOB", b"\x1bOC", b"\x1bOD"})
_PAGES = frozenset({b"\x1b[5~", b"\x1b[6~", b"\x1b[H", b"\x1b[F", b"\x1bOH", b"\x1bOF", b"\x1b[1~", b"\x1b[4~"})


def _keys(text: str) -> frozenset[bytes]:
    return frozenset(char.encode() for char in text)


PAGER_KEYS = _keys(" bfduwzyejkgGpqQhHrRF0123456789nN\r\n") | _ARROWS | _PAGES
TOP_KEYS = _keys(" qhH?MPTNcit1lmxyzR<>\r\n") | _ARROWS | _PAGES
VIEW_KEYS: dict[str, frozenset[bytes]] = {
    **dict.fromkeys(("less", "more", "man", "zless", "zmore", "xzless", "bzless"), PAGER_KEYS),
    "top": TOP_KEYS,
}
"""By program: less(1) COMMANDS, more(1), top(1) INTERACTIVE COMMANDS; zless(1) and its like are less."""

_LOOKING = {
    **dict.fromkeys(("less", "zless", "xzless", "bzless"), re.compile(r"-[NSRXFiIMmnsScCeEgGqQuUwWrfL]+|-[1-9]\d*|--")),
    **dict.fromkeys(("more", "zmore"), re.compile(r"-[dflpcsu]+|-[1-9]\d*|--")),
    "man": re.compile(r"-[afkw]+|--"),
    "top": re.compile(r"-[bcHiSs1]+|-[dnpuUwoEe]|-[dnpuUw][\w,.]+|--"),
}
"""Options with which they still only look. `less +!sh`, `less -k keys`, `man -P program` and the like run something
else, into which the keys of a list would be typed: then it is LINE."""

_USUAL = re.compile(r"(/usr)?/bin/")
LONGEST_KEY = 4
"""Bytes of the longest of these."""
_SEQUENCE = re.compile(rb"\x1b[\[O][ -?]{0,16}[^ -?]|\x1b[\[O][ -?]{17}|\x1b[^\[O]|[^\x1b]", re.DOTALL)
"""One key that is refused, whole (ECMA-48 5.4): its tail must not pass for keys of its own."""

_RAW = "emacs htop joe mc micro nano ne nvim screen tmux vi view vim vimdiff vimtutor visudo"
RAW = frozenset(_RAW.split())
"""Full-screen programs that need every key."""

SAFER = (
    ("GIT_PAGER", "cat"),
    ("LESSSECURE", "1"),
    ("PAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
    ("SYSTEMD_PAGERSECURE", "1"),
)
"""Set in every governed shell: output comes without a pager, and a pager starts no program (less(1) SECURITY)."""


def asked_for(item: bytes) -> TtyMode:
    """The mode that an item asks for."""
    names = _programs(item)
    if names is None:
        return TtyMode.LINE
    if any(name in RAW for name in names):
        return TtyMode.RAW
    if view_keys(item):
        return TtyMode.VIEW
    return TtyMode.NONE if all(name in SILENT for name in names) else TtyMode.LINE


def view_keys(item: bytes) -> frozenset[bytes]:
    """Keys that VIEW lets through to this item; none where it is not one of the listed programs, and nothing else."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed) or parsed.functions:
        return frozenset()
    found = list(parsed.commands())
    if len(found) != 1 or found[0].assignments or not found[0].words:
        return frozenset()
    first, *rest = found[0].words
    if not all(word.constant and not word.splits and not word.inner for word in found[0].words):
        return frozenset()
    name = _USUAL.sub("", first.text, count=1)
    looks = _LOOKING.get(name)
    if looks is None or any(word.text[:1] in "-+" and not looks.fullmatch(word.text) for word in rest if word.text):
        return frozenset()
    return VIEW_KEYS[name]


def _programs(item: bytes) -> list[str] | None:
    """Names of all programs of an item, without their directories; None where one is not constant."""
    parsed = parse(item)
    if not isinstance(parsed, Parsed) or parsed.functions:
        return None
    names: list[str] = []
    for command in parsed.commands():
        if command.words:
            word = command.words[0]
            if not word.constant or word.splits:
                return None
            names.append(word.text.rpartition("/")[2])
    return names


def take_keys(typed: bytes, allowed: frozenset[bytes]) -> tuple[bytes, bytes, bool]:
    """(keys that pass, bytes of a key that may still be coming, whether something was refused)."""
    passed = bytearray()
    refused = False
    while typed:
        key = next((typed[:size] for size in range(LONGEST_KEY, 0, -1) if typed[:size] in allowed), b"")
        if key:
            passed += key
        else:
            sequence = _SEQUENCE.match(typed)
            if sequence is None:
                return bytes(passed), typed, refused
            key, refused = sequence[0], True
        typed = typed[len(key) :]
    return bytes(passed), b"", refused
