"""A record that ends workers: counted in the rows, tried three times, then a dead letter; and a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS
from streams.engine.engine import Engine
from streams.engine.ownership import Membership
from streams.engine.protocol.actions import Action
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.stage import Record
from streams.engine.store import StoreFailed
from streams.engine.unprocessable import (
    FAILURES,
    GIVEN_UP,
    LIMIT,
    TRIES,
    WITHIN_MS,
    Failures,
    GivenUp,
    RecordFailed,
    TooManyGivenUp,
    Undecided,
    decide,
    write_down,
)
from streams.ledger.deadlines import Deadlines
from streams.ledger.effects import Effects
from streams.ledger.rows import MemoryStore, Rows
from streams.system import now_ms
from tests.streams.engine.kit import COUNTS, Bench, Counting, Rec, Recorder, membership, running
from tests.support.kafka import KafkaUnderTest

BAD = b"bad"


@dataclass
class Failing(Counting):
    """Counts, and fails in the middle of a decision about a bad key."""

    error: Exception = field(default_factory=lambda: ValueError("of no use"))

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        for record in records:
            super().decide(partition, [record], rows, effects)
            if record.key == BAD:
                raise self.error


STAGE, SOURCE = Failing(ORDER_COMMANDS), "orders/0"


@dataclass
class ReadingFirst(Counting):
    """Looks at all records before it decides about the first, and fails at a bad key."""

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        values = [record.value for record in records]
        for record, _ in zip(records, values, strict=True):
            if record.key == BAD:
                raise ValueError


def rows_after(count: int, offset: int = 6) -> Rows:
    rows = Rows(MemoryStore())
    rows.put(FAILURES, SOURCE.encode(), Failures(offset, count, "ValueError: of no use"))
    return rows


def batch(*keys: bytes, start: int = 5) -> list[Record]:
    return [Rec(start + number, key) for number, key in enumerate(keys)]


@pytest.mark.parametrize("count", range(TRIES + 2))
def test_a_record_is_tried_by_every_process_however_often_it_has_failed_before(count: int) -> None:
    with pytest.raises(RecordFailed, match="orders/0/6 could not be decided") as failed:
        decide(STAGE, SOURCE, batch(b"a", BAD, b"b"), rows_after(count), Effects())
    assert (failed.value.offset, failed.value.why) == (6, "ValueError: of no use")


def test_the_record_that_failed_is_named_where_a_stage_has_looked_at_those_behind_it() -> None:
    with pytest.raises(RecordFailed) as failed:
        decide(ReadingFirst(ORDER_COMMANDS), SOURCE, batch(b"a", BAD, b"b"), rows_after(0), Effects())
    assert failed.value.offset == 6


def test_a_mended_version_decides_what_a_former_one_failed_at_three_times() -> None:
    """Seen by reading: it read the count and turned the record away without a try."""
    healthy, effects = Counting(ORDER_COMMANDS), Effects()
    decide(healthy, SOURCE, batch(b"a", BAD, b"b"), rows_after(TRIES), effects)
    assert [(send.topic, send.key) for send in effects.sends] == [
        ("order-outcomes", key) for key in (b"a", BAD, b"b")
    ]


def test_where_it_failed_for_the_last_time_it_is_a_dead_letter_and_its_neighbours_are_decided() -> None:
    rows, effects, records = rows_after(TRIES), Effects(), batch(b"a", BAD, b"b")
    count = decide(STAGE, SOURCE, records, rows, effects, condemned=6)
    decide(STAGE, SOURCE, records[count:], rows, effects, condemned=6)
    assert [(send.topic, send.key) for send in effects.sends] == [
        ("order-outcomes", b"a"),
        (DEAD_LETTERS, BAD),
        ("order-outcomes", b"b"),
    ]
    assert rows.get(COUNTS, BAD) is None
    assert rows.get(FAILURES, SOURCE.encode()) is None
    [notice] = effects.notices
    assert (notice.level, notice.event, notice.fields["offset"]) == ("error", "record_given_up", 6)
    assert notice.fields["why"] == "ValueError: of no use" and notice.fields["recommendation"]


def test_when_records_were_turned_away_lately_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as stop a worker, and none for longer than it takes to stop it."""
    rows, now = rows_after(TRIES), 2 * WITHIN_MS
    monkeypatch.setattr("streams.engine.unprocessable.now_ms", lambda: now)
    rows.put(GIVEN_UP, b"*", GivenUp([now - WITHIN_MS, *range(now - LIMIT, now)]))
    decide(STAGE, SOURCE, batch(b"a", BAD, b"b"), rows, Effects(), condemned=6)
    assert rows.get(GIVEN_UP, b"*") == GivenUp([*range(now - LIMIT + 1, now), now])


