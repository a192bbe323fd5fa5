"""The steps of taking over: what offsets, rows and logs say together, and what is asked again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import KafkaException

from streams.engine.broker.coordinators import GroupOffset
from streams.engine.broker.errors import Fenced, Refused, Unanswered
from streams.engine.changelog import RestoreTimeout
from streams.engine.ownership import Ownership
from streams.engine.ports import Position
from streams.engine.takeover import Takeover, Unrecoverable
from tests.streams.engine.driving import DEAD, MEMBER, PLACE, SOURCE, TOPIC, Clock, Group, Topics

OURS = Ownership(("a", "b"), 4)


class Taking:
    """A takeover of one source, over what the group and the topics say."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.group, self.topics, self.executor = Group(), Topics(), executor
        self.takeover = Takeover(self.group, self.topics, executor)  # type: ignore[arg-type]
        self.rows: dict[str, Position] = {}
        self.task: Any = SimpleNamespace(
            name="task-0", stages={SOURCE: None}, restore=lambda cancelled: self.rows, topic_ids={}
        )

    async def stable(self, offset: int | None, owner: Ownership | None = DEAD) -> dict[str, int]:
        self.group.found = GroupOffset(offset, owner)
        return await self.takeover.stable([SOURCE])

    async def restore(self) -> tuple[dict[str, int], frozenset[str]]:
        return await self.takeover.restore(self.task, 0, threading.Event())


@pytest.fixture
def taking() -> Iterator[Taking]:
    with ThreadPoolExecutor(3) as executor:
        yield Taking(executor)


async def test_a_source_without_an_offset_need_not_be_reached(taking: Taking) -> None:
    assert await taking.stable(None, None) == {}
    assert await taking.stable(7) == {SOURCE: 7}


@pytest.mark.parametrize(
    ("offset", "topic_id", "counts"),
    [(100, "", True), (101, "", False), (7, "id", True), (7, "former", False)],
)
async def test_an_offset_of_a_topic_that_was_deleted_need_not_be_reached(
    taking: Taking, offset: int, topic_id: str, counts: bool
) -> None:
    """It says so itself, or it is beyond the end of the log that is there now."""
    owner = Ownership(DEAD.ids, DEAD.generation, topic_id=topic_id)
    assert await taking.stable(offset, owner) == ({SOURCE: offset} if counts else {})
    assert await taking.restore() == ({SOURCE: 0}, frozenset({SOURCE}))


async def test_a_source_without_a_row_begins_where_its_log_does(taking: Taking) -> None:
    taking.topics.log_range = (3, 100)
    await taking.stable(None, None)
    assert await taking.restore() == ({SOURCE: 3}, frozenset({SOURCE}))
    assert taking.task.topic_ids == {SOURCE: "id"} and taking.group.topic_ids == {PLACE: "id"}
    taking.rows = {SOURCE: Position(5, "id")}
    assert await taking.restore() == ({SOURCE: 5}, frozenset())


@pytest.mark.parametrize(
    ("position", "says"),
    [
        (Position(2, "id"), "begins at 3"),
        (Position(3, "id"), None),
        (Position(100, "id"), None),
        (Position(101, "id"), "ends at 100"),
        (Position(7, "former"), "it has another id"),
        (Position(7), None),
    ],
)
async def test_a_position_that_its_log_does_not_hold_is_an_error(
    taking: Taking, position: Position, says: str | None
) -> None:
    taking.topics.log_range = (3, 100)
    taking.rows = {SOURCE: position}
    await taking.stable(None, None)
    with pytest.raises(Unrecoverable, match=says) if says else nullcontext():
        await taking.restore()
    with pytest.raises(Unrecoverable, match=says) if says else nullcontext():
        await taking.takeover.check_logs({SOURCE: position})


async def test_an_offset_without_an_owner_and_without_a_row_is_of_a_former_version(taking: Taking) -> None:
    await taking.stable(7, None)
    with pytest.raises(Unrecoverable, match="former version"):
        await taking.restore()
    taking.rows = {SOURCE: Position(7, "id")}
    await taking.restore()


