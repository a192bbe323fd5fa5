"""What the demo sends: promotions smaller than their demand, orders, cancels, repeats; all valid events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rehearsal.demo.events import cancels_of, round_of
from rehearsal.demo.invoices import Invoice, Line, NoOrdersError
from rehearsal.demo.plan import Plan, plan_file, plan_morning
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse

PROMOTION_OF = {"A": "P1", "B": "P2"}
BOUGHT = (
    Invoice("1", "anna", 0, (Line("A", 2), Line("A", 3), Line("B", 1), Line("C", 9))),
    Invoice("2", "anna", 60, (Line("A", 1),)),
    Invoice("3", "bert", 120, (Line("A", 1),)),
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_morning()


def items(value: bytes) -> list[tuple[str, int]]:
    return [(item["sku"], item["quantity"]) for item in json.loads(value)["order"]["items"]]


def test_an_invoice_becomes_an_order_per_promotion_with_its_lines_as_they_are() -> None:
    placed, _ = round_of(BOUGHT[:1], PROMOTION_OF)
    assert [(event.identity, items(event.value)) for event in placed] == [
        (("1", "P1"), [("A", 2), ("A", 3)]),
        (("1", "P2"), [("B", 1)]),
    ]


def test_a_cancellation_is_meant_for_the_customers_latest_earlier_order_of_the_product() -> None:
    back = Invoice("C4", "anna", 180, (Line("A", 1), Line("B", 1)), cancels=True)
    cancels = list(cancels_of(back, BOUGHT, PROMOTION_OF, "-002"))
    assert [(cancel.identity, cancel.known, items(cancel.value)) for cancel in cancels] == [
        (("2-002", "P1"), True, [("A", 1)]),
        (("1-002", "P2"), True, [("B", 1)]),
    ]
    assert {json.loads(cancel.value)["order"]["cancellationRef"] for cancel in cancels} == {"C4-002"}


@pytest.mark.parametrize("customer", ["carla", ""])
def test_a_cancellation_without_an_earlier_order_goes_out_for_an_order_that_nobody_knows(
    customer: str,
) -> None:
    back = Invoice("C4", customer, 180, (Line("A", 1),), cancels=True)
    nobodys = (*BOUGHT, Invoice("5", "", 150, (Line("A", 1),)))
    [cancel] = cancels_of(back, nobodys, PROMOTION_OF)
    assert (cancel.identity, cancel.known) == (("C4", "P1"), False)


def test_a_later_order_is_not_what_a_cancellation_means() -> None:
    back = Invoice("C4", "bert", 30, (Line("A", 1),), cancels=True)
    _, [cancel] = round_of((BOUGHT[0], back, BOUGHT[2]), PROMOTION_OF)
    assert not cancel.known


def test_the_morning_becomes_a_rush_of_at_least_three_thousand_different_orders(plan: Plan) -> None:
    assert plan.orders >= 3_000
    contents = defaultdict(set)
    for event in plan.placed:
        contents[event.identity].add(event.value)
    assert all(len(values) == 1 for values in contents.values())


def test_three_promotions_have_fewer_units_than_the_demand_and_products_of_their_own(plan: Plan) -> None:
    demand: Counter[str] = Counter()
    for value in {event.identity: event.value for event in plan.placed}.values():
        for sku, units in items(value):
            demand[sku] += units
    assert len(plan.promotions) == 3
    for promotion in plan.promotions:
        assert sum(promotion.units.values()) < sum(demand[sku] for sku in promotion.units)
    products = [sku for promotion in plan.promotions for sku in promotion.units]
    assert len(products) == len(set(products))
    assert [promotion.expires for promotion in plan.promotions] == [False, False, True]
    assert all(
        sum(plan.stock[sku].values()) >= units for p in plan.promotions for sku, units in p.units.items()
    )


def test_most_baskets_touch_several_promotions(plan: Plan) -> None:
    touched = Counter(ref for ref, _ in {event.identity for event in plan.placed})
    assert sum(count > 1 for count in touched.values()) > len(touched) / 2


def test_the_mornings_own_cancellations_are_among_the_events(plan: Plan) -> None:
    values = {cancel.identity: json.loads(cancel.value)["order"] for cancel in plan.cancels}
    known = values["536488", "FLASH-1"]
    assert known["cancellationRef"] == "C536506"
    assert known["items"] == [{"sku": "22960", "quantity": 6}]
    assert ("C536391", "FLASH-2") in values
    assert {cancel.known for cancel in plan.cancels} == {True, False}


def test_some_orders_are_sent_twice(plan: Plan) -> None:
    sent = Counter((event.identity, event.value) for event in plan.placed)
    assert sum(count == 2 for count in sent.values()) == len(plan.placed) - plan.orders > 20


def test_every_event_is_one_that_the_contract_knows(plan: Plan) -> None:
    for event in plan.placed:
        placed = parse("order-placed", event.value)
        assert isinstance(placed, OrderPlaced) and placed.identity == event.identity
    for cancel in plan.cancels:
        cancelled = parse("order-cancelled", cancel.value)
        assert isinstance(cancelled, OrderCancelled) and cancelled.identity == cancel.identity


def test_events_come_by_time(plan: Plan) -> None:
    times = [event.at_s for event in plan.placed]
    assert times == sorted(times)
    assert plan.span_s >= times[-1] > 4 * 3_600


def test_ones_own_csv_is_replayed_once(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(
        b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        b"A1,MUG,M\xfcg,2,2026-11-27 09:00,4.5,7,DE\n"
        b"A2,MUG,M\xfcg,3,2026-11-27 09:05,4.5,8,DE\n"
        b"CA3,MUG,M\xfcg,-1,2026-11-27 09:06,4.5,8,DE\n"
    )
    own = plan_file(file)
    assert [event.identity for event in own.placed] == [("A1", "FLASH-1"), ("A2", "FLASH-1")]
    assert [(cancel.identity, cancel.known) for cancel in own.cancels] == [(("A2", "FLASH-1"), True)]
    assert [dict(promotion.units) for promotion in own.promotions] == [{"MUG": 3}]
    assert not own.promotions[0].expires


def test_an_unreadable_line_of_ones_own_csv_is_among_the_notes(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "A1,MUG,Mug,2,2026-11-27 09:00,4.5,7,DE\n"
        "A2,MUG,Mug,3,tomorrow,4.5,8,DE\n"
    )
    notes = plan_file(file).notes
    assert "left out: 1 line, unreadable" in notes
    assert any(note.startswith("unreadable line 3: InvoiceDate 'tomorrow'") for note in notes)


def test_ones_own_json_lines_are_sent_as_they_are_to_the_promotions_that_they_name(tmp_path: Path) -> None:
    lines = [
        '{"order":{"ref":"2","promotionId":"X","items":[{"sku":"A","quantity":4}],"till":7}}',
        '{"order": {"ref":"1", "promotionId":"Y", "items":[{"sku":"A","quantity":10}]}}',
        '{"order":{"ref":"3","promotionId":"X"}}',
        "nonsense",
    ]
    file = tmp_path / "orders.jsonl"
    file.write_text("\n".join(lines))
    own = plan_file(file)
    assert [event.value.decode() for event in own.placed] == lines[:2]
    assert [event.at_s for event in own.placed] == [0, 0]
    assert {promotion.id: dict(promotion.units) for promotion in own.promotions} == {
        "X": {"A": 2},
        "Y": {"A": 6},
    }
    assert any("2 lines" in note and "left out" in note for note in own.notes)


def test_ones_own_json_lines_are_sent_by_the_time_they_were_placed(tmp_path: Path) -> None:
    def line(ref: str, at: str) -> str:
        order = {"ref": ref, "promotionId": "X", "placedAt": at, "items": [{"sku": "A", "quantity": 1}]}
        return json.dumps({"order": order})

    file = tmp_path / "orders.jsonl"
    file.write_text(line("late", "2026-11-27T10:01:30+01:00") + "\n" + line("early", "2026-11-27T09:00:00Z"))
    assert [(event.identity[0], event.at_s) for event in plan_file(file).placed] == [
        ("early", 0),
        ("late", 90),
    ]


@pytest.mark.parametrize("content", ["", "{}", "ref,units\n1,2\n"])
def test_a_file_without_orders_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(content)
    with pytest.raises(NoOrdersError, match=r"orders\.csv cannot be replayed"):
        plan_file(file)


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(NoOrdersError, match=r"none\.csv cannot be read"):
        plan_file(tmp_path / "none.csv")
