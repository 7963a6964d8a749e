"""What is looked up before an exec is proposed: a request like it that a client left behind, the script it runs, and
what reads commands on its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bastion import audit
from bastion.gate import events as ev
from bastion.model import Decision, Request, Verdict
from bastion.policy.running_files import shown_file
from bastion.policy.scripts import CODE_LIMIT, question
from bastion.ssh.dealings import Dealings
from bastion.ssh.login_shell import login_shell
from bastion.ssh.minting import Certify


async def find_twin(
    dealings: Dealings,
    request: Request,
    decided: Callable[[Decision, float], None],
    edited: Callable[[Request], None],
) -> ev.TwinFound | ev.NoTwinFound:
    """Claim an identical request of this identity; `decided` and `edited` are told what becomes of it. Raises
    StoreError."""
    found = await dealings.services.broker.claim(request, dealings.id, decided, dealings.replaced(edited))
    if found is None:
        script, code = await _read_script(dealings, request)
        shell = await login_shell(dealings, replace(request, script=script, script_code=code) if script else request)
        return ev.NoTwinFound(dealings.services.clock.wall(), script, code, shell)
    twin, decision, dealings.records.proposal = found
    return ev.TwinFound(twin, decision)


async def _read_script(dealings: Dealings, request: Request) -> tuple[str, bytes]:
    """The file on the target that the command runs, and what it holds; empty if there is none to be had. Nobody goes to
    the target for what policy denies anyway."""
    path, services = shown_file(request.command), dealings.services
    if not path or services.judge(request, services.clock.wall()).verdict is Verdict.DENY:
        return "", b""
    pool, target, asked = dealings.services.pool, dealings.target, question(path)

    async def certify() -> Certify:
        await dealings.records.announced(audit.script_read(dealings.id, target.name, request.login, path, asked))
        return pool.minting.for_script(dealings.id, path)

    code = await pool.ask(target, request.login, asked, CODE_LIMIT, certify)
    return (path, code) if code else ("", b"")
