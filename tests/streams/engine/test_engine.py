"""The engine on a real broker: what is visible, what is restored, who is refused, what interrupts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from schemas.topics import ORDER_COMMANDS, TASK_CHANGELOG
from streams.engine.ports import POSITIONS
from streams.engine.protocol.worker import WorkerProtocol
from tests.streams.engine.kit import COUNTS, Bench, Counting, Recorder, membership, running
from tests.streams.engine.test_store import cut_short
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


async def test_outputs_rows_and_positions_become_visible_together(bench: Bench, recorder: Recorder) -> None:
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a", b"b", b"a"]))
    await bench.until_durable(engine, 3)
    assert bench.outcomes() == [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]
    positions = {POSITIONS.prefix + f"{topic}/{number}".encode() for topic, number in bench.sources(0)}
    assert set(bench.rows()) == {b"TCa", b"TCb", *positions}


async def test_a_batch_is_decided_while_the_one_before_it_commits(bench: Bench, recorder: Recorder) -> None:
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a"] * 10))
    await engine.offer(bench.fetched(10, [b"a"] * 10))
    task = engine.tasks["task-0"]
    row = task.rows.get(COUNTS, b"a")
    assert row is not None and row.units == 20
    assert engine.protocol.tasks["task-0"].committed[bench.source()] == 0
    await bench.until_durable(engine, 20)
    assert [value for _, value in bench.outcomes()] == [b"%d" % i for i in range(1, 21)]


async def test_a_deleted_data_directory_is_restored_from_the_changelog(bench: Bench) -> None:
    bench.fill(4)
    first, second = bench.engine("e", Recorder()), bench.engine("f", Recorder())
    consumer = await bench.joined()
    await first.open(bench.sources(0), membership(consumer), Recorder().seek)
    await running(first)
    await first.offer(bench.fetched(0, [b"a", b"a", b"b"]))
    await bench.until_durable(first, 3)
    await first.suspend()
    _, other = await bench.next_generation(consumer)
    await second.open(bench.sources(0), other, Recorder().seek)
    await running(second)
    await second.offer(bench.fetched(3, [b"a"]))
    await bench.until_durable(second, 4)
    assert bench.outcomes()[-1] == (b"a", b"3")


async def test_a_kept_data_directory_is_reused_and_only_the_rest_is_read(bench: Bench) -> None:
    bench.fill(100)
    consumer, recorder = await bench.joined(), Recorder()
    first = bench.engine("e", recorder)
    await first.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(first)
    await first.offer(bench.fetched(0, [b"k%d" % i for i in range(100)]))
    await bench.until_durable(first, 100)
    await first.suspend()
    await first.close()
    _, other = await bench.next_generation(consumer)
    second = bench.engine("e", recorder)
    with structlog.testing.capture_logs() as logs:
        await second.open(bench.sources(0), other, recorder.seek)
        await running(second)
    row = second.tasks["task-0"].rows.get(COUNTS, b"k7")
    assert row is not None and row.units == 1
    [restored] = [entry for entry in logs if entry["event"] == "rows_restored"]
    assert restored["records"] == 0 and restored["from_offset"] > 100


async def test_a_damaged_data_directory_is_restored_from_the_changelog(bench: Bench) -> None:
    bench.fill(4)
    consumer, recorder = await bench.joined(), Recorder()
    first = bench.engine("e", recorder)
    await first.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(first)
    await first.offer(bench.fetched(0, [b"a", b"a", b"b"]))
    await bench.until_durable(first, 3)
    await first.suspend()
    await first.close()
    cut_short(bench.directory / "e" / "task-0")
    _, other = await bench.next_generation(consumer)
    second = bench.engine("e", recorder)
    with structlog.testing.capture_logs() as logs:
        await second.open(bench.sources(0), other, recorder.seek)
        await running(second)
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["rows_thrown_away"]
    row = second.tasks["task-0"].rows.get(COUNTS, b"a")
    assert row is not None and row.units == 2
    assert recorder.deaths == []


async def test_a_database_of_another_changelog_is_thrown_away(
    bench: Bench, kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    recorder = Recorder()
    first = bench.engine("e", recorder)
    await first.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(first)
    await first.offer(bench.fetched(0, [b"a"] * 5))
    await bench.until_durable(first, 5)
    await first.suspend()
    await first.close()
    other = Bench(kafka.bootstrap, f"{topic_prefix}other-", tmp_path)
    second = other.engine("e", recorder)
    await second.open(other.sources(0), await other.member(), recorder.seek)
    await running(second)
    row = second.tasks["task-0"].rows.get(COUNTS, b"a")
    await other.close()
    assert row is None


async def test_a_fetch_that_waits_for_room_is_decided_when_there_is_some(
    bench: Bench, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.engine.task.MAX_RECORDS", 100)
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a"]))
    await engine.offer(bench.fetched(1, [b"a"] * 100))
    await engine.offer(bench.fetched(101, [b"a"]))
    await bench.until_durable(engine, 102)
    assert bench.outcomes()[-1] == (b"a", b"102")


async def test_a_fetch_that_jumps_is_dropped_and_the_source_is_sought_back(
    bench: Bench, recorder: Recorder
) -> None:
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    await engine.offer(bench.fetched(0, [b"a"]))
    await engine.offer(bench.fetched(4_000, [b"lost"]))
    await bench.until_durable(engine, 1)
    assert recorder.seeks[bench.prefix + ORDER_COMMANDS, 0] == 1
    assert recorder.dropped == 1
    assert bench.outcomes() == [(b"a", b"1")]


async def test_a_take_over_waits_for_what_is_not_there_yet_and_says_so(
    bench: Bench, recorder: Recorder
) -> None:
    for future in bench.admin.delete_topics([bench.prefix + TASK_CHANGELOG]).values():
        future.result(20)
    engine = bench.engine("e", recorder)
    with structlog.testing.capture_logs() as logs:
        await engine.open(bench.sources(0), await bench.member(), recorder.seek)
        async with asyncio.timeout(20):
            while not any(entry["event"] == "takeover_waits" for entry in logs):
                await asyncio.sleep(0.05)
    assert recorder.deaths == []
    bench.create(TASK_CHANGELOG, {"cleanup.policy": "compact"})
    await running(engine)


async def test_a_position_in_a_topic_that_was_deleted_says_nothing_about_the_one_of_its_name(
    bench: Bench, recorder: Recorder
) -> None:
    """Its worker has not noticed yet, and has just written down a position beyond the end of the new one."""
    engine, topic = bench.engine("e", recorder), bench.prefix + ORDER_COMMANDS
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    for future in bench.admin.delete_topics([topic]).values():
        future.result(20)
    bench.create(ORDER_COMMANDS)
    bench.fill(1)
    await engine.offer(bench.fetched(0, [b"a", b"b", b"c"]))
    await bench.until_durable(engine, 3)
    async with asyncio.timeout(20):
        while engine.watermark.behind != {(topic, 0): 1}:
            engine.watermark.want(5_000)
            await asyncio.sleep(0.01)
            assert engine.watermark.ms == 0


async def test_data_of_a_former_version_is_an_error_that_says_what_to_do(
    bench: Bench, recorder: Recorder
) -> None:
    consumer = await bench.joined()
    topic = bench.prefix + ORDER_COMMANDS
    await consumer._coordinator._do_commit_offsets(*_without_owner(consumer, topic))
    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    async with asyncio.timeout(20):
        while not recorder.deaths:
            await asyncio.sleep(0.01)
    assert "former version" in recorder.deaths[0] and "docs/operations.md" in recorder.deaths[0]


def _without_owner(consumer: object, topic: str) -> tuple[object, dict[object, object]]:
    from aiokafka.structs import OffsetAndMetadata, TopicPartition

    assignment = consumer._subscription.subscription.assignment  # type: ignore[attr-defined]
    return assignment, {TopicPartition(topic, 0): OffsetAndMetadata(3, "")}


async def test_a_task_that_can_not_commit_stands_still_alone_and_is_named(
    pair: Bench, recorder: Recorder
) -> None:
    stage = Counting(ORDER_COMMANDS, {b"poison"})
    engine = pair.engine("e", recorder, stage)
    await engine.open(pair.sources(0, 1), await pair.member(), recorder.seek)
    await running(engine)
    good, bad = 0, pair.fetched(0, [b"poison"], 1)
    async with asyncio.timeout(60):
        while "task-1" not in recorder.still or good < 3:
            await engine.offer(bad)
            await engine.offer(pair.fetched(good, [b"a"], 0))
            await asyncio.sleep(0.02)
            good = engine.protocol.tasks["task-0"].committed[pair.source(0)]
    assert set(recorder.still) == {"task-1"}
    assert engine.protocol.tasks["task-1"].committed[pair.source(1)] == 0
    stage.poison.clear()
    async with asyncio.timeout(30):
        while engine.protocol.tasks["task-1"].committed[pair.source(1)] == 0:
            await engine.offer(bad)
            await asyncio.sleep(0.02)
    assert (b"poison", b"1") in pair.outcomes()
    assert recorder.deaths == []


async def test_what_fails_while_positions_are_written_down_ends_the_process(
    bench: Bench, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a script: nobody looked at that task, and a transaction that it had begun never ended."""

    def fail(*_: object) -> None:
        raise OverflowError("a row that cannot be encoded")

    engine = bench.engine("e", recorder)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)
    monkeypatch.setattr(WorkerProtocol, "drifted", fail)
    async with asyncio.timeout(20):
        while not recorder.deaths:
            await asyncio.sleep(0.01)
    assert "a row that cannot be encoded" in recorder.deaths[0]
