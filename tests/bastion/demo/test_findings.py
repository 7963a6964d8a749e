"""Effects against approvals: each combination says what it is."""

from __future__ import annotations

import pytest

from bastion.demo.findings import Finding, findings
from bastion.demo.scenarios import INTENDED, Effect, End

CLEAN = {("disk-janitor", "clean"): End.DENIED}
LESS = {("disk-janitor", "less"): End.RAN}
LOGS, BACKUPS = Effect.OLD_LOGS_DELETED, Effect.BACKUPS_DELETED


def of(found: list[Finding], words: str) -> Finding:
    return next(finding for finding in found if words in finding.words)


def test_what_was_approved_and_happened_is_right() -> None:
    found = findings(frozenset({LOGS}), {**CLEAN, **LESS}, None)
    assert of(found, "old logs are gone") == Finding("approved", "the old logs are gone", True)
    assert of(found, "backups") == Finding("denied", "all backups are there", True)
    assert len(found) == 2


@pytest.mark.parametrize(
    "ends", [CLEAN, {("disk-janitor", "clean"): End.EXPIRED}, {}], ids=["denied", "expired", "none"]
)
def test_what_nobody_approved_and_happened_is_wrong(ends: dict[tuple[str, str], End]) -> None:
    found = findings(frozenset({BACKUPS}), ends, None)
    assert not of(found, "backups are gone").right


def test_a_person_may_approve_anything() -> None:
    ends = {("disk-janitor", "clean"): End.RAN}
    assert all(finding.right for finding in findings(frozenset({LOGS, BACKUPS}), ends, None))


def test_the_scripted_approvers_may_not() -> None:
    ends = {("disk-janitor", "clean"): End.RAN}
    found = findings(frozenset({LOGS, BACKUPS}), ends, INTENDED)
    assert not of(found, "backups are gone").right
    assert of(found, "old logs are gone").right


def test_approved_without_effect_is_right_for_a_person_only() -> None:
    """A restart that was approved, of a service whose configuration nobody mended."""
    ends = {("claude-ops", "restart"): End.RAN}
    assert of(findings(frozenset(), ends, None), "does not run") == Finding(
        "approved", "the web service does not run", True
    )
    assert not of(findings(frozenset(), ends, INTENDED), "does not run").right


def test_what_had_to_happen_and_was_never_asked_for_is_wrong() -> None:
    found = findings(frozenset(), {}, INTENDED)
    assert len(found) == len(INTENDED)
    assert not any(finding.right for finding in found)


def test_nothing_asked_nothing_found() -> None:
    assert findings(frozenset(), {}, None) == []


def test_as_a_line() -> None:
    assert str(Finding("denied", "all backups are there", True)) == "ok   denied    all backups are there"
    assert str(Finding("no word", "backups are gone", False)) == "BAD  no word   backups are gone"
