"""The worker's protocol, event by event."""

from __future__ import annotations

import pytest

from streams.engine.ownership import Membership, Ownership, ids_to_fence, ownership_in
from streams.engine.protocol.actions import (
    Action,
    AwaitStable,
    Close,
    Commit,
    Decide,
    Discard,
    FenceOff,
    FindOwners,
    LetGo,
    ProtocolError,
    Register,
    Restore,
    Seek,
    StandsStill,
    TakeIds,
    Wait,
)
from streams.engine.protocol.pace import Pace
from streams.engine.protocol.worker import WorkerProtocol

ONE = Membership(1, "me")
TWO = Membership(2, "me")
TASKS = {"t0": ("a/0", "b/0"), "t1": ("a/1",)}
AT = {"a/0": 10, "b/0": 5, "a/1": 7}


def granted(tasks: dict[str, tuple[str, ...]] | None = None, pace: Pace | None = None) -> WorkerProtocol:
    """A worker that has ids and was granted tasks, about to take them over."""
    worker = WorkerProtocol(pace or Pace(seconds=0.0, stretch=0.0))
    assert worker.granted(ONE, tasks or TASKS) == [TakeIds()]
    worker.ids_taken(("x-a", "x-b"))
    return worker


def running(tasks: dict[str, tuple[str, ...]] | None = None, pace: Pace | None = None) -> WorkerProtocol:
    worker = granted(tasks, pace)
    worker.owners_found(worker.attempt, {})
    worker.stable(worker.attempt, {})
    register(worker, list(tasks or TASKS))
    return worker


def register(worker: WorkerProtocol, tasks: list[str]) -> None:
    for task in tasks:
        worker.restored(worker.attempt, task, {source: AT[source] for source in TASKS[task]})
    worker.registered(worker.attempt, tasks, 0.0)


def decide(worker: WorkerProtocol, source: str, start: int, following: int, now: float = 0.0) -> list[Action]:
    [action] = worker.received(source, start, following)
    assert isinstance(action, Decide)
    return worker.decided(action.task, following - start, now)


def fields(actions: list[Action], kind: type) -> list[Action]:
    return [action for action in actions if isinstance(action, kind)]


def test_a_task_is_taken_over_step_by_step_and_takes_nothing_in_before_the_last() -> None:
    worker = WorkerProtocol()
    assert worker.granted(ONE, {"t0": TASKS["t0"]}) == [TakeIds()]
    assert worker.ids_taken(("x-a", "x-b")) == [FindOwners(2, ("t0",), ONE)]
    found = {"a/0": Ownership(("dead",), 7), "b/0": None}
    assert worker.owners_found(2, found) == [FenceOff(2, ("dead",))]
    assert worker.fenced_off(2) == [AwaitStable(2, ("t0",))]
    assert worker.stable(2, {"a/0": 10}) == [Restore(2, "t0")]
    at = {"a/0": 10, "b/0": 5}
    assert worker.restored(2, "t0", at) == [Discard("t0"), Register(2, ("t0",), ONE, at)]
    assert worker.received("a/0", 10, 20) == []
    assert worker.registered(2, ["t0"], 0.0) == [Seek("a/0", 10), Seek("b/0", 5)]
    assert worker.received("a/0", 10, 20) == [Decide("t0", "a/0", 10)]


def test_an_owner_that_let_go_is_not_fenced_and_neither_are_our_own_ids() -> None:
    worker = granted({"t0": TASKS["t0"]})
    found = {"a/0": Ownership(("gone",), 7, let_go=True), "b/0": Ownership(("x-a", "x-b"), 7)}
    assert worker.owners_found(worker.attempt, found) == [AwaitStable(worker.attempt, ("t0",))]


def test_of_several_owners_the_newest_counts_for_a_source_that_never_moved_may_name_an_older_one() -> None:
    owners = [Ownership(("old",), 3), Ownership(("new", "newer"), 8), None, Ownership(("new",), 8)]
    assert ids_to_fence(owners) == {"new", "newer"}
    assert ids_to_fence([Ownership(("old",), 3), Ownership(("new",), 8, let_go=True)]) == set()


def test_an_owner_stands_in_the_metadata_as_json_and_other_metadata_is_nobodys() -> None:
    owner = Ownership(("a", "b"), 5)
    assert owner.encode() == '{"ids":["a","b"],"generation":5,"letGo":false,"topicId":""}'
    assert ownership_in(owner.encode()) == owner
    assert ownership_in("") is None and ownership_in("Faust") is None


def test_positions_that_fall_short_of_the_stable_offsets_are_waited_for() -> None:
    worker = granted({"t0": TASKS["t0"]})
    worker.owners_found(worker.attempt, {})
    worker.stable(worker.attempt, {"a/0": 10})
    assert worker.restored(worker.attempt, "t0", {"a/0": 9, "b/0": 0}) == [Restore(worker.attempt, "t0", 1)]
    [_, registering] = worker.restored(worker.attempt, "t0", {"a/0": 10, "b/0": 0})
    assert isinstance(registering, Register)


