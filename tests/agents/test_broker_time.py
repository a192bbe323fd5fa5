"""The brokers' time is heard from append times; that a clock of ours differs is a warning, nothing else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest
import structlog

from agents.broker_time import ASK_EVERY_S, BrokerTime
from streams.engine.clock import ahead_ms
from streams.system import now_ms

BROKERS_MS = 1_700_000_000_000


@dataclass
class Asking:
    """A broker time with everything that it sends."""

    sent: list[tuple[str, int]] = field(default_factory=list)
    heard: int = 0

    def made(self) -> BrokerTime:
        return BrokerTime(lambda topic, partition, value: self.sent.append((topic, partition)), self.count)

    def count(self) -> None:
        self.heard += 1


def test_it_asks_four_times_a_second_at_most_and_tells_who_waits_when_the_answer_has_come() -> None:
    asking = Asking()
    brokers = asking.made()
    assert ASK_EVERY_S == 0.25
    assert [brokers.ask(4, at, 0) for at in (10.0, 10.125, 10.25)] == [0.25, 0.125, 0.25]
    assert asking.sent == [("sku-commands", 4)] * 2
    brokers.heard(BROKERS_MS, 0.01, 11.1, BROKERS_MS)
    brokers.heard(BROKERS_MS + 50, 0.01, 11.15, BROKERS_MS + 50)
    assert asking.heard == 1
    assert brokers.clock.heard_ms == BROKERS_MS + 50


async def test_append_times_come_from_the_producers_thread() -> None:
    asking = Asking()
    brokers = asking.made()
    brokers.loop = asyncio.get_running_loop()
    brokers.ask(0, time.monotonic(), 0)
    await asyncio.to_thread(brokers.on_appended, now_ms(), 0.0)
    async with asyncio.timeout(5):
        while not asking.heard:
            await asyncio.sleep(0.001)
    assert brokers.clock.fresh(time.monotonic())


@pytest.mark.parametrize(("off_ms", "said"), [(120_000, [120.0]), (-120_000, [-120.0]), (900, []), (0, [])])
def test_a_clock_of_ours_that_differs_by_more_than_a_second_is_a_warning_with_the_figure(
    off_ms: int, said: list[float]
) -> None:
    with structlog.testing.capture_logs() as lines:
        Asking().made().heard(BROKERS_MS, 0.0, 5.0, BROKERS_MS + off_ms)
    assert [line["ahead_s"] for line in lines] == said


def test_the_warning_is_not_repeated_with_every_append_time() -> None:
    brokers = Asking().made()
    with structlog.testing.capture_logs() as lines:
        for second in range(100):
            brokers.heard(
                BROKERS_MS + 1_000 * second, 0.0, float(second), BROKERS_MS + 1_000 * second + 5_000
            )
    assert len(lines) == 1


def test_a_slow_answer_proves_nothing_about_a_clock() -> None:
    assert ahead_ms(BROKERS_MS, BROKERS_MS - 4_000, BROKERS_MS + 4_000) == 0
    assert ahead_ms(BROKERS_MS, BROKERS_MS + 6_001, BROKERS_MS + 9_000) == 6_000
    assert ahead_ms(BROKERS_MS, BROKERS_MS - 9_000, BROKERS_MS - 6_000) == -6_000
