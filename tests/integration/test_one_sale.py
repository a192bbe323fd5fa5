"""The walking skeleton: a promotion and its orders through every stage, to the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.ledger.fluent_requests import reservation_ref
from tests.support.audit import audit, final_report, newest_figures, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {"SKU-1": {"LOC-1": 60, "LOC-2": 60}, "SKU-2": {"LOC-1": 5}, "SKU-3": {"LOC-1": 1}}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock) as built:
        yield built


def test_a_sale_goes_from_its_start_to_a_report_that_adds_up(sale: System) -> None:
    sale.start_worker()
    sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 100, "SKU-2": 5, "SKU-3": 9})])
    results = sale.wait_for("promotion-results", 1)[0]
    assert results.json["summary"] == {"success": 2, "errors": 1}
    by_sku = {line["sku"]: line for line in results.json["reservations"]}
    assert by_sku["SKU-3"]["reason"] == "INSUFFICIENT_INVENTORY"
    assert by_sku["SKU-1"]["reservationRef"] == reservation_ref("P", "SKU-1")
    assert "our lease lasts" not in sale.workers[0].log  # a worker that said `ready` may ask Fluent
    assert results.headers["source-topic"] == f"{sale.prefix}promotion-start"

    orders = [order(f"O-{i}", "P", ("SKU-1", 1)) for i in range(120)] + [order("O-2X", "P", ("SKU-2", 3))]
    sale.publish("order-placed", orders, key=lambda event: str(event["order"]["ref"]))
    sale.wait_for("order-outcomes", 121)
    found = audit(sale)
    assert found.taken == {("P", "SKU-1"): 100, ("P", "SKU-2"): 3}
    assert found.decided_twice() == [] and found.answered_twice() == []
    refused = [m.json for m in found.outcomes if m.json["outcome"] == "REJECTED"]
    assert len(refused) == 20
    assert {line["reason"] for outcome in refused for line in outcome["consumeResults"]} == {"EXHAUSTED"}

    sale.publish("order-placed", [orders[0]])
    again = sale.wait_for("order-outcomes", 122)
    assert sum(m.value == found.order_of[("O-0", "P")].value for m in again) == 2

    for i in range(100):
        sale.fluent.order(f"O-{i}", [{"sku": "SKU-1", "quantity": 1}])
    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "sold out"}}])
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report")
    lines = {line["sku"]: line for line in report["lines"]}
    assert (lines["SKU-1"]["reserved"], lines["SKU-1"]["consumed"], lines["SKU-1"]["released"]) == (
        100,
        100,
        0,
    )
    assert (lines["SKU-2"]["reserved"], lines["SKU-2"]["consumed"], lines["SKU-2"]["released"]) == (5, 3, 2)
    assert lines["SKU-3"]["reserved"] == 0
    shown = newest_figures(sale)
    same = ("reserved", "consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders")
    for sku, line in lines.items():
        assert {name: shown["P", sku][name] for name in same} == {name: line[name] for name in same}
    assert [shown["P", sku]["status"] for sku in lines] == ["CLOSED", "CLOSED", "REJECTED"]
    truth = sale.fluent.truth()
    assert all(sku["held"] == 0 for sku in truth.values())
    assert truth["SKU-1"]["available"] == 120 - truth["SKU-1"]["booked"]
    releases = {m.json["sku"]: m.json for m in sale.read("reservation-releases")}
    assert releases["SKU-2"]["released"] == 2 and releases["SKU-2"]["cause"] == "ENDED"
    assert sale.workers[0].terminate() == 0
