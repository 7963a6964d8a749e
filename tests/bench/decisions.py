"""How long a decision takes: risk, whitelist and policy, of 500 rules and 10,000 whitelist entries, in this process."""

from __future__ import annotations

import base64
import statistics
import time
from dataclasses import fields

from bastion.directory import Directory
from bastion.interpreter import spare_what_stays
from bastion.model import IdentityKind, Request, Tier
from bastion.policy.judge import judge
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.policy.risk import assess
from bastion.policy.rules import Policy
from tests.support.requests import REQUEST

GOALS = {"p50": 0.3, "p99": 1.0}
"""Milliseconds."""

FIELDS = {each.name: getattr(REQUEST, each.name) for each in fields(Request) if each.init}
COMMANDS = (
    "systemctl restart nginx",
    "cat /var/log/app.log | grep error | tail -n 20",
    "sudo systemctl restart app && curl -s http://localhost/health",
    "psql -c 'select count(*) from orders'",
    "docker ps -a",
    "rm -rf /tmp/build",
    "for each in a b c; do echo $each; done",
    "tar czf /tmp/x.tgz /srv/app",
)


def policy_of(rules: int) -> Policy:
    """Some for everybody, two for each of many agents, one for each of seven environments' paths."""
    blocks = "\n".join(
        f'agent "agent-{number}" {{\n allow restart, deploy\n'
        f' deny command "prog{number} **", path "/srv/{number}/**"\n}}\n'
        f'environment "env-{number % 7}" {{ deny writes "/etc/x{number}/**" }}'
        for number in range((rules - 3) // 3)
    )
    every = 'allow low\ndeny drop_table\nblock_paths ".env", "secrets/**"\n'
    return parse(f'policy "bench" {{\nversion 1\n{every}{blocks}\n}}')


def directory_of(entries: int) -> Directory:
    """Whitelisted commands of fifty agents, half of them patterns of programs that the commands use."""
    directory = Directory()
    for number in range(entries):
        pattern = f"systemctl restart app{number}-{{unit}}" if number % 2 else ""
        directory.apply(
            "whitelist.added",
            {
                "id": f"w-{number:08x}",
                "command": base64.b64encode(f"systemctl restart app{number}-x".encode()).decode(),
                "pattern": pattern,
                "identity": f"agent-{number % 50}",
                "target": "web-1",
                "env": "",
                "login": "deploy",
                "code": "",
                "tier": Tier.MEDIUM.value,
                "expires": "0",
                "by": "ana",
                "statement": str(number),
            },
        )
    return directory


def request(command: bytes, number: int) -> Request:
    """As the gate makes it, before it is judged."""
    what = {"id": f"r-{number:08x}", "command": command, "assessment": assess(command), "env": "env-3"}
    return Request(**FIELDS | what)  # type: ignore[arg-type]


def measure(*, rules: int = 500, entries: int = 10_000, runs: int = 4000) -> dict[str, float]:
    """Milliseconds. Every other time a command is new, so that nothing is remembered of it."""
    policy, directory = policy_of(rules), directory_of(entries)
    spare_what_stays()  # as the daemon does when all is there
    taken: list[float] = []
    for number in range(runs + 100):
        turn, which = divmod(number, len(COMMANDS))
        text = COMMANDS[which] + (f" # {number}" if turn % 2 else "")
        begun = time.perf_counter()
        asked = request(text.encode(), number)
        judge(Question.of(asked, IdentityKind.AGENT), policy, directory, 1)
        if number >= 100:
            taken.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(taken, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}
