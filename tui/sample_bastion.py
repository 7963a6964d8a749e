"""A small bastion in memory: for the picture in the README, and for tests to press keys on. It has the requests of
tui/samples.py.

It follows the protocol as the daemon does (a vote needs the digest of what was displayed, a request is decided once,
changes are pushed), but nothing runs and nothing is signed. It is never used by `bastion tui`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from bastion import errors
from bastion.control import wire
from bastion.model import Choice, State
from tui import sample_answers
from tui.samples import NOW, S, scene

OUTPUT = (
    ("output", b"nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"),
    ("output", b"nginx: configuration file /etc/nginx/nginx.conf test is successful\n"),
    ("marker", b"approved r-93fe5510 by ana"),
    ("stderr", b"bastion: held r-7f3a0c11  risk 46 medium: restarts a service  (1 approval, 60 s)\n"),
)


class Bastion:
    """The daemon's side, and what happened to it."""

    def __init__(self, requests: list[wire.RequestInfo] | None = None, sessions: list[wire.SessionInfo] | None = None):
        if requests is None:
            requests, scene_sessions = scene()
            sessions = scene_sessions if sessions is None else sessions
        self.requests = {info.id: info for info in requests}
        self.sessions = {one.id: one for one in sessions or []}
        self.recording: list[wire.FrameInfo] = [
            wire.FrameInfo(at=at * S, kind=kind, data=data) for at, (kind, data) in enumerate(OUTPUT)
        ]
        self.votes: list[tuple[str, Choice, str]] = []
        self.modes: list[tuple[str, int]] = []
        """Mode and seconds of each vote."""
        """Request, choice and reason of every vote that arrived."""
        self.remembered: list[wire.WhitelistInfo] = []
        self.preferences = ""
        self.people = ["ana", "bob"]
        """Who watches."""
        self.freezes: list[wire.FreezeInfo] = []
        self.tried: wire.RequestInfo | None = None
        """While set, how every edit would be judged."""
        self.not_remembered = ""
        """While set, nothing may be remembered, for this reason."""
        self.calls: list[wire.Call] = []
        self.clients: list[SampleClient] = []
        self.down: errors.BastionError | None = None
        """While set, connections fail with it."""
        self.vote_error: errors.BastionError | None = None
        self.hold_votes = asyncio.Event()
        self.hold_votes.set()
        """Cleared, votes wait, as for somebody who touches a key."""

    def propose(self, info: wire.RequestInfo) -> wire.ProposalInfo:
        """As the daemon does for the commands of this file: exactly it, and a pattern where there is a unit."""
        candidates = [wire.CandidateInfo(pattern="", words="exactly this command")]
        if info.command == b"systemctl restart nginx":
            candidates.append(wire.CandidateInfo(pattern="systemctl restart {unit}", words="any unit"))
        return wire.ProposalInfo(
            refused=self.not_remembered,
            command=info.command,
            identity=info.identity,
            target=info.target,
            env=info.env,
            login=info.login,
            code="",
            tier=info.tier,
            until=0 if info.tier == "low" else NOW + 7 * 86400 * S,
            candidates=candidates,
        )

    def act(self, call: wire.Call) -> Any:
        """The answer to a call that changes something and that nobody signs."""
        match call:
            case wire.EscalateRequest(request=id):
                self.change(id, escalated=["second-line"])
                return self.requests[id]
            case wire.SnoozeRequest(request=id, until=until):
                self.change(id, snoozed=[("ana", until)] if until else [])
                return self.requests[id]
            case wire.SetFreeze():
                self.freezes.append(sample_answers.freeze(call, "ana", NOW))
                self.push(wire.FreezesChanged(freezes=list(self.freezes)))
                return self.freezes[-1]
            case wire.LiftFreeze():
                lifted = self.freezes.pop()
                self.push(wire.FreezesChanged(freezes=list(self.freezes)))
                return lifted

    def look(self, call: wire.Call) -> Any:
        """The answer to a call that only looks."""
        match call:
            case wire.ShowBackground(request=id):
                ended = [each for each in self.requests.values() if each.state != State.HELD]
                return sample_answers.background(self.requests[id], ended, NOW)
            case wire.TryEdit(request=id, command=command):
                return self.tried or sample_answers.edited(self.requests[id], command, "ana", "")
            case wire.ShowPreferences():
                return wire.PreferencesInfo(identity="ana", text=self.preferences)
            case wire.ShowPolicy():
                return msgspec.structs.replace(sample_answers.policy(), freezes=self.freezes)
            case wire.LedgerHead():
                return "bastion.example/5f0c2a91\n212\nAAAA\n"
            case wire.ShowStats():
                return sample_answers.stats(NOW)
            case wire.ListFreezes():
                return list(self.freezes)
            case wire.ListWhitelist():
                return sample_answers.whitelist(NOW)
            case wire.ListGrants():
                return sample_answers.grants(NOW)
            case wire.ListLedger(after=after):
                return [line for line in sample_answers.ledger(NOW) if line.seq > after]
            case _:
                raise errors.UsageError(f"no {type(call).__name__} here")

    async def connect(self) -> SampleClient:
        """What the console is given as `connect`."""
        if self.down:
            raise self.down
        client = SampleClient(self)
        self.clients.append(client)
        return client

    def put(self, info: wire.RequestInfo) -> None:
        """A request is new or has changed."""
        self.requests[info.id] = info
        self.push(wire.RequestChanged(request=info))

    def change(self, id: str, **fields: Any) -> None:
        """Some fields of a request change."""
        self.put(msgspec.structs.replace(self.requests[id], **fields))

    def put_session(self, one: wire.SessionInfo) -> None:
        self.sessions[one.id] = one
        self.push(wire.SessionChanged(session=one))

    def push(self, push: wire.Push) -> None:
        for client in self.clients:
            client.queue.put_nowait(push)

    def lose(self) -> None:
        """Every connection is lost."""
        for client in self.clients:
            client.queue.put_nowait(None)
        self.clients.clear()


