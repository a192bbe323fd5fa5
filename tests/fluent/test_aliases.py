"""In a batch each alias has an answer of its own: one that fails takes no neighbour with it."""

from __future__ import annotations

import asyncio

import pytest

from fluent import Gateway
from fluent.giving_up import FAILURES
from streams.ledger.commands import (
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    ReleaseFailed,
    SettleConfirmed,
    SettleFailed,
    Verified,
)
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests, live
from tests.support.fluent import FluentSimulator


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("code", ["S0002E", "S0020E", "S0040E", "T0001E", "C0003E", "C0011E", "X1"])
async def test_a_part_that_fails_for_the_moment_is_made_up_for(
    simulator: FluentSimulator, gateway: Gateway, two: Requests, code: str, applied: bool
) -> None:
    simulator.refuse(f"{two.ref}-2", code, applied=applied)
    assert await gateway.handle(two.hold(100)) == HoldConfirmed(two.promotion, two.sku, 1, 100)
    assert live(simulator, two.sku) == {f"{two.ref}-1": 60, f"{two.ref}-2": 40}


@pytest.mark.parametrize("code", ["C0020E", "C0122E", "C0140E", "S0001E", "S0030E"])
async def test_a_part_that_fluent_will_not_create_leaves_nothing_held(
    simulator: FluentSimulator, gateway: Gateway, two: Requests, code: str
) -> None:
    simulator.refuse(f"{two.ref}-2", code)
    answer = await gateway.handle(two.hold(100))
    assert isinstance(answer, HoldFailed)
    assert answer.reason == "FLUENT_UNAVAILABLE" and code[:5] in answer.error
    assert live(simulator, two.sku) == {}


async def test_what_fluent_will_not_settle_or_end_is_answered_with_what_is_still_held(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    simulator.refuse(f"{one.ref}-1", "C0020E")
    settled = await gateway.handle(one.settle(60, 40))
    assert isinstance(settled, SettleFailed) and "C0020" in settled.error
    simulator.refuse(f"{one.ref}-1", "C0020E")
    released = await gateway.handle(one.release(40))
    assert isinstance(released, ReleaseFailed) and released.held == 100
    assert isinstance(await gateway.handle(one.release(40)), ReleaseConfirmed)


@pytest.mark.parametrize("sale", [False, True])
async def test_a_part_that_is_not_found_for_a_moment_is_settled_and_released_all_the_same(
    simulator: FluentSimulator, gateway: Gateway, one: Requests, sale: bool
) -> None:
    """Seen: the part had just been read, and the settle and the release were refused for good."""
    await gateway.handle(one.hold(100))
    simulator.refuse(f"{one.ref}-1", "C0120E")
    settled = await gateway.handle(one.settle(60, 40, sale=sale))
    assert settled == SettleConfirmed(one.promotion, one.sku, 2, 60)
    simulator.refuse(f"{one.ref}-1", "C0120E")
    if sale:
        simulator.refuse(f"{one.ref}-sale", "C0120E")
    released = await gateway.handle(one.release(50, sale=sale))
    assert released == ReleaseConfirmed(one.promotion, one.sku, 3)
    assert live(simulator, one.sku) == {} and simulator.truth(one.sku)["booked"] == (50 if sale else 0)


async def test_a_late_part_that_is_not_found_for_a_moment_is_ended_all_the_same(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    simulator.refuse(f"{one.ref}-1", "C0120E")
    verified = await gateway.handle(one.verify(closed=True))
    assert isinstance(verified, Verified) and verified.drift_kind == "LATE_ACTIVATION"
    assert live(simulator, one.sku) == {}


async def test_a_part_that_is_never_found_is_refused_in_the_end(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(max_retries=0)
    await gateway.handle(one.hold(100))
    settle = one.settle(60, 40)
    for _ in range(FAILURES):
        simulator.refuse(f"{one.ref}-1", "C0120E")
        answer = await gateway.handle(settle)
    assert isinstance(answer, SettleFailed) and "C0120" in answer.error


async def test_a_sku_that_is_refused_does_not_stop_its_neighbours(
    simulator: FluentSimulator, gateway: Gateway, one: Requests, two: Requests
) -> None:
    """The template's loop stopped at the first error."""
    simulator.refuse(f"{two.ref}-1", "C0122E")
    neighbours = [Requests(f"ONE-{number}") for number in range(560, 572)]
    answers = await asyncio.gather(*(gateway.handle(each.hold(5)) for each in [two, *neighbours]))
    assert [type(answer) for answer in answers] == [HoldFailed, *[HoldConfirmed] * 12]
    assert gateway.meters.http_requests["CreatePart", "ok"] < 12, "they shared requests"