@pytest.mark.parametrize("offset", [4, 8])
def test_failures_of_another_record_turn_nothing_away(offset: int) -> None:
    effects = Effects()
    decide(STAGE, SOURCE, batch(b"a", b"b"), rows_after(TRIES, offset), effects, condemned=offset)
    assert [send.key for send in effects.sends] == [b"a", b"b"]


@pytest.mark.parametrize("error", [StoreFailed("the disk is full"), MemoryError(), OSError("too many files")])
def test_what_the_machine_lacks_is_no_fault_of_the_record(error: Exception) -> None:
    stage = Failing(ORDER_COMMANDS, error=error)
    with pytest.raises(type(error)):
        decide(stage, SOURCE, batch(BAD), Rows(MemoryStore()), Effects())


def test_whatever_an_error_says_can_be_written_into_a_header() -> None:
    failed = RecordFailed(SOURCE, 6, ValueError("\ud800" + "x" * 10_000))
    assert len(failed.why.encode()) < 1_000


@dataclass
class Losing:
    """A driver of which all tasks are taken away while it waits."""

    protocol: WorkerProtocol = field(default_factory=WorkerProtocol)
    failing: set[str] = field(default_factory=set)
    tasks: dict[str, Undecided] = field(default_factory=dict)

    def carry_out(self, actions: Iterable[Action]) -> None:
        """Nothing is to be done without a task."""
        assert not list(actions)

    async def settled(self, condition: Callable[[], bool]) -> None:
        self.protocol.rebalancing(0.0)
        self.protocol.granted(Membership(2, "us"), {})
        assert condition()


async def test_the_failure_of_a_task_that_is_taken_away_meanwhile_is_told_and_not_written_down() -> None:
    def rows_untouched() -> None:
        assert rows.get(FAILURES, SOURCE.encode()) is None

    driver, rows, failed = Losing(), Rows(MemoryStore()), RecordFailed(SOURCE, 6, ValueError("of no use"))
    driver.protocol.granted(Membership(1, "us"), {"task-0": (SOURCE,)})
    state = driver.protocol.tasks["task-0"]
    task = SimpleNamespace(name="task-0", rows=rows, state=state, condemned={}, discard=rows_untouched)
    with pytest.raises(RecordFailed, match=r"orders/0/6.*of no use"):
        await write_down(driver, task, failed)
    assert rows.get(FAILURES, SOURCE.encode()) is None


