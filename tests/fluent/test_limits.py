"""Rate, breaker, paging: the client adapts to what Fluent bears, and never takes a part for the whole."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from fluent.client.limits import PROBE_UNDER_WAY, Breaker, Gate, full_jitter_s
from fluent.errors import BrokenPaging
from fluent.stock import Stock
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests
from tests.support.fluent import FluentSimulator


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_opens_probes_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(clock, threshold=3, first_open_s=1, max_open_s=3)
    for _ in range(2):
        breaker.failed()
    assert (breaker.state, breaker.wait_s()) == ("closed", 0)
    breaker.failed()
    assert (breaker.state, breaker.wait_s()) == ("open", 1)
    clock.now += 1
    assert (breaker.wait_s(), breaker.state) == (0, "half-open")
    breaker.passed()
    assert breaker.wait_s() == PROBE_UNDER_WAY, "one probe at a time"
    breaker.failed()
    assert (breaker.state, breaker.wait_s()) == ("open", 2)
    clock.now += 2
    assert breaker.wait_s() == 0
    breaker.passed()
    breaker.succeeded()
    assert (breaker.state, breaker.wait_s()) == ("closed", 0)
    breaker.failed()
    assert breaker.state == "closed", "failures are counted anew"


def test_the_limits_halve_once_a_second_and_recover_with_time_that_goes_well() -> None:
    clock = Clock()
    gate = Gate(100.0, 16, Breaker(clock), clock)
    for _ in range(10):
        gate.rate_limited(0)
    assert (gate.requests_per_second, gate.max_in_flight) == (50, 8)
    clock.now += 1.1
    gate.rate_limited(0)
    assert (gate.requests_per_second, gate.max_in_flight) == (25, 4)
    for _ in range(100):
        clock.now += 1
        gate.succeeded()
    assert (gate.requests_per_second, gate.max_in_flight) == (100, 16)
    for _ in range(100):
        clock.now += 2
        gate.rate_limited(0)
    assert gate.requests_per_second == 2 and gate.max_in_flight == 1, "it never stops altogether"


def test_pauses_grow_only_while_everything_is_refused() -> None:
    """Several are in flight: of each volley one is refused first, the others are answered in the pause."""
    clock = Clock()
    gate = Gate(100.0, 16, Breaker(clock), clock)
    for _ in range(6):
        clock.now += 1.5
        assert gate.paused_s == 0
        gate.rate_limited(0)
        gate.succeeded()
    for pause_s in (1, 2, 4, 8):
        clock.now += gate.paused_s
        gate.rate_limited(0)
        assert gate.paused_s == pause_s


async def test_the_gate_keeps_the_pace_and_the_number_in_flight() -> None:
    gate = Gate(200.0, 3, Breaker(time.monotonic), time.monotonic)
    highest = 0

    async def one() -> None:
        nonlocal highest
        await gate.enter()
        highest = max(highest, gate.in_flight)
        await asyncio.sleep(0.02)
        gate.succeeded()
        gate.leave()

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(41)))
    assert time.monotonic() - began >= 40 / 200 - 0.01
    assert highest == 3


def test_back_off_is_jittered_over_its_whole_range_and_bounded() -> None:
    waits = [full_jitter_s(3, base_s=0.1, cap_s=10) for _ in range(500)]
    assert 0 <= min(waits) < 0.1 and 0.7 < max(waits) <= 0.8
    assert max(full_jitter_s(50, base_s=0.1, cap_s=1) for _ in range(100)) <= 1
    assert max(full_jitter_s(0, base_s=0.1, cap_s=9, at_most_s=5) for _ in range(300)) > 1


@pytest.mark.parametrize("answer", ["429", "C0011"])
async def test_a_stricter_limit_than_configured_is_found_and_kept(
    simulator: FluentSimulator, new_gateway: NewGateway, answer: str
) -> None:
    """Configured for 300 a second, allowed 5: everything is answered, however often it is refused."""
    simulator.control(requests_per_second=5, rate_limit_answer=answer, retry_after_seconds=1)
    gateway = new_gateway(requests_per_second=300.0)
    operation = gateway.profile.operations["catalogue"].operation
    calls = [gateway.client.call(operation, {"ref": "DEFAULT:1"}) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert all(found["catalogue"]["ref"] == "DEFAULT:1" for found in answers)
    assert gateway.meters.rate_share < 0.9
    assert gateway.meters.http_requests["Catalogue", "RateLimited"] < 40


async def test_an_outage_is_probed_not_hammered_and_ends_by_itself(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(max_retries=20)
    await gateway.client.log_in()
    simulator.control(failing=503)
    waiting = [asyncio.create_task(gateway.handle(Requests(f"ONE-{n}").hold(1))) for n in range(520, 530)]
    deadline = time.monotonic() + 10
    while gateway.meters.breaker == "closed" and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.0)
    assert gateway.meters.http_requests.total() < 30
    simulator.control(failing=0)
    assert None not in await asyncio.gather(*waiting)
    assert gateway.meters.breaker == "closed"


class Pages(Stock):
    """Pages as a faulty server might give them: cursors by page."""

    def __init__(self, cursors: list[str | None]) -> None:
        self._fixed: dict[str, Any] = {"sku": "SKU"}
        self.profile: Any = type("Profile", (), {"page_size": 2})
        self._cursors = iter(cursors)

    async def read(self, name: str, **values: Any) -> Any:
        return {"nodes": [{"position": values["after"]}], "cursor": next(self._cursors), "more": True}


@pytest.mark.parametrize("cursors", [["A", "A"], ["A", "B", "A"], [None]])
async def test_a_cursor_that_is_stuck_repeated_or_missing_raises(cursors: list[str | None]) -> None:
    with pytest.raises(BrokenPaging):
        await Pages(cursors).pages("positions")
