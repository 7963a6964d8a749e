"""The command lines that Ansible writes round a module, each in its one form. Pure.

Theory of operation. A task is a handful of requests: a directory is made, files are put into it, their modes are set,
the module runs, the directory goes. Each is recognised by its whole text and nothing less; what varies is a path of
plain characters that needs no quotes, so that the shell makes of it what stands there. The directory of a task has a
name that nothing else has (`ansible-tmp-TIME-PID-RANDOM`), and what is put into it is called `source` or AnsiballZ.

As of ansible-core 2.16 to 2.19: plugins/shell/__init__.py, plugins/connection/ssh.py, plugins/become/sudo.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bastion.policy.remembered import remembered

PYTHON = r"(?:/\.?[A-Za-z0-9_][A-Za-z0-9_.-]*)+"
"""An interpreter's path."""
ACCOUNT = r"[a-z_][a-z0-9_-]{0,31}"
_ROOT = r"(?:~(?:[a-z_][a-z0-9_-]{0,31})?)?(?:/\.?[A-Za-z0-9_][A-Za-z0-9_.-]*)+"
_LEAF = r"ansible-tmp-[0-9]{1,12}\.[0-9]{1,9}-[0-9]{1,10}-[0-9]{1,20}"
_TASK = rf"(?P<task>{_ROOT}/{_LEAF})"
_FILE = r"(?:\.?source(?:\.[A-Za-z0-9_]{1,40})?|\.source|AnsiballZ_(?P<module>[a-z0-9_]{1,60})\.py)"
_MODULE = rf"(?P<script>{_TASK}/AnsiballZ_(?P<module>[a-z0-9_]{{1,60}})\.py)"
_SUDO = rf"sudo -H -S -n  ?-u (?P<become>{ACCOUNT}) /bin/sh -c '\"'\"'echo BECOME-SUCCESS-[a-z]{{32}} ; "
_DESCRIBED = (
    rf"sftp: 1 change: write (?P<path>{_TASK}/{_FILE})\n1 write (?P=path)\n    a new file\n"
    r"    with [0-9]{1,12} bytes, sha256 [0-9a-f]{64}\n(?:    sets mode 0[0-7]{3}\n)?"
)


class Step(StrEnum):
    """What a line is to a task."""

    HOME = "asks where the login is at home"
    MAKE = "makes the task's directory"
    PUT = "puts a file into the task's directory"
    MODE = "lets the login read and run the task's files"
    RUN = "runs a module"
    REMOVE = "removes the task's directory"
    LOOK = "looks at names, sizes, dates and links"


_SHELL = "/bin/sh -c '{}'"
_LINES: Mapping[Step, tuple[re.Pattern[str], ...]] = {
    Step.HOME: (re.compile(_SHELL.format(rf"echo ~(?:{ACCOUNT})? && sleep 0")),),
    Step.MAKE: (
        re.compile(
            _SHELL.format(
                rf'\( umask 77 && mkdir -p "` echo (?P<root>{_ROOT}) `"&& mkdir "` echo (?P<task>(?P=root)/(?P<leaf>'
                rf'{_LEAF})) `" && echo (?P=leaf)="` echo (?P=task) `" \) && sleep 0'
            )
        ),
    ),
    Step.PUT: (re.compile(rf"dd of={_TASK}/{_FILE} bs=65536"),),
    Step.MODE: (re.compile(_SHELL.format(rf"chmod u\+r?w?x {_TASK}/(?: (?P=task)/{_FILE})? && sleep 0")),),
    Step.RUN: (
        re.compile(_SHELL.format(rf"(?P<python>{PYTHON}) && sleep 0")),
        re.compile(_SHELL.format(rf"(?P<python>{PYTHON}) {_MODULE} && sleep 0")),
        re.compile(_SHELL.format(rf"{_SUDO}(?P<python>{PYTHON})'\"'\"' && sleep 0")),
        re.compile(_SHELL.format(rf"{_SUDO}(?P<python>{PYTHON}) {_MODULE}'\"'\"' && sleep 0")),
    ),
    Step.REMOVE: (re.compile(_SHELL.format(rf"rm -f -r {_TASK}/ > /dev/null 2>&1 && sleep 0")),),
}
_TRANSFERS: Mapping[Step, re.Pattern[str]] = {
    Step.LOOK: re.compile(
        r"sftp: look at names, sizes, dates and links\n1 look at everything that the login may see; no contents\n"
    ),
    Step.PUT: re.compile(rf"{_DESCRIBED}(?:    content not shown: [a-z0-9A-Z ]+\n|(?:    \| [^\n]*\n)*)"),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One line that was recognised."""

    step: Step
    python: str = ""
    """With RUN: the interpreter."""
    script: str = ""
    """With RUN: the file that it runs; empty: its stdin."""
    module: str = ""
    """What the script's name says."""
    become: str = ""
    """With RUN: the account by sudo, with Ansible's own options; empty: the login."""


@remembered
def of_command(command: bytes) -> Frame | None:
    """What a command line is to a task; None for anything else."""
    return next((_frame(step, match) for step, match in _matches(command)), None)


def _matches(command: bytes) -> list[tuple[Step, re.Match[str]]]:
    try:
        text = command.decode("ascii")
    except UnicodeDecodeError:
        return []
    found = ((step, form.fullmatch(text)) for step, forms in _LINES.items() for form in forms)
    return [(step, match) for step, match in found if match is not None]


def _frame(step: Step, match: re.Match[str]) -> Frame:
    if step is not Step.RUN:
        return Frame(step)
    named = match.groupdict()
    return Frame(step, *(named.get(name) or "" for name in ("python", "script", "module", "become")))


def of_transfer(description: bytes) -> Frame | None:
    """What a transfer, by its description, is to a task."""
    text = description.decode("utf-8", "replace")
    return next((Frame(step) for step, form in _TRANSFERS.items() if form.fullmatch(text)), None)


def in_task(path: str) -> bool:
    """Whether this is a file that was put into a task's directory."""
    return _IN_TASK.fullmatch(path) is not None


_IN_TASK = re.compile(rf"{_TASK}/{_FILE}")
_BELOW_TASK = re.compile(rf"(?:.*/)?{_LEAF}/.*", re.DOTALL)
_DIRECTORY = re.compile(rf"{_TASK}/?")


def below_task(path: str) -> bool:
    """Whether this is anything in a directory that is called like a task's."""
    return _BELOW_TASK.fullmatch(path) is not None


def is_task(path: str) -> bool:
    """Whether this is a task's directory."""
    return _DIRECTORY.fullmatch(path) is not None
