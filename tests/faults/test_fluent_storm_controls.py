"""The controls of the storm: the same weather with a gateway that lacks a protection ends in wrong figures.

Each asks for the holds as the ledger does, again and again until there is an answer. One answer to the
creations is sure to be lost after they were made; the other faults come as they come, but for refusals for
the rate, which change nothing and only take time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from fluent import Gateway
from streams.ledger.commands import HoldConfirmed
from streams.ledger.fluent_requests import HoldRequest
from tests.fluent.defective import BlindGateway, ClockGateway
from tests.fluent.support import Requests, options_for
from tests.support.fluent import FluentSimulator
from tests.support.storm import WEATHER

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SKUS = [f"SKU-{number:02d}" for number in range(40)]
SHELVES = {f"LOC-{number}": 60 for number in range(1, 5)}
UNITS = 50
"""Less than what one shelf has, so that a second hold would find room."""
CALL_TIMEOUT_S = 3.0
ANSWERED_WITHIN_S = 240

NOTHING_BUT_TIME = ("tooManyRequests", "refused")
SAME_WEATHER = WEATHER | {
    "faults": {kind: share for kind, share in WEATHER["faults"].items() if kind not in NOTHING_BUT_TIME}
}

Held = tuple[int, int]


@pytest.fixture
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator(dict.fromkeys(SKUS, SHELVES), seed=6, **SAME_WEATHER) as simulator:
        simulator.next("closeAfter", match="CreatePart")
        yield simulator


async def until_answered(gateway: Gateway, request: HoldRequest) -> int:
    """Units that the gateway says are held."""
    while True:
        answer = await gateway.handle(request)
        if answer is not None:
            return answer.quantity if isinstance(answer, HoldConfirmed) else 0


async def wrong_after_the_storm(fluent: FluentSimulator, gateway_class: type[Gateway]) -> dict[str, Held]:
    """SKUs of which Fluent holds something else than the gateway says: (said, really held)."""
    options = options_for(fluent, call_timeout_s=CALL_TIMEOUT_S, max_in_flight=100, read_back_pause_s=1.2)
    async with gateway_class(options) as gateway:
        asks = [until_answered(gateway, Requests(sku).hold(UNITS)) for sku in SKUS]
        said = await asyncio.wait_for(asyncio.gather(*asks), ANSWERED_WITHIN_S)
    truth = fluent.truth()
    held = {sku: (units, int(truth[sku]["held"])) for sku, units in zip(SKUS, said, strict=True)}
    return {sku: figures for sku, figures in held.items() if len(set(figures)) > 1}


async def test_the_gateway_holds_what_it_says_of_every_sku(fluent: FluentSimulator) -> None:
    assert await wrong_after_the_storm(fluent, Gateway) == {}
    assert {figures["held"] for figures in fluent.truth().values()} == {UNITS}


async def test_refs_from_a_clock_hold_twice(fluent: FluentSimulator) -> None:
    wrong = await wrong_after_the_storm(fluent, ClockGateway)
    assert any(said == UNITS and held >= 2 * UNITS for said, held in wrong.values())


async def test_without_look_up_and_with_a_duplicate_taken_for_success_quantities_are_wrong(
    fluent: FluentSimulator,
) -> None:
    assert await wrong_after_the_storm(fluent, BlindGateway) != {}
