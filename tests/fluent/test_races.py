"""Fluent has no compare-and-set: whatever others do while we read and write, no unit is taken twice."""

from __future__ import annotations

import asyncio

import pytest

from fluent import Gateway
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests, live
from tests.support.fluent import FluentSimulator


async def test_units_sold_elsewhere_while_we_create_are_yielded_and_taken_at_another_position(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    sale = {"sku": two.sku, "location": "LOC-1", "quantity": 10}
    simulator.next(match="CreatePart", contains=two.ref, sell=sale)
    assert await gateway.handle(two.hold(80)) == HoldConfirmed(two.promotion, two.sku, 1, 80)
    truth = simulator.truth(two.sku)
    assert (truth["held"], truth["available"]) == (80, 30)
    assert live(simulator, two.sku) == {f"{two.ref}-1": 50, f"{two.ref}-2": 20, f"{two.ref}-3": 10}


async def test_a_lost_race_for_the_last_units_leaves_nothing_held(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    simulator.next(match="CreatePart", contains=two.ref, sell={"sku": two.sku, "quantity": 30})
    answer = await gateway.handle(two.hold(100))
    assert isinstance(answer, HoldFailed)
    assert answer.reason == "INSUFFICIENT_INVENTORY"
    assert answer.error.startswith("requested 100, available 90;")
    assert live(simulator, two.sku) == {}


async def test_a_hold_given_up_halfway_is_given_up_by_its_repeat(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    """The compensation is cut short; the repeat must finish it, not confirm what is left of the hold."""
    simulator.next(match="CreatePart", contains=two.ref, sell={"sku": two.sku, "quantity": 30})
    simulator.next("errorAfter", match="EndPart", contains=two.ref)
    hold = two.hold(100)
    assert await new_gateway(max_retries=0).handle(hold) is None
    simulator.quantity(f"{two.ref}-2", status="ACTIVE")
    answer = await new_gateway().handle(hold)
    assert isinstance(answer, HoldFailed)
    assert live(simulator, two.sku) == {}


async def test_two_gateways_that_plan_at_once_hold_no_more_than_was_asked_for(
    simulator: FluentSimulator, new_gateway: NewGateway
) -> None:
    """A frozen former owner and its successor work on the same request."""
    for number in range(580, 586):
        requests = Requests(f"TWO-{number}")
        hold = requests.hold(90)
        answers = await asyncio.gather(*(new_gateway().handle(hold) for _ in range(3)))
        assert {type(answer) for answer in answers} == {HoldConfirmed}
        assert simulator.truth(requests.sku)["held"] == 90


async def test_two_promotions_on_one_sku_share_what_there_is(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    other = Requests(one.sku, "FLASH-2")
    assert isinstance(await gateway.handle(one.hold(60)), HoldConfirmed)
    assert isinstance(await gateway.handle(other.hold(40)), HoldConfirmed)
    assert await gateway.handle(one.release()) == ReleaseConfirmed("FLASH-1", one.sku, 2)
    assert live(simulator, one.sku) == {f"{other.ref}-1": 40}


@pytest.mark.parametrize("pairs", [[("RACE-24", "A"), ("RACE", "24-A")], [("RACE", "B"), ("RACE", "B-sale")]])
async def test_two_reservations_whose_names_run_together_are_held_and_booked_each_on_its_own(
    simulator: FluentSimulator, gateway: Gateway, pairs: list[tuple[str, str]]
) -> None:
    reservations = [Requests(sku, promotion) for promotion, sku in pairs]
    for units, each in enumerate(reservations, start=10):
        assert await gateway.handle(each.hold(units)) == HoldConfirmed(each.promotion, each.sku, 1, units)
    for sold, each in enumerate(reservations, start=3):
        await gateway.handle(each.release(sold, sale=True))
        truth = simulator.truth(each.sku)
        assert (truth["held"], truth["booked"]) == (0, sold)
