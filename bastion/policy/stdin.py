"""Whether a command may read code from its stdin. Pure.

Theory of operation. A command whose stdin is data gets it streamed after approval; of any other all of stdin is read,
shown and hashed before somebody is asked (P2). The error that matters is to take code for data, so this is a list of
what is known to be data, not of what is known to be code: every simple command of the line must be a program of DATA,
or one that was told its code otherwise (`bash -c '…'`, `python3 script.py`). What does not parse, what is not constant
and what is not known is read first. The far ends of transfers speak a protocol on it (transfers.py).

Not protected: data that a later command of the same line runs (`cat > x; sh x`), and a script that reads code from its
own stdin. Both stand in front of the approver as what they are; the request says that stdin streams unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

from bastion.policy.remembered import remembered
from bastion.policy.shell import Command, Parsed, parse
from bastion.policy.transfers import recognise
from bastion.policy.visible import visible_line
from bastion.policy.words import Word

_DATA = (
    # POSIX utilities and GNU coreutils
    "[ : arch b2sum base32 base64 basename cal cat cd chgrp chmod chown cksum cmp column comm cp csplit cut date "
    "dd df diff dirname du echo exit expand expr false fold fmt head hexdump id install join kill link ln locale "
    "logger logname ls md5sum mkdir mkfifo mktemp mv nl nproc numfmt od paste printf pwd readlink realpath return "
    "rev rm rmdir seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat strings "
    "stty sum sync tac tail tee test touch tr true truncate tty type ulimit umask uname unexpand uniq unlink wait "
    "wc which who whoami xxd yes "
    # search, archives, compression
    "egrep fgrep file grep tar bunzip2 bzip2 gunzip gzip unxz unzstd xz xzcat zcat zstd zstdcat "
    # what a system tells and is told
    "apt-cache dig dmesg dpkg-query free getent getfacl groups host hostname journalctl last "
    "lsblk lscpu lsof mount pgrep pidof ping pkill ps pstree ss systemctl uptime vmstat w"
)
DATA = frozenset(_DATA.split())
"""Programs and builtins that run nothing of what they read from stdin. tar and tee write what they read, which the line
says. awk, sed, find, xargs, ssh, docker, git, ip, curl and editors are not here: some use of each runs it."""

EXCEPT = {
    "sort": ("--co",),
    "split": ("--fi",),
    "systemctl": ("edit", "--std"),
    "tar": ("--to", "--us", "--ch", "--in", "--ne", "--rs", "--rm", "-I", "-F"),
}
"""Words (by how they begin, since long options may be abbreviated) with which a program of DATA runs or installs what
it reads: `split --filter=sh`, `tar --to-command=sh`, `systemctl edit --stdin`. There, words must be constant, too."""

SHELLS = frozenset(["sh", "bash", "dash"])
INTERPRETERS = SHELLS | {"python3", "python", "perl", "ruby", "node"}
"""Programs that read code from stdin unless they are told otherwise by their first word."""

CODE_OPTION = {"sh": "-c", "bash": "-c", "dash": "-c", "python3": "-c", "python": "-c"} | dict.fromkeys(
    ["perl", "ruby", "node"], "-e"
)
WRAPPERS = {"nohup": frozenset[str](), "time": frozenset[str](), "sudo": frozenset(["-n", "-E", "-H"])}
"""Programs that run the rest of their words, with the options that change nothing about that."""

SYSTEM = frozenset(["", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"])
"""A path in front means the program of that name only here."""

DEPTH = 4
"""Nested `bash -c` that is followed; more is read first."""


@remembered
def reads_code(command: bytes) -> str | None:
    """The sentence why `command` may read code from stdin, or None. Never raises."""
    return None if recognise(command) is not None else _line(command, DEPTH)


def _line(command: bytes, depth: int) -> str | None:
    parsed = parse(command)
    if not isinstance(parsed, Parsed):
        return f"this line {parsed.reason}"
    if parsed.functions:
        return "this line defines functions"
    for each in parsed.commands():
        if each.assignments:
            return "this line sets variables, which can change what runs"
        if why := _simple(each, depth):
            return why
    return None


def _simple(command: Command, depth: int) -> str | None:
    words: Sequence[Word] = command.words
    while words and words[0].text in WRAPPERS:
        options, words = WRAPPERS[words[0].text], words[1:]
        while words and words[0].text in options:
            words = words[1:]
    if not words:
        return None if not command.words else "what it runs is not said"
    head = words[0]
    shown = visible_line(head.raw, 40)
    directory, _, name = head.text.rpartition("/")
    if not head.constant:
        return f"what `{shown}` runs is known only when it runs"
    if directory not in SYSTEM:
        return f"`{shown}` is not known here, and may run what it reads"
    if name in DATA:
        return _exception(name, words[1:])
    if name in INTERPRETERS:
        return _interpreter(name, words[1:], depth)
    return f"`{shown}` is not known here to take only data"


def _exception(name: str, words: Sequence[Word]) -> str | None:
    for word in words if name in EXCEPT else ():
        bundled = (
            name == "tar" and any(letter in word.text for letter in "IF") and not word.text.startswith(("/", "--"))
        )
        if not word.constant or bundled or word.text.startswith(EXCEPT[name]):
            return f"`{name} {visible_line(word.raw, 40)}` may run what it reads"
    return None


def _interpreter(name: str, words: Sequence[Word], depth: int) -> str | None:
    first = words[0] if words else None
    if first is not None and first.constant and first.text == CODE_OPTION[name] and len(words) > 1:
        if name not in SHELLS:
            return None
        code = words[1]
        if depth == 0 or not code.constant or code.splits:
            return f"what `{name} -c` runs is known only when it runs"
        return _line(code.text.encode(), depth - 1)
    is_script = first is not None and first.constant and first.text[:1] not in ("-", "+", "")
    if is_script and first is not None and not first.text.startswith(("/dev/", "/proc/")):
        return None
    return f"`{name}` reads its commands from stdin"
