"""Many SKUs at once: few requests, flat memory, and the same result with faults of every kind."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import psutil
import pytest

from fluent import Gateway, RequestQueue
from streams.ledger.commands import HoldConfirmed, ReleaseConfirmed, SettleConfirmed, Verified
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.support import Requests, options_for
from tests.support.fluent import FluentSimulator

REQUESTS_PER_SKU = 50 * 60 / 10_000
"""What a limit of 50 requests a second leaves for 10,000 SKUs in a minute: 0.3."""


@pytest.mark.slow
async def test_a_large_promotion_is_held_within_its_share_of_requests_and_time_and_with_flat_memory() -> None:
    """A tenth of 10,000 SKUs at 100 ms latency and 50 requests/s: a tenth of the requests of a minute."""
    skus = 1_000
    stock = {f"S-{number}": {"LOC-1": 60} for number in range(skus)}
    with FluentSimulator(stock, latency_ms=100, requests_per_second=50) as simulator:
        options = options_for(simulator, requests_per_second=50.0, call_timeout_s=10.0)
        async with Gateway(options) as gateway:
            queue = RequestQueue(gateway, check_documents=False)
            answers: list[Any] = []
            for number in range(skus):
                assert queue.submit(Requests(f"S-{number}").hold(10), answers.append)
            while len(answers) < skus / 4:
                await asyncio.sleep(0.05)
            early = psutil.Process().memory_info().rss
            await queue.drain()
            growth = psutil.Process().memory_info().rss - early
            await queue.close()
        assert {type(answer) for answer in answers} == {HoldConfirmed} and len(answers) == skus
        assert gateway.meters.http_requests.total() <= skus * REQUESTS_PER_SKU
        assert gateway.meters.rate_share > 0.9, "the limit was kept, not run into"
        assert growth < 8 * 1024 * 1024
        assert all(figures["held"] == 10 for figures in simulator.truth().values())


async def ask_until_answered(queue: RequestQueue, request: FluentRequest) -> Any:
    """What the ledger does with an unanswered request: it asks again."""
    answers: list[Any] = []
    deadline = time.monotonic() + 60
    while not answers:
        assert time.monotonic() < deadline, f"no answer to {request}"
        done = asyncio.Event()
        queue.submit(request, answers.append, done.set)
        await done.wait()
    return answers[0]


@pytest.mark.slow
@pytest.mark.parametrize("sale", [False, True], ids=["order-flow", "sale"])
async def test_with_faults_of_every_kind_fluent_ends_as_the_ledger_says(sale: bool) -> None:
    skus = 16
    stock = {f"S-{number}": {"LOC-1": 60, "LOC-2": 60} for number in range(skus)}
    faults: dict[str, Any] = {
        "fault_rate": 0.1,
        "hang_ms": 1_000,
        "late_ms": 200,
        "stale_ms": 300,
    }
    with FluentSimulator(stock, seed=7, retry_after_seconds=0, drip_ms=20, **faults) as simulator:
        options = options_for(simulator, call_timeout_s=0.8, read_back_pause_s=0.4, requests_per_second=200.0)
        async with Gateway(options) as gateway:
            for mapped in gateway.profile.operations.values():
                mapped.operation.batch = 2  # small batches: more requests, so more faults
            queue = RequestQueue(gateway, check_documents=False)

            async def sell(number: int) -> int:
                sku, sold = Requests(f"S-{number}"), random.Random(number).randrange(101)
                assert isinstance(await ask_until_answered(queue, sku.hold(100)), HoldConfirmed)
                for part in (sold // 2, sold):
                    settled = await ask_until_answered(queue, sku.settle(100 - part, part, sale=sale))
                    assert isinstance(settled, SettleConfirmed)
                released = await ask_until_answered(queue, sku.release(sold, sale=sale))
                assert isinstance(released, ReleaseConfirmed)
                # The late ones land, then the ledger has the closed hold verified.
                await asyncio.sleep(0.5)
                verified = await ask_until_answered(queue, sku.verify(0, sold, closed=True, sale=sale))
                assert isinstance(verified, Verified)
                return sold

            sold = await asyncio.gather(*(sell(number) for number in range(skus)))
            await queue.close()
        assert len([kind for kind, count in simulator.control()["faults"].items() if count]) >= 8
        for number, units in enumerate(sold):
            truth = simulator.truth(f"S-{number}")
            assert truth["held"] == 0
            assert truth["booked"] == (units if sale else 0)
