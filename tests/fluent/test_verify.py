"""Verify: drift is seen, named and counted, and agreement stays silent."""

from __future__ import annotations

import asyncio

import pytest

from fluent import Gateway
from streams.ledger.commands import Verified
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests, live
from tests.support.fluent import FluentSimulator

OURS = [{"name": "promotion_id", "type": "STRING", "value": "FLASH-1"}]


def drift(answer: object) -> tuple[int, int, str | None]:
    assert isinstance(answer, Verified)
    return answer.held, answer.drift_units, answer.drift_kind


async def test_agreement_is_no_drift(gateway: Gateway, two: Requests) -> None:
    await gateway.handle(two.hold(100))
    await gateway.handle(two.settle(30, 70, sale=True))
    assert drift(await gateway.handle(two.verify(30, 70, sale=True))) == (30, 0, None)
    await gateway.handle(two.release(70, sale=True))
    assert drift(await gateway.handle(two.verify(0, 70, closed=True, sale=True))) == (0, 0, None)


async def test_a_hold_that_is_not_there_is_missing(gateway: Gateway, one: Requests) -> None:
    assert drift(await gateway.handle(one.verify(100))) == (0, 100, "MISSING_HOLD")


@pytest.mark.parametrize(
    ("change", "held", "units", "kind"),
    [
        ({"quantity": -70}, 70, 30, "WRONG_QUANTITY"),
        ({"quantity": -130}, 130, 30, "FOREIGN_CHANGE"),
        ({"status": "INACTIVE"}, 0, 100, "FOREIGN_CHANGE"),
    ],
)
async def test_what_somebody_changed_is_told_apart(
    simulator: FluentSimulator,
    gateway: Gateway,
    one: Requests,
    change: dict[str, object],
    held: int,
    units: int,
    kind: str,
) -> None:
    await gateway.handle(one.hold(100))
    simulator.quantity(f"{one.ref}-1", **change)
    assert drift(await gateway.handle(one.verify(100))) == (held, units, kind)


async def test_a_second_hold_for_the_promotion_is_a_duplicate_and_after_the_close_an_orphan(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(60))
    simulator.quantity(
        f"{one.promotion}-{one.sku}-1767225600000",
        sku=one.sku, location="LOC-1", type="SOFT_RESERVE", quantity=-25, attributes=OURS,
    )  # fmt: skip
    assert drift(await gateway.handle(one.verify(60))) == (60, 25, "DUPLICATE")
    await gateway.handle(one.release())
    assert drift(await gateway.handle(one.verify(closed=True))) == (0, 25, "ORPHAN_HOLD")
    assert list(live(simulator, one.sku).values()) == [25], "what is not ours by ref is left alone"


async def test_sales_that_are_booked_wrong_are_drift(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    await gateway.handle(one.settle(40, 60, sale=True))
    simulator.quantity(f"{one.ref}-sale", quantity=-50)
    assert drift(await gateway.handle(one.verify(40, 60, sale=True))) == (40, 10, "WRONG_QUANTITY")


async def test_a_stale_read_after_the_close_is_no_late_activation(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: the person on call was told to look for a worker that had frozen."""
    gateway = new_gateway(read_back_pause_s=0.6)
    await gateway.handle(one.hold(100))
    await gateway.handle(one.settle(90, 10, sale=True))
    await asyncio.sleep(0.6)  # so that a stale read shows the hold
    await gateway.handle(one.release(30, sale=True))
    simulator.control(stale_ms=500)
    simulator.next("staleRead", match="FindParts", contains=one.ref)
    verified = await gateway.handle(one.verify(0, 30, closed=True, sale=True))
    assert isinstance(verified, Verified) and drift(verified) == (0, 0, None)
    assert verified.corrected_units == 0


async def test_one_stale_read_is_no_drift(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    simulator.control(stale_ms=60_000)
    simulator.next("staleRead", match="FindParts", contains=one.ref)
    assert drift(await gateway.handle(one.verify(100))) == (100, 0, None)
