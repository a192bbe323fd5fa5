"""A task on a real broker: what is visible, what is restored, who is fenced."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import structlog

from streams.engine.ports import POSITIONS
from streams.engine.task import MAX_PENDING
from tests.streams.engine.kit import COUNTS, OUT, Bench, Recorder, fetched, until_durable
from tests.support.kafka import KafkaUnderTest


@pytest.fixture
def bench(kafka: KafkaUnderTest, topic_prefix: str) -> Bench:
    return Bench(kafka.bootstrap, topic_prefix)


async def test_outputs_rows_and_positions_become_visible_together(bench: Bench, tmp_path: Path) -> None:
    task = bench.task(tmp_path / "t", Recorder())
    await task.open()
    await task.offer(fetched(0, [b"a", b"b", b"a"]))
    await until_durable(task, 3)
    await task.close()
    assert bench.committed(bench.prefix + OUT) == [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]
    rows = dict(bench.committed(bench.changelog))
    assert set(rows) == {b"TCa", b"TCb", POSITIONS.prefix + b"source/0"}


async def test_a_batch_is_decided_while_the_one_before_it_commits(bench: Bench, tmp_path: Path) -> None:
    task = bench.task(tmp_path / "t", Recorder())
    await task.open()
    await task.offer(fetched(0, [b"a"] * 10))
    await task.offer(fetched(10, [b"a"] * 10))
    row = task.rows.get(COUNTS, b"a")
    assert row is not None and row.units == 20
    assert task.committed["source/0"] == 0
    await until_durable(task, 20)
    await task.close()
    assert [value for _, value in bench.committed(bench.prefix + OUT)] == [b"%d" % i for i in range(1, 21)]


async def test_a_deleted_data_directory_is_restored_from_the_changelog(bench: Bench, tmp_path: Path) -> None:
    first = bench.task(tmp_path / "t", Recorder())
    await first.open()
    await first.offer(fetched(0, [b"a", b"a", b"b"]))
    await until_durable(first, 3)
    await first.close()
    shutil.rmtree(tmp_path / "t")
    second, recorder = bench.task(tmp_path / "t", Recorder()), Recorder()
    await second.open()
    await second.offer(fetched(3, [b"a"]))
    await until_durable(second, 4)
    await second.close()
    assert bench.committed(bench.prefix + OUT)[-1] == (b"a", b"3")
    assert recorder.deaths == []


async def test_a_kept_data_directory_is_reused_and_only_the_rest_is_read(
    bench: Bench, tmp_path: Path
) -> None:
    first = bench.task(tmp_path / "t", Recorder())
    await first.open()
    await first.offer(fetched(0, [b"k%d" % i for i in range(100)]))
    await until_durable(first, 100)
    await first.close()
    second = bench.task(tmp_path / "t", Recorder())
    with structlog.testing.capture_logs() as logs:
        await second.open()
    row = second.rows.get(COUNTS, b"k7")
    await second.close()
    assert row is not None and row.units == 1
    [restored] = [entry for entry in logs if entry["event"] == "rows restored"]
    assert restored["records"] == 0 and restored["from_offset"] > 100


async def test_a_database_that_is_ahead_of_the_changelog_is_thrown_away(bench: Bench, tmp_path: Path) -> None:
    first = bench.task(tmp_path / "t", Recorder())
    await first.open()
    await first.offer(fetched(0, [b"a"] * 5))
    await until_durable(first, 5)
    await first.close()
    other = Bench(str(bench.client["bootstrap.servers"]), bench.prefix + "other-")
    second = other.task(tmp_path / "t", Recorder())
    await second.open()
    row = second.rows.get(COUNTS, b"a")
    await second.close()
    assert row is None


async def test_a_zombie_is_fenced_and_nothing_it_wrote_is_ever_seen(bench: Bench, tmp_path: Path) -> None:
    zombie_saw = Recorder()
    zombie = bench.task(tmp_path / "zombie", zombie_saw)
    await zombie.open()
    await zombie.offer(fetched(0, [b"a"]))
    await until_durable(zombie, 1)
    owner = bench.task(tmp_path / "owner", Recorder())
    await owner.open()
    await owner.offer(fetched(1, [b"a"]))
    await until_durable(owner, 2)
    await zombie.offer(fetched(1, [b"zombie", b"zombie"]))
    async with asyncio.timeout(20):
        while not zombie_saw.deaths:
            await asyncio.sleep(0.01)
    await owner.offer(fetched(2, [b"a"]))
    await until_durable(owner, 3)
    await owner.close()
    assert bench.committed(bench.prefix + OUT) == [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")]
    assert b"TCzombie" not in dict(bench.committed(bench.changelog))


async def test_a_fetch_that_waits_for_room_is_not_lost_in_a_rebalance(bench: Bench, tmp_path: Path) -> None:
    task = bench.task(tmp_path / "t", Recorder())
    await task.open()
    await task.offer(fetched(0, [b"a"]))
    await task.offer(fetched(1, [b"a"] * MAX_PENDING))
    waits = asyncio.create_task(task.offer(fetched(1 + MAX_PENDING, [b"late"])))
    await asyncio.sleep(0)
    assert task.committed["source/0"] == 0, "the first transaction is still in flight"
    await task.suspend()
    await waits
    assert task.committed["source/0"] == task.position["source/0"] == 1 + MAX_PENDING
    await task.open()
    await task.offer(fetched(1 + MAX_PENDING, [b"late"]))
    await until_durable(task, 2 + MAX_PENDING)
    await task.close()
    assert bench.committed(bench.prefix + OUT)[-1] == (b"late", b"1")


async def test_a_fetch_that_waits_for_room_is_decided_when_there_is_some(
    bench: Bench, tmp_path: Path
) -> None:
    task = bench.task(tmp_path / "t", Recorder())
    await task.open()
    await task.offer(fetched(0, [b"a"]))
    await task.offer(fetched(1, [b"a"] * MAX_PENDING))
    await task.offer(fetched(1 + MAX_PENDING, [b"a"]))
    await until_durable(task, 2 + MAX_PENDING)
    await task.close()
    assert bench.committed(bench.prefix + OUT)[-1] == (b"a", b"%d" % (MAX_PENDING + 2))


async def test_a_fetch_that_jumps_is_dropped_and_the_source_is_sought_back(
    bench: Bench, tmp_path: Path
) -> None:
    recorder = Recorder()
    task = bench.task(tmp_path / "t", recorder)
    await task.open()
    await task.offer(fetched(0, [b"a"]))
    await task.offer(fetched(4_000, [b"lost"]))
    assert recorder.seeks[-1] == ("source/0", 1)
    assert recorder.dropped == 1
    await until_durable(task, 1)
    await task.close()
    assert bench.committed(bench.prefix + OUT) == [(b"a", b"1")]


async def test_a_task_kept_across_a_rebalance_goes_on_without_a_restore(bench: Bench, tmp_path: Path) -> None:
    task = bench.task(tmp_path / "t", Recorder())
    await task.open()
    await task.offer(fetched(0, [b"a"]))
    await task.suspend()
    assert task.committed["source/0"] == 1
    await task.offer(fetched(1, [b"too early"]))
    await task.open()
    await task.offer(fetched(1, [b"a"]))
    await until_durable(task, 2)
    await task.close()
    assert bench.committed(bench.prefix + OUT) == [(b"a", b"1"), (b"a", b"2")]
