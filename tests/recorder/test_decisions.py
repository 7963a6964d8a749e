"""Votes, buttons and edits: signed by whom they must be, over what was decided, and enough of them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from bastion.history import pack
from bastion.model import UNRATED, Request, RequestKind, StdinMode
from recorder.entry import Entry
from recorder.ledger import Draft
from recorder.verify import Verdict, verify
from recorder.whitelist import SLACK_US
from tests.recorder.judging import (
    Tell,
    bad,
    good,
)
from tests.recorder.stories import Person, Story


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