def test_a_source_without_a_row_gets_one_with_the_first_transaction_though_nothing_came() -> None:
    """Seen by reading: of a log that was empty when it was taken over and was then filled and cut by
    retention while the workers were away, nobody could tell that something was lost."""
    worker = granted({"t0": TASKS["t0"]})
    worker.owners_found(worker.attempt, {})
    worker.stable(worker.attempt, {})
    at = {"a/0": 10, "b/0": 5}
    worker.restored(worker.attempt, "t0", at, frozenset({"b/0"}))
    [commit] = fields(worker.registered(worker.attempt, ["t0"], 0.0), Commit)
    assert isinstance(commit, Commit) and commit.offsets == {"b/0": 5}
    worker.transaction_committed(1.0)
    worker.rebalancing(2.0)
    worker.granted(TWO, {"t0": TASKS["t0"]})
    assert fields(worker.registered(worker.attempt, ["t0"], 3.0), Commit) == []


def test_answers_to_an_earlier_attempt_count_for_nothing() -> None:
    worker = granted()
    earlier = worker.attempt
    worker.rebalancing(0.0)
    assert worker.owners_found(earlier, {}) == worker.fenced_off(earlier) == worker.stable(earlier, {}) == []
    assert worker.restored(earlier, "t0", AT) == worker.registered(earlier, ["t0"], 0.0) == []


def test_a_member_that_was_thrown_out_is_granted_nothing() -> None:
    assert WorkerProtocol().granted(Membership(-1, ""), TASKS) == []


def test_the_exact_continuation_is_decided_and_nothing_else() -> None:
    worker = running()
    assert worker.received("a/0", 4_010, 4_020) == [Seek("a/0", 10)], "ahead"
    assert worker.received("a/0", 3, 9) == [Seek("a/0", 10)], "behind"
    assert worker.received("a/0", 3, 30) == [Decide("t0", "a/0", 10)], "what overlaps, from where it is new"
    assert worker.received("z/9", 0, 1) == [], "of somebody else's source"


def test_markers_and_aborted_records_move_the_position_and_are_written_down_in_time() -> None:
    worker = running()
    assert worker.received("a/0", 10, 14, empty=True) == []
    assert worker.drifted(0.0) == [Commit(("t0",), ONE, {"a/0": 14})]
    worker.transaction_committed(0.0)
    assert worker.drifted(0.0) == []


def test_positions_that_moved_over_nothing_are_written_down_before_others_may_get_the_task() -> None:
    worker = running()
    worker.received("a/0", 10, 14, empty=True)
    assert worker.rebalancing(0.0) == [Commit(("t0",), ONE, {"a/0": 14})]
    assert not worker.quiet
    worker.transaction_committed(0.0)
    worker.let_go()
    assert worker.quiet


def test_what_is_on_its_way_is_not_written_down_once_more() -> None:
    worker = running()
    worker.received("a/0", 10, 20)
    assert worker.decided("t0", 10, 0.0) == [Commit(("t0",), ONE, {"a/0": 20})]
    worker.drifted(0.1)
    worker.rebalancing(0.2)
    assert fields(worker.transaction_committed(0.3), Commit) == []


def test_one_transaction_carries_all_tasks_and_what_comes_meanwhile_goes_into_the_next() -> None:
    worker = running()
    assert decide(worker, "a/0", 10, 20) == [Commit(("t0",), ONE, {"a/0": 20})]
    assert decide(worker, "a/1", 7, 8) == []
    assert decide(worker, "b/0", 5, 6) == []
    assert worker.transaction_committed(0.0) == [Commit(("t0", "t1"), ONE, {"b/0": 6, "a/1": 8})]


def test_at_low_load_a_commit_waits_for_more_and_at_high_load_it_never_waits() -> None:
    worker = running(pace=Pace(seconds=0.010, stretch=0.0, full=100))
    assert len(decide(worker, "a/0", 10, 11, now=100.0)) == 1
    worker.transaction_committed(100.002)
    [wait] = decide(worker, "a/0", 11, 12, now=100.004)
    assert isinstance(wait, Wait) and wait.seconds == pytest.approx(0.006)
    assert decide(worker, "a/1", 7, 200, now=100.005) == [Commit(("t0", "t1"), ONE, {"a/0": 12, "a/1": 200})]


def test_an_abort_goes_back_to_the_last_commit_with_new_ids_that_are_registered_first() -> None:
    worker = running()
    decide(worker, "a/0", 10, 20)
    decide(worker, "a/0", 20, 30)
    back = [Discard("t0"), Seek("a/0", 10), Seek("b/0", 5)]
    assert worker.transaction_aborted("why", 0.0) == [*back, TakeIds()]
    assert decide(worker, "a/0", 10, 20) == [], "decided again, and not committed yet"
    assert worker.ids_taken(("y-a", "y-b")) == [Register(worker.attempt, ("t0", "t1"), ONE, AT)]
    assert worker.registered(worker.attempt, ["t0", "t1"], 0.0) == [Commit(("t0",), ONE, {"a/0": 20})]


