"""The template's own documents, word for word, on the same stock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.fluent.caller import Caller, codes
from tests.support.fluent import FluentSimulator

RESERVE = """
mutation ReserveInventory($input: CreateInventoryInput!) {
  createInventory(input: $input) { id ref productRef quantity status }
}
"""
RELEASE = """
mutation UpdateInventory($input: UpdateInventoryInput!) { updateInventory(input: $input) { id ref status } }
"""
AVAILABLE = """
query GetInventory($sku: String!, $retailerId: ID!) {
  inventories(first: 10 productRef: [$sku] retailerId: $retailerId status: "AVAILABLE") {
    edges { node { quantity } }
  }
}
"""
RESERVED = """
query GetReservations($retailerId: ID!, $promotionId: String!) {
  inventories(
    retailerId: $retailerId
    status: "RESERVED"
    attributes: [{ name: "promotion_id", value: $promotionId }]
  ) {
    edges { node { id ref productRef quantity attributes { name value } } }
  }
}
"""


def reservation(ref: str, sku: str, units: int, promotion: str, status: str = "RESERVED") -> dict[str, Any]:
    return {
        "ref": ref,
        "retailerId": "1",
        "productRef": sku,
        "quantity": units,
        "status": status,
        "attributes": [
            {"name": "promotion_id", "value": promotion},
            {"name": "expires_at", "value": "2025-01-17T12:00:00.000Z"},
            {"name": "reservation_type", "value": "FLASH_SALE"},
        ],
    }


def quantities(fluent: Caller, sku: str) -> list[int]:
    edges = fluent.data(AVAILABLE, sku=sku, retailerId="1")["inventories"]["edges"]
    return [edge["node"]["quantity"] for edge in edges]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_reserved_inventory_counts_as_a_hold_of_its_promotion(
    fluent: Caller, simulator: FluentSimulator, sku: str, sign: int
) -> None:
    created = fluent.data(RESERVE, input=reservation(f"{sku}-R", sku, sign * 40, f"P-{sku}"))
    assert created["createInventory"]["quantity"] == 40
    assert simulator.truth(sku) == {
        "available": 110,
        "held": 40,
        "booked": 0,
        "holds": [{"ref": f"{sku}-R", "promotionId": f"P-{sku}", "quantity": 40, "status": "ACTIVE"}],
    }


def test_available_rows_do_not_fall_when_units_are_reserved(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.data(RESERVE, input=reservation(f"{sku}-R", sku, 40, "P"))
    assert quantities(fluent, sku) == [100, 50, 0][: len(quantities(fluent, sku))]
    simulator.order(f"{sku}-O", [{"sku": sku, "quantity": 10}])
    assert sum(quantities(fluent, sku)) == 140


def test_the_reservations_of_a_promotion_are_found_by_its_attribute(fluent: Caller, sku: str) -> None:
    fluent.data(RESERVE, input=reservation(f"{sku}-MINE", sku, 40, f"P-{sku}"))
    fluent.data(RESERVE, input=reservation(f"{sku}-OTHER", sku, 5, f"Q-{sku}"))
    edges = fluent.data(RESERVED, retailerId="1", promotionId=f"P-{sku}")["inventories"]["edges"]
    assert [(edge["node"]["ref"], edge["node"]["quantity"]) for edge in edges] == [(f"{sku}-MINE", 40)]
    assert {"name": "reservation_type", "value": "FLASH_SALE"} in edges[0]["node"]["attributes"]


def test_a_release_ends_the_hold_and_makes_no_stock(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.data(RESERVE, input=reservation(f"{sku}-R", sku, 40, "P"))
    for _ in range(2):
        released = fluent.data(RELEASE, input={"ref": f"{sku}-R", "status": "AVAILABLE", "quantity": 40})
        assert released["updateInventory"]["status"] == "AVAILABLE"
    assert simulator.truth(sku)["available"] == 150
    assert sum(quantities(fluent, sku)) == 150


def test_a_settle_sets_what_is_still_reserved(fluent: Caller, simulator: FluentSimulator, sku: str) -> None:
    fluent.data(RESERVE, input=reservation(f"{sku}-R", sku, 40, "P"))
    fluent.data(RELEASE, input={"ref": f"{sku}-R", "quantity": 15})
    assert simulator.truth(sku)["held"] == 15


def test_what_the_template_cannot_mean_is_refused(fluent: Caller, sku: str) -> None:
    fluent.data(RESERVE, input=reservation(f"{sku}-R", sku, 1, "P"))
    assert codes(fluent.ask(RESERVE, input=reservation(f"{sku}-R", sku, 1, "P"))) == ["C0121E"]
    assert codes(fluent.ask(RESERVE, input=reservation(f"{sku}-S", sku, 1, "P", "AVAILABLE"))) == ["C0122E"]
    assert codes(fluent.ask(RESERVE, input=reservation(f"{sku}-S", "NO-SUCH-SKU", 1, "P"))) == ["C0120E"]
    assert codes(fluent.ask(RELEASE, input={"ref": "nobody", "status": "AVAILABLE"})) == ["C0120E"]
    assert codes(fluent.ask(RELEASE, input={"ref": f"{sku}-R", "status": "SOLD"})) == ["C0122E"]
    assert codes(fluent.ask(AVAILABLE, sku=sku, retailerId="9")) == ["C0120E"]
