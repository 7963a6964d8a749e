"""What ran was allowed. The daemon itself may be the liar here: it signs what it likes as the ledger, but no votes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bastion.history import pack
from bastion.model import UNRATED, Request, RequestKind, StdinMode
from recorder import request as requests
from recorder.entry import Entry
from recorder.ledger import Draft
from recorder.verify import Verdict, verify
from recorder.votes import Violation
from recorder.whitelist import DAY_US, SLACK_US
from tests.recorder.stories import Person, Story

Tell = Callable[[Callable[[Story], object]], Path]


def bad(told: Tell, what: Callable[[Story], Any], words: str) -> None:
    """The story ends with the entry that must be named, for this reason and no other."""
    ends: list[int] = []

    def tell(story: Story) -> None:
        story.identity(story.ana)
        story.identity(story.ben)
        ends.append(what(story).seq)

    report = verify(told(tell))
    assert report.verdict is Verdict.TAMPER
    assert [problem.seq for problem in report.problems] == ends, report.problems
    assert words in report.message


def good(told: Tell, what: Callable[[Story], Any]) -> tuple[str, ...]:
    def tell(story: Story) -> None:
        story.identity(story.ana)
        story.identity(story.ben)
        what(story)

    report = verify(told(tell))
    assert report.verdict is Verdict.OK, report.problems
    return report.notes[:-1]


class TestStarts:
    def test_approved(self, told: Tell) -> None:
        def what(story: Story) -> None:
            first = story.propose()
            story.finish(story.start(first, story.vote(first)))

        assert good(told, what) == ()

    def test_two_of_two(self, told: Tell) -> None:
        def what(story: Story) -> None:
            first = story.propose(approvals=2)
            story.vote(first, story.ana)
            story.start(first, story.vote(first, story.ben))

        good(told, what)

    def test_allowed_by_policy(self, told: Tell) -> None:
        def what(story: Story) -> None:
            digest = story.policy()
            first = story.propose(verdict="allow", rule="policy p:1: allow low", policy=digest, tier="low")
            story.start(first, first)

        (note,) = good(told, what)
        assert "no person signed" in note

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"policy": "0" * 64}, "another policy"),
            ({"policy": ""}, "another policy"),
            ({"tier": "high"}, "high risk"),
            ({"tier": "unrated"}, "high risk"),
            ({"rule": "default"}, "neither"),
        ],
    )
    def test_allowed_by_no_policy_in_force(self, told: Tell, change: dict[str, Any], words: str) -> None:
        def what(story: Story) -> Any:
            said = {"policy": story.policy(), "tier": "low", "rule": "policy p:1: allow low"}
            return story.propose(verdict="allow", **said | change)

        bad(told, what, words)

    def test_a_restart_forgets_the_policy(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            digest = story.policy()
            story.write(Draft("daemon.started", "bastion", {}))
            return story.propose(verdict="allow", rule="policy p:1: allow low", policy=digest, tier="low")

        bad(told, what, "another policy")

    def test_a_text_that_is_not_the_policy(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            story.policy(digest="0" * 64)
            return story.loaded

        bad(told, what, "does not give its hash")

    def test_only_members_approve(self, told: Tell) -> None:
        def what(story: Story) -> None:
            story.policy(groups={"dba": ["ana"]})
            first = story.propose(approvers=["dba"])
            story.start(first, story.vote(first, story.ana))

        good(told, what)

    def test_others_do_not(self, told: Tell) -> None:
        def outsider(story: Story) -> Any:
            story.policy(groups={"dba": ["ana"]})
            return story.vote(story.propose(approvers=["dba"]), story.ben)

        bad(told, outsider, "not in group dba")

    def test_after_escalation_the_next_group_approves(self, told: Tell) -> None:
        def what(story: Story) -> None:
            story.policy(groups={"dba": ["ana"], "boss": ["ben"]})
            first = story.propose(approvers=["dba"])
            body = {"digest": first.body["digest"], "group": "boss"}
            story.write(Draft("request.escalated", "bastion", body, request=first.request, cause=first.leaf))
            story.start(first, story.vote(first, story.ben))

        good(told, what)

    def test_without_approval(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            return story.start(first, first)

        bad(told, what, "without an approval")

    def test_without_proposal(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            vote = story.vote(first)
            body = {"digest": first.body["digest"]}
            return story.write(Draft("command.started", "bastion", body, request="r-99999999", cause=vote.leaf))

        bad(told, what, "never proposed")

    def test_on_the_approval_of_another_request(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            vote = story.vote(story.propose("r-00000001"))
            second = story.propose("r-00000002")
            return story.start(second, vote)

        bad(told, what, "without an approval")

    def test_twice(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            vote = story.vote(first)
            story.start(first, vote)
            return story.start(first, vote)

        bad(told, what, "started before")

    def test_one_of_two(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(approvals=2)
            return story.start(first, story.vote(first))

        bad(told, what, "1 of 2")

    def test_the_same_approver_twice_is_one(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(approvals=2)
            story.vote(first)
            return story.start(first, story.vote(first))

        bad(told, what, "1 of 2")

    def test_after_a_denial(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(approvals=1)
            story.vote(first, story.ben, "deny")
            return story.start(first, story.vote(first))

        bad(told, what, "denied")

    @pytest.mark.parametrize("choice", ["expired", "withdrawn"])
    def test_after_its_end(self, told: Tell, choice: str) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            vote = story.vote(first)
            story.end(first, choice)
            return story.start(first, vote)

        bad(told, what, choice)

    def test_what_policy_denied(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(verdict="deny")
            return story.start(first, first)

        bad(told, what, "policy had denied")

    def test_another_digest(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            return story.start(first, story.vote(first), digest="0" * 64)

        bad(told, what, "digest")

    def test_a_finish_without_a_start(self, told: Tell) -> None:
        bad(told, lambda story: story.finish(story.propose()), "not started")

    def test_a_second_finish(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            begun = story.start(first, story.vote(first))
            story.finish(begun)
            return story.finish(begun)

        bad(told, what, "finished before")


class TestVotes:
    def test_replayed(self, told: Tell) -> None:
        """The very signature that approved one request, on a second, identical one."""

        def what(story: Story) -> Any:
            vote = story.vote(story.propose("r-00000001"))
            second = story.propose("r-00000002", digest=vote.body["digest"])
            body = dict(vote.body)
            return story.write(
                Draft("request.decided", "ana", body, request="r-00000002", cause=second.leaf),
            )

        bad(told, what, "ana signed another proposal")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("proposal", "0" * 64),
            ("digest", "0" * 64),
            ("request", "r-ffffffff"),
            ("origin", "other.example/00000000"),
            ("choice", "deny"),
        ],
    )
    def test_bound_to_something_else(self, told: Tell, name: str, value: str) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            return story.vote(first, body={"choice": "approve"}, **{name: value})

        bad(told, what, f"signed another {name}")

    def test_that_answers_another_entry(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first, second = story.propose("r-00000001"), story.propose("r-00000002")
            vote = dict(story.vote(first).body)
            return story.write(Draft("request.decided", "ana", vote, request="r-00000001", cause=second.leaf))

        bad(told, what, "another entry")

    @pytest.mark.parametrize("namespace", ["git", "file", "checkpoint@agent-bastion", "whitelist@agent-bastion"])
    def test_under_another_namespace(self, told: Tell, namespace: str) -> None:
        bad(told, lambda story: story.vote(story.propose(), namespace=namespace), "namespace")

    def test_forged(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            forger = Person("ana")
            return story.vote(story.propose(), forger)

        bad(told, what, "no key of ana")

    def test_of_another_text(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            return story.vote(first, body={"signature": story.ana.sign("something else")})

        bad(told, what, "wrong")

    def test_before_the_approver_was_one(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            late = Person("late")
            vote = story.vote(story.propose(), late)
            story.identity(late)
            return vote

        bad(told, what, "no identity at this point")

    def test_after_the_approver_was_revoked(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            story.revoke(story.ana)
            return story.vote(first)

        bad(told, what, "revoked")

    def test_cast_before_the_revocation_counts_no_more(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            vote = story.vote(first)
            story.revoke(story.ana)
            return story.start(first, vote)

        bad(told, what, "0 of 1 approvals by approvers who were not revoked")

    def test_of_somebody_revoked_after_the_start(self, told: Tell) -> None:
        def what(story: Story) -> None:
            first = story.propose()
            begun = story.start(first, story.vote(first))
            story.revoke(story.ana)
            story.finish(begun)

        good(told, what)

    def test_by_an_auditor(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            auditor = Person("odd")
            story.identity(auditor, roles=("auditor",))
            return story.vote(story.propose(), auditor)

        bad(told, what, "no approver")

    def test_on_ones_own_request(self, told: Tell) -> None:
        bad(told, lambda story: story.vote(story.propose(identity="ana")), "their own")

    def test_on_what_was_not_held(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            said = {"policy": story.policy(), "tier": "low", "rule": "policy x"}
            return story.vote(story.propose(verdict="allow", **said))

        bad(told, what, "not held")

    @pytest.mark.parametrize(
        "body", [{"statement": "{}"}, {"statement": 5}, {"signature": None}, {"by": "eve"}, {"choice": "perhaps"}]
    )
    def test_malformed(self, told: Tell, body: dict[str, Any]) -> None:
        ends: list[int] = []

        def tell(story: Story) -> None:
            story.identity(story.ana)
            ends.append(story.vote(story.propose(), body=body).seq)

        report = verify(told(tell))
        assert (report.verdict, report.seq) == (Verdict.TAMPER, ends[0])

    def test_a_statement_out_of_its_form(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            text = json.dumps({**json.loads(story.vote(first).body["statement"]), "extra": "x"}, sort_keys=True)
            return story.vote(first, body={"statement": text, "signature": story.ana.sign(text)})

        bad(told, what, "not in its form")

    def test_late_by_the_wall_clock_is_a_note(self, told: Tell) -> None:
        assert good(told, lambda story: story.vote(story.propose(), expires="1")) == (
            "votes were counted after their end, by the wall clock",
        )
        assert SLACK_US == 60_000_000


class TestProposals:
    @pytest.mark.parametrize(
        "changes",
        [{"approvals": 0}, {"approvals": -1}, {"approvals": True}, {"approvals": "1"}, {"verdict": ""}, {"digest": ""}],
    )  # fmt: skip
    def test_malformed(self, told: Tell, changes: dict[str, Any]) -> None:
        bad(told, lambda story: story.propose(**changes), "")

    def test_the_same_id_twice(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            story.propose()
            return story.propose()

        bad(told, what, "id of its own")


class TestIdentities:
    def test_a_name_twice(self, told: Tell) -> None:
        bad(told, lambda story: story.identity(Person("ana")), "added before")

    def test_a_key_twice(self, told: Tell) -> None:
        bad(told, lambda story: story.identity(Person("eve", story.ana.key)), "belongs to ana")

    @pytest.mark.parametrize("kind", ["agent", "ci", "service"])
    def test_an_agent_with_a_role(self, told: Tell, kind: str) -> None:
        bad(told, lambda story: story.identity(Person("eve"), kind=kind), "has a role")


CODE = sha256(b"\0code").hexdigest()
SIGNED = ("code", "command", "env", "expires", "identity", "login", "pattern", "target", "tier")


def whitelisting(story: Story, body: dict[str, Any] | None = None, **changes: str) -> Any:
    said = {
        "origin": story.ledger.origin,
        "command": base64.b64encode(b"uptime").decode(),
        "pattern": "",
        "identity": "fixer",
        "target": "web-1",
        "env": "",
        "login": "deploy",
        "code": CODE,
        "tier": "low",
        "expires": "0",
        "checkpoint": "0" * 64,
        **changes,
    }
    text = json.dumps({**said, "v": 1}, sort_keys=True, separators=(",", ":"))
    fields = {name: said[name] for name in SIGNED}
    signed = {"by": "ana", "statement": text, "signature": story.ana.sign(text, "whitelist@agent-bastion")}
    return story.write(Draft("whitelist.added", "ana", {"id": "w-1", **fields, **signed, **(body or {})}))


def request(command: bytes = b"uptime", **changes: Any) -> Request:
    """As the daemon would make it."""
    fields: dict[str, Any] = {
        "id": "r-00000001", "kind": RequestKind.EXEC, "identity": "fixer", "key": "SHA256:x", "session": "s-1",
        "target": "web-1", "host_keys": ("ssh-ed25519 AAAA",), "login": "deploy", "command": command,
        "environment": (("LANG", "C"), ("é", "\u202e")), "stdin": StdinMode.BUNDLED, "stdin_code": b"\0code",
        "reason": "because", "rollback": "", "task": "t", "assessment": UNRATED, "approvals": 1, "created": 2**60,
        "expires": 2**61, "env": "prod",
    }  # fmt: skip
    return Request(**{**fields, **changes})


def proposed(story: Story, made: Request, content: Request | None = None, **changes: Any) -> Any:
    body = {
        "digest": made.digest, "verdict": "allow", "rule": "whitelist w-1", "identity": made.identity,
        "target": made.target, "login": made.login, "approvals": made.approvals, "tier": "low",
    }  # fmt: skip
    draft = Draft(
        "request.proposed",
        made.identity,
        {**body, **changes},
        session="s-1",
        request=made.id,
        payloads={"content": pack(content or made)},
    )
    return story.write(draft)


class TestWhitelist:
    def test_in_force(self, told: Tell) -> None:
        def what(story: Story) -> None:
            whitelisting(story)
            first = proposed(story, request())
            story.start(first, first)

        assert good(told, what) == ()

    def test_not_there(self, told: Tell) -> None:
        bad(told, lambda story: proposed(story, request()), "not in force")

    @pytest.mark.parametrize("draft", [("whitelist.removed", {"id": "w-1"}), ("target.removed", {"name": "web-1"})])
    def test_removed(self, told: Tell, draft: tuple[str, dict[str, str]]) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            story.write(Draft(draft[0], "local:0", draft[1]))
            return proposed(story, request())

        bad(told, what, "not in force")

    def test_another_command(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            return proposed(story, request(b"uptime; id"))

        bad(told, what, "another command")

    @pytest.mark.parametrize("name", ["identity", "target", "login"])
    def test_another_place(self, told: Tell, name: str) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            return proposed(story, request(**{name: "other"}))

        bad(told, what, "another identity, target or login")

    @pytest.mark.parametrize("name", SIGNED)
    def test_more_than_was_signed(self, told: Tell, name: str) -> None:
        bad(told, lambda story: whitelisting(story, {name: "9"}), f"{name} is not the one that was signed")

    def test_signed_for_another_ledger(self, told: Tell) -> None:
        bad(told, lambda story: whitelisting(story, origin="x/00000000"), "another ledger")

    def test_a_decision_is_no_whitelisting(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            text = json.loads(whitelisting(story).bytes)["body"]["statement"]
            signed = {"id": "w-2", "statement": text, "signature": story.ana.sign(text)}
            return whitelisting(story, signed)

        bad(told, what, "namespace")

    def test_past_its_end_is_a_note(self, told: Tell) -> None:
        def what(story: Story) -> None:
            whitelisting(story, expires="1")
            proposed(story, request())

        assert good(told, what) == ("whitelist entries were used after their end, by the wall clock",)

    def test_by_a_pattern(self, told: Tell) -> None:
        def what(story: Story) -> None:
            story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "prod"}))
            command = base64.b64encode(b"docker restart web").decode()
            whitelisting(story, command=command, pattern="docker restart {container}", target="", env="prod")
            first = proposed(story, request(b"docker restart api"))
            story.start(first, first)

        assert good(told, what) == ()

    @pytest.mark.parametrize("command", [b"docker restart api; id", b"docker restart -f", b"docker restart a b", b"id"])
    def test_a_command_that_the_pattern_does_not_match(self, told: Tell, command: bytes) -> None:
        def what(story: Story) -> Any:
            made = base64.b64encode(b"docker restart web").decode()
            whitelisting(story, command=made, pattern="docker restart {container}")
            return proposed(story, request(command))

        bad(told, what, "does not match the command")

    def test_a_pattern_for_another_command(self, told: Tell) -> None:
        bad(told, lambda story: whitelisting(story, pattern="docker restart {container}"), "made from")

    @pytest.mark.parametrize("pattern", ["{", "{}", "x{number}", "{name} uptime", "a {path}", "a {path below /a/..}"])
    def test_no_pattern(self, told: Tell, pattern: str) -> None:
        bad(told, lambda story: whitelisting(story, pattern=pattern), "")

    def test_other_code_on_stdin(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            return proposed(story, request(stdin_code=b"other"))

        bad(told, what, "other code on stdin")

    def test_rated_higher_than_it_was(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            return proposed(story, request(), tier="medium")

        bad(told, what, "rated higher")

    def test_in_another_environment(self, told: Tell) -> None:
        """The daemon's word for the environment does not count; the target's own entry does."""

        def what(story: Story) -> Any:
            story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "staging"}))
            whitelisting(story, target="", env="prod")
            return proposed(story, request(), env="prod")

        bad(told, what, "another environment")

    def test_signed_by_somebody_who_was_revoked_since(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            whitelisting(story)
            story.revoke(story.ana)
            return proposed(story, request())

        bad(told, what, "revoked before its use")

    @pytest.mark.parametrize(
        ("tier", "days", "fine"),
        [("low", 0, True), ("medium", 7, True), ("medium", 8, False), ("medium", 0, False), ("unrated", 0, False),
         ("high", 1, False), ("odd", 1, False)],
    )  # fmt: skip
    def test_how_long(self, told: Tell, tier: str, days: int, fine: bool) -> None:
        def what(story: Story) -> Any:
            now = story.identity(Person("cas")).t
            return whitelisting(story, tier=tier, expires=str(now + days * DAY_US if days else 0))

        if fine:
            assert good(told, what) == ()
        else:
            bad(told, what, "")

    def test_a_pattern_that_nobody_rated(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            command, now = base64.b64encode(b"docker restart web").decode(), story.identity(Person("cas")).t
            return whitelisting(
                story, command=command, pattern="docker restart {container}", tier="unrated", expires=str(now + DAY_US)
            )

        bad(told, what, "nobody had rated")


class TestContent:
    def test_the_digest_is_the_daemons(self) -> None:
        """Two implementations of one definition: the model's, and the verifier's from the stored bytes."""
        for made in (request(), request(b"\xff\0", reason='ü\u2028\\"', approvals=3, host_keys=(), environment=())):
            assert requests.digest(requests.parse(pack(made))) == made.digest

    def test_another_command_than_was_approved(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            return proposed(story, request(b"rm -rf /"), request(b"ls"), verdict="hold")

        bad(told, what, "does not give its digest")

    @pytest.mark.parametrize("changes", [{"approvals": 5}, {"target": "web-2"}, {"login": "root"}])
    def test_a_body_that_says_something_else(self, told: Tell, changes: dict[str, Any]) -> None:
        bad(told, lambda story: proposed(story, request(), verdict="hold", **changes), "not that of its content")

    @pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"command": 5}', b"[" * 5000])
    def test_malformed(self, data: bytes) -> None:
        with pytest.raises(Violation):
            requests.parse(data)


def test_a_cause_that_is_no_earlier_entry(told: Tell) -> None:
    bad(told, lambda story: story.write(Draft("a.b", "x", {}, cause="0" * 64)), "no earlier entry")


# --- access --------------------------------------------------------------------------------------------------------


def guard(story: Story) -> None:
    story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "prod"}))
    story.write(Draft("access.configured", "bastion", {"grants": ["prod"]}))


def grant(story: Story, /, actor: str = "local:0", cause: str = "", **changes: Any) -> Any:
    body = {
        "id": "g-1", "identity": "fixer", "target": "web-1", "seconds": 1800, "added": "1000000",
        "expires": "1801000000", "reason": "r", "by": "local:0", "request": "", **changes,
    }  # fmt: skip
    return story.write(Draft("grant.added", actor, body, cause=cause))


def run(story: Story, **changes: Any) -> Any:
    first = story.propose("r-00000009", target="web-1", **changes)
    return story.start(first, story.vote(first))


def later(story: Story) -> dict[str, str]:
    now = story.identity(Person("cas")).t
    return {"added": str(now), "expires": str(now + 1_800_000_000)}


def asked(story: Story, **changes: Any) -> Any:
    """A request for access, with its content."""
    made = request(b"request-access web-1 --for 1800s", kind=RequestKind.GRANT, login="", stdin_code=b"", **changes)
    return proposed(story, made, verdict="hold", kind="grant")


class TestAccess:
    def test_under_a_grant(self, told: Tell) -> None:
        def what(story: Story) -> None:
            guard(story)
            grant(story, **later(story))
            run(story)

        assert good(told, what) == ("grants were given by the host's administrator, which no person signed",)

    def test_without_one(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            return run(story)

        bad(told, what, "had no grant")

    @pytest.mark.parametrize("changes", [{"identity": "other"}, {"target": "web-2"}])
    def test_with_another_ones(self, told: Tell, changes: dict[str, str]) -> None:
        def what(story: Story) -> Any:
            guard(story)
            grant(story, **{**later(story), **changes})
            return run(story)

        bad(told, what, "had no grant")

    @pytest.mark.parametrize("how", ["grant.expired", "grant.revoked"])
    def test_after_its_end(self, told: Tell, how: str) -> None:
        def what(story: Story) -> Any:
            guard(story)
            grant(story, **later(story))
            story.write(Draft(how, "bastion", {"id": "g-1", "reason": "r"}))
            return run(story)

        bad(told, what, "had no grant")

    def test_past_its_end_by_the_wall_clock_is_a_note(self, told: Tell) -> None:
        def what(story: Story) -> None:
            guard(story)
            grant(story)
            run(story)

        assert "grants were used after their end, by the wall clock" in good(told, what)

    def test_elsewhere_none_is_needed(self, told: Tell) -> None:
        def what(story: Story) -> None:
            guard(story)
            story.write(Draft("target.added", "local:0", {"name": "web-2", "env": "staging"}))
            first = story.propose("r-00000009", target="web-2")
            story.start(first, story.vote(first))

        good(told, what)

    def test_asked_for_and_approved(self, told: Tell) -> None:
        def what(story: Story) -> None:
            guard(story)
            first = asked(story)
            vote = story.vote(first)
            grant(story, "bastion", vote.leaf, request=first.request, by="ana", **later(story))
            run(story)

        assert good(told, what) == ()

    def test_asked_for_and_not_approved(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            first = asked(story)
            return grant(story, "bastion", first.leaf, request=first.request, by="ana", **later(story))

        bad(told, what, "without an approval")

    def test_approved_by_somebody_who_was_revoked(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            first = asked(story)
            vote = story.vote(first)
            story.revoke(story.ana)
            return grant(story, "bastion", vote.leaf, request=first.request, **later(story))

        bad(told, what, "not revoked")

    @pytest.mark.parametrize("changes", [{"identity": "other"}, {"target": "web-2"}, {"seconds": 3600}])
    def test_another_than_was_asked_for(self, told: Tell, changes: dict[str, Any]) -> None:
        def what(story: Story) -> Any:
            guard(story)
            first = asked(story)
            vote = story.vote(first)
            when = later(story)
            if "seconds" in changes:
                when["expires"] = str(int(when["added"]) + changes["seconds"] * 1_000_000)
            return grant(story, "bastion", vote.leaf, **{**when, **changes, "request": first.request})

        bad(told, what, "asked for")

    def test_a_second_one_for_one_request(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            first = asked(story)
            vote = story.vote(first)
            when = later(story)
            grant(story, "bastion", vote.leaf, request=first.request, **when)
            return grant(story, "bastion", vote.leaf, id="g-2", request=first.request, **when)

        bad(told, what, "second grant")

    def test_out_of_a_request_for_a_command(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            first = story.propose(kind="exec", target="web-1")
            return grant(story, "bastion", story.vote(first).leaf, request=first.request, **later(story))

        bad(told, what, "did not ask for one")

    def test_by_the_daemon_alone(self, told: Tell) -> None:
        bad(told, lambda story: grant(story, "bastion", **later(story)), "nobody asked for")

    def test_a_request_for_access_is_no_command(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = asked(story)
            return story.start(first, story.vote(first))

        bad(told, what, "as a command")

    def test_longer_than_it_says(self, told: Tell) -> None:
        bad(told, lambda story: grant(story, expires="1801000001"), "longer")

    def test_it_goes_with_its_identity(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            guard(story)
            story.identity(Person("fixer"), kind="agent", roles=())
            grant(story, **later(story))
            story.revoke(Person("fixer"))
            return run(story)

        bad(told, what, "had no grant")

    @pytest.mark.parametrize(("scope", "name"), [("all", ""), ("env", "prod"), ("target", "web-1")])
    def test_frozen(self, told: Tell, scope: str, name: str) -> None:
        def what(story: Story) -> Any:
            story.write(Draft("target.added", "local:0", {"name": "web-1", "env": "prod"}))
            body = {"id": "f-1", "scope": scope, "name": name, "mode": "refuse"}
            story.write(Draft("freeze.set", "ana", body))
            return run(story)

        bad(told, what, "was frozen")

    def test_in_an_emergency_it_is_a_note(self, told: Tell) -> None:
        def what(story: Story) -> None:
            guard(story)
            text = json.dumps({"p": "x"}).encode()
            loaded = {"digest": sha256(b"x").hexdigest(), "groups": {}}
            story.write(Draft("policy.loaded", "bastion", loaded, payloads={"text": text}))
            made = {"verdict": "allow", "emergency": True, "target": "web-1", "rule": "policy p:1: break_glass"}
            first = story.propose("r-00000009", policy=loaded["digest"], **made)
            story.start(first, first)

        assert "commands were started in an emergency, whatever was frozen or took a grant" in good(told, what)

    def test_thawed(self, told: Tell) -> None:
        def what(story: Story) -> None:
            story.write(Draft("freeze.set", "ana", {"id": "f-1", "scope": "all", "name": "", "mode": "refuse"}))
            story.write(Draft("freeze.lifted", "ana", {"id": "f-1"}))
            run(story)

        good(told, what)

    def test_held_while_frozen(self, told: Tell) -> None:
        def what(story: Story) -> None:
            story.write(Draft("freeze.set", "ana", {"id": "f-1", "scope": "all", "name": "", "mode": "hold"}))
            run(story)

        good(told, what)

    def test_let_through_while_frozen(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            story.write(Draft("freeze.set", "ana", {"id": "f-1", "scope": "all", "name": "", "mode": "hold"}))
            whitelisting(story)
            return proposed(story, request())

        bad(told, what, "frozen")


class TestShells:
    """Lines of a governed shell, and what is typed into their commands."""

    def running(self, story: Story, **vote: Any) -> tuple[Any, Any]:
        line = story.propose(mode="line", parent="")
        start = story.start(line, story.vote(line, **vote), mode=vote.get("mode", "line"))
        return line, start

    def stdin(self, story: Story) -> Any:
        return story.propose("r-00000002", mode="none", parent="r-00000001")

    def sent(self, story: Story, item: Any, grounds: Any, parent: str = "r-00000001") -> Any:
        body = {"digest": item.body["digest"], "parent": parent}
        return story.write(
            Draft("stdin.sent", "bastion", body, session="s-1", request=item.request, cause=grounds.leaf)
        )

    def test_a_line_of_stdin_with_its_own_approval(self, told: Tell) -> None:
        def what(story: Story) -> None:
            _, start = self.running(story)
            item = self.stdin(story)
            self.sent(story, item, story.vote(item))
            story.finish(start)

        assert good(told, what) == ()

    def test_without_an_approval_of_its_own(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            line = story.propose(mode="line", parent="")
            approval = story.vote(line)
            story.start(line, approval, mode="line")
            return self.sent(story, self.stdin(story), approval)

        bad(told, what, "without an approval of its request")

    def test_twice(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            self.running(story)
            item = self.stdin(story)
            approval = story.vote(item)
            self.sent(story, item, approval)
            return self.sent(story, item, approval)

        bad(told, what, "started before")

    def test_after_its_command_ended(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            _, start = self.running(story)
            item = self.stdin(story)
            approval = story.vote(item)
            story.finish(start)
            return self.sent(story, item, approval)

        bad(told, what, "does not run")

    def test_into_another_command(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            self.running(story)
            item = self.stdin(story)
            return self.sent(story, item, story.vote(item), "r-00000002")

        bad(told, what, "does not run")

    def test_run_as_a_command(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            self.running(story)
            item = self.stdin(story)
            return story.start(item, story.vote(item), mode="none")

        bad(told, what, "started as a command")

    def test_a_mode_that_an_approver_granted(self, told: Tell) -> None:
        def what(story: Story) -> None:
            line = story.propose(mode="line", parent="")
            granted = {"mode": "raw", "seconds": "300"}
            story.start(line, story.vote(line, body=granted, **granted), mode="raw")

        assert good(told, what) == ()

    def test_a_mode_that_nobody_granted(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            line = story.propose(mode="line", parent="")
            return story.start(line, story.vote(line), mode="raw")

        bad(told, what, "not what was approved")

    def test_another_mode_than_the_one_that_was_signed(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            line = story.propose(mode="line", parent="")
            return story.vote(line, body={"mode": "raw", "seconds": "300"}, mode="view", seconds="300")

        bad(told, what, "signed another mode")

    def test_the_narrowest_of_two(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            line = story.propose(mode="line", parent="", approvals=2)
            granted = {"mode": "raw", "seconds": "300"}
            story.vote(line, story.ana, body=granted, **granted)
            return story.start(line, story.vote(line, story.ben), mode="raw")

        bad(told, what, "not what was approved")


class TestEdits:
    """An approver wrote another command in the place of an agent's."""

    @staticmethod
    def edit(story: Story, first: Entry, to: str = "r-00000002", person: Person | None = None, **changes: str) -> Entry:
        person = person or story.ana
        said = {
            "v": 1,
            "origin": story.ledger.origin,
            "proposal": first.leaf,
            "request": first.request,
            "digest": first.body["digest"],
            "command": sha256(b"id").hexdigest(),
            "reason": "",
            "expires": str(first.t + 60_000_000),
            "checkpoint": "0" * 64,
            **changes,
        }
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        body = {
            "digest": first.body["digest"],
            "by": person.name,
            "to": to,
            "command": sha256(b"id").hexdigest(),
            "statement": text,
            "signature": person.sign(text, "edit@agent-bastion"),
        }
        return story.write(
            Draft("request.edited", person.name, body, session="s-1", request=first.request, cause=first.leaf)
        )

    @staticmethod
    def made(story: Story, **changes: Any) -> Entry:
        body = {"digest": "cd" * 32, "verdict": "hold", "approvals": 1, "identity": "fixer", "tier": "low"}
        body |= {"author": "ana", "edits": "r-00000001", **changes}
        return story.write(Draft("request.proposed", "ana", body, session="s-1", request="r-00000002"))

    def test_its_author_may_approve_it(self, told: Tell) -> None:
        def what(story: Story) -> None:
            first = story.propose()
            self.edit(story, first)
            second = self.made(story)
            story.end(first, "withdrawn")
            story.finish(story.start(second, story.vote(second, story.ana)))

        assert good(told, what) == ()

    def test_the_agent_may_not(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            fixer = Person("fixer")
            story.identity(fixer)
            self.edit(story, story.propose())
            return story.vote(self.made(story), fixer)

        bad(told, what, "of their own")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"author": "ben"}, "another author"),
            ({"edits": "r-00000009"}, "another author"),
            ({"verdict": "allow"}, "without an approval"),
            ({"tier": "high"}, "approve alone"),
            ({"tier": "unrated"}, "approve alone"),
        ],
    )
    def test_what_it_names_is_what_was_signed(self, told: Tell, change: dict[str, Any], words: str) -> None:
        def what(story: Story) -> Any:
            self.edit(story, story.propose())
            return self.made(story, **change)

        bad(told, what, words)

    def test_of_high_risk_with_two(self, told: Tell) -> None:
        def what(story: Story) -> None:
            self.edit(story, story.propose())
            second = self.made(story, tier="high", approvals=2)
            story.vote(second, story.ana)
            story.start(second, story.vote(second, story.ben))

        good(told, what)

    def test_nobody_signed_it(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            story.propose()
            return self.made(story)

        bad(told, what, "signed nothing")

    @pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"command": "0" * 64}, {"request": "r-00000009"}])
    def test_another_statement(self, told: Tell, change: dict[str, str]) -> None:
        bad(told, lambda story: self.edit(story, story.propose(), **change), "signed another")

    def test_the_old_one_does_not_run(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            vote = story.vote(first)
            self.edit(story, first)
            self.made(story)
            return story.start(first, vote)

        bad(told, what, "had been edited")

    def test_what_ended_is_edited_no_more(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose()
            story.end(first, "expired")
            return self.edit(story, first)

        bad(told, what, "not held")

    def test_the_command_is_the_one_that_was_signed(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            self.edit(story, story.propose())
            written = Request(
                id="r-00000002", kind=RequestKind.EXEC, identity="fixer", key="k", session="s-1", target="web-1",
                host_keys=(), login="deploy", command=b"another", environment=(), stdin=StdinMode.STREAM,
                stdin_code=b"", reason="", rollback="", task="", assessment=UNRATED, approvals=2, created=0, expires=1,
                author="ana", edits="r-00000001", answers="ab" * 32,
            )  # fmt: skip
            body = {"digest": written.digest, "verdict": "hold", "approvals": 2, "identity": "fixer", "tier": "low"}
            body |= {"author": "ana", "edits": "r-00000001"}
            return story.write(
                Draft("request.proposed", "ana", body, request="r-00000002", payloads={"content": pack(written)})
            )

        bad(told, what, "not the one that ana signed")


class TestChats:
    """A button in a chat, which nobody signed."""

    @staticmethod
    def pressed(story: Story, first: Entry, by: str = "ana", choice: str = "approve", **more: Any) -> Entry:
        body = {"digest": first.body["digest"], "choice": choice, "by": by, "statement": "", "signature": ""}
        body |= {"via": "slack", "via_user": "U1", **more}
        return story.write(Draft("request.decided", by, body, session="s-1", request=first.request, cause=first.leaf))

    def test_where_policy_accepts_it(self, told: Tell) -> None:
        def what(story: Story) -> None:
            first = story.propose(unsigned=["slack"], tier="medium")
            story.start(first, self.pressed(story, first))

        (note,) = good(told, what)
        assert "no person signed" in note

    @pytest.mark.parametrize(
        ("proposal", "vote", "words"),
        [
            ({"tier": "low"}, {}, "accepts none"),
            ({"tier": "low", "unsigned": ["slack"]}, {"via": "other"}, "accepts none"),
            ({"tier": "low", "unsigned": ["slack"]}, {"signature": "x"}, "accepts none"),
            ({"tier": "high", "unsigned": ["slack"]}, {}, "high risk"),
            ({"tier": "unrated", "unsigned": ["slack"]}, {}, "high risk"),
            ({"tier": "low", "unsigned": ["slack"]}, {"by": "eve"}, "no approver"),
            ({"tier": "low", "unsigned": ["slack"], "identity": "ana"}, {}, "of their own"),
        ],
    )
    def test_where_it_does_not_count(
        self, told: Tell, proposal: dict[str, Any], vote: dict[str, Any], words: str
    ) -> None:
        bad(told, lambda story: self.pressed(story, story.propose(**proposal), **vote), words)

    def test_who_was_revoked_presses_nothing(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(unsigned=["slack"], tier="low")
            story.revoke(story.ana)
            return self.pressed(story, first)

        bad(told, what, "revoked")

    def test_one_press_is_not_two_approvals(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(unsigned=["slack"], tier="low", approvals=2)
            self.pressed(story, first)
            return story.start(first, self.pressed(story, first))

        bad(told, what, "1 of 2")

    def test_a_denial_ends_it(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            first = story.propose(unsigned=["slack"], tier="low")
            yes = self.pressed(story, first)
            self.pressed(story, first, "ben", "deny")
            return story.start(first, yes)

        bad(told, what, "denied")


def preferring(story: Story, body: dict[str, Any] | None = None, **changes: str) -> Any:
    said = {
        "origin": story.ledger.origin,
        "text": "theme = nord\n",
        "expires": "1",
        "checkpoint": "0" * 64,
        **changes,
    }
    text = json.dumps({**said, "v": 1}, sort_keys=True, separators=(",", ":"))
    signed = {"by": "ana", "statement": text, "signature": story.ana.sign(text, "preferences@agent-bastion")}
    return story.write(Draft("preferences.set", "ana", {"text": said["text"], **signed, **(body or {})}))


class TestPreferences:
    """Whose key means what is nobody else's to say."""

    def test_signed_by_their_owner(self, told: Tell) -> None:
        assert good(told, preferring) == ()

    def test_other_ones_than_were_signed(self, told: Tell) -> None:
        bad(told, lambda story: preferring(story, {"text": "theme = pink\n"}), "not those that were signed")

    def test_somebody_elses(self, told: Tell) -> None:
        bad(told, lambda story: preferring(story, {"by": "ben"}), "no key of ben")

    def test_signed_for_another_ledger(self, told: Tell) -> None:
        bad(told, lambda story: preferring(story, origin="x/00000000"), "another ledger")

    def test_a_decision_is_none(self, told: Tell) -> None:
        def what(story: Story) -> Any:
            text = json.loads(preferring(story).bytes)["body"]["statement"]
            return preferring(story, {"statement": text, "signature": story.ana.sign(text)})

        bad(told, what, "namespace")
