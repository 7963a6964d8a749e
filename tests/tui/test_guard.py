"""tui/guard.py: the times, at their edges."""

from __future__ import annotations

from tui.guard import ARMED, BURST, CHANGED, HASTY, SETTLE, Guard


def test_nothing_for_700_ms_after_a_change_by_itself() -> None:
    assert SETTLE == 0.7
    guard = Guard()
    guard.display_changed(100.0)
    assert guard.refusal(100.0) == CHANGED
    assert guard.refusal(100.0, harmless=True) == CHANGED
    assert guard.refusal(100.0 + SETTLE - 0.001) == CHANGED
    assert guard.refusal(100.0 + SETTLE + 0.001) == ""


def test_a_key_pressed_before_the_change_and_handled_after_it_does_not_count() -> None:
    guard = Guard()
    guard.display_changed(100.0)
    assert guard.refusal(99.9) == CHANGED


def test_changes_are_never_forgotten_for_an_older_one() -> None:
    guard = Guard()
    guard.display_changed(100.0)
    guard.display_changed(99.0)
    assert guard.refusal(100.5) == CHANGED


def test_a_move_is_the_persons_own_unless_rows_were_moving() -> None:
    guard = Guard()
    guard.moved(100.0)
    assert guard.refusal(100.0) == ""
    guard.rows_changed(100.0)
    guard.moved(100.0 + SETTLE - 0.001)
    assert guard.refusal(100.0 + SETTLE) == CHANGED
    assert guard.refusal(100.0 + 2 * SETTLE) == ""
    guard.rows_changed(200.0)
    guard.moved(200.0 + SETTLE + 0.001)
    assert guard.refusal(200.0 + SETTLE + 0.001) == ""


def test_keys_of_a_paste_do_not_count() -> None:
    guard = Guard()
    guard.pressed(100.0)
    assert guard.refusal(100.0) == ""
    guard.pressed(100.0 + BURST - 0.001)
    assert guard.refusal(100.0 + BURST - 0.001) == HASTY
    assert guard.refusal(100.0 + BURST - 0.001, harmless=True) == ""
    guard.pressed(101.0)
    assert guard.refusal(101.0) == ""


def test_armed_for_one_request_only_and_not_for_long() -> None:
    guard = Guard()
    guard.arm("r-1", "d1", 100.0)
    assert guard.armed("r-1", "d1", 100.0)
    assert guard.armed("r-1", "d1", 100.0 + ARMED - 0.001)
    assert not guard.armed("r-1", "d1", 100.0 + ARMED)
    assert not guard.armed("r-1", "d1", 99.9)
    assert not guard.armed("r-1", "d2", 100.1)
    assert not guard.armed("r-2", "d1", 100.1)


def test_every_change_disarms() -> None:
    for change in (Guard.display_changed, Guard.moved):
        guard = Guard()
        guard.arm("r-1", "d1", 100.0)
        change(guard, 100.1)
        assert not guard.armed("r-1", "d1", 100.2)
