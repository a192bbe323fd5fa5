"""Each kind of drift: injected, seen, repaired dry (nothing changes), repaired, and gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fluent import Gateway
from fluent.reconcile import Compared
from tests.fluent.conftest import NewGateway
from tests.fluent.reconcile_support import Told
from tests.fluent.support import Requests, live, written
from tests.support.fluent import FluentSimulator

Injected = Callable[[FluentSimulator, Requests], None]


def marked(promotion: str) -> list[dict[str, str]]:
    return [{"name": "promotion_id", "type": "STRING", "value": promotion}]


@dataclass(frozen=True)
class Case:
    """`inject` changes Fluent behind everybody's back; `left` are the live holds after the repair."""

    kind: str
    units: int
    inject: Injected
    left: dict[str, int]
    closed: bool = False


def change(number: int, **what: Any) -> Injected:
    return lambda simulator, of: _quantity(simulator, f"{of.ref}-{number}", **what)


def create(ref: str, quantity: int) -> Injected:
    return lambda simulator, of: _quantity(
        simulator,
        ref.format(ref=of.ref),
        sku=of.sku, location="LOC-2", type="SOFT_RESERVE", quantity=quantity, attributes=marked(of.promotion),
    )  # fmt: skip


def _quantity(simulator: FluentSimulator, ref: str, **what: Any) -> None:
    simulator.quantity(ref, **what)


HELD = {"-1": 60, "-2": 40}
CASES = {
    "too little": Case("WRONG_QUANTITY", -25, change(1, quantity=-35), HELD),
    "too much": Case("FOREIGN_CHANGE", 15, change(2, quantity=-55), HELD),
    "ended by somebody": Case(
        "FOREIGN_CHANGE", -60, change(1, status="INACTIVE"), {"-2": 40, "-3": 60}
    ),
    "twice, under our refs": Case("DUPLICATE", 12, create("{ref}-3", -12), HELD),
    "twice, under another ref": Case("DUPLICATE", 9, create("OLD-{ref}", -9), HELD),
    "left behind": Case("ORPHAN_HOLD", 9, create("OLD-{ref}", -9), {}, closed=True),
    "back after the end": Case("LATE_ACTIVATION", 60, change(1, status="ACTIVE"), {}, closed=True),
}  # fmt: skip


async def told_of(gateway: Gateway, requests: Requests, *, closed: bool) -> Told:
    """A hold of 100 units at two positions, made by the gateway, and ended where it is closed."""
    told = Told(requests.promotion, "CLOSED" if closed else "ACTIVE")
    await told.hold(gateway, requests.hold(100))
    told.line(requests.sku, 100, 100)
    if closed:
        await told.hold(gateway, requests.release())
        told.line(requests.sku, 100, 0, "INACTIVE", released=100)
    return told


def kinds(compared: list[Compared]) -> list[tuple[str, int]]:
    return [(each.kind, each.units) for one in compared for each in one.findings]


