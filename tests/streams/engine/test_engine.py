"""The engine on a real broker: what is left of a take-over that a rebalance or a failure interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.topics import ORDER_COMMANDS, TASK_CHANGELOG
from streams.engine.engine import Engine, EngineOptions
from tests.streams.engine.kit import Counting, Recorder
from tests.support.kafka import KafkaUnderTest

Make = Callable[..., Engine]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, recorder: Recorder) -> Make:
    def engine(*topics: str) -> Engine:
        client: dict[str, Any] = {"bootstrap.servers": kafka.bootstrap}
        admin = AdminClient(client)
        wanted = [NewTopic(topic_prefix + topic, 1, 1) for topic in topics]
        for future in admin.create_topics(wanted).values():
            future.result(20)
        options = EngineOptions(client, topic_prefix, tmp_path)
        return Engine(options, {ORDER_COMMANDS: Counting()}, {}, recorder, recorder.deaths.append)

    return engine


def source(engine: Engine) -> tuple[str, int]:
    return engine.options.wire_name(ORDER_COMMANDS), 0


async def nowhere(topic: str, partition: int, offset: int | None) -> None:
    """Seeks nothing: no consumer takes part here."""


async def test_a_rebalance_that_begins_during_a_take_over_leaves_the_engine_suspended(make: Make) -> None:
    engine = make(ORDER_COMMANDS, TASK_CHANGELOG)
    opening = asyncio.create_task(engine.open([source(engine)], 1, nowhere))
    await asyncio.sleep(0)
    await engine.suspend()
    await opening
    while_it_runs = engine.generation
    await engine.open([source(engine)], 2, nowhere)
    assert (while_it_runs, engine.generation) == (None, 2)
    engine.flowing = True  # what the host says once it has resumed
    assert engine.ready
    await engine.close()


async def test_a_take_over_that_fails_ends_the_process(make: Make, recorder: Recorder) -> None:
    engine = make(ORDER_COMMANDS)  # without a changelog nothing can be restored
    with pytest.raises(KafkaException):
        await engine.open([source(engine)], 1, nowhere)
    assert len(recorder.deaths) == 1
    assert "taking over tasks failed" in recorder.deaths[0]
