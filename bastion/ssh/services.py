"""What every session of the SSH side works with. Built once, by the daemon."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bastion.audit import Audit, channel_refused
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.directory import Directory
from bastion.errors import BastionError
from bastion.model import Assessment, Request
from bastion.policy.judge import Judgement, judge, masked, overruled
from bastion.policy.question import Question
from bastion.policy.rules import Policy
from bastion.policy.usage import Usage
from bastion.sessions import Sessions
from bastion.ssh.console import Consoles
from bastion.ssh.floods import Refusals
from bastion.ssh.logins import Logins
from bastion.ssh.upstream import Pool
from recorder.recording import Recording

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShellLimits:
    """What the configuration says of governed shells."""

    leave_running: bool
    idle_seconds: float
    seconds: float
    at_once: int
    """Of all agents together; of one identity, half. Each is a connection to a target, before anybody was asked."""


@dataclass(slots=True)
class Services:
    """The daemon's parts, as far as sessions need them."""

    directory: Directory
    broker: Broker
    audit: Audit
    sessions: Sessions
    pool: Pool
    clock: Clock
    record: Callable[..., Recording]
    """(session, notify, chunk bytes) -> a recording; `notify` is called from another thread. Without a size, chunks are
    those of a bulk stream."""
    stored: Callable[[str, str], bytes]
    """(request id, digest) -> the command's bytes as the ledger holds them."""
    new_request: Callable[[], str]
    """An id that no request has. Raises StoreError."""
    reads_code: Callable[[bytes], str | None]
    assess: Callable[..., Assessment]
    """As policy.risk.assess."""
    """(command, what it will read on stdin when that was read beforehand) -> what risk says of it."""
    policy: Callable[[], Policy]
    """The one in force."""
    usage: Usage
    approvals: int
    shells: ShellLimits
    vouch: Callable[[Request], Awaitable[None]]
    """To be awaited when a request is allowed and before it starts; raises BastionError when it must not."""
    needs_vouching: Callable[[Request], bool]
    longest_grant: int
    """Seconds that an agent may ask for."""
    transfers: Callable[[Any, bytes | None], Any]
    """(dealings, command; None: the subsystem sftp) -> the session that serves the transfer on their channel; None for
    a command that is none (bastion/sftp stands above this package)."""
    logins: Logins = field(default_factory=Logins)
    consoles: Consoles = field(default_factory=Consoles)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    refusals: Refusals = field(default_factory=Refusals)
    open_shells: Counter[str] = field(default_factory=Counter)
    """By identity."""

    def too_many_shells(self, identity: str) -> str:
        """Why this identity may not open another one now; empty while it may."""
        most = max(1, self.shells.at_once // 2)
        if self.open_shells[identity] >= most:
            return f"{identity} has {most} shells open already"
        if self.open_shells.total() >= self.shells.at_once:
            return f"{self.shells.at_once} shells are open already"
        return ""

    def judge(self, request: Request, now: int, shell: str | None = None) -> Judgement:
        """What the policy in force says of a request. `shell`: what reads commands on the target, if not as known."""
        kind = self.directory.identities[request.identity].kind
        if shell is None:
            shell = self.logins.known(self.directory.targets.get(request.target), request.login)
        return judge(Question.of(request, kind, self.usage, shell), self.policy(), self.directory, now)

    def masked(self, request: Request) -> bool:
        """Whether the agent gets its output with secrets overwritten, by the policy in force."""
        policy = self.policy()
        if not policy.clauses.masks:
            return False
        kind = self.directory.identities[request.identity].kind
        return masked(Question.of(request, kind, self.usage), policy)

    def overruled(self, request: Request) -> str:
        """Why an approved request shall not start any more, by the policy in force; empty while it may."""
        kind = self.directory.identities[request.identity].kind
        question = Question.of(request, kind, self.usage)
        return overruled(question, self.policy(), self.directory, self.clock.wall())

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A named task that the daemon owns and waits for at its end."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def sessions_at_work(self) -> set[asyncio.Task[None]]:
        """Tasks of sessions, which end by themselves once they are cut; others end with their connection."""
        return {task for task in self.tasks if task.get_name().startswith("session ")}

    def note_refusal(self, identity: str, what: str) -> None:
        """Put a refusal outside any session into the ledger; of a flood of them, a few, and how many more."""
        if words := self.refusals.words(identity, what, self.clock.monotonic()):
            self.spawn(self._write_refusal(identity, words), "refusal")

    async def _write_refusal(self, identity: str, what: str) -> None:
        try:
            await self.audit.write(channel_refused("", identity, what))
        except BastionError as error:
            log.error("refusal not recorded: %s", error)
