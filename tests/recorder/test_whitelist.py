"""What the whitelist lets through was whitelisted, for that command, by somebody who could."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from recorder.ledger import Draft
from recorder.whitelist import DAY_US
from tests.recorder.judging import (
    SIGNED,
    Tell,
    bad,
    good,
    proposed,
    request,
    whitelisting,
)
from tests.recorder.stories import Person, Story


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
