"""A sale that closes while it sells: orders, bookings and cancels in its last moment and just after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.audit.report import audit
from tests.audit.sale import time_ms
from tests.support.audit import final_report, order
from tests.support.deadlines import Deadline, place, started
from tests.support.evidence import gather
from tests.support.kafka import KafkaUnderTest
from tests.support.storm import Shop
from tests.support.system import System, system, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ON_HAND, HELD = 200, 120
STOCK: dict[str, dict[str, int]] = {
    "ONE-SHELF": {"LOC-1": ON_HAND},
    "TWO-SHELVES": {"LOC-1": ON_HAND // 2, "LOC-2": ON_HAND // 2},
}
DELAY_S = 5
BOOKED_AFTER_S = 2.0
"""The shop takes so long: at the close, nothing of what was sold in the last moment is booked."""

FROM_S, STEPS = -2.0, 12
STEP_S = 0.2
"""From two seconds before the deadline until some time after it, beyond the release: orders and cancels."""


def orders_of(step: int) -> list[dict[str, Any]]:
    """Three orders of 13 units: the sale does not sell out."""
    return [
        order(f"A-{step}", "P", ("ONE-SHELF", 3)),
        order(f"B-{step}", "P", ("ONE-SHELF", 1), ("TWO-SHELVES", 4)),
        order(f"C-{step}", "P", ("TWO-SHELVES", 5)),
    ]


def cancels_of(step: int) -> list[dict[str, Any]]:
    """Of the step before: the whole of one order, and a part of another."""
    if step % 2:
        return []
    return [order(f"B-{step - 1}", "P", ("TWO-SHELVES", 4)), order(f"C-{step - 1}", "P", ("TWO-SHELVES", 2))]


def sell_up_to_the_end(sale: System, deadline: Deadline) -> int:
    """Returns how many events were sent."""
    sent = 0
    for step in range(STEPS):
        deadline.wait(FROM_S + step * STEP_S)
        sent += place(sale, orders_of(step))
        if step:
            sent += sale.publish("order-cancelled", cancels_of(step), lambda each: str(each["order"]["ref"]))
    return sent


@pytest.mark.parametrize("settlement", ["order-flow", "sale"])
def test_no_unit_that_was_sold_in_the_last_moment_is_on_sale_again(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, settlement: str
) -> None:
    config = {"settlement": settlement, "settleDelaySeconds": DELAY_S}
    if settlement == "sale":
        config["settleIntervalSeconds"] = 60  # nothing is booked before the close
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, **config) as sale:
        sale.start_worker()
        deadline = Deadline.within(6)
        started(sale, dict.fromkeys(STOCK, HELD), deadline)
        if settlement == "sale":
            sent = sell_up_to_the_end(sale, deadline)
            sale.wait_for("order-outcomes", sent)
        else:
            with Shop(sale, BOOKED_AFTER_S) as shop:
                sent = sell_up_to_the_end(sale, deadline)
                sale.wait_for("order-outcomes", sent)
                wait_until(lambda: shop.has_booked(3 * STEPS), "the shop has booked all orders")
                at_rest(sale)
                sold_units_stay_held_until_they_are_of_age(sale, deadline)
        at_rest(sale)
        found = audit(gather(sale, settle_delay_ms=1_000 * DELAY_S))
        assert found.wrong == []
        sums = found.sale.sums.values()
        assert min(each.consumed for each in sums) > 0 and min(each.refused_units for each in sums) > 0
        assert any(each.cancelled for each in sums)


def at_rest(sale: System) -> None:
    """The FINAL report tells of everybody, nothing is held, and all that was sold is booked."""
    refused = sum(
        not line["consumed"]
        for message in sale.read("order-outcomes")
        if "cancelResults" not in message.json
        for line in message.json["consumeResults"]
    )

    def settled() -> bool:
        report, truth = final_report(sale, "P"), sale.fluent.truth()
        if report is None or report["totals"]["rejectedOrders"] != refused:
            return False
        return all(
            (truth[line["sku"]]["held"], truth[line["sku"]]["booked"]) == (0, line["consumed"])
            for line in report["lines"]
        )

    wait_until(settled, "everything is booked, and nothing is held", 60)


def sold_units_stay_held_until_they_are_of_age(sale: System, deadline: Deadline) -> None:
    """And what is unsold goes back before: the release is told while they are held."""
    last_ms = max(
        message.timestamp_ms
        for message in sale.read("order-outcomes")
        if message.json["outcome"] == "ACCEPTED" and message.json["orderRef"].startswith("A-")
    )
    entries = [each for each in sale.fluent.journal()["entries"] if each["sku"] == "ONE-SHELF"]
    ended_ms = min(each["atMs"] for each in entries if each["atMs"] > deadline.ms and not each["held"])
    released = [m.json for m in sale.read("reservation-releases") if m.json["cause"] != "CANCELLED"]
    assert len(released) == len(STOCK)
    released_ms = max(time_ms(each["releasedAt"]) for each in released)
    assert released_ms < ended_ms
    assert ended_ms - last_ms > 1_000 * (DELAY_S - 1), "held until they are of age"
