"""What reads commands on a target is asked where it decides whether one runs by itself.

Theory of operation. Policy reads a line as a POSIX shell does (policy/dialects.py). Where it would let one run without
a person, and another shell could read that line differently, the target is asked first. Nobody goes there for this who
would not go there anyway, right after it. What was learnt holds for logins.AGE_SECONDS, and goes into the ledger when
it is new. A target that does not answer so is asked again a minute later, and its lines wait for a person.
"""

from __future__ import annotations

import asyncio

import asyncssh

from bastion import audit
from bastion.errors import BastionError
from bastion.model import Request, RequestKind, Target, Verdict
from bastion.names import CERTIFIED
from bastion.policy import dialects
from bastion.policy.aside import aside
from bastion.policy.rules import Action
from bastion.ssh.dealings import Dealings
from bastion.ssh.upstream import FORCED, Pool, answered

ASK_SECONDS = 10.0
"""Until the answer; as for a script (upstream.py)."""


async def login_shell(dealings: Dealings, request: Request) -> str:
    """What reads the command of an exec on its target. Asked only where that decides. Raises BastionError when the
    answer cannot be recorded."""
    services, target = dealings.services, dealings.target
    shell = services.logins.known(target, request.login)
    if shell or request.kind is not RequestKind.EXEC or dialects.alike(request.command, shell):
        return shell
    if services.judge(request, services.clock.wall(), "sh").verdict is not Verdict.ALLOW:
        return shell
    return await _ask(dealings, request.login)


async def login_shell_beside(dealings: Dealings, item: bytes, depth: int) -> None:
    """The same for a line of a governed shell, which is on the target already: where a rule of the policy could let it
    run beside the shell."""
    services = dealings.services
    allows = any(rule.action is Action.ALLOW for rule in services.policy().clauses.rules)
    if not depth and allows and not services.logins.known(dealings.target, dealings.login) and aside(item):
        await _ask(dealings, dealings.login)


async def _ask(dealings: Dealings, login: str) -> str:
    services, target = dealings.services, dealings.target
    async with services.logins.asking(target, login):
        shell = services.logins.known(target, login)
        if shell or services.logins.silent(target, login):
            return shell
        shell = dialects.understood(await _answer(services.pool, target, login))
        if services.logins.is_news(target, login, shell):
            await dealings.records.announced(audit.login_shell(dealings.id, target.name, login, shell))
        services.logins.learn(target, login, shell)
        return shell


async def _answer(pool: Pool, target: Target, login: str) -> bytes:
    """Whatever it exits with: csh fails half way, and so tells what it is."""
    asked = FORCED if target.credential == CERTIFIED else dialects.QUESTION
    try:
        async with (
            asyncio.timeout(ASK_SECONDS),
            pool.lend(target, login, pool.minting.for_probe(login)) as connection,
        ):
            said, _ = await answered(connection, asked, dialects.ANSWER_LIMIT)
            return said
    except (BastionError, asyncssh.Error, OSError, TimeoutError):
        return b""
