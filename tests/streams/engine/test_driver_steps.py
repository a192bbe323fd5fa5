"""The driver without a broker: the steps of taking over, files, and what ends the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from streams.engine.ownership import Membership
from streams.engine.ports import Position
from streams.engine.protocol import actions as act
from streams.engine.protocol.pace import Pace
from streams.engine.store import StoreFailed
from tests.streams.engine.driving import (
    CHANGELOG,
    MEMBER,
    PLACE,
    SOURCE,
    TOPIC,
    Bench,
    a_driver,
    row_of,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_driver(tmp_path / "task-0", Pace(seconds=0.0, stretch=0.0)) as made:
        yield made


async def test_a_task_is_taken_over_step_by_step_and_its_former_owner_is_fenced(bench: Bench) -> None:
    await bench.running()
    assert bench.group.asked == [
        ("owners", [PLACE]),
        ("check", MEMBER),
        ("fence", "dead-a"),
        ("fence", "dead-b"),
        ("stable", [PLACE]),
        ("register", ({PLACE: 0}, ("ours-1a", "ours-1b"), MEMBER)),
    ]
    await bench.until(lambda: bench.seen.seeks == {PLACE: 0})
    assert bench.group.topic_ids == {PLACE: "id"} and bench.task.taken_over_at is not None
    await bench.until(lambda: not bench.driver._running and not bench.driver._steps)


async def test_a_worker_that_the_group_does_not_know_takes_nothing_over(bench: Bench) -> None:
    bench.group.refuses = {"check"}
    with structlog.testing.capture_logs() as logs:
        bench.grant()
        await bench.until(lambda: bench.protocol.member is None)
    assert bench.steps() == ["owners", "check"]
    assert [(entry["event"], entry["why"]) for entry in logs] == [("registration_refused", "check")]
    assert bench.seen.deaths == []


@pytest.mark.parametrize("step", ["owners", "check", "fence", "stable", "register"])
async def test_a_step_of_an_attempt_that_is_over_is_given_up(bench: Bench, step: str) -> None:
    bench.group.silent = {step}
    bench.grant()
    await bench.until(lambda: step in bench.steps())
    bench.driver.carry_out(bench.protocol.rebalancing(0.0))
    await bench.until(lambda: step in bench.group.given_up)
    assert bench.steps()[-1] == step and bench.seen.deaths == []


async def test_a_step_goes_on_whatever_else_happens_in_its_attempt(bench: Bench) -> None:
    bench.group.silent = {"stable"}
    bench.grant()
    await bench.until(lambda: "stable" in bench.steps())
    bench.driver.carry_out(bench.protocol.drifted(0.0))
    bench.group.speaks.set()
    await bench.until(lambda: bench.task.running)
    assert bench.group.given_up == []


async def test_clients_are_closed_after_what_still_uses_them(bench: Bench) -> None:
    bench.group.silent = {"let go"}
    await bench.running()
    bench.driver.carry_out(bench.protocol.rebalancing(0.0))
    await bench.until(lambda: "let go" in bench.steps())
    closing = asyncio.create_task(bench.driver.close())
    for waits in (True, False):
        await asyncio.sleep(0)
        assert (bench.protocol.letting_go, bench.producers.closed) == (waits, not waits)
        bench.group.speaks.set()
        if waits:
            await closing


async def test_a_restore_that_nobody_waits_for_any_more_is_told_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in a thread, and would go on to the end of a changelog that another owner writes to."""
    found: list[threading.Event] = []
    reads = threading.Event()

    def read(*arguments: Any) -> None:
        found.append(arguments[-1])
        reads.wait(10)

    monkeypatch.setattr(bench.topics, "read", read)
    bench.grant()
    await bench.until(lambda: found)
    [cancelled] = found
    assert not cancelled.is_set()
    bench.driver.carry_out(bench.protocol.rebalancing(0.0))
    assert cancelled.is_set()
    reads.set()


