"""A gateway that dies at any call, before or after the call reached Fluent: the next one completes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from fluent import Gateway
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed, SettleConfirmed, Verified
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

MAX_CALLS = 40

before_or_after = pytest.mark.parametrize("deliver", [False, True], ids=["before", "after"])
who_books = pytest.mark.parametrize("sale", [False, True], ids=["order-flow", "sale"])

Asks = Callable[[Requests], FluentRequest]
Deaths = Callable[..., AsyncIterator[tuple[Requests, FluentRequest]]]


@pytest.fixture
def deaths(gateway: Gateway, new_gateway: NewGateway, numbers: Iterator[int]) -> Deaths:
    """`deaths(asks, deliver, *first)`: for each call that the request of `asks` makes, a reservation whose
    gateway died at that call, after `first` was done for it. Each SKU has 60 + 60 units."""

    async def each(asks: Asks, deliver: bool, *first: Asks) -> AsyncIterator[tuple[Requests, FluentRequest]]:
        for cut_at in range(MAX_CALLS):
            requests = Requests(f"TWO-{next(numbers):03d}")
            for done in first:
                await gateway.handle(done(requests))
            request, network = asks(requests), Network(cut_at=cut_at, deliver=deliver)
            dying = new_gateway(transport=network, max_retries=0)
            answer = await dying.handle(request)
            await dying.aclose()
            if network.calls <= cut_at:
                return
            assert answer is None
            yield requests, request

    return each


def hold(requests: Requests) -> FluentRequest:
    return requests.hold(100)


@before_or_after
async def test_a_hold_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator, gateway: Gateway, deaths: Deaths, deliver: bool
) -> None:
    died = 0
    async for requests, request in deaths(hold, deliver):
        died += 1
        assert await gateway.handle(request) == HoldConfirmed(requests.promotion, requests.sku, 1, 100)
        assert sum(live(simulator, requests.sku).values()) == 100
        assert simulator.truth(requests.sku)["available"] == 20
    assert died >= 6


@before_or_after
async def test_stock_that_goes_elsewhere_while_a_hold_is_dead_is_never_taken_twice(
    simulator: FluentSimulator, gateway: Gateway, deaths: Deaths, deliver: bool
) -> None:
    seen = set()
    async for requests, request in deaths(hold, deliver):
        simulator.sell(requests.sku, 40)
        oversold_before_the_hold_was_confirmed = simulator.truth(requests.sku)["available"] < 0
        answer = await gateway.handle(request)
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


@who_books
@before_or_after
async def test_a_settle_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator, gateway: Gateway, deaths: Deaths, deliver: bool, sale: bool
) -> None:
    died = 0
    async for requests, request in deaths(lambda each: each.settle(30, 70, sale=sale), deliver, hold):
        died += 1
        assert await gateway.handle(request) == SettleConfirmed(requests.promotion, requests.sku, 2, 30)
        truth = simulator.truth(requests.sku)
        assert truth["held"] == 30
        assert truth["booked"] == (70 if sale else 0)
        # Sold units are never on sale: 20 were free before, with "order-flow" Fluent has yet to book.
        if sale:
            marks = simulator.journal(sku=requests.sku)["marks"][requests.sku]
            assert truth["available"] == 20 and marks["minAvailable"] >= 0
    assert died >= (5 if sale else 2)


@who_books
@before_or_after
async def test_a_release_that_died_at_any_call_is_completed_by_the_next_run(
    simulator: FluentSimulator, gateway: Gateway, deaths: Deaths, deliver: bool, sale: bool
) -> None:
    died = 0
    async for requests, request in deaths(lambda each: each.release(70, sale=sale), deliver, hold):
        died += 1
        assert await gateway.handle(request) == ReleaseConfirmed(requests.promotion, requests.sku, 2)
        truth = simulator.truth(requests.sku)
        assert truth["held"] == 0
        assert truth["available"] == (50 if sale else 120)
        verified = await gateway.handle(requests.verify(0, 70, closed=True, sale=sale))
        assert isinstance(verified, Verified) and verified.drift_units == 0
    assert died >= (5 if sale else 3)
