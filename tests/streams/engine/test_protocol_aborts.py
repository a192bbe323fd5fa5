"""What a transaction that is aborted, or lands late, leaves behind in the worker's protocol."""

from __future__ import annotations

import pytest

from streams.engine.ownership import Membership, Ownership
from streams.engine.protocol.actions import (
    Commit,
    Decide,
    Discard,
    FindOwners,
    LetGo,
    Register,
    Seek,
    StandsStill,
    TakeIds,
    Wait,
)
from streams.engine.protocol.pace import Company, Pace
from streams.engine.protocol.task import TaskState
from streams.engine.protocol.worker import WorkerProtocol
from tests.streams.engine.test_protocol import (
    AT,
    ONE,
    TASKS,
    TWO,
    decide,
    fields,
    granted,
    register,
    running,
)


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


def test_where_nobody_answers_for_a_transaction_amid_a_rebalance_all_tasks_are_taken_over_anew() -> None:
    worker = running()
    decide(worker, "a/0", 10, 20)
    worker.rebalancing(1.0)
    worker.outcome_unknown()
    assert worker.granted(TWO, TASKS) == [TakeIds()]
    assert worker.ids_taken(("y-a", "y-b")) == [FindOwners(worker.attempt, ("t0", "t1"), TWO)]


def test_what_can_not_be_committed_after_an_abort_amid_a_rebalance_is_forgotten() -> None:
    worker = running()
    decide(worker, "a/0", 10, 20)
    assert decide(worker, "a/1", 7, 9) == []
    worker.rebalancing(1.0)
    assert not worker.quiet
    forgotten = worker.transaction_aborted("too large", 2.0)
    assert set(fields(forgotten, Discard)) == {Discard("t0"), Discard("t1")}
    assert worker.quiet


def test_aborts_that_a_commit_lies_between_make_nobody_a_suspect() -> None:
    worker = running()
    for now in (1.0, 3.0, 5.0):
        decide(worker, "a/0", 10, 20, now)
        worker.transaction_aborted("too large", now)
        worker.ids_taken((f"{now}-a", f"{now}-b"))
        worker.registered(worker.attempt, ["t0", "t1"], now)
        assert not any(task.suspect for task in worker.tasks.values())
        decide(worker, "a/1", worker.tasks["t1"].expected["a/1"], 100 + int(now), now + 1)
        assert fields(worker.transaction_committed(now + 1), StandsStill) == []


def test_a_long_commit_makes_the_next_one_wait_for_more() -> None:
    worker = running(pace=Pace(seconds=0.0, stretch=4.0, memory=0.5))
    assert fields(decide(worker, "a/0", 10, 20, 0.0), Commit)
    worker.transaction_committed(0.25)
    assert decide(worker, "a/0", 20, 30, 0.25) == [Wait(0.25)]


def test_a_commit_that_a_broker_held_up_does_not_slow_down_those_that_follow() -> None:
    """Seen with a script: after one of eight seconds, decisions of a quiet sale waited for up to two seconds
    each, nine seconds long."""
    worker, at_s, longest_s = running(pace=Pace(full=10_000)), 8.0, 0.0
    assert fields(decide(worker, "a/0", 10, 20, 0.0), Commit)
    worker.transaction_committed(at_s)
    for offset in range(20, 200, 10):
        [first] = decide(worker, "a/0", offset, offset + 10, at_s)
        if isinstance(first, Wait):
            longest_s, at_s = max(longest_s, first.seconds), at_s + first.seconds
            [first] = worker.pace_elapsed(at_s)
        assert isinstance(first, Commit)
        at_s += 0.005
        worker.transaction_committed(at_s)
    assert 0 < longest_s < 0.15


def test_what_is_left_of_a_fetch_is_not_committed_and_comes_again() -> None:
    worker = running()
    assert worker.received("a/0", 10, 20) == [Decide("t0", "a/0", 10)]
    worker.tasks["t0"].left_undecided("a/0", 15)
    assert worker.decided("t0", 5, 0.0) == [Commit(("t0",), ONE, {"a/0": 15})]
    assert worker.received("a/0", 20, 30) == [Seek("a/0", 15)]
    assert worker.received("a/0", 15, 20) == [Decide("t0", "a/0", 15)]


def test_a_transaction_says_a_position_of_each_task_although_none_has_moved() -> None:
    """The coordinator compares the generation where it is told an offset, and nowhere else."""
    task = running().tasks["t0"]
    task.told = dict(task.expected)
    assert task.take() == {"a/0": 10}


def test_ids_are_taken_once_however_often_the_group_rebalances_meanwhile() -> None:
    worker = WorkerProtocol()
    assert worker.granted(ONE, TASKS) == [TakeIds()]
    worker.rebalancing(1.0)
    assert worker.granted(TWO, TASKS) == []
    worker.rebalancing(2.0)
    assert worker.ids_taken(("x-a", "x-b")) == [], "there is no member to take anything over for"


def test_a_task_is_let_go_of_once() -> None:
    worker = running()
    assert fields(worker.rebalancing(1.0), LetGo)
    worker.let_go()
    assert fields(worker.rebalancing(2.0), LetGo) == []


def test_answers_that_a_former_generation_was_given_do_nothing_to_this_one() -> None:
    worker = granted()
    earlier = worker.attempt
    worker.rebalancing(0.0)
    worker.granted(TWO, TASKS)
    assert worker.owners_found(earlier, {"a/0": Ownership(("dead",), 7)}) == []
    assert worker.fenced_off(earlier) == worker.stable(earlier, {}) == []
    assert worker.refused(earlier) == [] and worker.member == TWO


def test_answers_to_what_was_asked_before_a_break_never_count_again() -> None:
    worker = running()
    attempts = [worker.attempt]

    def is_a_break() -> None:
        assert worker.attempt > attempts[-1]
        attempts.append(worker.attempt)

    worker.rebalancing(1.0)
    is_a_break()
    worker.granted(TWO, TASKS)
    is_a_break()
    worker.refused(worker.attempt)
    is_a_break()
    worker.granted(Membership(3, "me"), TASKS)
    is_a_break()
    worker.registered(worker.attempt, ["t0", "t1"], 2.0)
    for number, ends in enumerate([worker.transaction_refused, worker.outcome_unknown]):
        decide(worker, "a/0", 10, 20, 3.0)
        ends()
        is_a_break()
        worker.ids_taken((f"{number}-a", f"{number}-b"))
        is_a_break()
        worker.granted(Membership(4 + number, "me"), TASKS)
        worker.owners_found(worker.attempt, {})
        worker.stable(worker.attempt, {})
        register(worker, ["t0", "t1"])


def test_a_suspect_and_the_others_take_turns() -> None:
    suspect = TaskState("t0", TASKS["t0"], ONE, suspect=True)
    other = TaskState("t1", TASKS["t1"], ONE)
    company = Company()
    turns = [company.choose([suspect, other], 1.0) for _ in range(4)]
    assert turns == [[suspect], [other], [suspect], [other]]
    suspect.retry_at = 9.0
    assert [company.choose([suspect, other], 1.0) for _ in range(2)] == [[other], [other]]


@pytest.mark.parametrize("member", [Membership(-1, "me"), Membership(5, "")])
def test_a_member_without_a_generation_or_a_name_is_granted_nothing(member: Membership) -> None:
    assert not member.valid
    assert running().granted(member, TASKS) == []
