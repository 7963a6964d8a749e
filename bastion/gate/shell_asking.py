"""Requests of a governed shell: a whole item, or a line for a running program, and what policy says of it. Pure.

What policy allows does not run in the shell, where aliases and functions could make something else of it, but beside it
(policy/aside.py); what cannot is held. In a shell inside the shell, and where one would be opened, a person always
decides; and a line for a program is no command, so that nobody's word for a command lets it through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bastion.gate import modes
from bastion.gate import shell_events as sv
from bastion.gate.gate import Circumstances
from bastion.gate.intent import Intent
from bastion.gate.shell_nesting import Nests
from bastion.gate.talk import Talk
from bastion.model import UNRATED, Assessment, Request, RequestKind, StdinMode, TtyMode, Verdict
from bastion.policy.aside import aside, changes_directory
from bastion.policy.judge import Judgement

NOT_PLAIN = (
    "it would be allowed by itself, but this shell's aliases, functions or state could make something else of it"
)
"""Why a line is held that policy, or the whitelist, lets through."""

NOT_A_COMMAND = "a line for a program is no command: a person decides"
"""Why a line of stdin is held that would be allowed as a command."""


KEYS_NEED_A_PERSON = "it would be allowed by itself, but it wants keys, which only a person lets through"
"""Why a command with a terminal is held that policy, or the whitelist, lets through."""

MOVERS = frozenset({TtyMode.VIEW, TtyMode.RAW})
"""Modes in which keys pass."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what policy says of it."""

    request: Request
    judgement: Judgement
    aside: bool = False
    """If it runs without a person, then beside the shell."""


class Asker:
    """Makes the requests of one shell. `intent`, `assess` and `judge` are pure functions of policy; `assess` is
    risk.assess."""

    def __init__(
        self,
        where: Circumstances,
        *,
        intent: Callable[[bytes], Intent],
        assess: Callable[..., Assessment],
        judge: Callable[[Request, int], Judgement],
    ) -> None:
        self.where, self.terminal = where, ""
        self._intent, self.assess, self._judge = intent, assess, judge
        self._sequence = 0

    def line(self, event: sv.Described, item: bytes, cwd: str, nests: Nests) -> Asked:
        """For an item at the prompt."""
        mode = modes.asked_for(item) if self.terminal else TtyMode.NONE
        said = self._intent(item)
        found = self.assess(item, terminal=bool(self.terminal), cwd=cwd)
        opens = bool(self.terminal) and nests.opens(item, mode)
        if self.terminal:
            event = replace(event, context=(*nests.context(item), *event.context))
        asked = self._request(
            event, RequestKind.LINE, item, found, cwd=cwd, mode=mode, intent=said, parent=nests.parent
        )
        judgement = self._judge(asked, event.now)
        outermost = not nests.depth  # beside an inner shell would be outside it
        allowed = judgement.verdict is Verdict.ALLOW and outermost and not opens
        beside = allowed and cwd.startswith("/") and aside(item)
        if beside:  # it gets no input there
            asked = replace(asked, mode=TtyMode.NONE)
            judgement = self._judge(asked, event.now)
        request = judgement.settle(asked)
        same = beside or (event.plain and changes_directory(item))
        if judgement.verdict is Verdict.ALLOW and (opens or nests.depth or not same):
            judgement = replace(judgement, verdict=Verdict.HOLD, reason=NOT_PLAIN)
        return Asked(request, judgement, beside)

    def command(self, event: sv.CommandRequested) -> Request:
        """For one command with a terminal, as it is looked for before it is judged."""
        described = sv.Described(event.request, event.nonce, event.now)
        text, said = event.command, self._intent(event.command)
        found = self.assess(text, terminal=True)
        asked = self._request(described, RequestKind.EXEC, text, found, cwd="", mode=modes.asked_for(text), intent=said)
        return replace(asked, sequence=0)

    def judged(self, asked: Request, now: int) -> Asked:
        """Such a one, judged. What policy allows gets no window; glass that was broken opens none, either."""
        judgement = self._judge(asked, now)
        if judgement.verdict is Verdict.ALLOW and judgement.emergency and asked.mode in MOVERS:
            asked = replace(asked, mode=TtyMode.LINE)
            judgement = self._judge(asked, now)
        request = judgement.settle(asked)
        if judgement.verdict is Verdict.ALLOW and request.mode in MOVERS:
            judgement = replace(judgement, verdict=Verdict.HOLD, reason=KEYS_NEED_A_PERSON)
        return Asked(request, judgement)

    def stdin(self, event: sv.Described, data: bytes, parent: Request, *, cwd: str, owner: str, talk: Talk) -> Asked:
        """For a line for the program of `parent`. `owner`: the program that asks for a password; empty if none does."""
        command, stdin = data, StdinMode.GATED
        if owner:
            command = f"password of {len(data.decode()) - 1} characters for {owner}".encode()
            stdin = StdinMode.SECRET
        found = UNRATED if owner else talk.assess(data, self.assess)
        asked = self._request(event, RequestKind.STDIN, command, found, cwd=cwd, stdin=stdin, parent=parent.id)
        judgement = self._judge(asked, event.now)
        request = judgement.settle(asked)
        if judgement.verdict is Verdict.ALLOW:
            judgement = replace(judgement, verdict=Verdict.HOLD, reason=NOT_A_COMMAND)
        return Asked(request, judgement)

    def _request(
        self,
        event: sv.Described,
        kind: RequestKind,
        command: bytes,
        assessment: Assessment,
        *,
        cwd: str,
        mode: TtyMode = TtyMode.NONE,
        stdin: StdinMode = StdinMode.GATED,
        intent: Intent = Intent(),  # noqa: B008 -- frozen
        parent: str = "",
    ) -> Request:
        where = self.where
        self._sequence += 1
        return Request(
            id=event.request,
            kind=kind,
            identity=where.identity,
            key=where.key,
            session=where.session,
            target=where.target.name,
            env=where.target.env,
            host_keys=where.target.host_keys,
            login=where.login,
            command=command,
            environment=where.environment,
            stdin=stdin,
            stdin_code=b"",
            reason=intent.reason,
            rollback=intent.rollback,
            task=intent.task,
            emergency=intent.emergency,
            assessment=assessment,
            approvals=where.approvals,
            created=event.now,
            expires=event.now + where.timeout * 1_000_000,
            cwd=cwd,
            sequence=self._sequence,
            parent=parent,
            mode=mode,
            terminal=self.terminal,
            context=event.context,
        )
