"""Calls whose time, caller or client is over are not sent, and keep nobody waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fluent.client import Operation
from fluent.client.batching import SMALLER_FOR_S, Batcher, Results
from fluent.client.limits import Breaker, Gate
from fluent.errors import BudgetSpent, TooComplex
from fluent.meters import Meters
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests


async def test_a_client_that_is_closed_leaves_no_call_waiting(new_gateway: NewGateway) -> None:
    gateway = new_gateway(requests_per_second=0.1)
    operation = gateway.profile.operations["catalogue"].operation
    calls = [asyncio.create_task(gateway.client.call(operation, {"ref": "DEFAULT:1"})) for _ in range(4)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    await gateway.aclose()
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 2)
    assert sum(isinstance(result, BudgetSpent) for result in results) >= 2
    with pytest.raises(BudgetSpent):
        await gateway.client.call(operation, {"ref": "DEFAULT:1"})


class Refusing:
    """A request in place of HTTP: each has an answer only when it may, and more than one call is too much."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.sent: list[int] = []

    async def __call__(self, _: Operation, calls: list[dict[str, Any]], __: str) -> Results:
        self.sent.append(len(calls))
        await self.may.wait()
        return [TooComplex("too much")] * len(calls) if len(calls) > 1 else [{"part": {}}]


def batcher(send: Refusing, gate: Gate) -> Batcher:
    return Batcher(send, gate, Meters(), 1_000_000, time.monotonic)


TWO_CALLS = Operation("two", "query Two($a: Int) { part(a: $a) { ref } }", batch=2)


@pytest.mark.parametrize("over", ["their time", "the client", "their callers"])
async def test_calls_that_are_to_be_sent_again_in_smaller_batches_are_not_when_it_is_over(over: str) -> None:
    """Seen: they waited without a bound, as long as an outage lasted, and were sent after all of that."""
    send, gate = Refusing(), Gate(1_000.0, 2, Breaker(time.monotonic), time.monotonic)
    sender = batcher(send, gate)
    first = asyncio.create_task(sender.call(TWO_CALLS, {"a": 0}, time.monotonic() + 60))
    await _until(lambda: send.sent == [1])
    await gate.enter()
    deadline = time.monotonic() + (0.2 if over == "their time" else 60)
    both = [asyncio.create_task(sender.call(TWO_CALLS, {"a": a}, deadline)) for a in (1, 2)]
    await asyncio.sleep(0)
    gate.leave()
    await _until(lambda: send.sent == [1, 2])
    closing = None
    if over == "their time":
        await _until(lambda: time.monotonic() > deadline)
        gate.pause(60)
    elif over == "the client":
        closing = asyncio.create_task(sender.close())
    else:
        for task in both:
            task.cancel()
    await asyncio.wait(both, timeout=0.05)
    send.may.set()
    ended = await asyncio.wait_for(asyncio.gather(*both, return_exceptions=True), 5)
    kind = asyncio.CancelledError if over == "their callers" else BudgetSpent
    assert [type(each) for each in ended] == [kind] * 2
    await first
    for _ in range(50):
        await asyncio.sleep(0)  # nothing here waits for more than its turn
    assert send.sent == [1, 2]
    await (closing or sender.close())


async def test_a_batch_that_was_too_large_for_a_moment_is_tried_as_large_again_some_time_later() -> None:
    """Seen: one 413 of a proxy halved the batches until the worker was started again."""
    now, send, gate = [0.0], Refusing(), Gate(1_000.0, 1, Breaker(time.monotonic), time.monotonic)
    send.may.set()
    sender = Batcher(send, gate, Meters(), 1_000_000, lambda: now[0])

    async def two_at_once() -> list[int]:
        send.sent.clear()
        await gate.enter()
        calls = [asyncio.create_task(sender.call(TWO_CALLS, {"a": a}, 1e9)) for a in (1, 2)]
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.wait_for(asyncio.gather(*calls), 5)
        return list(send.sent)

    assert await two_at_once() == [2, 1, 1]
    assert await two_at_once() == [1, 1]
    now[0] = SMALLER_FOR_S
    assert await two_at_once() == [2, 1, 1]
    await sender.close()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_client_that_is_closed_waits_for_one_try_of_a_login_and_begins_no_other(
    new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: a worker that was to stop waited for each of the tries, 40 s and more."""
    tries: list[float] = []

    class Silent(Network):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            tries.append(time.monotonic())
            await asyncio.sleep(60)
            raise AssertionError

    gateway = new_gateway(transport=Silent(), call_timeout_s=0.5, max_retries=10, backoff_cap_s=30.0)
    asked = asyncio.create_task(gateway.handle(one.hold(10)))
    await _until(lambda: len(tries) == 1)
    await asyncio.wait_for(gateway.aclose(), 5)
    assert await asyncio.wait_for(asked, 5) is None
    assert len(tries) == 1


async def test_a_caller_that_gives_up_keeps_no_slot_and_no_turn() -> None:
    gate = Gate(1_000.0, 1, Breaker(time.monotonic), time.monotonic)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.leave()
    await asyncio.wait_for(gate.enter(), 2)
    assert gate.in_flight == 1
