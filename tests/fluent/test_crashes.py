"""A gateway that dies at any call, before or after the call reached Fluent: the next one completes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluent import Gateway
from streams.ledger.commands import (
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    SettleConfirmed,
    SkuCommand,
    Verified,
)
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

MAX_CALLS = 40


@pytest.fixture
def fresh(numbers: Iterator[int]) -> Iterator[Requests]:
    """Reservations of SKUs with 60 + 60 units, one after the other."""
    return (Requests(f"TWO-{number:03d}") for number in numbers)


async def run_dying(
    new_gateway: NewGateway, request: FluentRequest, cut_at: int, *, deliver: bool
) -> tuple[bool, SkuCommand | None]:
    """Runs a request on a gateway that dies at a call. Whether it got that far, and what it said."""
    network = Network(cut_at=cut_at, deliver=deliver)
    gateway = new_gateway(transport=network, max_retries=0)
    answer = await gateway.handle(request)
    await gateway.aclose()
    return network.calls > cut_at, answer


@pytest.mark.parametrize("deliver", [False, True], ids=["before", "after"])
async def test_a_hold_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    fresh: Iterator[Requests],
    deliver: bool,
) -> None:
    died = 0
    for cut_at in range(MAX_CALLS):
        requests = next(fresh)
        hold = requests.hold(100)
        dead, answer = await run_dying(new_gateway, hold, cut_at, deliver=deliver)
        if not dead:
            break
        died += 1
        assert answer is None
        assert await gateway.handle(hold) == HoldConfirmed(requests.promotion, requests.sku, 1, 100)
        assert sum(live(simulator, requests.sku).values()) == 100
        assert simulator.truth(requests.sku)["available"] == 20
    assert died >= 6


@pytest.mark.parametrize("deliver", [False, True], ids=["before", "after"])
async def test_stock_that_goes_elsewhere_while_a_hold_is_dead_is_never_taken_twice(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    fresh: Iterator[Requests],
    deliver: bool,
) -> None:
    seen = set()
    for cut_at in range(MAX_CALLS):
        requests = next(fresh)
        hold = requests.hold(100)
        dead, _ = await run_dying(new_gateway, hold, cut_at, deliver=deliver)
        if not dead:
            break
        simulator.sell(requests.sku, 40)
        oversold_before_the_hold_was_confirmed = simulator.truth(requests.sku)["available"] < 0
        answer = await gateway.handle(hold)
        seen.add(type(answer))
        truth = simulator.truth(requests.sku)
        if isinstance(answer, HoldFailed):
            assert answer.reason == "INSUFFICIENT_INVENTORY"
            assert truth["held"] == 0 and truth["available"] == 80
        else:
            # Only a hold whose confirmation had already been written stands against a later sale.
            assert isinstance(answer, HoldConfirmed) and oversold_before_the_hold_was_confirmed
            assert truth["held"] == 100 and deliver
    assert HoldFailed in seen


@pytest.mark.parametrize("sale", [False, True], ids=["order-flow", "sale"])
@pytest.mark.parametrize("deliver", [False, True], ids=["before", "after"])
async def test_a_settle_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    fresh: Iterator[Requests],
    deliver: bool,
    sale: bool,
) -> None:
    died = 0
    for cut_at in range(MAX_CALLS):
        requests = next(fresh)
        await gateway.handle(requests.hold(100))
        settle = requests.settle(30, 70, sale=sale)
        dead, answer = await run_dying(new_gateway, settle, cut_at, deliver=deliver)
        if not dead:
            break
        died += 1
        assert answer is None
        assert await gateway.handle(settle) == SettleConfirmed(requests.promotion, requests.sku, 2, 30)
        truth = simulator.truth(requests.sku)
        assert truth["held"] == 30
        assert truth["booked"] == (70 if sale else 0)
        # Sold units are never on sale: 20 were free before, with "order-flow" Fluent has yet to book.
        if sale:
            marks = simulator.journal(sku=requests.sku)["marks"][requests.sku]
            assert truth["available"] == 20 and marks["minAvailable"] >= 0
    assert died >= (5 if sale else 2)


@pytest.mark.parametrize("sale", [False, True], ids=["order-flow", "sale"])
@pytest.mark.parametrize("deliver", [False, True], ids=["before", "after"])
async def test_a_release_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    fresh: Iterator[Requests],
    deliver: bool,
    sale: bool,
) -> None:
    died = 0
    for cut_at in range(MAX_CALLS):
        requests = next(fresh)
        await gateway.handle(requests.hold(100))
        release = requests.release(70, sale=sale)
        dead, answer = await run_dying(new_gateway, release, cut_at, deliver=deliver)
        if not dead:
            break
        died += 1
        assert answer is None
        assert await gateway.handle(release) == ReleaseConfirmed(requests.promotion, requests.sku, 2)
        truth = simulator.truth(requests.sku)
        assert truth["held"] == 0
        assert truth["available"] == (50 if sale else 120)
        verified = await gateway.handle(requests.verify(0, 70, closed=True, sale=sale))
        assert isinstance(verified, Verified) and verified.drift_units == 0
    assert died >= (5 if sale else 3)
