"""The driver without a broker: fetches, transactions, and what an observer is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.topics import ORDER_OUTCOMES
from streams.engine.broker.errors import Aborted, Fenced, OutcomeUnknown, Refused
from streams.engine.protocol import actions as act
from streams.engine.protocol.pace import Pace
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.unprocessable import RecordFailed
from tests.streams.engine.driving import (
    CHANGELOG,
    MEMBER,
    PLACE,
    SOURCE,
    WITHIN_S,
    Bench,
    a_driver,
)
from tests.streams.engine.kit import COUNTS


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_driver(tmp_path / "task-0", Pace(seconds=0.0, stretch=0.0)) as made:
        yield made


async def test_what_is_durable_is_told_and_is_in_the_database(bench: Bench) -> None:
    await bench.running()
    await bench.offer(0, b"a", b"a")
    async with asyncio.timeout(WITHIN_S):
        await bench.driver.settled(lambda: bench.protocol.in_flight is None)
    assert bench.seen.told == [("committed", "task-0", 2, 2), ("transaction", 1, True)]
    [begun] = bench.producers.begun
    assert (begun.offsets, begun.member) == ({PLACE: 2}, MEMBER)
    assert [(at, batch.record_count()) for at, batch in begun.batches] == [
        ((ORDER_OUTCOMES, 0), 2),
        ((CHANGELOG, 0), 2),
    ]
    store, mark = bench.task.database.store, bench.task.database.store.mark()
    assert store.get(COUNTS.prefix + b"a") is not None
    assert mark is not None and (mark.topic_id, mark.next_offset) == ("the topic", 10)


@pytest.mark.parametrize(
    ("outcome", "steps"),
    [
        (Aborted("a batch was refused"), ["register"]),
        (OutcomeUnknown("no answer"), ["owners", "check", "fence", "fence", "stable", "register"]),
        (Fenced("somebody else"), ["owners", "check", "fence", "fence", "stable", "register"]),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
async def test_a_transaction_that_failed_is_told_and_decided_again_under_other_ids(
    bench: Bench, outcome: Exception, steps: list[str]
) -> None:
    await bench.running()
    bench.group.asked.clear()
    bench.producers.outcomes = [outcome]
    await bench.offer(0, b"a")
    await bench.until(lambda: bench.seen.aborts)
    await bench.until(lambda: bench.task.running and bench.protocol.tasks["task-0"].registered)
    assert bench.seen.aborts == [str(outcome)] and bench.steps() == steps
    assert bench.units(b"a") is None and bench.task.position == {SOURCE: 0}
    await bench.offer(0, b"a")
    await bench.until(lambda: bench.protocol.in_flight is None)
    assert ("committed", "task-0", 1, 1) in bench.seen.told and bench.units(b"a") == 1
    assert bench.protocol.ids == ("ours-2a", "ours-2b")


async def test_a_worker_whose_transaction_the_group_refuses_waits_for_the_next_grant(bench: Bench) -> None:
    await bench.running()
    bench.producers.outcomes = [Refused("generation 5")]
    await bench.offer(0, b"a")
    await bench.until(lambda: bench.seen.aborts)
    assert bench.seen.aborts == ["generation 5"] and not bench.task.running
    assert bench.protocol.member is None and bench.units(b"a") is None


async def test_a_task_whose_transactions_are_aborted_alone_is_named(bench: Bench) -> None:
    await bench.running()
    bench.producers.outcomes = [Aborted("too large")] * 3
    for _ in range(3):
        assert bench.seen.still == []
        await bench.offer(0, b"a")
        await bench.until(lambda: bench.protocol.in_flight is None and bench.task.running)
    assert bench.seen.still == ["task-0"] and len(bench.seen.aborts) == 3


async def test_a_batch_waits_for_its_pace_and_then_goes_out(tmp_path: Path) -> None:
    async with a_driver(tmp_path / "task-0", Pace(seconds=0.05, stretch=0.0)) as bench:
        await bench.running()
        await bench.offer(0, b"a")
        await bench.until(lambda: bench.task.idle)
        for start in (1, 2):
            await bench.offer(start, b"a")
        assert not bench.task.idle
        await bench.until(lambda: bench.task.idle)
        assert [each.offsets for each in bench.producers.begun] == [{PLACE: 1}, {PLACE: 3}]


async def test_what_fails_while_a_batch_waits_for_its_pace_ends_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("a row that cannot be encoded")

    await bench.running()
    monkeypatch.setattr(WorkerProtocol, "pace_elapsed", fail)
    bench.driver.carry_out([act.Wait(0.0)])
    await bench.until(lambda: bench.seen.deaths)
    assert "a row that cannot be encoded" in bench.seen.deaths[0]


async def test_a_fetch_that_jumps_is_told_and_sought_back(bench: Bench) -> None:
    await bench.running()
    bench.seen.seeks.clear()
    await bench.offer(7, b"a")
    await bench.until(lambda: bench.seen.seeks == {PLACE: 0})
    assert bench.seen.told == [("dropped", "task-0", SOURCE, 7, 0)]
    assert bench.units(b"a") is None


async def test_a_fetch_waits_while_there_is_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.task.MAX_RECORDS", 1)
    await bench.running()
    bench.producers.open.clear()
    await bench.offer(0, b"in flight")
    await bench.offer(1, b"decided meanwhile")
    waits = asyncio.create_task(bench.offer(2, b"waits"))
    await asyncio.sleep(0)
    assert bench.units(b"decided meanwhile") == 1 and bench.units(b"waits") is None
    bench.producers.open.set()
    await waits
    assert bench.units(b"waits") == 1


async def test_others_run_between_two_portions_of_a_fetch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.engine.portion.MAX_ROWS", 1)
    monkeypatch.setattr("streams.engine.portion.LOOK_EVERY", 1)
    await bench.running()
    offering, found = asyncio.create_task(bench.offer(0, b"a", b"b", b"c")), []
    while not offering.done():
        await asyncio.sleep(0)
        found.append(bench.task.position[SOURCE])
    assert set(found) == {1, 2, 3}
    await bench.until(lambda: bench.task.idle)
    assert [bench.units(key) for key in (b"a", b"b", b"c")] == [1, 1, 1]


async def test_nothing_of_a_task_is_taken_in_while_a_failure_of_it_is_written_down(bench: Bench) -> None:
    await bench.running()
    bench.producers.open.clear()
    failing = asyncio.create_task(bench.offer(0, b"bad"))
    await bench.until(lambda: bench.producers.begun)
    await bench.offer(0, b"a")
    assert bench.units(b"a") is None and bench.task.position == {SOURCE: 0}
    bench.producers.open.set()
    with pytest.raises(RecordFailed, match="order-commands/0/0"):
        await failing


async def test_what_was_decided_before_a_failure_is_not_committed_with_the_position_behind_it(
    bench: Bench,
) -> None:
    """The record that failed, and those behind it in its fetch, would be left out."""
    await bench.running()
    bench.producers.open.clear()
    await bench.offer(0, b"in flight")
    await bench.offer(1, b"decided")
    failing = asyncio.create_task(bench.offer(2, b"bad", b"behind it"))
    await asyncio.sleep(0)
    bench.producers.open.set()
    with pytest.raises(RecordFailed, match="order-commands/0/2"):
        await failing
    assert [each.offsets for each in bench.producers.begun] == [{PLACE: 1}, {PLACE: 1}]
    assert bench.units(b"in flight") == 1 and bench.units(b"decided") is None


async def test_a_record_that_is_turned_away_is_committed_before_anything_behind_it_is_tried(
    bench: Bench,
) -> None:
    await bench.running()
    for _ in range(2):
        with pytest.raises(RecordFailed):
            await bench.offer(0, b"bad", b"a")
        bench.driver.failing.clear()  # as in the next process
    await bench.offer(0, b"bad", b"a")
    bench.seen.seeks.clear()
    bench.producers.open.clear()
    turning_away = asyncio.create_task(bench.offer(0, b"bad", b"a"))
    await bench.until(lambda: bench.producers.begun[-1].offsets == {PLACE: 1})
    await bench.offer(1, b"a")
    assert bench.units(b"a") is None and not turning_away.done()
    bench.producers.open.set()
    await turning_away
    await bench.until(lambda: bench.seen.seeks == {PLACE: 1})
    await bench.offer(1, b"a")
    assert bench.units(b"a") == 1
