"""What Fluent does by itself, and what others do to the same stock."""

from __future__ import annotations

import httpx
import pytest

from tests.rehearsal.fluent.caller import CATALOGUE, Caller, eventually
from tests.support.fluent import FluentSimulator

ON_HAND = """
query OnHand($sku: [String!], $catalogue: InventoryCatalogueKey) {
  inventoryPositions(productRef: $sku, catalogue: $catalogue, first: 1) { edges { node { onHand } } }
}
"""


def on_hand(fluent: Caller, sku: str) -> int:
    found = fluent.data(ON_HAND, sku=[sku], catalogue=CATALOGUE)["inventoryPositions"]["edges"]
    return int(found[0]["node"]["onHand"])


def status(fluent: Caller, ref: str) -> str:
    found = fluent.read(ref)
    assert found is not None
    return str(found["status"])


def test_a_created_quantity_becomes_active_later_by_itself(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(activation_delay_ms=300)
    fluent.create(f"{sku}-H", sku, 10)
    assert status(fluent, f"{sku}-H") == "CREATED"
    eventually(lambda: status(fluent, f"{sku}-H") == "ACTIVE", timeout_s=5)


def test_a_late_activation_never_wakes_an_ended_hold(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(activation_delay_ms=200)
    fluent.create(f"{sku}-ENDED", sku, 10)
    fluent.update(f"{sku}-ENDED", status="INACTIVE")
    fluent.create(f"{sku}-WITNESS", sku, 10)
    eventually(lambda: status(fluent, f"{sku}-WITNESS") == "ACTIVE", timeout_s=5)
    assert status(fluent, f"{sku}-ENDED") == "INACTIVE"
    assert simulator.truth(sku)["held"] == 10


@pytest.mark.parametrize(
    ("recalculate", "count_soft_reserve", "expected"),
    [(False, False, 100), (True, False, 93), (True, True, 63)],
)
def test_on_hand_means_what_the_accounts_workflow_makes_of_it(
    fluent: Caller,
    simulator: FluentSimulator,
    sku: str,
    recalculate: bool,
    count_soft_reserve: bool,
    expected: int,
) -> None:
    simulator.control(recalculate_on_hand=recalculate, count_soft_reserve=count_soft_reserve)
    simulator.sell(sku, 7, "LOC-1")
    fluent.create(f"{sku}-H", sku, 30)
    assert on_hand(fluent, sku) == expected
    assert fluent.available(sku) == 63


def test_a_stock_batch_ends_sales_and_leaves_holds_and_bookings(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-H", sku, 30)
    simulator.sell(sku, 7, "LOC-1")
    simulator.order(f"{sku}-O", [(sku, 5)])
    assert simulator.truth(sku)["available"] == 108
    simulator.stock_batch({sku: {"LOC-1": 93}})
    truth = simulator.truth(sku)
    assert (truth["available"], truth["held"], truth["booked"]) == (108, 30, 5)
    assert on_hand(fluent, sku) == 88


def test_a_stock_batch_never_offers_a_sold_unit_in_between(simulator: FluentSimulator, sku: str) -> None:
    simulator.sell(sku, 7, "LOC-1")
    simulator.reset_marks()
    simulator.stock_batch({sku: {"LOC-1": 93}})
    assert simulator.journal(sku=sku)["marks"][sku]["maxAvailable"] == 143


def test_another_channel_sells_without_asking(fluent: Caller, simulator: FluentSimulator, sku: str) -> None:
    fluent.create(f"{sku}-H", sku, 100)
    assert simulator.sell(sku, 60)["available"] == -10
    assert simulator.truth(sku)["booked"] == 60


def test_another_channel_can_sell_between_a_read_and_the_hold_that_follows(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    sale = {"sku": sku, "location": "LOC-1", "quantity": 20}
    simulator.next(match="createInventoryQuantity", contains=f"{sku}-H", sell=sale)
    assert fluent.available(sku) == 100
    fluent.create(f"{sku}-H", sku, 100)
    assert fluent.available(sku) == -20


def test_other_channels_can_sell_at_a_rate_and_stop_at_nothing_left() -> None:
    with FluentSimulator({"RARE": {"LOC-1": 5}, "GONE": {"LOC-1": 3}}, sales_per_second=200) as simulator:
        eventually(
            lambda: {sku: t["booked"] for sku, t in simulator.truth().items()} == {"RARE": 5, "GONE": 3}
        )
        entries = simulator.journal()["entries"]
        assert all(entry["available"] >= 0 for entry in entries)


def test_an_order_is_booked_once_per_ref(simulator: FluentSimulator, sku: str) -> None:
    items = [(sku, 2), (sku, 1)]
    first = simulator.order(f"{sku}-O", items)
    assert first == {"ref": f"{sku}-O", "status": "BOOKED", "items": [{"sku": sku, "quantity": 3}]}
    assert simulator.order(f"{sku}-O", items) == first
    assert simulator.truth(sku)["booked"] == 3


def test_an_order_that_one_location_cannot_fill_is_booked_at_several(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.order(f"{sku}-O", [(sku, 120)])
    assert (fluent.available(sku, "LOC-1"), fluent.available(sku, "LOC-2")) == (0, 30)


def test_an_order_too_many_shows_as_available_below_zero(simulator: FluentSimulator, sku: str) -> None:
    simulator.order(f"{sku}-O", [(sku, 151)])
    assert simulator.truth(sku)["available"] == -1
    assert simulator.journal(sku=sku)["marks"][sku]["minAvailable"] == -1


@pytest.mark.parametrize(
    ("items", "status_code"),
    [
        ([{"sku": "NO-SUCH-SKU", "quantity": 1}], 422),
        ([{"sku": "SKU-000", "quantity": 0}], 422),
        ([{"sku": "SKU-000", "quantity": 2.5}], 422),
        ([], 422),
    ],
)
def test_an_order_that_makes_no_sense_books_nothing(
    simulator: FluentSimulator, items: list[dict[str, object]], status_code: int
) -> None:
    before = simulator.truth()
    with pytest.raises(httpx.HTTPStatusError) as refused:
        simulator.order("NONSENSE", items)
    assert refused.value.response.status_code == status_code
    assert simulator.truth() == before


def test_other_items_under_a_booked_ref_are_a_conflict(simulator: FluentSimulator, sku: str) -> None:
    simulator.order(f"{sku}-O", [(sku, 1)])
    with pytest.raises(httpx.HTTPStatusError) as refused:
        simulator.order(f"{sku}-O", [(sku, 2)])
    assert refused.value.response.status_code == 409
    assert simulator.truth(sku)["booked"] == 1


def test_a_cancel_gives_back_what_is_booked_once(simulator: FluentSimulator, sku: str) -> None:
    simulator.order(f"{sku}-O", [(sku, 10)])
    for _ in range(2):
        released = simulator.cancel(f"{sku}-O", [(sku, 4)], "RMA-1")
        assert released["items"] == [{"sku": sku, "quantity": 4}]
    assert simulator.truth(sku)["booked"] == 6
    simulator.cancel(f"{sku}-O", [(sku, 4)], "RMA-2")
    assert simulator.truth(sku)["booked"] == 2
    assert simulator.cancel(f"{sku}-O")["items"] == [{"sku": sku, "quantity": 2}]
    assert simulator.truth(sku)["booked"] == 0


def test_a_cancel_of_an_order_that_was_never_booked_is_not_found(simulator: FluentSimulator) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        simulator.cancel("NOBODY")
    assert refused.value.response.status_code == 404


def test_drift_can_be_made_behind_everybodys_back(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.quantity(f"{sku}-ORPHAN", sku=sku, location="LOC-2", quantity=-9)
    assert simulator.truth(sku)["held"] == 9
    simulator.quantity(f"{sku}-ORPHAN", quantity=-2)
    assert simulator.truth(sku)["held"] == 2
    simulator.quantity(f"{sku}-ORPHAN", status="INACTIVE")
    assert status(fluent, f"{sku}-ORPHAN") == "INACTIVE"