@pytest.fixture
async def bench(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(kafka.bootstrap, topic_prefix, tmp_path)
    made.stage = Failing(ORDER_COMMANDS)
    made.fill(10)
    yield made
    await made.close()


async def owner(bench: Bench, name: str, consumer: AIOKafkaConsumer, recorder: Recorder) -> Engine:
    """A worker with a disk of its own, which owns the task as that member of the group."""
    engine = bench.engine(name, recorder)
    await engine.open(bench.sources(0), membership(consumer), recorder.seek)
    await running(engine)
    return engine


def failures(bench: Bench) -> Failures:
    """What the changelog says about the source."""
    found: Failures = FAILURES.decode(bench.rows()[FAILURES.prefix + bench.source().encode()] or b"")
    return found


async def test_whichever_worker_owns_the_task_next_knows_how_often_a_record_failed(bench: Bench) -> None:
    consumer, recorder = await bench.joined(), Recorder()
    fetched = bench.fetched(0, [b"a", BAD, b"b"])
    for count in range(1, TRIES):
        engine = await owner(bench, f"worker-{count}", consumer, recorder)
        with pytest.raises(RecordFailed):
            await engine.offer(fetched)
        assert failures(bench) == Failures(1, count, "ValueError: of no use")
        await bench.next_generation(consumer)
        consumer = bench.newest_member

    last = await owner(bench, "last", consumer, recorder)
    recorder.seeks.clear()
    await last.offer(fetched)
    async with asyncio.timeout(20):
        while recorder.seeks != dict.fromkeys(bench.sources(0), 0):
            await asyncio.sleep(0.005)
    assert bench.outcomes() == []
    await last.offer(fetched)  # up to the bad record
    await last.offer(fetched)  # what is behind it
    await bench.until_durable(last, 3)
    assert bench.outcomes() == [(b"a", b"1"), (b"b", b"1")]
    assert bench.committed(DEAD_LETTERS) == [(BAD, b"ValueError: of no use")]


async def test_records_that_fail_side_by_side_are_turned_away_one_after_the_other(bench: Bench) -> None:
    """Seen: the one behind undid the dead letter of the one before, and its count, process after process."""
    consumer, recorder = await bench.joined(), Recorder()
    fetched = bench.fetched(0, [b"a", BAD, b"b", BAD, b"c"])
    processes = 0
    while len(bench.committed(DEAD_LETTERS)) < 2:
        processes += 1
        assert processes <= 2 * TRIES
        engine = await owner(bench, f"worker-{processes}", consumer, recorder)
        with suppress(RecordFailed):
            async with asyncio.timeout(20):
                while engine.protocol.tasks["task-0"].committed[bench.source()] < 5:
                    await engine.offer(fetched)
                    await asyncio.sleep(0.005)
        await bench.next_generation(consumer)
        consumer = bench.newest_member
    assert bench.outcomes() == [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]
    assert processes == 2 * TRIES - 1


async def test_what_else_was_decided_before_the_record_failed_is_not_lost_and_not_made_twice(
    bench: Bench,
) -> None:
    consumer, recorder = await bench.joined(), Recorder()
    engine = await owner(bench, "e", consumer, recorder)
    await engine.offer(bench.fetched(0, [b"a"]))
    with pytest.raises(RecordFailed):
        await engine.offer(bench.fetched(1, [b"b", BAD]))
    committed = engine.protocol.tasks["task-0"].committed[bench.source()]
    assert bench.outcomes() == [(b"a", b"1")][:committed]
    assert failures(bench).offset == 2


async def test_deadlines_that_land_while_a_failure_is_written_down_are_found_afterwards(bench: Bench) -> None:
    """Seen by reading: a timer that looked before the landing noted that nothing is due so early."""
    consumer, recorder, deadlines = await bench.joined(), Recorder(), Deadlines(b"XX")
    engine = await owner(bench, "e", consumer, recorder)
    task = engine.tasks["task-0"]
    deadlines.set(task.rows, 500, b"w", b"close")
    await engine.offer(bench.fetched(0, [b"a"]))
    async with asyncio.timeout(20):
        while (flying := engine.protocol.in_flight) is None or flying.offsets.get(bench.source()) != 1:
            await asyncio.sleep(0)
    writing_down = asyncio.create_task(engine.offer(bench.fetched(1, [BAD])))
    while not writing_down.done():
        deadlines.earliest_ms(task.rows)
        await asyncio.sleep(0)
    with pytest.raises(RecordFailed):
        await writing_down
    assert bench.outcomes() == [(b"a", b"1")]
    assert deadlines.earliest_ms(task.rows) == 500


@pytest.mark.parametrize(("lately", "stops"), [(LIMIT - 1, False), (LIMIT, True)])
async def test_a_worker_that_gave_up_too_many_records_lately_stops_instead(
    bench: Bench, lately: int, stops: bool
) -> None:
    consumer, recorder, now = await bench.joined(), Recorder(), now_ms()
    engine = await owner(bench, "e", consumer, recorder)
    rows = engine.tasks["task-0"].rows
    rows.put(GIVEN_UP, b"*", GivenUp([now - WITHIN_MS - 1, *[now] * lately]))
    rows.put(FAILURES, bench.source().encode(), Failures(2, TRIES - 1, ""))
    await engine.offer(bench.fetched(0, [b"a", b"b"]))
    await bench.until_durable(engine, 2)
    with pytest.raises(TooManyGivenUp, match="in the last 10 min") if stops else nullcontext():
        await engine.offer(bench.fetched(2, [BAD]))
        await engine.offer(bench.fetched(2, [BAD]))
        await bench.until_durable(engine, 3)
    assert len(bench.committed(DEAD_LETTERS)) == (not stops)
