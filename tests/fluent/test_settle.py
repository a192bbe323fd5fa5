"""Settle and release: in no moment is a sold unit on sale again, read from the simulator at every change."""

from __future__ import annotations

import pytest

from fluent import Gateway
from streams.ledger.commands import (
    HoldConfirmed,
    ReleaseConfirmed,
    ReleaseFailed,
    SettleConfirmed,
    SettleFailed,
)
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live, written
from tests.support.fluent import FluentSimulator


def highest_available(simulator: FluentSimulator, sku: str, after: int) -> int:
    entries = simulator.journal(after, sku)["entries"]
    return max(int(entry["available"]) for entry in entries)


async def test_with_order_flow_the_hold_shrinks_by_what_fluent_booked(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    await gateway.handle(two.hold(100))
    after = simulator.journal()["last"]
    for index, consumed in enumerate((10, 45, 100)):
        simulator.order(f"{two.sku}-{index}", [{"sku": two.sku, "quantity": consumed - (0, 10, 45)[index]}])
        answer = await gateway.handle(two.settle(100 - consumed, consumed))
        assert answer == SettleConfirmed(two.promotion, two.sku, two.number, 100 - consumed)
        truth = simulator.truth(two.sku)
        assert (truth["held"], truth["booked"], truth["available"]) == (100 - consumed, consumed, 20)
    assert await gateway.handle(two.release(100)) == ReleaseConfirmed(two.promotion, two.sku, 5)
    assert highest_available(simulator, two.sku, after) == 20


async def test_with_sale_the_booking_comes_before_the_hold_shrinks(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    await gateway.handle(two.hold(100))
    after = simulator.journal()["last"]
    for consumed in (10, 45, 80):
        await gateway.handle(two.settle(100 - consumed, consumed, sale=True))
        truth = simulator.truth(two.sku)
        assert (truth["held"], truth["booked"], truth["available"]) == (100 - consumed, consumed, 20)
    assert highest_available(simulator, two.sku, after) == 20
    await gateway.handle(two.release(85, sale=True))
    truth = simulator.truth(two.sku)
    assert (truth["held"], truth["booked"], truth["available"]) == (0, 85, 35)
    # Ending the parts gives back what was not sold, and at no moment more.
    assert highest_available(simulator, two.sku, after) == 35


async def test_a_cancel_after_a_settle_gives_the_units_back_to_the_hold_not_to_the_shop(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    await gateway.handle(two.hold(100))
    await gateway.handle(two.settle(20, 80, sale=True))
    after = simulator.journal()["last"]
    await gateway.handle(two.settle(50, 50, sale=True))
    truth = simulator.truth(two.sku)
    assert (truth["held"], truth["booked"], truth["available"]) == (50, 50, 20)
    assert highest_available(simulator, two.sku, after) <= 20


async def test_a_sale_that_a_stock_count_has_absorbed_is_not_booked_twice(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    """The count (70 on the shelf) ends the SALE of 30; only what is sold afterwards is booked, anew."""
    await gateway.handle(one.hold(100))
    await gateway.handle(one.settle(70, 30, sale=True))
    simulator.stock_batch({one.sku: {"LOC-1": 70}})
    assert simulator.truth(one.sku)["available"] == 0
    await gateway.handle(one.settle(60, 40, sale=True))
    truth = simulator.truth(one.sku)
    assert (truth["held"], truth["booked"], truth["available"]) == (60, 10, 0)
    await gateway.handle(one.release(40, sale=True))
    assert simulator.truth(one.sku)["available"] == 60


async def test_a_repeated_settle_or_release_writes_nothing(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    await gateway.handle(two.hold(100))
    settle, release = two.settle(30, 70, sale=True), two.release(70, sale=True)
    await gateway.handle(settle)
    changes = simulator.journal()["last"]
    await gateway.handle(settle)
    assert written(simulator, changes, two.sku) == []
    await gateway.handle(release)
    changes = simulator.journal()["last"]
    assert await gateway.handle(release) == ReleaseConfirmed(two.promotion, two.sku, 3)
    assert written(simulator, changes, two.sku) == []


async def test_a_fully_consumed_hold_is_ended_too(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    await gateway.handle(one.settle(0, 100))
    assert live(simulator, one.sku) == {f"{one.ref}-1": 0}
    await gateway.handle(one.release(100))
    assert live(simulator, one.sku) == {}


async def test_a_settle_never_revives_a_hold_that_has_ended(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    late = one.settle(60, 40)
    await gateway.handle(one.release())
    answer = await gateway.handle(late)
    assert isinstance(answer, SettleFailed) and "is INACTIVE" in answer.error
    assert live(simulator, one.sku) == {}


async def test_releasing_what_does_not_exist_succeeds(gateway: Gateway, one: Requests) -> None:
    assert await gateway.handle(one.release()) == ReleaseConfirmed(one.promotion, one.sku, 1)


async def test_a_release_is_confirmed_only_by_a_read_back(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    """Somebody sets the part ACTIVE again right after our write: it is ended once more."""
    undone: list[bool] = []

    def undo(_: int, body: bytes) -> None:
        if b"EndPart" in body and not undone:
            undone.append(True)
            simulator.next("errorAfter", match="EndPart", contains=one.ref)
        elif b"FindParts" in body and len(undone) == 1:
            undone.append(True)
            simulator.quantity(f"{one.ref}-1", status="ACTIVE")

    gateway = new_gateway(transport=Network(before_call=undo))
    await gateway.handle(one.hold(100))
    assert await gateway.handle(one.release()) == ReleaseConfirmed(one.promotion, one.sku, 2)
    assert len(undone) == 2
    assert live(simulator, one.sku) == {}


@pytest.mark.parametrize("stale", ["FindParts"])
async def test_a_stale_look_does_not_hide_a_hold_from_its_release(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests, stale: str
) -> None:
    gateway = new_gateway(read_back_pause_s=0.3)
    assert isinstance(await gateway.handle(one.hold(100)), HoldConfirmed)
    simulator.control(stale_ms=60_000)
    simulator.next("staleRead", match=stale, contains=one.ref)
    assert await gateway.handle(one.release()) == ReleaseConfirmed(one.promotion, one.sku, 2)
    assert live(simulator, one.sku) == {}


async def test_the_template_profile_says_that_it_cannot_book_sales(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(profile="template")
    await gateway.handle(one.hold(50))
    settled = await gateway.handle(one.settle(40, 10, sale=True))
    assert isinstance(settled, SettleFailed) and 'settlement "order-flow"' in settled.error
    released = await gateway.handle(one.release(10, sale=True))
    assert isinstance(released, ReleaseFailed) and released.held == 50
