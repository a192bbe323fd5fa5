"""Fluent's reads may lag behind its writes: what a look-up does not show yet is there all the same.

50 units are held already, and the answer to that was lost. A look-up that lags would plan 10 + 40 units
beside them: the 10 are refused as a duplicate, the 40 are made, and where the next look-up lags, too, nobody
sees them.
"""

from __future__ import annotations

import asyncio

import pytest

from streams.ledger.commands import HoldConfirmed, ReleaseConfirmed, SettleConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

STALE_MS = 400
LATE_MS = 600
LONGER_THAN_THE_LAG_S = 0.6
CREATE_CALL = 3
"""FindParts, Positions, Available, CreatePart."""


@pytest.fixture
def lagging(simulator: FluentSimulator, two: Requests) -> FluentSimulator:
    """Every look-up lags but the first, and what is created beside the first part takes its time."""
    simulator.control(stale_ms=STALE_MS, late_ms=LATE_MS)
    simulator.next("staleRead", match="FindParts", contains=two.ref, skip=1, count=2)
    simulator.next("late", match="CreatePart", contains=two.ref, skip=1)
    return simulator


async def test_after_a_lost_answer_the_next_look_waits_until_it_must_show_what_was_written(
    lagging: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    lagging.next("closeAfter", match="CreatePart", contains=two.ref)
    gateway = new_gateway(read_back_pause_s=LONGER_THAN_THE_LAG_S)
    assert isinstance(await gateway.handle(two.hold(50)), HoldConfirmed)
    assert live(lagging, two.sku) == {f"{two.ref}-1": 50}


async def test_after_a_refused_duplicate_the_next_look_must_show_the_parts_that_were_not_refused(
    lagging: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    crashed = new_gateway(transport=Network(cut_at=CREATE_CALL, deliver=True), max_retries=0)
    hold = two.hold(50)
    assert await crashed.handle(hold) is None
    successor = new_gateway(read_back_pause_s=LONGER_THAN_THE_LAG_S)
    assert isinstance(await successor.handle(hold), HoldConfirmed)
    assert sum(live(lagging, two.sku).values()) == 50


async def test_units_that_came_back_a_moment_ago_are_found_by_a_second_look(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    gateway = new_gateway(read_back_pause_s=LONGER_THAN_THE_LAG_S)
    earlier = Requests(two.sku, promotion="EARLIER")
    assert isinstance(await gateway.handle(earlier.hold(120)), HoldConfirmed)
    await gateway.handle(earlier.release())
    simulator.control(stale_ms=STALE_MS)
    simulator.next("staleRead", match="Available", contains=two.sku, count=2)
    assert isinstance(await gateway.handle(two.hold(120)), HoldConfirmed)


@pytest.mark.parametrize("remaining", [100, 95])
async def test_a_hold_that_was_as_large_before_the_last_settle_is_not_taken_for_as_large_again(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, remaining: int
) -> None:
    """Seen: 60 + 40 units were settled to 30, then cancelled. The settle back to 100 was confirmed, though
    nothing was written. The ledger sold the units anew, and Fluent had them on sale as well."""
    gateway = new_gateway(read_back_pause_s=LONGER_THAN_THE_LAG_S)
    assert isinstance(await gateway.handle(two.hold(100)), HoldConfirmed)
    await asyncio.sleep(LONGER_THAN_THE_LAG_S)  # the hold shows, whatever lags
    assert isinstance(await gateway.handle(two.settle(30, 70)), SettleConfirmed)
    simulator.control(stale_ms=STALE_MS)
    simulator.next("staleRead", match="FindParts", contains=two.ref)
    answer = await gateway.handle(two.settle(remaining, 100 - remaining))
    assert answer == SettleConfirmed(two.promotion, two.sku, 3, remaining)
    assert sum(live(simulator, two.sku).values()) == remaining


@pytest.mark.parametrize("closing", [False, True])
async def test_a_booking_that_was_as_large_before_the_last_one_is_not_taken_for_as_large_again(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, closing: bool
) -> None:
    """Seen: of 20 sold units 10 were booked when the rest was released, so that 10 were on sale again."""
    gateway = new_gateway(read_back_pause_s=LONGER_THAN_THE_LAG_S)
    assert isinstance(await gateway.handle(two.hold(100)), HoldConfirmed)
    assert isinstance(await gateway.handle(two.settle(80, 20, sale=True)), SettleConfirmed)
    await asyncio.sleep(LONGER_THAN_THE_LAG_S)
    assert isinstance(await gateway.handle(two.settle(90, 10, sale=True)), SettleConfirmed)
    after = simulator.journal()["last"]
    simulator.control(stale_ms=STALE_MS)
    simulator.next("staleRead", match="FindParts", contains=two.ref, count=2)
    request = two.release(20, sale=True) if closing else two.settle(80, 20, sale=True)
    assert isinstance(await gateway.handle(request), ReleaseConfirmed if closing else SettleConfirmed)
    assert simulator.truth(two.sku)["booked"] == 20
    on_sale = [entry["available"] for entry in simulator.journal(after, two.sku)["entries"]]
    assert max(on_sale) == (100 if closing else 20)
