"""Calls of the whitelist: what may be remembered, adding it, taking it off.

An entry is checked when it is added with the daemon's own assessment of its command, whatever the statement says: its
tier, how long it lasts, where its pattern has holes. When it is used, policy.whitelist checks again.
"""

from __future__ import annotations

import base64

from bastion.control import statements, wire
from bastion.control.connection import Connection
from bastion.control.house import House
from bastion.control.infos import whitelist_info
from bastion.control.signed import check_origin, signer_of
from bastion.directory import Body
from bastion.errors import Conflict, NotFound, UsageError
from bastion.ids import another, whitelist_id
from bastion.model import RequestKind, Target, Tier, script_hash
from bastion.names import LOGIN
from bastion.policy import plays, whitelist
from bastion.policy.ansible_lines import Step, of_command
from bastion.policy.pattern import PatternError
from bastion.policy.scripts import CODE_LIMIT, question, script_file
from bastion.policy.shell import Parsed, parse
from bastion.whitelisted import WhitelistEntry

CLOCKS_SECONDS = 120
"""By which an approver's clock may be ahead where an entry ends as late as it may."""

SCRIPTS_KNOWN = 100
"""Script files whose hashes are kept between what is proposed and what is signed."""

REMEMBERED_KINDS = frozenset({RequestKind.EXEC.value})