def left(simulator: FluentSimulator, of: Requests) -> dict[str, int]:
    return {ref.removeprefix(of.ref): units for ref, units in live(simulator, of.sku).items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_drift_is_seen_shown_and_repaired(
    simulator: FluentSimulator, gateway: Gateway, two: Requests, case: Case
) -> None:
    told = await told_of(gateway, two, closed=case.closed)
    reconciler = told.reconciler(gateway)
    assert kinds(await reconciler.compare()) == []

    case.inject(simulator, two)
    compared = await reconciler.compare()
    assert kinds(compared) == [(case.kind, case.units)]

    changes = simulator.journal()["last"]
    previewed = await reconciler.preview(compared)
    assert written(simulator, changes, two.sku) == []

    repaired = await reconciler.repair(compared)
    assert [each.mutations for each in repaired] == [each.mutations for each in previewed]
    assert [each.problems for each in repaired] == [()]
    assert left(simulator, two) == case.left
    assert kinds(await reconciler.compare()) == []

    changes = simulator.journal()["last"]
    again = await reconciler.repair(compared)
    assert [each.mutations for each in again] == [()], "a repair of what is right writes nothing"
    assert written(simulator, changes, two.sku) == []


async def test_a_hold_that_is_missing_is_made_again_with_its_expiry_and_attributes(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    told = Told()
    told.requests = [two.hold(100, b'{"channel":"web"}'), two.settle(80, 20)]
    told.line(two.sku, 100, 0, "INACTIVE", drift=80, driftKind="MISSING_HOLD")
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    assert kinds(compared) == [("MISSING_HOLD", -80)]
    [dry] = await reconciler.preview(compared)
    assert simulator.truth(two.sku)["held"] == 0
    assert [each.operation for each in dry.mutations] == ["CreatePart", "CreatePart"]
    names = [given["name"] for given in dry.mutations[0].variables["input"]["attributes"]]
    assert {"promotion_id", "expires_at", "reservation_type", "channel"} <= set(names)
    await reconciler.repair(compared)
    assert left(simulator, two) == {"-1": 60, "-2": 20}
    assert kinds(await reconciler.compare()) == []


async def test_a_hold_made_again_settles_and_ends_like_any_other(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    told = await told_of(gateway, two, closed=False)
    change(1, status="INACTIVE")(simulator, two)
    reconciler = told.reconciler(gateway)
    await reconciler.repair(await reconciler.compare())
    await gateway.handle(two.settle(30, 70))
    assert simulator.truth(two.sku)["held"] == 30
    await gateway.handle(two.release(70))
    assert live(simulator, two.sku) == {}


async def test_units_that_others_took_meanwhile_are_not_held_again(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    """More would be promised than is there: this needs a person."""
    told = await told_of(gateway, two, closed=False)
    change(1, status="INACTIVE")(simulator, two)
    simulator.sell(two.sku, 60, "LOC-1")
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    [repair] = await reconciler.repair(compared)
    assert repair.mutations == ()
    assert repair.problems == ("60 units are to be held again, 20 are free: end the promotion, or restock",)
    assert left(simulator, two) == {"-2": 40}
    assert kinds(await reconciler.compare()) == [("FOREIGN_CHANGE", -60)]


async def test_sold_units_that_are_not_booked_are_booked_before_a_hold_is_ended(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    told = Told(status="CLOSED")
    await told.hold(gateway, one.hold(100))
    told.requests.append(one.release(30, sale=True))
    told.line(one.sku, 100, 100, consumed=30, released=70, drift=100, driftKind="RELEASE_REFUSED")
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    assert kinds(compared) == [("ORPHAN_HOLD", 100), ("WRONG_QUANTITY", -30)]
    [dry] = await reconciler.preview(compared)
    assert [each.operation for each in dry.mutations] == ["CreateSale", "EndPart"]
    simulator.reset_marks()
    await reconciler.repair(compared)
    truth = simulator.truth(one.sku)
    assert (truth["held"], truth["booked"], truth["available"]) == (0, 30, 70)
    assert simulator.journal(sku=one.sku)["marks"][one.sku]["maxAvailable"] == 70, "never on sale again"
    assert kinds(await reconciler.compare()) == []


async def test_an_answer_that_is_lost_is_no_lost_repair(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    gateway = new_gateway(call_timeout_s=1.0)
    told = await told_of(gateway, two, closed=False)
    change(1, status="INACTIVE")(simulator, two)
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    simulator.next("closeAfter", match="CreatePart", contains=two.ref)
    [repair] = await reconciler.repair(compared)
    assert repair.problems == ()
    assert left(simulator, two) == {"-2": 40, "-3": 60}, "held once, not twice"


async def test_one_stale_read_is_no_drift(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    told = Told()
    await told.hold(gateway, one.hold(40))
    told.line(one.sku, 40, 40)
    simulator.control(stale_ms=60_000)
    simulator.next("staleRead", match="FindParts", contains=one.ref)
    assert kinds(await told.reconciler(gateway).compare()) == []


async def test_other_promotions_and_carts_are_left_alone(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    told = Told(status="CLOSED")
    told.line(one.sku, 10, 0, "INACTIVE", released=10)
    await gateway.handle(Requests(one.sku, "FLASH-2").hold(5))
    simulator.quantity(f"CART-{one.sku}", sku=one.sku, location="LOC-1", quantity=-3)
    assert kinds(await told.reconciler(gateway).compare()) == []


async def test_a_ref_of_ours_without_our_mark_needs_a_person(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    told = Told()
    await told.hold(gateway, one.hold(40))
    told.line(one.sku, 40, 40)
    simulator.quantity(f"{one.ref}-1", attributes=[])
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    assert kinds(compared) == [("FOREIGN_CHANGE", -40)]
    [repair] = await reconciler.repair(compared)
    assert repair.mutations == () and "put promotion_id back by hand" in repair.problems[0]


@pytest.mark.parametrize(("position", "kind"), [("ACTIVE", "DUPLICATE"), ("CLOSED", "ORPHAN_HOLD")])
async def test_the_templates_holds_are_reconciled_too(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, position: str, kind: str
) -> None:
    gateway = new_gateway(profile="template")
    told = await told_of(gateway, two, closed=position == "CLOSED")
    create("OLD-{ref}", -9)(simulator, two)
    reconciler = told.reconciler(gateway)
    compared = await reconciler.compare()
    assert kinds(compared) == [(kind, 9)]
    await reconciler.repair(compared)
    assert kinds(await reconciler.compare()) == []
    assert simulator.truth(two.sku)["held"] == (0 if told.status == "CLOSED" else 100)


async def test_many_skus_share_requests(simulator: FluentSimulator, new_gateway: NewGateway) -> None:
    """Refused SKUs hold nothing, but they are looked at: 200 of them in far fewer requests than calls."""
    gateway = new_gateway(requests_per_second=50.0, max_in_flight=4)
    told = Told("FLASH-MANY", "CLOSED")
    for number in range(200, 400):
        told.line(f"ONE-{number:03d}", 0, 0, "NONE")
    compared = await told.reconciler(gateway).compare()
    assert len(compared) == 200 and kinds(compared) == []
    requests = sum(gateway.meters.http_requests.values())
    calls = sum(gateway.meters.calls.values())
    assert calls >= 800 and requests < calls / 5, (requests, calls)
