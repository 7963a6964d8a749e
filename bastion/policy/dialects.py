"""Which lines the account's login shell on a target reads as policy and risk did: as a POSIX shell, or bash. Pure.

Theory of operation. sshd hands a command to the login shell (`$SHELL -c`), and policy reads a line as sh and bash do.
Others read some of it differently: ksh runs what stands in a subscript of a number; to csh a quote ends with its line
and nothing is quoted inside "…", `2>&1` is a word and a file; zsh looks up `=name`; to fish a backslash counts inside
'…'. So without a person a line runs only where the shell is known to be one of POSIX, or where every shell reads it
alike (`_ALIKE`): words of letters and digits, quoted text in which nothing is special to anybody, lists and pipes.

What a shell is, it shows: QUESTION is a line that each kind answers in its own way, and prints nothing but constants.
Its first half stands in a mint's certificate for `target check`, too.

Not seen: aliases and functions of start-up files, which csh and zsh read for every command.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bastion.model import Assessment, Tier
from bastion.policy.findings import HIGH, MEDIUM

SENTENCE = "agent-bastion: certificates are honoured"
"""The first line of the answer, from every shell that reads a whole line before it runs the first command of it."""

QUESTION = (
    f"echo {SENTENCE}; "
    r"""printf "%s;" shell '\\' "\\" "$BASH_VERSION" "$ZSH_VERSION" "$KSH_VERSION"; """
    "test 1+1 -eq 2 && printf ksh; echo"
).encode()
"""csh stops at a variable that is not set; the two backslashes are told apart by POSIX shells alone; ksh calculates in
`test`, whatever it is called."""

ANSWER_LIMIT = 16_384
"""Bytes of an answer; start-up files can print before it."""

POSIX = frozenset({"bash", "sh"})
"""Shells that read a line as policy does. `sh` is every POSIX shell without a version to tell: dash, ash, busybox. Not
ksh: `[ 'a[$(x)]' -eq 1 ]` runs x there, also out of a variable."""

UNKNOWN = ""
"""Nobody asked, or there was no answer."""

OTHER = "no POSIX shell"
"""Such as csh."""

_SAID = re.compile(rb"shell;(\\{1,2});(\\{1,2});([^;\n]{0,100});([^;\n]{0,100});([^;\n]{0,200});(ksh)?")

_BARE = rb"[A-Za-z0-9_./:@+,-]"
_QUOTED = rb"'[ \t-&(-Z\[\]-~]*'".replace(rb"\t-&", rb"\t\"-&") + rb'|"[ \t#%-Z\[\]-_a-~]*"'
_WORD = rb"(?:%s|%s)(?:%s|%s|[=%%])*" % (_BARE, _QUOTED, _BARE, _QUOTED)
_FIRST = rb"[A-Za-z0-9_./][A-Za-z0-9_./:@+,-]*"
_COMMAND = rb"%s(?:[ \t]+%s)*" % (_FIRST, _WORD)
_ALIKE = re.compile(rb"[ \t]*%s(?:[ \t]*(?:&&|\|\||\||;)[ \t]*%s)*[ \t]*\n?" % (_COMMAND, _COMMAND))


def understood(answer: bytes) -> str:
    """The shell that answered QUESTION so; UNKNOWN if that is no answer."""
    lines = [line.strip() for line in answer.split(b"\n")]
    if SENTENCE.encode() not in lines:
        return UNKNOWN
    said = next((match for line in lines if (match := _SAID.fullmatch(line))), None)
    if said is None or (len(said[1]), len(said[2])) != (2, 1):
        return "fish" if said is not None and (len(said[1]), len(said[2])) == (1, 1) else OTHER
    bash, zsh, ksh, counts = said.groups()[2:]
    return "zsh" if zsh else "ksh" if ksh or counts else "bash" if bash else "sh"


def alike(command: bytes, shell: str) -> bool:
    """Whether that shell reads the line as policy did."""
    counted = b"[" in command and (b"$" in command or b"`" in command)  # quoted, and evaluated as arithmetic
    return shell in POSIX or (_ALIKE.fullmatch(command) is not None and not counted)


def beside(command: bytes, cwd: str, shell: str) -> bool:
    """The same for a line that runs beside a governed shell, behind a change to its directory (policy/aside.py), which
    takes a second line: csh reads one."""
    plain = shell in ("ksh", "zsh", "fish") and re.fullmatch(r"[A-Za-z0-9_./:@+, =-]*", cwd) is not None
    return shell in POSIX or (plain and alike(command, shell))


def doubt(shell: str) -> str:
    """Why a line that it may read differently waits for a person."""
    if shell == UNKNOWN:
        return "which shell reads commands there is not known, and not every one reads this line as policy did"
    return f"commands there are read by {shell}, which may read this line otherwise than policy did"


def told(found: Assessment, command: bytes, shell: str) -> Assessment:
    """The assessment, where the shell is known to be another one than it was made for. Of csh nobody can say what it
    does with the line; ksh, zsh and fish fail where they differ, or do what was rated high (tests): that is not low."""
    if shell == UNKNOWN or alike(command, shell):
        return found
    tier, least = (Tier.HIGH, HIGH) if shell == OTHER else (Tier.MEDIUM, MEDIUM)
    if found.tier is Tier.LOW or tier is Tier.HIGH:
        found = replace(found, tier=tier, score=max(found.score or 0, least))
    said = f"it was read as bash reads it, and commands there are read by {shell}, which may do something else"
    return replace(found, reasons=(said, *found.reasons), weights=(least, *found.weights))
