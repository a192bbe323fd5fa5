"""Positions and quantities over the wire, and the truth behind them."""

from __future__ import annotations

import pytest

from tests.rehearsal.fluent.caller import AVAILABLE, CATALOGUE, CREATE, UPDATE, Caller, codes, hold, place
from tests.support.fluent import FluentSimulator

POSITIONS = """
query Positions($sku: [String!], $catalogue: InventoryCatalogueKey) {
  inventoryPositions(productRef: $sku, catalogue: $catalogue, status: ["ACTIVE"]) {
    edges {
      node { ref productRef locationRef onHand status workflowRef catalogue { ref name retailerRefs } }
    }
  }
}
"""
HOLDS = """
query Holds($ref: String!, $catalogue: InventoryCatalogueKey!) {
  inventoryPosition(ref: $ref, catalogue: $catalogue) {
    quantities(type: ["SOFT_RESERVE"], status: ["CREATED", "ACTIVE"], first: 100) {
      edges { node { ref quantity } }
    }
  }
}
"""
MANY = """
query Many($refs: [String!], $catalogue: InventoryCatalogueKey, $first: Int, $after: String) {
  inventoryQuantities(ref: $refs, catalogue: $catalogue, first: $first, after: $after) {
    edges {
      cursor
      node {
        ref
        position {
          productRef
          quantities(type: ["SOFT_RESERVE"], status: ["CREATED", "ACTIVE"], first: 2) {
            edges { node { ref } }
            pageInfo { hasNextPage }
          }
        }
      }
    }
    pageInfo { hasNextPage }
  }
}
"""
TWO_HOLDS = """
mutation Two($a: CreateInventoryQuantityInput, $b: CreateInventoryQuantityInput) {
  a: createInventoryQuantity(input: $a) { ref }
  b: createInventoryQuantity(input: $b) { ref }
}
"""


def test_the_stock_file_becomes_a_position_per_location(fluent: Caller, sku: str) -> None:
    edges = fluent.data(POSITIONS, sku=[sku], catalogue=CATALOGUE)["inventoryPositions"]["edges"]
    assert [edge["node"] for edge in edges] == [
        {
            "ref": f"{sku}:{location}:DEFAULT",
            "productRef": sku,
            "locationRef": location,
            "onHand": units,
            "status": "ACTIVE",
            "workflowRef": "INVENTORY_CATALOGUE::DEFAULT:1",
            "catalogue": {"ref": "DEFAULT:1", "name": "DEFAULT:1", "retailerRefs": ["1"]},
        }
        for location, units in (("LOC-1", 100), ("LOC-2", 50))
    ]


def test_many_refs_are_read_at_once_each_with_what_else_is_held_at_its_position(
    fluent: Caller, sku: str
) -> None:
    refs = [f"{sku}-{name}" for name in "ABCD"]
    for ref in refs:
        fluent.create(ref, sku, 1)
    fluent.update(refs[0], status="INACTIVE")
    seen, after, more = [], None, True
    while more:
        page = fluent.data(MANY, refs=[*refs, "NONE"], catalogue=CATALOGUE, first=3, after=after)
        found = page["inventoryQuantities"]
        seen += [edge["node"] for edge in found["edges"]]
        after, more = found["edges"][-1]["cursor"], found["pageInfo"]["hasNextPage"]
    assert [node["ref"] for node in seen] == refs, "what has ended is read like the others"
    for node in seen:
        held = node["position"]["quantities"]
        assert node["position"]["productRef"] == sku
        assert [edge["node"]["ref"] for edge in held["edges"]] == refs[1:3]
        assert held["pageInfo"] == {"hasNextPage": True}


