"""The proof holds for a sale that went right; each way of going wrong breaks the line that speaks of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.demo.display import reasons_of, rows_of
from rehearsal.demo.evidence import Evidence
from rehearsal.demo.proof import prove, worker_died_busy
from rehearsal.demo.topics import Record

Topics = dict[str, list[dict[str, Any]]]


def taken(sku: str, units: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": units, "consumed": True}


def refused(sku: str, units: int, reason: str) -> dict[str, Any]:
    return {"sku": sku, "quantity": units, "consumed": False, "reason": reason, "recommendation": "none"}


def order(ref: str, promotion: str, *items: tuple[str, int]) -> dict[str, Any]:
    lines = [{"sku": sku, "quantity": units} for sku, units in items]
    return {"value": {"order": {"ref": ref, "promotionId": promotion, "items": lines}}}


def outcome(
    source: str, ref: str, promotion: str, what: str, *lines: dict[str, Any], **more: Any
) -> dict[str, Any]:
    value = {"orderRef": ref, "promotionId": promotion, "outcome": what, "consumeResults": list(lines),
             "decidedAt": "2026-11-27T09:00:00.000Z", "revision": 1, **more}  # fmt: skip
    return {"value": value, "answers": source}


def report(promotion: str, sku: str, **figures: int) -> dict[str, Any]:
    line = {"sku": sku, "cancelled": 0, "rejectedUnits": 0, "rejectedOrders": 0, **figures}
    return {
        "value": {
            "promotionId": promotion, "kind": "FINAL", "status": "CLOSED", "lines": [line], "totals": line,
            "page": 1, "pages": 1, "revision": 1,
        }
    }  # fmt: skip


def a_sale() -> Topics:
    """Two promotions; P1: 10 units of A, 5 sold and 1 given back; P2 expires: 4 units of B, 4 sold."""
    back = [{"sku": "A", "quantity": 1, "cancelled": True}]
    unknown = [{"sku": "A", "quantity": 1, "cancelled": False, "reason": "NO_ORDER"}]
    accepted = outcome("order-placed/0", "1", "P1", "ACCEPTED", taken("A", 5))
    return {
        "promotion-start": [
            {"value": {"promotion": {"id": "P1", "durationMinutes": 120}}},
            {"value": {"promotion": {"id": "P2", "expiresAt": "2026-11-27T09:00:10.000Z"}}},
        ],
        "promotion-results": [
            {"value": {"reservations": [{"promotionId": "P1", "sku": "A", "success": True, "quantity": 10}]}},
            {"value": {"reservations": [{"promotionId": "P2", "sku": "B", "success": True, "quantity": 4}]}},
        ],
        "order-placed": [
            order("1", "P1", ("A", 2), ("A", 3)),
            order("1", "P2", ("B", 4)),
            order("1", "P1", ("A", 2), ("A", 3)),
            order("2", "P2", ("B", 1)),
        ],
        "order-cancelled": [order("1", "P1", ("A", 1)), order("C9", "P1", ("A", 1))],
        "order-outcomes": [
            accepted,
            outcome("order-placed/1", "1", "P2", "ACCEPTED", taken("B", 4)),
            {**accepted, "answers": "order-placed/2"},
            outcome("order-placed/3", "2", "P2", "REJECTED", refused("B", 1, "EXHAUSTED")),
            outcome("order-cancelled/0", "1", "P1", "PARTIAL", taken("A", 5), revision=2, cancelResults=back),
            outcome("order-cancelled/1", "C9", "P1", "REJECTED", reason="NO_ORDER", cancelResults=unknown),
        ],
        "reservation-releases": [
            {"value": {"promotionId": "P1", "sku": "A", "cause": "ENDED"}},
            {"value": {"promotionId": "P2", "sku": "B", "cause": "EXPIRED"}},
        ],
        "reconciliation-reports": [
            report("P1", "A", reserved=10, consumed=4, released=6),
            report("P2", "B", reserved=4, consumed=4, released=0),
        ],
        "dead-letters": [],
    }  # fmt: skip


def truth() -> dict[str, Any]:
    ended = [{"ref": "FS-P1-A-1", "promotionId": "P1", "quantity": 6, "status": "INACTIVE"}]
    return {
        "A": {"available": 16, "held": 0, "booked": 4, "holds": ended},
        "B": {"available": 4, "held": 0, "booked": 4, "holds": []},
    }


def evidence(topics: Topics, in_fluent: dict[str, Any] | None = None) -> Evidence:
    records = {
        topic: [_record(topic, offset, content) for offset, content in enumerate(contents)]
        for topic, contents in topics.items()
    }
    return Evidence(records, in_fluent or truth(), {"A": 20, "B": 8})


def _record(topic: str, offset: int, content: dict[str, Any]) -> Record:
    source, _, source_offset = content.get("answers", "").partition("/")
    names = (
        {"source-topic": source, "source-partition": "0", "source-offset": source_offset} if source else {}
    )
    value = json.dumps(content["value"]).encode()
    return Record(topic, 0, offset, value, names, content.get("at_ms", 1_000 + offset))


def broken(evidence: Evidence) -> list[str]:
    return [line.promise for line in prove(evidence) if not line.holds]


def test_the_proof_of_a_sale_that_went_right_holds() -> None:
    lines = prove(evidence(a_sale()))
    assert all(line.holds for line in lines)
    figures = {line.promise: line.figures for line in lines}
    assert figures["orders sent = orders decided"].startswith("3 = 3;")
    assert figures["reserved = consumed + released"] == "14 = 8 + 6"
    assert figures["Fluent's available = stock - sold"] == "20 = 28 - 8"
    assert figures["0 decided twice"].startswith("1 repeated")


def lost_order(topics: Topics) -> None:
    del topics["order-outcomes"][3]


def unanswered_repeat(topics: Topics) -> None:
    del topics["order-outcomes"][2]


def answered_twice(topics: Topics) -> None:
    topics["order-outcomes"].append(copy.deepcopy(topics["order-outcomes"][3]))


def other_bytes_for_a_repeat(topics: Topics) -> None:
    topics["order-outcomes"][2] = copy.deepcopy(topics["order-outcomes"][2])
    topics["order-outcomes"][2]["value"]["decidedAt"] = "2026-11-27T09:00:01.000Z"


def second_decision(topics: Topics) -> None:
    topics["order-outcomes"][2] = copy.deepcopy(topics["order-outcomes"][2])
    topics["order-outcomes"][2]["value"]["revision"] = 3


def oversold(topics: Topics) -> None:
    topics["promotion-results"][1]["value"]["reservations"][0]["quantity"] = 3


def units_vanished(topics: Topics) -> None:
    topics["reconciliation-reports"][0]["value"]["lines"][0]["released"] = 5


def report_of_other_sales(topics: Topics) -> None:
    topics["reconciliation-reports"][0] = report("P1", "A", reserved=10, consumed=5, released=5)


def no_report(topics: Topics) -> None:
    topics["reconciliation-reports"].pop()


def not_closed(topics: Topics) -> None:
    topics["reconciliation-reports"][1]["value"]["status"] = "CLOSING"


def expired_too_early(topics: Topics) -> None:
    topics["reservation-releases"][0]["value"]["cause"] = "EXPIRED"


@pytest.mark.parametrize(
    ("damage", "promise"),
    [
        (lost_order, "orders sent = orders decided"),
        (unanswered_repeat, "orders sent = orders decided"),
        (answered_twice, "orders sent = orders decided"),
        (other_bytes_for_a_repeat, "0 decided twice"),
        (oversold, "0 oversold"),
        (units_vanished, "reserved = consumed + released"),
        (report_of_other_sales, "reserved = consumed + released"),
        (no_report, "reserved = consumed + released"),
        (not_closed, "reserved = consumed + released"),
        (expired_too_early, "released when due"),
    ],
)
def test_what_goes_wrong_in_the_topics_breaks_the_line_about_it(
    damage: Callable[[Topics], None], promise: str
) -> None:
    topics = a_sale()
    damage(topics)
    assert broken(evidence(topics)) == [promise]


def test_a_new_revision_without_a_cancel_is_a_second_decision() -> None:
    topics = a_sale()
    second_decision(topics)
    assert "0 decided twice" in broken(evidence(topics))


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ({"held": 1}, "nothing left held"),
        (
            {"holds": [{"ref": "x", "promotionId": "P2", "quantity": 1, "status": "ACTIVE"}]},
            "nothing left held",
        ),
        ({"available": 3}, "Fluent's available = stock - sold"),
    ],
)
def test_what_goes_wrong_in_fluent_breaks_the_line_about_it(change: dict[str, Any], promise: str) -> None:
    in_fluent = truth()
    in_fluent["B"] |= change
    assert broken(evidence(a_sale(), in_fluent)) == [promise]


def test_a_sku_that_fluent_does_not_know_any_more_breaks_its_line() -> None:
    in_fluent = truth()
    del in_fluent["B"]
    assert broken(evidence(a_sale(), in_fluent)) == ["Fluent's available = stock - sold"]


def test_a_failed_line_names_what_is_wrong() -> None:
    topics = a_sale()
    oversold(topics)
    [line] = [line for line in prove(evidence(topics)) if not line.holds]
    assert "P2/B: 4 of 3" in line.figures


def test_an_order_that_became_a_dead_letter_is_decided_too() -> None:
    topics = a_sale()
    topics["order-placed"].append(order("3", "P1", *[("A", 1)] * 501))
    topics["dead-letters"].append({"value": {}, "answers": "order-placed/4"})
    lines = prove(evidence(topics))
    assert all(line.holds for line in lines)
    assert "3 + 1 dead letters" in lines[0].figures


def test_the_newest_final_report_counts() -> None:
    topics = a_sale()
    newer = report("P1", "A", reserved=10, consumed=4, released=6)
    newer["value"]["revision"] = 10
    older = report("P1", "A", reserved=10, consumed=5, released=5)
    older["value"]["revision"] = 9
    topics["reconciliation-reports"] += [newer, older]
    assert broken(evidence(topics)) == []


@pytest.mark.parametrize(("orders", "holds"), [(499, False), (500, True)])
def test_a_worker_died_busy_when_500_orders_were_sent_and_not_decided(orders: int, holds: bool) -> None:
    topics = {
        "order-placed": [{**order(str(number), "P1", ("A", 1)), "at_ms": 10} for number in range(orders + 2)],
        "order-outcomes": [
            {**outcome("order-placed/0", "0", "P1", "ACCEPTED", taken("A", 1)), "at_ms": 20},
            {**outcome("order-placed/1", "1", "P1", "ACCEPTED", taken("A", 1)), "at_ms": 20},
            {**outcome("order-placed/2", "2", "P1", "ACCEPTED", taken("A", 1)), "at_ms": 21},
        ],
    }
    line = worker_died_busy(evidence(topics), killed_at_ms=20)
    assert line.holds is holds
    assert line.figures.startswith(str(orders))


def test_orders_sent_after_the_kill_do_not_count_as_undecided() -> None:
    topics = {"order-placed": [{**order("1", "P1", ("A", 1)), "at_ms": 21}]}
    assert evidence(topics).undecided_at(20) == 0


def test_the_table_shows_orders_by_how_they_were_served_and_the_units_of_the_reports() -> None:
    rows = dict(rows_of(evidence(a_sale())))
    assert rows["P1"] == (1, 1, 0, 0, 10, 4, 0, 6, 0)
    assert rows["P2"] == (2, 1, 0, 1, 4, 4, 0, 0, 0)
    assert rows["together"] == (3, 2, 0, 1, 14, 8, 0, 6, 0)


def test_people_learn_why_they_were_turned_away() -> None:
    reasons = reasons_of(evidence(a_sale()))
    assert reasons["EXHAUSTED"] == 1
    assert [count for reason, count in reasons.items() if reason.startswith("NO_ORDER")] == [1]
