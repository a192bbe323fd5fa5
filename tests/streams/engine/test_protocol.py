"""The task protocol, event by event."""

from __future__ import annotations

import pytest

from streams.engine.protocol import (
    Action,
    Close,
    Commit,
    Decide,
    Die,
    Discard,
    Fence,
    Pace,
    ProtocolError,
    Restore,
    Seek,
    State,
    TaskProtocol,
    Wait,
)


def running(position: int = 10, pace: Pace | None = None) -> TaskProtocol:
    task = TaskProtocol(("a/0", "b/0"), pace or Pace(seconds=0.0))
    task.assigned()
    task.fenced_off()
    task.restored({"a/0": position, "b/0": 5})
    return task


def waited(actions: list[Action]) -> float:
    [action] = actions
    assert isinstance(action, Wait)
    return action.seconds


def test_a_task_fences_the_former_owner_before_it_restores_and_seeks_after() -> None:
    task = TaskProtocol(("a/0", "b/0"))
    assert task.assigned() == [Fence()]
    assert task.fenced_off() == [Restore()]
    assert task.restored({"a/0": 7}) == [Seek("a/0", 7), Seek("b/0", None)]
    assert task.state is State.RUNNING


def test_the_exact_continuation_is_decided() -> None:
    assert running().received("a/0", 10, 20) == [Decide("a/0", 10)]


def test_records_from_a_stale_position_ahead_are_dropped_and_sought_back() -> None:
    task = running()
    assert task.received("a/0", 4_010, 4_020) == [Seek("a/0", 10)]
    assert task.expected["a/0"] == 10


def test_records_decided_before_are_dropped_and_the_source_is_sought_forward_again() -> None:
    assert running().received("a/0", 3, 9) == [Seek("a/0", 10)]


def test_a_fetch_that_overlaps_is_decided_from_the_expected_offset_on() -> None:
    assert running().received("a/0", 3, 30) == [Decide("a/0", 10)]


def test_markers_and_aborted_records_move_the_position_without_a_transaction() -> None:
    task = running()
    assert task.received("a/0", 10, 14, empty=True) == []
    assert task.received("a/0", 14, 15) == [Decide("a/0", 14)]
    assert task.decided(1, 0.0) == [Commit({"a/0": 15, "b/0": 5})]


def test_nothing_is_taken_in_before_the_rows_are_restored() -> None:
    task = TaskProtocol(("a/0",))
    task.assigned()
    task.fenced_off()
    assert task.received("a/0", 0, 10) == []


def test_one_transaction_at_a_time_and_what_comes_meanwhile_goes_into_the_next() -> None:
    task = running()
    task.received("a/0", 10, 20)
    assert task.decided(10, 0.0) == [Commit({"a/0": 20, "b/0": 5})]
    assert task.received("a/0", 20, 30) == [Decide("a/0", 20)]
    assert task.decided(10, 0.1) == []
    assert task.transaction_committed(0.2) == [Commit({"a/0": 30, "b/0": 5})]


def test_at_low_load_a_commit_waits_for_more_and_at_high_load_it_never_waits() -> None:
    task = running(pace=Pace(seconds=0.010, full=100))
    task.received("a/0", 10, 11)
    assert task.decided(1, 100.0) == [Commit({"a/0": 11, "b/0": 5})]
    task.transaction_committed(100.002)
    task.received("a/0", 11, 12)
    assert waited(task.decided(1, 100.004)) == pytest.approx(0.006)
    task.received("a/0", 12, 200)
    assert task.decided(188, 100.005) == [Commit({"a/0": 200, "b/0": 5})]


def test_an_abort_goes_back_to_the_last_commit_and_never_forward() -> None:
    task = running()
    task.received("a/0", 10, 20)
    task.decided(10, 0.0)
    task.received("a/0", 20, 30)
    task.decided(10, 0.0)
    assert task.transaction_aborted() == [Discard(), Seek("a/0", 10), Seek("b/0", 5)]
    assert task.received("a/0", 30, 40) == [Seek("a/0", 10)]


def test_an_unknown_outcome_is_resolved_by_fencing_ourselves_and_reading_back() -> None:
    task = running()
    task.received("a/0", 10, 20)
    task.decided(10, 0.0)
    assert task.outcome_unknown() == [Discard(), Fence()]
    assert task.fenced_off() == [Restore()]
    assert task.restored({"a/0": 20, "b/0": 5})[0] == Seek("a/0", 20)


def test_a_fenced_task_ends_the_process() -> None:
    task = running()
    assert task.fenced("epoch") == [Die("epoch")]
    assert task.received("a/0", 10, 20) == []


def test_a_rebalance_commits_what_is_decided_and_takes_nothing_new_in() -> None:
    task = running(pace=Pace(seconds=10.0))
    task.received("a/0", 10, 11)
    task.decided(1, 0.0)
    task.transaction_committed(0.1)
    task.received("a/0", 11, 12)
    assert waited(task.decided(1, 0.2)) == pytest.approx(9.8)
    assert task.suspended(0.3) == [Commit({"a/0": 12, "b/0": 5})]
    assert task.received("a/0", 12, 13) == []
    task.transaction_committed(0.4)
    assert task.assigned() == [Seek("a/0", 12), Seek("b/0", 5)]


def test_a_task_that_goes_away_commits_first_and_closes_after() -> None:
    task = running(pace=Pace(seconds=10.0, full=1))
    task.received("a/0", 10, 11)
    task.decided(1, 0.0)
    task.received("a/0", 11, 12)
    task.decided(1, 0.1)
    assert task.revoked(0.2) == []
    assert task.transaction_committed(0.3) == [Commit({"a/0": 12, "b/0": 5})]
    assert task.transaction_committed(0.4) == [Close()]
    assert task.state is State.CLOSED


def test_an_idle_task_that_goes_away_closes_at_once() -> None:
    assert running().revoked(0.0) == [Close()]


def test_a_source_without_a_position_begins_where_its_log_begins() -> None:
    task = TaskProtocol(("a/0",))
    task.assigned()
    task.fenced_off()
    task.restored({})
    task.began_at("a/0", 3)
    assert task.received("a/0", 5, 6) == [Seek("a/0", 3)]
    assert task.received("a/0", 3, 6) == [Decide("a/0", 3)]


def test_a_commit_that_was_not_asked_for_is_a_bug() -> None:
    with pytest.raises(ProtocolError):
        running().transaction_committed(0.0)


def test_a_source_without_a_position_goes_on_where_it_began_after_an_unknown_outcome() -> None:
    task = TaskProtocol(("s/0",))
    task.assigned()
    task.fenced_off()
    task.restored({})
    task.began_at("s/0", 7)
    task.received("s/0", 7, 500)
    task.decided(493, 1.0)
    task.outcome_unknown()
    task.fenced_off()
    assert task.restored({}) == [Seek("s/0", 7)]
    assert task.received("s/0", 5_000, 5_500) == [Seek("s/0", 7)]


def test_a_task_that_is_revoked_while_it_is_fenced_closes_when_that_is_done() -> None:
    task = TaskProtocol(("s/0",))
    task.assigned()
    assert task.revoked(1.0) == []
    assert task.fenced_off() == [Close()]
    assert task.state is State.CLOSED


def test_a_task_that_is_revoked_while_it_is_restored_closes_when_that_is_done() -> None:
    task = TaskProtocol(("s/0",))
    task.assigned()
    task.fenced_off()
    assert task.revoked(1.0) == []
    assert task.restored({"s/0": 3}) == [Close()]
    assert task.state is State.CLOSED