def test_a_hold_starts_created_and_counts_from_that_moment(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(activation_delay_ms=60_000)
    created = fluent.create(f"{sku}-H", sku, 30)
    assert created["status"] == "CREATED"
    assert created["position"] == {"ref": f"{sku}:LOC-1:DEFAULT"}
    assert fluent.available(sku) == 70
    assert simulator.truth(sku)["available"] == 120


def test_the_truth_tells_every_hold_with_its_promotion(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    attributes = [{"name": "promotion_id", "type": "STRING", "value": "FLASH-1"}]
    fluent.create(f"{sku}-A", sku, 30, attributes=attributes)
    fluent.create(f"{sku}-B", sku, 5, "LOC-2")
    fluent.update(f"{sku}-A", status="INACTIVE")
    assert simulator.truth(sku) == {
        "available": 145,
        "held": 5,
        "booked": 0,
        "holds": [
            {"ref": f"{sku}-A", "promotionId": "FLASH-1", "quantity": 30, "status": "INACTIVE"},
            {"ref": f"{sku}-B", "promotionId": None, "quantity": 5, "status": "ACTIVE"},
        ],
    }
    assert simulator.truth()[sku] == simulator.truth(sku)


def test_typed_attributes_come_back_as_they_were_given(fluent: Caller, sku: str) -> None:
    attributes = [
        {"name": "promotion_id", "type": "STRING", "value": "FLASH-1"},
        {
            "name": "limits",
            "type": "JSON",
            "value": {"perCustomer": 2, "regions": ["NZ", "AU"], "open": True},
        },
    ]
    fluent.create(f"{sku}-H", sku, 1, attributes=attributes)
    found = fluent.read(f"{sku}-H")
    assert found is not None
    assert found["attributes"] == attributes


def test_an_update_is_absolute_and_leaves_what_it_does_not_name(fluent: Caller, sku: str) -> None:
    fluent.create(f"{sku}-H", sku, 30)
    for _ in range(2):
        assert fluent.update(f"{sku}-H", quantity=-12) == {
            "ref": f"{sku}-H",
            "status": "ACTIVE",
            "quantity": -12,
        }
    assert fluent.update(f"{sku}-H", status="INACTIVE")["quantity"] == -12


def test_nothing_guards_an_ended_hold_against_a_late_write(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-H", sku, 30)
    fluent.update(f"{sku}-H", status="INACTIVE")
    assert simulator.truth(sku)["held"] == 0
    fluent.update(f"{sku}-H", status="ACTIVE", quantity=-30)
    assert simulator.truth(sku)["held"] == 30


def test_nothing_stops_two_clients_from_holding_more_than_there_is(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-A", sku, 100)
    fluent.create(f"{sku}-B", sku, 100)
    assert simulator.truth(sku)["available"] == -50
    assert simulator.journal(sku=sku)["marks"][sku] == {
        "minAvailable": 150,
        "minAvailableWithHolds": -50,
        "maxAvailable": 150,
    }


def test_a_ref_is_taken_once_and_for_all(fluent: Caller, sku: str) -> None:
    fluent.create(f"{sku}-H", sku, 30)
    fluent.update(f"{sku}-H", status="INACTIVE")
    envelope = fluent.ask(CREATE, input=hold(f"{sku}-H", sku, 5))
    assert envelope["data"] == {"createInventoryQuantity": None}
    assert codes(envelope) == ["C0121E"]


@pytest.mark.parametrize("length", [0, 101])
def test_a_ref_has_1_to_100_characters(fluent: Caller, sku: str, length: int) -> None:
    assert codes(fluent.ask(CREATE, input=hold("x" * length, sku, 1))) == ["C0122E"]


def test_each_alias_of_a_mutation_stands_on_its_own(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-A", sku, 10)
    envelope = fluent.ask(TWO_HOLDS, a=hold(f"{sku}-A", sku, 10), b=hold(f"{sku}-B", sku, 20))
    assert envelope["data"] == {"a": None, "b": {"ref": f"{sku}-B"}}
    assert [error["path"] for error in envelope["errors"]] == [["a"]]
    assert simulator.truth(sku)["held"] == 30


def test_what_does_not_exist_is_null_to_a_query_and_an_error_to_a_mutation(fluent: Caller, sku: str) -> None:
    assert fluent.read("nobody") is None
    assert codes(fluent.ask(UPDATE, input={"ref": "nobody", "catalogue": CATALOGUE})) == ["C0120E"]
    assert codes(fluent.ask(CREATE, input=hold("orphan", sku, 1, "LOC-9"))) == ["C0120E"]
    assert codes(fluent.ask(AVAILABLE, position=place("no-such-sku"))) == ["C0120E"]
    assert codes(fluent.ask(CREATE, input=hold("h", sku, 1, catalogue={"ref": "DEFAULT:2"}))) == ["C0122E"]


def test_an_input_that_is_left_out_is_an_error_though_the_schema_allows_it(fluent: Caller) -> None:
    assert codes(fluent.ask("mutation { createInventoryQuantity { ref } }")) == ["C0122E"]


def test_a_positions_quantities_are_filtered_by_type_and_status(fluent: Caller, sku: str) -> None:
    fluent.create(f"{sku}-A", sku, 10)
    fluent.create(f"{sku}-B", sku, 20)
    fluent.update(f"{sku}-A", status="INACTIVE")
    found = fluent.data(HOLDS, **place(sku))["inventoryPosition"]["quantities"]["edges"]
    assert [edge["node"] for edge in found] == [{"ref": f"{sku}-B", "quantity": -20}]


def test_a_status_update_without_a_ref_hits_every_hold_of_the_position(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-MINE", sku, 10)
    fluent.create(f"{sku}-THEIRS", sku, 20)
    query = """
    mutation All($filter: InventoryQuantityFilterInput!) {
      updateInventoryQuantitiesStatus(filter: $filter, input: {status: "INACTIVE"}) { count }
    }
    """
    answer = fluent.data(query, filter={"position": place(sku), "type": ["SOFT_RESERVE"]})
    assert answer == {"updateInventoryQuantitiesStatus": {"count": 2}}
    assert simulator.truth(sku)["held"] == 0


def test_the_journal_shows_each_change_with_the_figures_after_it(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    start = simulator.journal()["last"]
    simulator.control(activation_delay_ms=60_000)
    fluent.create(f"{sku}-H", sku, 30)
    fluent.update(f"{sku}-H", quantity=-10)
    entries = simulator.journal(start, sku)["entries"]
    assert [(e["action"], e["quantity"], e["held"], e["available"], e["source"]) for e in entries] == [
        ("create", -30, 30, 120, "api"),
        ("update", -10, 10, 140, "api"),
    ]
    assert [e["seq"] for e in entries] == [start + 1, start + 2]
