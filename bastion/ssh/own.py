"""`ssh bastion@bastion COMMAND`: what an agent may say to the bastion itself. No shell, no target.

Theory of operation. The line is read by policy.asking; what is not in its list is refused. All verbs but one look
things up and answer at once, on stdout, as text or as JSON with BASTION_OUTPUT=json. `request-access` is a request
like any other: it is proposed in the ledger, held, decided by people with their signatures, and taken up again by the
same line if the client went. The grant itself is written with the approving vote, in one commit (broker.vote); here
the agent is only told.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

import asyncssh

from bastion import audit
from bastion.control.wire import RequestInfo, SessionInfo
from bastion.errors import BastionError
from bastion.gate import notices
from bastion.gate.intent import read as read_intent
from bastion.ids import session_id
from bastion.model import (
    Assessment,
    Decision,
    Identity,
    Request,
    RequestKind,
    Reversible,
    State,
    StdinMode,
    Target,
    Tier,
    Verdict,
)
from bastion.policy import asking
from bastion.policy.explain import span
from bastion.policy.visible import visible_line
from bastion.ssh.driver_channels import Terminal
from bastion.ssh.records import Records
from bastion.ssh.services import Services

log = logging.getLogger(__name__)

SELF = "bastion"
"""User name of the bastion itself; where its sessions are, in the ledger."""

PROGRESS_SECONDS = 15
"""As for a held command."""

REQUESTS_TOLD = 50
"""The newest requests that `requests` lists; with 200 characters of each command they fit into a channel's window."""

ACCESS_SCORE = 40
"""A grant opens a target, and what runs there is judged by itself: medium."""


