"""What a transaction that is aborted, or lands late, leaves behind in the worker's protocol."""

from __future__ import annotations

from streams.engine.protocol.actions import Commit, Discard, Register, Seek
from tests.streams.engine.test_protocol import AT, TASKS, TWO, decide, fields, granted, running


def test_a_suspect_decides_no_more_than_its_next_transaction_carries_and_then_reads_on() -> None:
    """Seen by reading: it went on deciding while it waited, until nobody else had room."""
    worker = running({"t0": TASKS["t0"]})
    task = worker.tasks["t0"]
    task.suspect = True
    [commit] = decide(worker, "a/0", 10, 20)
    assert isinstance(commit, Commit)
    worker.received("a/0", 20, 30)
    task.moved = True
    assert worker.received("a/0", 30, 40) == []
    assert Seek("a/0", 30) in worker.transaction_committed(1.0)


def test_what_lands_after_its_task_was_told_to_forget_it_is_not_decided_again() -> None:
    """Seen by reading: a heartbeat says that the group has moved on while a transaction is in flight, all
    decisions are forgotten, and then the transaction is committed."""
    worker = running()
    decide(worker, "a/0", 10, 20)
    assert Discard("t0") in worker.refused(worker.attempt)
    worker.transaction_committed(1.0)
    worker.granted(TWO, TASKS)
    registered = worker.registered(worker.attempt, ["t0", "t1"], 2.0)
    assert Seek("a/0", 20) in registered
    assert Seek("a/0", 10) not in registered


def test_a_task_that_is_being_registered_with_ids_that_are_used_up_is_registered_with_the_new_ones() -> None:
    worker = granted()
    attempt = worker.attempt
    worker.owners_found(attempt, {})
    worker.stable(attempt, {})
    worker.restored(attempt, "t0", {source: AT[source] for source in TASKS["t0"]})
    worker.registered(attempt, ["t0"], 0.0)
    decide(worker, "a/0", 10, 20)
    worker.restored(attempt, "t1", {"a/1": 7})
    worker.transaction_aborted("too large", 1.0)
    assert worker.registered(attempt, ["t1"], 1.0) == [], "it named the old ids"
    [register_both] = fields(worker.ids_taken(("y-a", "y-b")), Register)
    assert isinstance(register_both, Register) and set(register_both.tasks) == {"t0", "t1"}


def test_what_was_decided_before_new_ids_are_registered_is_forgotten_when_the_group_rebalances() -> None:
    """Nobody could commit it any more, and the tasks would never be given up."""
    worker = running()
    decide(worker, "a/0", 10, 20)
    worker.transaction_aborted("too large", 1.0)
    worker.ids_taken(("y-a", "y-b"))
    assert decide(worker, "a/0", 10, 20, 2.0) == []
    assert worker.rebalancing(3.0) == [Discard("t0")]
    assert worker.quiet
