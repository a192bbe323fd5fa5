"""The engine while its group rebalances: who goes on, who is refused, what a take-over leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from streams.engine.ownership import Membership
from tests.streams.engine.kit import Bench, Recorder, membership, running
from tests.support.kafka import KafkaUnderTest


@pytest.fixture
async def bench(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(kafka.bootstrap, topic_prefix, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def pair(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(kafka.bootstrap, topic_prefix, tmp_path, tasks=2)
    yield made
    await made.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def test_a_worker_that_lost_its_task_and_does_not_know_changes_nothing(bench: Bench) -> None:
    bench.fill(10)
    zombie_saw, owner_saw, consumer = Recorder(), Recorder(), await bench.joined()
    zombie, owner = bench.engine("zombie", zombie_saw), bench.engine("owner", owner_saw)
    await zombie.open(bench.sources(0), membership(consumer), zombie_saw.seek)
    await running(zombie)
    await zombie.offer(bench.fetched(0, [b"a"]))
    await bench.until_durable(zombie, 1)
    _, other = await bench.next_generation(consumer)
    await owner.open(bench.sources(0), other, owner_saw.seek)
    await running(owner)
    await owner.offer(bench.fetched(1, [b"a"]))
    await bench.until_durable(owner, 2)
    await zombie.offer(bench.fetched(1, [b"zombie", b"zombie"]))
    async with asyncio.timeout(20):
        while not zombie_saw.aborts or zombie.tasks["task-0"].running:
            await asyncio.sleep(0.01)
    await owner.offer(bench.fetched(2, [b"a"]))
    await bench.until_durable(owner, 3)
    assert bench.outcomes() == [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")]
    assert b"TCzombie" not in bench.rows()
    assert zombie_saw.deaths == owner_saw.deaths == []


async def test_a_worker_that_was_thrown_out_is_taken_back_with_what_happened_meanwhile(bench: Bench) -> None:
    bench.fill(10)
    recorder, consumer = Recorder(), await bench.joined()
    first, second = bench.engine("first", recorder), bench.engine("second", recorder)
    await first.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(first)
    await first.offer(bench.fetched(0, [b"a"]))
    await bench.until_durable(first, 1)
    still, other = await bench.next_generation(consumer)
    await second.open(bench.sources(0), other, recorder.seek)
    await running(second)
    await second.offer(bench.fetched(1, [b"a"]))
    await bench.until_durable(second, 2)
    await second.suspend()
    again = await bench.left_alone(consumer)
    assert again.generation == still.generation + 1
    await first.open(bench.sources(0), again, recorder.seek)
    await running(first)
    await first.offer(bench.fetched(2, [b"a"]))
    await bench.until_durable(first, 3)
    assert bench.outcomes() == [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")]


async def test_an_owner_that_let_go_of_one_task_goes_on_with_the_other_unfenced(pair: Bench) -> None:
    recorder, consumer = Recorder(), await pair.joined()
    first, second = pair.engine("first", recorder), pair.engine("second", recorder)
    await first.open(pair.sources(0, 1), membership(consumer), recorder.seek)
    await running(first)
    ids = first.protocol.ids
    await first.suspend()
    still, other = await pair.next_generation(consumer)
    await first.open(pair.sources(1), still, recorder.seek)
    await second.open(pair.sources(0), other, recorder.seek)
    await running(first)
    await running(second)
    await first.offer(pair.fetched(0, [b"a"], 1))
    await second.offer(pair.fetched(0, [b"b"], 0))
    await pair.until_durable(first, 1, 1)
    await pair.until_durable(second, 1, 0)
    assert first.protocol.ids == ids and recorder.aborts == []


async def test_tasks_that_stay_go_on_while_others_are_taken_over(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, consumer = Recorder(), await pair.joined()
    engine = pair.engine("e", recorder)
    await engine.open(pair.sources(0), membership(consumer), recorder.seek)
    await running(engine)
    await engine.suspend()
    still, _ = await pair.next_generation(consumer)
    held = asyncio.Event()

    async def hold(*_: object) -> dict[str, int]:
        await held.wait()
        return {f"{topic}/{partition}": 0 for topic, partition in pair.sources(1)}

    takeover = engine._driver._takeover  # type: ignore[union-attr]
    restore = takeover.restore
    monkeypatch.setattr(takeover, "restore", hold)
    await engine.open(pair.sources(0, 1), still, recorder.seek)
    assert [engine.tasks[f"task-{i}"].running for i in (0, 1)] == [True, False]
    await engine.offer(pair.fetched(0, [b"a"]))
    await pair.until_durable(engine, 1)
    monkeypatch.setattr(takeover, "restore", restore)
    await engine.suspend()
    held.set()


async def test_a_fetch_that_waits_for_room_is_not_lost_in_a_rebalance(
    bench: Bench, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.engine.task.MAX_RECORDS", 100)
    engine, consumer = bench.engine("e", recorder), await bench.joined()
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a"]))
    await engine.offer(bench.fetched(1, [b"a"] * 100))
    waits = asyncio.create_task(engine.offer(bench.fetched(101, [b"late"])))
    await asyncio.sleep(0)
    task = engine.protocol.tasks["task-0"]
    assert task.committed[bench.source()] == 0, "the first transaction is still in flight"
    await engine.suspend()
    await waits
    assert task.committed[bench.source()] == task.expected[bench.source()] == 101
    still, _ = await bench.next_generation(consumer)
    await engine.open(bench.sources(0), still, recorder.seek)
    await engine.offer(bench.fetched(101, [b"late"]))
    await bench.until_durable(engine, 102)
    assert bench.outcomes()[-1] == (b"late", b"1")


async def test_a_task_kept_across_a_rebalance_goes_on_without_a_restore(
    bench: Bench, recorder: Recorder
) -> None:
    engine, consumer = bench.engine("e", recorder), await bench.joined()
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a"]))
    await engine.suspend()
    assert engine.protocol.tasks["task-0"].committed[bench.source()] == 1
    await engine.offer(bench.fetched(1, [b"too early"]))
    still, _ = await bench.next_generation(consumer)
    with structlog.testing.capture_logs() as logs:
        await engine.open(bench.sources(0), still, recorder.seek)
    assert engine.tasks["task-0"].running
    assert [entry for entry in logs if entry["event"] == "rows_restored"] == []
    await engine.offer(bench.fetched(1, [b"a"]))
    await bench.until_durable(engine, 2)
    assert bench.outcomes() == [(b"a", b"1"), (b"a", b"2")]


async def test_a_rebalance_that_begins_during_a_take_over_leaves_the_engine_suspended(
    bench: Bench, recorder: Recorder
) -> None:
    engine, consumer = bench.engine("e", recorder), await bench.joined()
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    await engine.suspend()
    assert not await engine.until_ready(membership(consumer).generation)
    assert not engine.tasks["task-0"].running
    still, _ = await bench.next_generation(consumer)
    await engine.open(bench.sources(0), still, recorder.seek)
    await running(engine)
    engine.resumed(still.generation)  # what the host says
    assert engine.ready


async def test_a_member_that_is_thrown_out_as_it_opens_waits_for_the_next_generation(
    bench: Bench, recorder: Recorder
) -> None:
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), Membership(-1, ""), recorder.seek)
    assert engine.generation is None and engine.tasks == {}
