"""A fetch is decided in portions: a few records may write thousands of rows, and others have to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS, ORDER_OUTCOMES
from streams.engine.portion import MAX_BYTES, MAX_ROWS
from streams.engine.stage import Record
from streams.engine.unprocessable import TRIES, RecordFailed, decide
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import MemoryStore, Rows
from tests.streams.engine.kit import COUNTS, Bench, Count, Counting, Rec, Recorder, membership, running
from tests.streams.engine.test_unprocessable import SOURCE, rows_after
from tests.support.kafka import KafkaUnderTest

HEAVY_ROWS = 2_500
A_PORTION = MAX_ROWS // HEAVY_ROWS


@pytest.fixture
async def bench(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(kafka.bootstrap, topic_prefix, tmp_path)
    yield made
    await made.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@dataclass
class Heavy(Counting):
    """Each record writes many rows, as a Continue does that forgets orders."""

    topic: str = ORDER_COMMANDS
    sizes: list[int] = field(default_factory=list)
    """Rows that each call has written."""

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        before = len(rows.changed)
        for record in records:
            super().decide(partition, [record], rows, effects)
            for number in range(HEAVY_ROWS - 1):
                rows.put(COUNTS, b"%d/%d" % (record.offset, number), Count(1))
        self.sizes.append(len(rows.changed) - before)


@dataclass
class Refusing(Counting):
    """Fails before it has looked at any record."""

    topic: str = ORDER_COMMANDS

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        raise ValueError("of no use")


@dataclass
class Talkative(Counting):
    """Each record makes a megabyte of output."""

    topic: str = ORDER_COMMANDS

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        for _ in records:
            effects.sends += [Send(ORDER_OUTCOMES, b"", b"x" * 1_024)] * 1_024


def batch(count: int) -> list[Record]:
    return [Rec(5 + number, b"%d" % number) for number in range(count)]


def test_records_that_write_little_are_one_portion() -> None:
    assert decide(Counting(ORDER_COMMANDS), SOURCE, batch(3_000), Rows(MemoryStore()), Effects()) == 3_000


def test_a_portion_ends_with_the_record_by_which_it_has_enough_rows() -> None:
    """Seen: sixteen Continues of one fetch forgot 100,000 orders in a batch that took 461 ms."""
    rows, stage, records = Rows(MemoryStore()), Heavy(), batch(2 * A_PORTION + 1)
    taken = []
    while records:
        taken.append(decide(stage, SOURCE, records, rows, Effects()))
        records = records[taken[-1] :]
    assert taken == [A_PORTION, A_PORTION, 1]
    assert stage.sizes == [MAX_ROWS, MAX_ROWS, HEAVY_ROWS]


def test_bytes_count_as_well() -> None:
    assert decide(Talkative(), SOURCE, batch(16), Rows(MemoryStore()), Effects()) == MAX_BYTES >> 20


def test_a_stage_that_fails_before_it_has_looked_at_a_record_has_failed_at_the_first() -> None:
    with pytest.raises(RecordFailed) as failed:
        decide(Refusing(), SOURCE, batch(3), Rows(MemoryStore()), Effects())
    assert (failed.value.offset, failed.value.why) == (5, "ValueError: of no use")


@pytest.mark.parametrize(("before", "decided"), [(A_PORTION - 1, A_PORTION), (A_PORTION + 1, A_PORTION)])
def test_a_record_is_turned_away_when_its_portion_comes(before: int, decided: int) -> None:
    condemned = 5 + before
    rows, effects = rows_after(TRIES, offset=condemned), Effects()
    records = batch(before + 1)
    assert decide(Heavy(), SOURCE, records, rows, effects, condemned) == min(before + 1, decided)
    turned_away = [send for send in effects.sends if send.topic == DEAD_LETTERS]
    assert len(turned_away) == (1 if before < A_PORTION else 0)


async def test_others_get_their_turn_between_two_portions_of_a_fetch(
    bench: Bench, recorder: Recorder
) -> None:
    stage, turns = Heavy(), 0
    engine = bench.engine("e", recorder, stage)
    await engine.open(bench.sources(0), await bench.member(), recorder.seek)
    await running(engine)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    before, records = turns, 4 * A_PORTION
    await engine.offer(bench.fetched(0, [b"k%d" % number for number in range(records)]))
    counting.cancel()
    assert turns - before >= 3
    assert stage.sizes == [MAX_ROWS] * 4
    await bench.until_durable(engine, records)
    assert bench.outcomes() == [(b"k%d" % number, b"1") for number in range(records)]
    assert recorder.commits > 1


async def test_what_is_left_of_a_fetch_at_a_rebalance_is_decided_after_it(
    bench: Bench, recorder: Recorder
) -> None:
    engine, consumer = bench.engine("e", recorder, Heavy()), await bench.joined()
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(engine)
    keys = [b"k%d" % number for number in range(4 * A_PORTION)]
    offering = asyncio.create_task(engine.offer(bench.fetched(0, keys)))
    await asyncio.sleep(0)
    await engine.suspend()
    await offering
    task = engine.tasks["task-0"]
    decided = engine.protocol.tasks["task-0"].committed[bench.source()]
    assert A_PORTION <= decided < len(keys) and task.position[bench.source()] == decided
    still, _ = await bench.next_generation(consumer)
    await engine.open(bench.sources(0), still, recorder.seek)
    await engine.offer(bench.fetched(decided, keys[decided:]))
    await bench.until_durable(engine, len(keys))
    assert bench.outcomes() == [(key, b"1") for key in keys]
