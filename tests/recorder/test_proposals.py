"""What a proposal says, and the content that it gives the digest of."""

from __future__ import annotations

from typing import Any

import pytest

from bastion.history import pack
from recorder import request as requests
from recorder.votes import Violation
from tests.recorder.judging import (
    Tell,
    bad,
    proposed,
    request,
)
from tests.recorder.stories import Story


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
