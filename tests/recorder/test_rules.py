"""What ran was allowed. The daemon itself may be the liar here: it signs what it likes as the ledger, but no votes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recorder.ledger import Draft
from tests.recorder.judging import (
    Tell,
    bad,
    good,
)
from tests.recorder.stories import Person, Story


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


class TestIdentities:
    def test_a_name_twice(self, told: Tell) -> None:
        bad(told, lambda story: story.identity(Person("ana")), "added before")

    def test_a_key_twice(self, told: Tell) -> None:
        bad(told, lambda story: story.identity(Person("eve", story.ana.key)), "belongs to ana")

    @pytest.mark.parametrize("kind", ["agent", "ci", "service"])
    def test_an_agent_with_a_role(self, told: Tell, kind: str) -> None:
        bad(told, lambda story: story.identity(Person("eve"), kind=kind), "has a role")


def test_a_cause_that_is_no_earlier_entry(told: Tell) -> None:
    bad(told, lambda story: story.write(Draft("a.b", "x", {}, cause="0" * 64)), "no earlier entry")


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