async def test_letting_go_is_not_given_up_when_the_next_attempt_begins(bench: Bench) -> None:
    await bench.running()
    bench.driver.carry_out(bench.protocol.rebalancing(0.0))
    bench.driver.carry_out(bench.protocol.granted(Membership(5, "we"), {}))
    await bench.until(lambda: "let go" in bench.steps() and not bench.protocol.letting_go)
    assert bench.group.asked[-1] == ("let go", ({PLACE: 0}, ("ours-1a", "ours-1b"), MEMBER))


async def test_the_files_of_a_task_that_went_away_are_let_go_of(bench: Bench) -> None:
    await bench.running()
    database = bench.driver.databases["task-0"]
    bench.driver.tasks = {}
    bench.driver.carry_out([act.Close("task-0")])
    await bench.until(lambda: database._store is None)


async def test_a_task_whose_sources_changed_keeps_its_files(bench: Bench) -> None:
    await bench.running()
    bench.driver.carry_out([act.Close("task-0")])
    await bench.until(lambda: not bench.driver._running)
    assert bench.driver.databases["task-0"].wanted


async def test_a_position_that_the_log_does_not_hold_ends_the_process(bench: Bench) -> None:
    bench.topics.rows = (row_of(5),)
    bench.topics.log_range = (6, 100)
    bench.grant()
    await bench.until(lambda: bench.seen.deaths)
    assert "the log begins at 6" in bench.seen.deaths[0] and not bench.task.running


async def test_files_that_cannot_be_made_end_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreFailed("no room")

    monkeypatch.setattr(bench.task.database, "restore", fail)
    with structlog.testing.capture_logs() as logs:
        bench.grant()
        await bench.until(lambda: bench.seen.deaths)
    assert bench.seen.deaths == ["no room"]
    assert "engine_failed" not in [entry["event"] for entry in logs]


async def test_rows_that_cannot_be_written_end_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreFailed("no room")

    await bench.running()
    monkeypatch.setattr(bench.task.database, "write", fail)
    with structlog.testing.capture_logs() as logs:
        await bench.offer(0, b"a")
        await bench.until(lambda: bench.seen.deaths)
    assert bench.seen.deaths == ["no room"] and logs == []


async def test_an_error_of_our_own_ends_the_process_with_its_trace_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("of no use")

    monkeypatch.setattr(bench.task.database, "restore", fail)
    with structlog.testing.capture_logs() as logs:
        bench.grant()
        await bench.until(lambda: bench.seen.deaths)
    assert bench.seen.deaths == ["the engine failed: OverflowError('of no use')"]
    assert [(entry["event"], entry["exc_info"]) for entry in logs] == [("engine_failed", True)]


@pytest.mark.parametrize(
    ("damage", "look", "says"),
    [
        ({"log_range": (0, 1)}, "logs", "the log ends at 1"),
        ({"ids": {TOPIC: "another", CHANGELOG: "the topic"}}, "logs", "it has another id"),
        ({"ids": {TOPIC: "another", CHANGELOG: "the topic"}}, "topics", "it has another id"),
        ({"ids": {TOPIC: "id", CHANGELOG: "another"}}, "topics", "'The changelog is lost'"),
    ],
)
async def test_what_is_lost_under_a_running_worker_ends_it(
    bench: Bench, damage: dict[str, Any], look: str, says: str
) -> None:
    await bench.running()
    await bench.offer(0, b"a", b"b")

    async def look_at_both() -> None:
        await bench.driver.check_topics()
        await bench.driver.check_logs(["task-0", "one that went away"])

    await look_at_both()
    assert bench.seen.deaths == []
    vars(bench.topics).update(damage)
    await (bench.driver.check_topics() if look == "topics" else bench.driver.check_logs(["task-0"]))
    assert len(bench.seen.deaths) == 1 and says in bench.seen.deaths[0]
    assert bench.task.places == {SOURCE: Position(2, "id")}