class Remembering:
    """Handlers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._scripts: dict[str, None] = {}
        """Hashes of script files that proposals were about."""

    async def list_whitelist(self, call: wire.ListWhitelist, _: Connection) -> object:
        """wire.ListWhitelist"""
        directory, now = self._house.directory, self._house.clock.wall()
        rows = [(entry, whitelist.in_force(directory, entry, now)) for entry in directory.whitelist.values()]
        return [whitelist_info(entry, in_force=good) for entry, good in rows if good or call.every]

    async def propose_whitelist(self, call: wire.ProposeWhitelist, _: Connection) -> object:
        """wire.ProposeWhitelist"""
        command, identity, target, env, login, code = await self._subject(call)
        if not call.request and (frame := of_command(command)) is not None and frame.step is Step.RUN:
            return wire.ProposalInfo(
                refused="",
                command=command,
                identity=identity,
                target=target,
                env=env,
                login=login,
                code="",
                tier=Tier.HIGH.value,
                until=self._house.clock.wall() + plays.SECONDS * 1_000_000,
                candidates=[],
            )
        assessment = self._house.assess(command, self._code(code))
        proposal = whitelist.propose(command, assessment, code=code)
        until = self._house.clock.wall() + proposal.longest * 1_000_000 if proposal.longest else 0
        return wire.ProposalInfo(
            refused=proposal.refused,
            command=command,
            identity=identity,
            target=target,
            env=env,
            login=login,
            code=code,
            tier=proposal.tier.value,
            until=until,
            candidates=[wire.CandidateInfo(pattern=each.pattern, words=each.words) for each in proposal.candidates],
        )

    async def _subject(self, call: wire.ProposeWhitelist) -> tuple[bytes, str, str, str, str, str]:
        """Command, identity, target, environment, login and hash of code that the call is about."""
        if call.request:
            info = self._house.broker.info(call.request)
            if info is None:
                raise NotFound(f"no request {call.request!r} is held or was lately")
            if info.kind not in REMEMBERED_KINDS:
                raise UsageError(f"what is asked by {info.id} is not remembered", "commands of their own are")
            code = whitelist.code_hash(info.to_model())
            return info.command, info.identity, info.target, info.env, info.login, code
        place = self._house.directory.targets.get(call.target)
        if call.target and place is None:
            raise NotFound(f"no target {call.target!r}", "`bastion target list` names them")
        env = place.env if place is not None else call.env
        login = call.login or (place.logins[0] if place is not None else "")
        if not LOGIN.fullmatch(login):
            raise UsageError(f"{login!r} is no account name", "--login USER")
        code = await self._script(call.command, place, login) if place is not None else ""
        return call.command, call.identity, call.target, env, login, code

    async def _script(self, command: bytes, target: Target, login: str) -> str:
        """Hash of the file that the command runs there; empty if it runs none, or none that can be read."""
        parsed = parse(command)
        path = script_file(parsed) if isinstance(parsed, Parsed) else ""
        held = await self._house.ask(target, login, question(path), CODE_LIMIT) if path else b""
        if not held:
            return ""
        digest = script_hash(held)
        self._scripts[digest] = None
        while len(self._scripts) > SCRIPTS_KNOWN:
            del self._scripts[next(iter(self._scripts))]
        return digest

    async def add_whitelist(self, call: wire.AddWhitelist, connection: Connection) -> object:
        """wire.AddWhitelist"""
        house = self._house
        try:
            wish = statements.decode_whitelist(call.statement)
            command = base64.b64decode(wish.command, validate=True)
        except ValueError as error:
            raise UsageError(f"the statement does not read: {error}") from None
        check_origin(house, wish.origin)
        signer = signer_of(house, call.statement, call.signature, wire.WHITELIST_NAMESPACE, connection.caller)
        tier = self._check(command, wish)
        entry = WhitelistEntry(
            id=another(whitelist_id, house.directory.whitelist),
            command=command,
            identity=wish.identity,
            target=wish.target,
            login=wish.login,
            by=signer.name,
            expires=wish.expires,
            pattern=wish.pattern,
            env=wish.env,
            code=wish.code,
            tier=tier,
        )

        def plan() -> Body:
            if house.directory.identities[signer.name].revoked:
                raise Conflict(f"{signer.name} was revoked")
            return {**house.directory.plan_whitelist(entry, call.statement.decode()), "signature": call.signature}

        await house.commit("whitelist.added", plan, signer.name)
        return whitelist_info(entry)

    def _code(self, digest: str) -> bytes:
        """The code on stdin with that hash, out of a request that is held or was lately. Raises NotFound."""
        if not digest or digest in self._scripts:
            return b""
        for info in self._house.broker.infos():
            if whitelist.code_hash(info.to_model()) == digest:
                return info.stdin_code
        raise NotFound(
            "the code that the entry is bound to is not known here", "remember it from a request that has it"
        )

    def _check(self, command: bytes, wish: statements.WhitelistStatement) -> Tier:
        """May this be remembered, that long? The tier by the daemon's own assessment. Raises UsageError, Conflict."""
        if plays.is_play(wish.pattern):
            return self._check_play(command, wish)
        assessment, now = self._house.assess(command, self._code(wish.code)), self._house.clock.wall()
        if wish.expires and wish.expires <= now:
            raise UsageError("the entry would have expired already")
        lasting = max(1, (wish.expires - now) // 1_000_000 - CLOCKS_SECONDS) if wish.expires else 0
        reason = whitelist.refusal(command, parse(command), assessment, code=wish.code)
        if reason := reason or whitelist.too_long(assessment.tier, lasting):
            raise UsageError(reason)
        if wish.tier != assessment.tier:
            raise Conflict(f"the command is rated {assessment.tier} here, not {wish.tier}", "look at it again")
        if wish.pattern:
            try:
                whitelist.checked(command, wish.pattern, assessment)
            except PatternError as error:
                raise UsageError(str(error)) from None
        return assessment.tier

    def _check_play(self, command: bytes, wish: statements.WhitelistStatement) -> Tier:
        """May these modules of Ansible be let through, that long? Raises UsageError, Conflict."""
        now = self._house.clock.wall()
        try:
            play = plays.parse(wish.pattern)
        except plays.PlayError as error:
            raise UsageError(str(error)) from None
        if command != play.command or wish.code or wish.tier != Tier.HIGH:
            raise Conflict("the statement is of another command than its modules", "look at it again")
        if not now < wish.expires <= now + (plays.SECONDS + CLOCKS_SECONDS) * 1_000_000:
            raise UsageError(f"modules of Ansible are let through for {plays.SECONDS // 3600} hours at most")
        return Tier.HIGH