@pytest.mark.parametrize(
    ("row", "offset", "lost"), [(None, 7, True), (6, 7, True), (7, 7, False), (8, 7, False), (6, 101, False)]
)
async def test_rows_that_stay_behind_the_offset_are_lost(
    taking: Taking, clock: Clock, row: int | None, offset: int, lost: bool
) -> None:
    """One beyond the end of the log is of a topic that was deleted, and says nothing."""
    taking.rows = {} if row is None else {SOURCE: Position(row, "id")}
    await taking.stable(offset)
    await taking.restore()
    clock.now_s += 30.1
    with pytest.raises(Unrecoverable, match=f"offset {offset}.*says {row}:") if lost else nullcontext():
        await taking.takeover.restore(taking.task, 1, threading.Event())


@pytest.mark.parametrize(
    "error",
    [Unanswered("away"), Fenced("by a step of ours"), KafkaConnectionError("broken"), TimeoutError("late")],
    ids=lambda error: type(error).__name__,
)
async def test_a_question_that_gets_no_answer_is_asked_again_and_said_in_the_log(
    taking: Taking, clock: Clock, error: Exception
) -> None:
    taking.group.errors = [error, error]
    with structlog.testing.capture_logs() as logs:
        assert await taking.takeover.owners([SOURCE], MEMBER) == {SOURCE: DEAD}
    assert [(entry["event"], entry["step"]) for entry in logs] == [("takeover_waits", "owners")] * 2
    assert clock.pauses == [1.0, 1.0]
    assert taking.takeover.took == {"owners": 2.0}
    await taking.takeover.owners([SOURCE], MEMBER)
    assert taking.takeover.took == {"owners": 0.0}, "of this attempt"


async def test_a_restore_whose_broker_is_silent_is_begun_again(taking: Taking, clock: Clock) -> None:
    tries: list[Exception] = [RestoreTimeout("silent"), KafkaException("moved")]

    def restore(_: threading.Event) -> dict[str, Position]:
        if tries:
            raise tries.pop()
        return {SOURCE: Position(5, "id")}

    taking.task.restore = restore
    await taking.stable(None, None)
    assert await taking.restore() == ({SOURCE: 5}, frozenset())
    assert clock.pauses == [1.0, 1.0]


async def test_a_third_restore_waits_for_one_of_two(taking: Taking) -> None:
    """Each may hold 128 MB of what was fetched for it."""
    began, go = list[str](), threading.Event()

    def restoring(name: str) -> Any:
        def restore(_: threading.Event) -> dict[str, Position]:
            began.append(name)
            assert go.wait(10)
            return {}

        return SimpleNamespace(**{**vars(taking.task), "name": name, "restore": restore})

    await taking.stable(None, None)
    restores = [taking.takeover.restore(restoring(name), 0, threading.Event()) for name in ("a", "b", "c")]
    waiting = asyncio.gather(*restores)
    try:
        async with asyncio.timeout(5):
            while len(began) < 2:
                await asyncio.sleep(0.001)
            await asyncio.get_running_loop().run_in_executor(taking.executor, str)  # the third thread is free
    finally:
        go.set()
    await waiting
    assert began == ["a", "b", "c"]


@pytest.mark.parametrize("error", [Refused("moved on"), Unanswered("away"), KafkaConnectionError("broken")])
async def test_letting_go_that_cannot_be_told_is_no_error(taking: Taking, error: Exception) -> None:
    taking.group.errors = [error]
    await taking.takeover.let_go({SOURCE: 5}, OURS, MEMBER, 1.0)
    assert taking.group.asked == [("register", ({PLACE: 5}, OURS.ids, MEMBER))]


async def test_a_registration_that_is_refused_is_told(taking: Taking) -> None:
    taking.group.refuses = {"register"}
    with pytest.raises(Refused):
        await taking.takeover.register({SOURCE: 5}, OURS, MEMBER)


async def test_topics_that_are_away_are_left_alone(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(topics: Iterable[str], within_s: float) -> dict[str, str]:
        raise KafkaException("there is none")

    await taking.takeover.check_topics({SOURCE: Position(5, "id")})
    taking.topics.ids[TOPIC] = "another"
    with pytest.raises(Unrecoverable, match="it has another id"):
        await taking.takeover.check_topics({SOURCE: Position(5, "id")})
    monkeypatch.setattr(taking.topics, "topic_ids", away)
    await taking.takeover.check_topics({SOURCE: Position(5, "id")})
