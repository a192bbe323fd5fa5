"""Rows that fall short of the group's offsets: markers are waited for, a changelog that is lost is not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from streams.engine.broker.coordinators import GroupOffset
from streams.engine.ownership import Ownership
from streams.engine.ports import Position
from streams.engine.takeover import Takeover, Unrecoverable
from tests.streams.engine.driving import Clock

SOURCE = "order-placed/0"


def takeover(offset: int) -> Takeover:
    coordinators: Any = SimpleNamespace(topic_ids={})
    made = Takeover(coordinators, reader=SimpleNamespace(), executor=ThreadPoolExecutor(1))  # type: ignore[arg-type]
    made._found = {("order-placed", 0): GroupOffset(offset, Ownership(("a",), 1))}
    made._logs = {("order-placed", 0): (0, 100)}
    made._topic_ids = {"order-placed": ""}
    return made


def task(rows: dict[str, Position]) -> Any:
    return SimpleNamespace(name="task-0", stages={SOURCE: None}, restore=lambda cancelled: rows, topic_ids={})


async def test_rows_that_a_changelog_has_lost_are_waited_for_for_half_a_minute_and_not_in_a_storm(
    clock: Clock,
) -> None:
    taking = takeover(17)
    with pytest.raises(Unrecoverable, match="'The changelog is lost'"):
        for again in range(1_000):
            await taking.restore(task({}), again, threading.Event())
    assert 30 < clock.now_s < 33
    assert clock.pauses[:3] == [0.05, 0.1, 0.2] and len(clock.pauses) < 50


async def test_rows_that_come_late_are_taken(clock: Clock) -> None:
    taking = takeover(17)
    await taking.restore(task({}), 0, threading.Event())
    rows = {SOURCE: Position(17)}
    assert await taking.restore(task(rows), 1, threading.Event()) == ({SOURCE: 17}, frozenset())


async def test_an_offset_keeps_the_topic_of_its_position_when_another_task_finds_the_topic_replaced() -> None:
    """Seen by simulation: the former topic's offset passed for one of the new topic. After the position had
    been given up, as docs/operations.md says, the changelog was said to be lost."""
    topic_id = "first"
    one, other = ("order-placed", 0), ("order-placed", 1)

    async def offsets(partitions: list[Any], **_: Any) -> dict[Any, GroupOffset]:
        return {each: GroupOffset(None, None) for each in partitions}

    coordinators: Any = SimpleNamespace(topic_ids={}, offsets=offsets)
    reader: Any = SimpleNamespace(
        log_ranges=lambda partitions: dict.fromkeys(partitions, (0, 100)),
        topic_ids=lambda topics, within_s: dict.fromkeys(topics, topic_id),
    )
    taking = Takeover(coordinators, reader, ThreadPoolExecutor(1))
    await taking.stable([SOURCE])
    await taking.restore(task({}), 0, threading.Event())
    topic_id = "second"
    await taking.stable(["order-placed/1"])
    assert coordinators.topic_ids == {one: "first"}
    elsewhere = SimpleNamespace(**{**vars(task({})), "name": "task-1", "stages": {"order-placed/1": None}})
    await taking.restore(elsewhere, 0, threading.Event())  # type: ignore[arg-type]
    assert coordinators.topic_ids == {one: "first", other: "second"}