def test_an_unknown_outcome_means_that_everything_is_taken_over_again() -> None:
    worker = running()
    decide(worker, "a/0", 10, 20)
    assert worker.outcome_unknown() == [Discard("t0"), Discard("t1"), TakeIds()]
    assert worker.received("a/0", 20, 30) == []
    assert worker.ids_taken(("y-a", "y-b")) == [FindOwners(worker.attempt, ("t0", "t1"), ONE)]


def test_a_refused_transaction_waits_for_the_next_generation() -> None:
    worker = running()
    decide(worker, "a/0", 10, 20)
    assert worker.transaction_refused() == [Discard("t0"), Discard("t1")]
    assert worker.received("a/0", 10, 20) == [] and worker.quiet
    assert worker.granted(TWO, TASKS) == [TakeIds()]


def test_a_rebalance_commits_what_is_decided_lets_go_and_takes_nothing_new_in() -> None:
    worker = running(pace=Pace(seconds=10.0))
    decide(worker, "a/0", 10, 11)
    worker.transaction_committed(0.1)
    decide(worker, "a/0", 11, 12, now=0.2)
    assert worker.rebalancing(0.3) == [Commit(("t0",), ONE, {"a/0": 12})]
    assert worker.received("a/0", 12, 13) == [] and not worker.quiet
    assert worker.transaction_committed(0.4) == [LetGo(("t0", "t1"), ONE, {**AT, "a/0": 12})]
    assert not worker.quiet
    worker.let_go()
    assert worker.quiet


def test_a_task_that_stays_is_only_registered_anew_and_one_that_goes_is_closed() -> None:
    worker = running()
    worker.rebalancing(0.0)
    worker.let_go()
    at = {"a/0": 10, "b/0": 5}
    assert worker.granted(TWO, {"t0": TASKS["t0"]}) == [
        Close("t1"),
        Register(worker.attempt, ("t0",), TWO, at),
    ]
    assert worker.registered(worker.attempt, ["t0"], 0.0) == [Seek("a/0", 10), Seek("b/0", 5)]


@pytest.mark.parametrize("later", [Membership(3, "me"), Membership(2, "me again"), Membership(0, "me")])
def test_a_task_that_somebody_else_may_have_owned_is_taken_over_anew(later: Membership) -> None:
    worker = running()
    worker.rebalancing(0.0)
    worker.let_go()
    assert worker.granted(later, TASKS) == [TakeIds()], "ours may have been fenced"
    assert worker.ids_taken(("y-a", "y-b")) == [FindOwners(worker.attempt, ("t0", "t1"), later)]


def test_a_task_that_gains_a_source_is_taken_over_anew() -> None:
    worker = running()
    worker.rebalancing(0.0)
    worker.let_go()
    grown = {"t0": ("a/0", "a/2", "b/0")}
    assert worker.granted(TWO, grown) == [Close("t0"), Close("t1"), FindOwners(worker.attempt, ("t0",), TWO)]


def test_after_two_aborts_in_a_row_tasks_go_alone_and_the_culprit_is_named_and_waits() -> None:
    worker = running()

    def aborted(now: float) -> tuple[list[Action], list[Action]]:
        """It is aborted, both tasks decide again, new ids are there: what the abort and the rest lead to."""
        after = worker.transaction_aborted("too large", now)
        for source in ("a/0", "a/1"):
            if (start := worker.tasks[f"t{source[-1]}"].expected[source]) < 20:
                decide(worker, source, start, 20, now)
        worker.ids_taken(("y-a", "y-b"))
        return after, worker.registered(worker.attempt, ["t0", "t1"], now)

    decide(worker, "a/0", 10, 11)
    aborted(0.0)
    assert aborted(0.0)[1] == [Commit(("t0",), ONE, {"a/0": 20})], "each alone"
    after, following = aborted(1.0)
    [named] = fields(after, StandsStill)
    assert isinstance(named, StandsStill) and (named.task, named.why) == ("t0", "too large")
    assert named.seconds == pytest.approx(0.2)
    assert following == [Commit(("t1",), ONE, {"a/1": 20})], "the others go on"
    [seek, wait] = worker.transaction_committed(1.1)
    assert seek == Seek("a/1", 20), "it reads on"
    assert isinstance(wait, Wait) and wait.seconds == pytest.approx(0.1)
    assert worker.pace_elapsed(1.3) == [Commit(("t0",), ONE, {"a/0": 20})]


def test_a_worker_that_stops_closes_everything() -> None:
    worker = running()
    worker.rebalancing(0.0)
    worker.let_go()
    assert worker.released() == [Close("t0"), Close("t1")]


def test_what_a_driver_can_not_have_seen_is_a_bug() -> None:
    worker = running()
    with pytest.raises(ProtocolError):
        worker.transaction_committed(0.0)
    decide(worker, "a/0", 10, 11)
    with pytest.raises(ProtocolError):
        worker.granted(TWO, TASKS)