class OwnSession(asyncssh.SSHServerSession[bytes]):
    """One such channel."""

    def __init__(self, services: Services, identity: Identity, key: str, client: str, longest: int) -> None:
        self.environment: dict[str, str] = {}
        self.id = session_id()
        self._services, self._identity, self._key, self._client = services, identity, key, client
        self._longest = longest
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._ended: asyncio.Future[tuple[str, Decision | None, float]] | None = None
        self._gone = False
        self._end = "\n"
        """Of a line: a terminal in raw mode takes it literally."""

    # --- what the channel calls -----------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def refused(self, what: str, reason: str) -> None:
        """A terminal and the like: of no interest here."""

    def shell_received(self, terminal: Terminal | None) -> OwnSession:
        """No shell is here: the same as `help`."""
        self.exec_received(b"help", terminal)
        return self

    def sftp_received(self) -> None:
        """No files are here: the channel says so, by `not_open`."""

    def window_changed(self, columns: int, rows: int) -> None:
        """Of no interest here."""

    def not_open(self, what: str, reason: str) -> None:
        """A subsystem: the same as `help`."""
        self.exec_received(b"help", None)

    def exec_received(self, command: bytes, terminal: Terminal | None) -> OwnSession:
        """One line."""
        self._end = "\r\n" if terminal is not None else "\n"
        self._services.spawn(self._run(command), f"session {self.id}")
        return self

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Thrown away."""

    def eof_received(self) -> bool:
        """Of no interest."""
        return True

    def signal_received(self, signal: str) -> None:
        """Ctrl-C takes the request back."""
        self._finish("interrupted")

    def left(self) -> None:
        """The client closed the channel, or is gone."""
        self._gone = True
        self._finish("left")

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.left()

    # --- the task -------------------------------------------------------------------------------------------------

    async def _run(self, command: bytes) -> None:
        await asyncio.sleep(0)  # the reply to the request goes first, for which asyncssh needs the channel open
        try:
            ask = asking.read(command)
        except asking.NotUnderstood as error:
            self._services.note_refusal(self._identity.name, "command to the bastion")
            self._exit(notices.refused(str(error)), notices.EXIT_DENIED)
            return
        try:
            if ask.verb == "request-access":
                await self._request_access(ask)
            else:
                self._answer(ask.verb)
        except BastionError as error:
            self._exit(notices.failed(str(error)), notices.EXIT_BASTION)
        except Exception:
            log.exception("session %s", self.id)
            self._exit(notices.failed("internal error of the bastion; its log says more"), notices.EXIT_BASTION)

    def _answer(self, verb: str) -> None:
        verbs = {"help": self._help, "targets": self._targets, "whoami": self._whoami, "requests": self._requests}
        self._print(*verbs[verb]())
        self._exit(None, 0)

    def _help(self) -> tuple[object, str]:
        return {"commands": [line.split("  ")[0] for line in asking.HELP.splitlines()]}, asking.HELP

    def _targets(self) -> tuple[object, str]:
        rows = [
            (target.name, target.env, target.logins, self._grant_state(target))
            for target in self._services.directory.targets.values()
        ]
        facts = [dict(zip(("name", "env", "logins", "grant"), row, strict=True)) for row in rows]
        lines = [f"{name}  {env}  {','.join(logins)}  grant {grant}" for name, env, logins, grant in rows]
        return facts, "".join(f"{visible_line(line, 400)}\n" for line in lines)

    def _grant_state(self, target: Target) -> str:
        directory = self._services.directory
        if not directory.needs_grant(target):
            return "not needed"
        grant = directory.grant(self._identity.name, target.name, self._services.clock.wall())
        return f"until {_moment(grant.expires)}" if grant is not None else "needed"

    def _whoami(self) -> tuple[object, str]:
        facts = {"identity": self._identity.name, "kind": self._identity.kind.value, "key": self._key}
        return facts, f"{facts['identity']}  {facts['kind']}  {facts['key']}\n"

    def _requests(self) -> tuple[object, str]:
        mine = [info for info in self._services.broker.infos() if info.identity == self._identity.name]
        rows = [
            {
                "id": info.id,
                "state": info.state,
                "kind": info.kind,
                "target": info.target,
                "command": _told(info).decode("utf-8", "replace"),
                "reason": info.decision_reason,
                "status": info.status,
            }
            for info in mine[-REQUESTS_TOLD:]
        ]
        text = "".join(
            f"{info.id}  {info.state}  {info.target}  {visible_line(_told(info), 200)}\n"
            for info in mine[-REQUESTS_TOLD:]
        )
        return rows, text

    # --- asking for access ------------------------------------------------------------------------------------------

    async def _request_access(self, ask: asking.Ask) -> None:
        services, directory = self._services, self._services.directory
        target = directory.targets.get(ask.target)
        if target is None:
            known = ", ".join(sorted(directory.targets)[:8]) or "none yet"
            self._exit(notices.refused(f"unknown target {ask.target[:64]}; targets: {known}"), notices.EXIT_DENIED)
            return
        if not directory.needs_grant(target):
            self._exit(notices.refused(f"{target.name} takes no grant: ssh {target.name}@bastion"), 0)
            return
        if ask.seconds > self._longest:
            self._exit(notices.refused(f"a grant lasts {span(self._longest)} at most here"), notices.EXIT_DENIED)
            return
        request = self._request(ask, target)
        info = self._info(request)
        opened = audit.session_opened(self.id, self._identity.name, self._key, SELF, "", self._client)
        records = Records(services.audit, self.id, self._identity.name, opened)
        self._ended = asyncio.get_running_loop().create_future()
        services.sessions.open(info, lambda reason, _keeps: self._finish(f"cut: {reason}"))
        try:
            await self._hold(request, records)
        finally:
            services.sessions.close(self.id, services.clock.wall(), "")
            await records.closed("")

    def _request(self, ask: asking.Ask, target: Target) -> Request:
        services, now = self._services, self._services.clock.wall()
        reasons = (f"opens {target.name} ({target.env}) to {self._identity.name} for {span(ask.seconds)}",)
        intent = read_intent(b"", self.environment)
        return Request(
            id=self._services.new_request(),
            kind=RequestKind.GRANT,
            identity=self._identity.name,
            key=self._key,
            session=self.id,
            target=target.name,
            env=target.env,
            host_keys=target.host_keys,
            login="",
            command=asking.spelt(target.name, ask.seconds),
            environment=(),
            stdin=StdinMode.STREAM,
            stdin_code=b"",
            reason=ask.reason,
            rollback="",
            task=intent.task,
            assessment=Assessment(ACCESS_SCORE, Tier.MEDIUM, reasons, (ACCESS_SCORE,), Reversible.YES),
            approvals=services.approvals,
            created=now,
            expires=now + services.broker.timeout * 1_000_000,
        )

    def _info(self, request: Request) -> SessionInfo:
        return SessionInfo(
            id=self.id,
            identity=self._identity.name,
            key=self._key,
            target=SELF,
            login="",
            client=self._client,
            state="open",
            opened=request.created,
            closed=0,
            end="",
            requests=[request.id],
            output_bytes=0,
        )

    async def _hold(self, request: Request, records: Records) -> None:
        services, broker = self._services, self._services.broker
        found = await broker.claim(request, self.id, self._decided)
        if found is not None:
            request, _, records.proposal = found
            await records.attached(request)
            self._say(notices.attached(request))
        else:
            judgement = services.judge(request, services.clock.wall())
            request = judgement.settle(request)
            if judgement.verdict is Verdict.DENY:
                await records.proposed(request, judgement, started=False)
                self._exit(notices.refused(judgement.reason), notices.EXIT_DENIED)
                return
            broker.reserve(request)
            try:  # whatever a rule says, people decide about access
                await records.proposed(request, replace(judgement, verdict=Verdict.HOLD), started=False)
            except BastionError:
                broker.release(request.id)
                raise
            broker.hold(request, records.proposal, self.id, self._decided)
            self._say(notices.held(request, request.seconds))
        if self.environment.get("BASTION_WAIT", "") == "no":
            broker.detach(request.id, self.id)
            self._exit(notices.later(request), notices.EXIT_LATER)
            return
        await self._wait(request)

    async def _wait(self, request: Request) -> None:
        broker, loop = self._services.broker, asyncio.get_running_loop()
        assert self._ended is not None  # noqa: S101 -- set before anything is held
        begun = loop.time()
        while not (await asyncio.wait([self._ended], timeout=PROGRESS_SECONDS))[0]:
            self._say(notices.still_held(request, round(loop.time() - begun), request.seconds))
        word, decision, seconds = self._ended.result()
        if decision is not None:
            self._tell(request, decision, seconds)
        elif word == "left":
            broker.detach(request.id, self.id)
        else:
            await broker.withdraw(request.id, word)
            self._exit(notices.withdrawn(request, word), notices.EXIT_INTERRUPTED)

    def _tell(self, request: Request, decision: Decision, seconds: float) -> None:
        match decision.state:
            case State.APPROVED:
                self._say(notices.approved(request, decision.by, seconds))
                access = self._services.directory.access
                ends = max((each.expires for each in access.grants.values() if each.request == request.id), default=0)
                facts = {"target": request.target, "until": ends}
                self._print(facts, f"{request.target} until {_moment(ends)}: ssh {request.target}@bastion\n")
                self._exit(None, 0)
            case State.DENIED:
                by = ", ".join(decision.by)
                self._exit(notices.denied(request, by, decision.reason), notices.EXIT_DENIED)
            case State.EXPIRED:
                self._exit(notices.expired(request, request.seconds), notices.EXIT_EXPIRED)
            case _:
                self._exit(notices.withdrawn(request, decision.reason), notices.EXIT_BASTION)

    def _decided(self, decision: Decision, seconds: float) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(("", decision, seconds))

    def _finish(self, word: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result((word, None, 0.0))

    # --- to the agent -----------------------------------------------------------------------------------------------

    def _json(self) -> bool:
        return self.environment.get("BASTION_OUTPUT", "") == "json"

    def _print(self, facts: object, text: str) -> None:
        if self._channel is not None and not self._gone:
            said = json.dumps(facts) + "\n" if self._json() else text
            self._channel.write(said.replace("\n", self._end).encode())

    def _say(self, notice: notices.Notice) -> None:
        if self._channel is not None and not self._gone and not self._channel.is_closing():
            line = notices.line(notice, as_json=self._json()).replace(b"\n", self._end.encode())
            self._channel.write(line, asyncssh.EXTENDED_DATA_STDERR)

    def _exit(self, notice: notices.Notice | None, status: int) -> None:
        if notice is not None:
            self._say(notice)
        if self._channel is not None and not self._gone and not self._channel.is_closing():
            self._channel.write_eof()
            self._channel.exit(status)


def _told(info: RequestInfo) -> bytes:
    """What an agent asked for, as it may have it back. Of a transfer the first line only: behind it stands what the
    target has now, lines and hashes of files that this agent may not read, for those who decide."""
    return info.command.split(b"\n", 1)[0] if info.kind == RequestKind.TRANSFER.value else info.command


def _moment(micros: int) -> str:
    """In UTC, to the second."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
