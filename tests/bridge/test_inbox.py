"""Reading that fails begins again, and until it has caught up nobody is told that figures move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

import bridge.inbox
from bridge.inbox import TELL_EVERY_S, Inbox, Unreadable
from bridge.service import Bridge
from streams.settings import load_settings
from tests.bridge.sale.told import NOW_MS, arrival, outcome


class Broker:
    """A consumer's view of one whose topics are empty, and cannot be read while `fails`."""

    fails = False

    def list_topics(self, name: str, timeout: float) -> Any:
        return SimpleNamespace(topics={name: SimpleNamespace(partitions={0: None})})

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        pass

    def consume(self, most: int, timeout: float) -> list[Any]:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, "no such topic"))
        return []

    def close(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_figures_stand_still_while_the_topics_cannot_be_read_and_events_are_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    monkeypatch.setattr(bridge.inbox, "Consumer", lambda _: broker)
    monkeypatch.setattr(bridge.inbox, "PAUSE_S", 0.001)
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "DATA_DIR": str(tmp_path)})
    service = Bridge(settings)
    service._inbox = inbox = Inbox(settings, lambda _: None, lambda: None)
    assert "not read yet" in service.stands_still()
    await until(lambda: inbox.is_current)
    assert not service.stands_still() and not service.not_ready()
    broker.fails = True
    await until(lambda: not inbox.is_current)
    assert "cannot be read" in service.stands_still() and not service.not_ready()
    broker.fails = False
    await until(lambda: inbox.is_current)
    assert not service.stands_still()
    await inbox.stop()
    service.status.close()


def test_what_is_read_from_the_past_is_no_speed_however_young_it_is(tmp_path: Path) -> None:
    service = Bridge(load_settings({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "DATA_DIR": str(tmp_path)}))
    service.sales.settle(NOW_MS, is_caught_up=False)
    answer = arrival("order-outcomes", outcome("O"), NOW_MS - 30_000)
    speeds = []
    for is_current in (False, True):
        service._inbox = cast(Inbox, SimpleNamespace(is_current=is_current))
        service._arrived([answer])
        service.sales.tick()
        speeds.append(service.sales.rates("P").per_second)
    assert speeds == [0, 0.5]
    service.status.close()


def test_why_nothing_can_be_read_is_said_once_and_again_when_it_changes_or_lasts() -> None:
    now = [0.0]
    unreadable = Unreadable(lambda: now[0])
    with capture_logs() as logs:
        for _ in range(50):
            unreadable.tell("no leader")
            now[0] += 1
        unreadable.tell("no broker")
        now[0] += TELL_EVERY_S
        unreadable.tell("no broker")
    assert [(line["error"], line["kept_back"]) for line in logs] == [
        ("no leader", 0),
        ("no broker", 49),
        ("no broker", 0),
    ]
