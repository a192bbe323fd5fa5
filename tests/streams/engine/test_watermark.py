"""The watermark moves on when it is wanted, and its questions are few."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from streams.engine import watermark as module
from streams.engine.barrier import Logs, Partition
from streams.engine.watermark import APART_S, Watermark

ORDERS = ("order-placed", 0)
COMMANDS = ("order-commands", 0)


@dataclass
class Brokers:
    """Answers for the brokers, and notes what was asked and when."""

    ends: dict[Logs, dict[Partition, int | None]] = field(
        default_factory=lambda: {Logs.INPUTS: {ORDERS: 10}, Logs.COMMANDS: {COMMANDS: 4}}
    )
    positions: dict[Partition, int | None] = field(default_factory=lambda: {ORDERS: 10, COMMANDS: 4})
    began: list[float] = field(default_factory=list)
    looks: int = 0
    deaths: list[str] = field(default_factory=list)

    async def log_ends(self, logs: Logs) -> Mapping[Partition, int | None]:
        if logs is Logs.INPUTS:
            self.began.append(time.monotonic())
        return self.ends[logs]

    async def group_positions(self, partitions: tuple[Partition, ...]) -> Mapping[Partition, int | None]:
        self.looks += 1
        return {each: self.positions[each] for each in partitions}

    def watermark(self) -> Watermark:
        return Watermark(self.log_ends, self.group_positions, self.deaths.append)


async def reached(watermark: Watermark, at_ms: int) -> None:
    async with asyncio.timeout(10):
        while watermark.ms < at_ms:
            await asyncio.sleep(0.001)


async def test_a_quiet_system_passes_a_time_at_once_and_tells_who_waits() -> None:
    brokers, told = Brokers(), asyncio.Event()
    watermark = brokers.watermark()
    watermark.on_passed = told.set
    watermark.want(5_000)
    async with asyncio.timeout(APART_S / 2):
        await told.wait()
    assert watermark.ms == 5_000
    assert (len(brokers.began), brokers.looks) == (1, 2)


async def test_nothing_is_asked_while_nobody_waits_for_a_time_to_come() -> None:
    brokers = Brokers()
    watermark = brokers.watermark()
    watermark.want(5_000)
    await reached(watermark, 5_000)
    watermark.want(4_000)
    watermark.want(5_000)
    await asyncio.sleep(0.05)
    assert len(brokers.began) == 1


async def test_barriers_begin_some_time_apart_and_serve_all_that_asked_meanwhile() -> None:
    brokers = Brokers()
    watermark = brokers.watermark()
    watermark.want(5_000)
    await reached(watermark, 5_000)
    for at_ms in (6_000, 7_000, 8_000):
        watermark.want(at_ms)
    await reached(watermark, 8_000)
    assert len(brokers.began) == 2
    assert brokers.began[1] - brokers.began[0] >= APART_S


async def test_a_blocked_barrier_says_what_it_waits_for_and_passes_when_that_is_decided() -> None:
    brokers = Brokers()
    brokers.positions[ORDERS] = 3
    watermark = brokers.watermark()
    watermark.want(5_000)
    watermark.want(5_000)
    async with asyncio.timeout(5):
        while not watermark.behind:
            await asyncio.sleep(0.001)
    assert watermark.behind == {ORDERS: 7}
    assert watermark.ms == 0
    brokers.positions[ORDERS] = 10
    await reached(watermark, 5_000)
    assert watermark.behind == {}
    assert len(brokers.began) == 1


async def test_a_watermark_that_is_closed_asks_nothing_more() -> None:
    brokers = Brokers()
    watermark = brokers.watermark()
    watermark.close()
    brokers.positions[ORDERS] = 3
    watermark.want(5_000)
    async with asyncio.timeout(5):
        while not watermark.behind:
            await asyncio.sleep(0.001)
        watermark.close()
        while watermark._moving is not None:
            await asyncio.sleep(0.001)
    assert (watermark.ms, watermark.behind, brokers.deaths) == (0, {}, [])


async def test_a_time_that_nobody_wants_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers()
    brokers.positions[ORDERS] = 3
    watermark = brokers.watermark()
    monkeypatch.setattr(module, "WANTED_FOR_S", 0.2)
    watermark.want(5_000)
    async with asyncio.timeout(5):
        while watermark._moving is not None:
            await asyncio.sleep(0.01)
    looks = brokers.looks
    await asyncio.sleep(0.1)
    assert (brokers.looks, watermark.ms) == (looks, 0)


async def test_an_error_that_nobody_expected_ends_the_process_rather_than_leaving_time_to_stand() -> None:
    brokers = Brokers()
    brokers.positions.clear()
    watermark = brokers.watermark()
    watermark.want(5_000)
    async with asyncio.timeout(5):
        while not brokers.deaths:
            await asyncio.sleep(0.001)
    assert "KeyError" in brokers.deaths[0]
