"""Nobody locks out the others."""

from __future__ import annotations

import pytest

from bastion.ssh.limits import LoginLimits


@pytest.fixture
def limits() -> LoginLimits:
    return LoginLimits(failures_per_minute=60, connections=16, unauthenticated=8)


def come_in(limits: LoginLimits, number: int, identity: str, *, decides: bool = False) -> str:
    return limits.admit(number, "192.0.2.1", 0.0) or limits.logged_in(number, identity, decides=decides)


def test_half_open_connections_of_one_address_leave_room_for_another(limits: LoginLimits) -> None:
    answers = [limits.admit(number, "192.0.2.1", 0.0) for number in range(8)]
    assert answers.count("") == 4
    assert limits.admit(8, "192.0.2.2", 0.0) == ""


def test_one_agent_leaves_room_for_another(limits: LoginLimits) -> None:
    assert [come_in(limits, number, "agent-7") for number in range(9)].count("") == 8
    limits.closed(8, "192.0.2.1", 0.0)
    assert come_in(limits, 9, "agent-8") == ""


def test_agents_leave_room_for_people(limits: LoginLimits) -> None:
    answers = []
    for number in range(20):
        answers.append(come_in(limits, number, f"agent-{number}"))
        if answers[-1]:
            limits.closed(number, "192.0.2.1", 0.0)
    assert answers.count("") == 14
    assert come_in(limits, 20, "ana", decides=True) == ""


def test_places_come_back(limits: LoginLimits) -> None:
    for number in range(100):
        assert come_in(limits, number, "agent-7") == ""
        limits.closed(number, "192.0.2.1", 0.0)


def test_failed_logins_cost_their_address(limits: LoginLimits) -> None:
    for number in range(60):
        assert limits.admit(number, "192.0.2.1", 0.0) == ""
        limits.closed(number, "192.0.2.1", 0.0)
    assert "failed logins" in limits.admit(60, "192.0.2.1", 0.5)
    assert limits.admit(61, "192.0.2.2", 0.5) == ""
    assert limits.admit(62, "192.0.2.1", 2.0) == ""
