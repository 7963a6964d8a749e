"""What is printed of an agent's doings. Pure: values in, lines out.

The agent's terminal is shown as it is: the ssh command, then what ssh printed, notices of the bastion and output of the
command alike, made visible. What the agent or an approver thinks stands between as `name: words`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from bastion.demo import texts
from bastion.demo.scenarios import TARGET, Agent, End, Step
from bastion.gate.notices import EXIT_BASTION, EXIT_DENIED, EXIT_EXPIRED
from bastion.policy.visible import visible

NOTICE = re.compile(rb"bastion: ([a-z]+):?(?: (.*))?", re.DOTALL)
"""A line from the bastion itself (gate.notices); the first word after the colon is its kind and does not change."""

REQUEST = re.compile(rb"\br-[0-9a-f]{8}\b")

ENDS = {
    (EXIT_DENIED, b"denied"): End.DENIED,
    (EXIT_DENIED, b"refused"): End.DENIED,
    (EXIT_EXPIRED, b"expired"): End.EXPIRED,
    (EXIT_BASTION, b"withdrawn"): End.DENIED,
    (EXIT_BASTION, b"ended"): End.DENIED,
    (EXIT_BASTION, b"error"): End.FAILED,
}
"""What an exit status means if a notice says so too; otherwise it is the command's own."""

SSH_FAILED = 255


@dataclass(frozen=True, slots=True)
class Told:
    """What came back for one command."""

    status: int
    """Of ssh; negative: the signal that ended it."""
    output: bytes
    """stdout and stderr together, in the order in which ssh wrote them."""

    @property
    def lines(self) -> list[bytes]:
        """Of the output."""
        return self.output.removesuffix(b"\n").split(b"\n") if self.output else []

    @property
    def end(self) -> End:
        """What became of it."""
        kinds = [match[1] for line in self.lines if (match := NOTICE.fullmatch(line))]
        ends = [end for kind in kinds if (end := ENDS.get((self.status, kind)))]
        if self.status < 0 or self.status == SSH_FAILED or End.FAILED in ends:
            return End.FAILED
        if b"approved" in kinds or not ends:  # what was approved ran, also if somebody ended it then
            return End.RAN
        return ends[0]


def request_of(line: bytes) -> str:
    """The request that a `held` notice names; empty if the line is none."""
    match = NOTICE.fullmatch(line)
    if match is None or match[1] != b"held" or not match[2]:
        return ""
    found = REQUEST.match(match[2])
    return found[0].decode() if found else ""


def heading(agent: Agent) -> list[str]:
    """Before an agent's first step."""
    return texts.heading(f"{agent.name}: {agent.task}")


def asking(agent: Agent, step: Step) -> list[str]:
    """What is known before the answer: the agent's thought, its script if it sends one, and its command line."""
    lines = ["", f"{agent.name}: {step.says}"]
    if step.stdin:
        lines += [f"  {step.stdin_name} | {line}" for line in step.stdin.splitlines()]
    fed = f" < {step.stdin_name}" if step.stdin else ""
    return [*lines, f"$ ssh {TARGET}@bastion {quoted(step.command)}{fed}"]


def answer(agent: Agent, step: Step, told: Told, words: Mapping[str, str]) -> list[str]:
    """What came back, with the approver's words (by request) behind the notice that named it."""
    lines: list[str] = []
    for line in told.lines:
        lines.append(visible(line.expandtabs(), newlines=False))
        if said := words.get(request_of(line)):
            lines.append(f"    {said}")
    if told.end is End.RAN and told.status:
        lines.append(f"[exit {told.status}]" if told.status > 0 else f"[signal {-told.status}]")
    if told.end is End.DENIED and step.if_denied:
        lines.append(f"{agent.name}: {step.if_denied}")
    return lines


def stopped(agent: Agent, output: bytes) -> list[str]:
    """When the person leaves while an agent waits: what had come until then."""
    return [*(visible(line, newlines=False) for line in output.splitlines()), f"{agent.name}: stopped here"]


def quoted(command: str) -> str:
    """As one would type it: in single quotes, or in double ones where it has single quotes and nothing special."""
    if "'" in command and not re.search(r'["$`\\!]', command):
        return f'"{command}"'
    return shlex.quote(command) if "'" in command else f"'{command}'"
