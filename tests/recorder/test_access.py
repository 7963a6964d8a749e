"""Grants, freezes and revocations: what runs was not kept from running."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from recorder.ledger import Draft
from tests.recorder.judging import (
    Tell,
    asked,
    bad,
    good,
    grant,
    guard,
    later,
    proposed,
    request,
    run,
    whitelisting,
)
from tests.recorder.stories import Person, Story


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
