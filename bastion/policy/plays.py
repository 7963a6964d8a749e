"""An approval of modules of Ansible, by name, which settles a whole play. Pure.

Theory of operation. An approver writes, and signs as the pattern of a whitelist entry:

    ansible module copy, template below /srv/app with /usr/bin/python3
    ansible module service, apt with /usr/bin/python3 as root

It lets through, for one identity and login, the lines that Ansible writes round a module (ansible_lines.py) and each
payload that is, byte for byte, the code of one of these modules as a known release of ansible-core has it, in that
release's wrapper, with arguments that are data (ansible_modules.py), run by this interpreter and as this account.
Another byte of code, another file in the zip, another wrapper, interpreter, account or option of sudo, an argument that
is not known: a person decides, as ever. `deny`, `never`, freezes and limits of policy stand before it.

A payload that is uploaded and then run could be changed in between by the same agent, whose uploads are let through,
too. So it never runs where it was put: it is copied to a directory that nobody else knows, compared there, and run from
there (`from_copy`). That is done to each payload, whoever approved it.

It lasts SECONDS at most: its tier is high, and nothing else of that tier is remembered at all.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from bastion.model import Request, RequestKind, StdinMode
from bastion.policy import ansible, ansible_modules
from bastion.policy.ansible_lines import ACCOUNT, PYTHON, Frame, Step, of_command, of_transfer
from bastion.policy.pattern import plain_path
from bastion.whitelisted import PLAY

SECONDS = 8 * 3600
"""A working day: who plays tomorrow asks tomorrow."""
BELOW_LIMIT = 16
"""Directories in one of them."""
_FORM = re.compile(
    rf"{PLAY}(?P<tasks>[a-z_]+(?:, [a-z_]+)*)(?: below (?P<below>/[^, ]+(?:, /[^, ]+)*))?"
    rf" with (?P<python>{PYTHON})(?: as (?P<become>{ACCOUNT}))?",
    re.ASCII,
)


class PlayError(ValueError):
    """Not in its one form, or more than may be let through."""


@dataclass(frozen=True, slots=True)
class Play:
    """One approval."""

    tasks: tuple[str, ...]
    below: tuple[str, ...]
    """Directories; what writes files writes below one of them."""
    python: str
    become: str
    """By sudo; empty: as the login."""

    def __str__(self) -> str:
        below = f" below {', '.join(self.below)}" if self.below else ""
        return f"{PLAY}{', '.join(self.tasks)}{below} with {self.python}{f' as {self.become}' if self.become else ''}"

    @property
    def modules(self) -> frozenset[str]:
        """What may be sent."""
        return frozenset().union(*(ansible_modules.TASKS[task] for task in self.tasks))

    @property
    def command(self) -> bytes:
        """The line that runs one of them, which stands in the entry."""
        return f"/bin/sh -c '{self.python} && sleep 0'".encode()

    @property
    def words(self) -> str:
        """For a person."""
        whose = f"as {self.become}" if self.become else "as the login"
        below = f", writing below {', '.join(self.below)} only" if self.below else ""
        return (
            f"every play whose tasks are {', '.join(self.tasks)}, unchanged code of ansible-core, {whose}{below}; with "
            "any arguments that run nothing, unseen"
        )


def is_play(text: str) -> bool:
    """Whether the text of a whitelist entry is one of these."""
    return text.startswith(PLAY)


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Play:
    """The one that this text states. Raises PlayError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise PlayError(f"it is written `{PLAY}copy, template below /srv/app with /usr/bin/python3 [as root]`")
    tasks, below = (
        tuple(match["tasks"].split(", ")),
        tuple((match["below"] or "").split(", ")) if match["below"] else (),
    )
    for task in tasks:
        if task not in ansible_modules.TASKS:
            known = ", ".join(sorted(ansible_modules.TASKS))
            raise PlayError(f"{task!r} is not let through by name: what it is given may be run; {known} are")
    if len(set(tasks)) != len(tasks) or len(set(below)) != len(below) or len(below) > BELOW_LIMIT:
        raise PlayError(f"each once, and at most {BELOW_LIMIT} directories")
    if not all(plain_path(each) for each in below):
        raise PlayError("what stands behind `below` is a plain absolute directory, and not /")
    if any(map(ansible_modules.writes, tasks)) != bool(below):
        raise PlayError("tasks that write files name where, with `below /DIRECTORY`; others do not")
    return Play(tasks, below, match["python"], match["become"] or "")


def covers(play: Play, request: Request) -> bool:
    """Whether it lets the request through."""
    if request.kind is RequestKind.TRANSFER:
        return of_transfer(request.command) is not None
    frame = of_command(request.command) if request.kind is RequestKind.EXEC else None
    if frame is None:
        return False
    if frame.step is not Step.RUN:
        return not request.stdin_code and not request.script_code
    return (frame.python, frame.become) == (play.python, play.become) and _known(play, frame, _program(frame, request))


def _program(frame: Frame, request: Request) -> bytes:
    """What Python reads; empty where that is not certain."""
    if frame.script:
        read = request.script == frame.script and request.stdin is not StdinMode.BUNDLED
        return request.script_code if read else b""
    fed = request.stdin is StdinMode.BUNDLED and not request.script and not request.terminal
    return request.stdin_code if fed else b""


def _known(play: Play, frame: Frame, program: bytes) -> bool:
    payload = ansible.decode(program)
    if payload is None or not payload.plain:
        return False
    name = payload.module.rpartition(".")[2]
    release = ansible.known_release(payload)
    return (
        bool(release)
        and payload.module == f"ansible.modules.{name}"
        and name in play.modules
        and frame.module in ("", name)
        and ansible_modules.own_are_plain(name, release, payload.own)
        and ansible_modules.are_data(name, payload.arguments, play.below)
    )


def from_copy(command: bytes, path: str, sha256: str) -> bytes:
    """The line that runs an uploaded payload, from a copy of its own that has this hash; empty for any other line."""
    frame = of_command(command)
    if frame is None or not frame.script or frame.script != path:
        return b""
    said = f"bastion: {path} does not hold what was approved; it does not run"
    copy = f'"$d/{path.rpartition("/")[2]}"'
    run = (
        f'd=$(mktemp -d) && cp {path} {copy} && test "$(sha256sum < {copy})" = "{sha256}  -"'
        f' || {{ echo "{said}" >&2; test -z "$d" || rm -rf "$d"; exit 125; }}; '
        f'{frame.python} {copy}; s=$?; rm -rf "$d"; ( exit $s )'
    )
    return command.replace(f"{frame.python} {path}".encode(), run.encode(), 1)