class SampleClient:
    """The client's side: the interface of `tui.feed.Connection`."""

    def __init__(self, bastion: Bastion) -> None:
        self.bastion = bastion
        self.queue: asyncio.Queue[wire.Push | None] = asyncio.Queue()
        self.welcome = wire.Welcome(
            version=wire.VERSION,
            origin="bastion.example/5f0c2a91",
            identity="ana",
            roles=["approver"],
            checkpoint="bastion.example/5f0c2a91\n212\n",
        )

    async def call(  # noqa: PLR0912 -- one case a call
        self, call_type: type[wire.Call], result: Any, /, **fields: Any
    ) -> Any:
        call = call_type(id=len(self.bastion.calls) + 1, **fields)
        self.bastion.calls.append(call)
        match call:
            case wire.Subscribe():
                self.queue.put_nowait(wire.FreezesChanged(freezes=list(self.bastion.freezes)))
                self.queue.put_nowait(sample_answers.watching(self.bastion.people, NOW))
                return None
            case wire.UnwatchSession():
                return None
            case wire.ListRequests():
                return list(self.bastion.requests.values())
            case wire.ListSessions():
                return list(self.bastion.sessions.values())
            case wire.ShowRequest(request=id):
                if id not in self.bastion.requests:
                    raise errors.NotFound(f"no request {id}")
                return self.bastion.requests[id]
            case wire.WatchSession(session=id):
                for frame in self.bastion.recording:
                    self.queue.put_nowait(wire.SessionOutput(session=id, frame=frame))
                return self.bastion.sessions[id]
            case wire.ReadRecording(after=after):
                return self.bastion.recording[after:]
            case wire.KillSession(session=id):
                one = self.bastion.sessions[id]
                self.bastion.put_session(msgspec.structs.replace(one, state="closed", closed=NOW, end="killed by ana"))
                return self.bastion.sessions[id]
            case wire.EndKeys(session=id):
                self.bastion.put_session(msgspec.structs.replace(self.bastion.sessions[id], mode="", until=0))
                return self.bastion.sessions[id]
            case wire.ProposeWhitelist(request=id):
                return self.bastion.propose(self.bastion.requests[id])
            case wire.EscalateRequest() | wire.SnoozeRequest() | wire.SetFreeze() | wire.LiftFreeze():
                return self.bastion.act(call)
            case _:
                return self.bastion.look(call)

    async def pushes(self) -> AsyncIterator[wire.Push]:
        while (push := await self.queue.get()) is not None:
            yield push

    async def vote(
        self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0, /
    ) -> wire.RequestInfo:
        await self.bastion.hold_votes.wait()
        if self.bastion.vote_error:
            raise self.bastion.vote_error
        held = self.bastion.requests[info.id]
        if held.state != State.HELD:
            raise errors.Conflict(f"{info.id} was {held.state} already")
        if info.to_model().digest != held.digest:
            raise errors.Conflict("that is not what was held")
        self.bastion.votes.append((info.id, choice, reason))
        self.bastion.modes.append((mode, seconds))
        mine = wire.VoteInfo(by=self.welcome.identity, choice=choice, reason=reason, at=NOW)
        after = msgspec.structs.replace(held, votes=[*held.votes, mine])
        if choice is Choice.DENY:
            after = msgspec.structs.replace(after, state="denied", decided=NOW, decision_reason=reason)
        elif len({one.by for one in after.votes}) >= held.approvals:
            after = msgspec.structs.replace(after, state="approved", decided=NOW)
        self.bastion.put(after)
        return after

    async def edit(self, info: wire.RequestInfo, command: bytes, reason: str = "", /) -> wire.RequestInfo:
        made = sample_answers.edited(info, command, self.welcome.identity, f"r-e{len(self.bastion.requests):07x}")
        self.bastion.change(info.id, state="withdrawn", decided=NOW, edited=made.id, decision_reason="edited by ana")
        self.bastion.put(made)
        return made

    async def prefer(self, text: str, /) -> wire.PreferencesInfo:
        self.bastion.preferences = text
        return wire.PreferencesInfo(identity=self.welcome.identity, text=text)

    async def remember(
        self, proposal: wire.ProposalInfo, /, *, pattern: str, everywhere: bool, expires: int
    ) -> wire.WhitelistInfo:
        entry = wire.WhitelistInfo(
            id=f"w-{len(self.bastion.remembered) + 1:08x}",
            command=proposal.command,
            identity=proposal.identity,
            target="" if everywhere else proposal.target,
            login=proposal.login,
            by=self.welcome.identity,
            expires=expires,
            pattern=pattern,
            env=proposal.env if everywhere else "",
            code=proposal.code,
            tier=proposal.tier,
        )
        self.bastion.remembered.append(entry)
        return entry

    async def close(self) -> None:
        if self in self.bastion.clients:
            self.bastion.clients.remove(self)
