"""In no moment is a sold unit on sale again: read from Fluent after every single change of its quantities.

A hold of 60 of 100 units leaves 40 on sale. As orders are claimed and settled, the hold shrinks and somebody
books what was sold: were it ever the wrong way round, more than 40 would be on sale for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.audit import audit, final_report, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.storm import Shop, most_on_sale
from tests.support.system import System, system, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ON_HAND, HELD = 100, 60
SKUS = ["ONE-SHELF", "TWO-SHELVES", "SOLD-OUT"]
SHELVES: dict[str, dict[str, int]] = {
    "ONE-SHELF": {"LOC-1": ON_HAND},
    "TWO-SHELVES": {"LOC-1": 50, "LOC-2": 50},
    "SOLD-OUT": {"LOC-1": 30, "LOC-2": 70},
}
ROUNDS = 3
ORDERS = 3 * ROUNDS

OpenSale = Callable[..., Any]


@pytest.fixture
def open_sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> OpenSale:
    """A worker with all holds confirmed, `open_sale(settlement=…)`; the marks begin there."""

    @contextmanager
    def opened(**config: Any) -> Iterator[System]:
        with system(kafka.bootstrap, topic_prefix, tmp_path, SHELVES, **config) as sale:
            sale.fluent.control(latency_ms=10)
            sale.start_worker()
            sale.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, HELD))])
            assert sale.wait_for("promotion-results", 1)[0].json["summary"]["success"] == len(SKUS)
            sale.fluent.reset_marks()
            yield sale

    return opened


def orders_of(round_: int) -> list[dict[str, Any]]:
    """Three orders; SOLD-OUT is asked for 72 units in all and has 60."""
    return [
        order(f"A-{round_}", "P", ("ONE-SHELF", 1), ("TWO-SHELVES", 2)),
        order(f"B-{round_}", "P", ("TWO-SHELVES", 12), ("SOLD-OUT", 4)),
        order(f"C-{round_}", "P", ("SOLD-OUT", 20)),
    ]


def sell_over_time(sale: System) -> None:
    """Each round of orders comes when the one before has been settled in Fluent, at least in part."""
    for round_ in range(ROUNDS):
        before = held(sale)
        sale.publish("order-placed", orders_of(round_))
        sale.wait_for("order-outcomes", 3 * (round_ + 1))
        wait_until(lambda before=before: held(sale) < before, f"round {round_} is settled")  # type: ignore[misc]


def held(sale: System) -> int:
    """Units held in Fluent over all SKUs."""
    return sum(figures["held"] for figures in sale.fluent.truth().values())


def end(sale: System) -> dict[str, Any]:
    """End the promotion; the lines of its FINAL report by SKU."""
    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "the day is over"}}])
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", 60)
    return {line["sku"]: line for line in report["lines"]}


def check_books(sale: System, lines: dict[str, Any]) -> None:
    """Outcomes, report and Fluent say the same, and nothing that was sold is on sale."""
    taken = audit(sale).taken
    truth = sale.fluent.truth()
    for sku in SKUS:
        sold = taken[("P", sku)]
        assert (lines[sku]["consumed"], lines[sku]["released"]) == (sold, HELD - sold)
        figures = {name: truth[sku][name] for name in ("held", "booked", "available")}
        assert figures == {"held": 0, "booked": sold, "available": ON_HAND - sold}
        assert lines[sku]["drift"] == 0
    assert 0 < taken[("P", "ONE-SHELF")] < HELD and 45 < taken[("P", "SOLD-OUT")] <= HELD


def marks(sale: System, name: str) -> dict[str, int]:
    """An extreme by SKU since the holds were confirmed."""
    return {sku: found[name] for sku, found in sale.fluent.journal()["marks"].items()}


NOTHING_MORE_ON_SALE = dict.fromkeys(SKUS, ON_HAND - HELD)


def test_with_the_order_flow_a_sold_unit_is_never_on_sale_again(open_sale: OpenSale) -> None:
    with open_sale(settlement="order-flow", settleDelaySeconds=5) as sale, Shop(sale) as shop:
        sell_over_time(sale)
        wait_until(lambda: shop.has_booked(ORDERS), "the shop has booked all orders")
        assert held(sale) < len(SKUS) * HELD, "holds shrink during the sale"
        assert marks(sale, "maxAvailable") == NOTHING_MORE_ON_SALE
        open_until = sale.fluent.journal()["last"]
        lines = end(sale)
        check_books(sale, lines)
        after = most_on_sale(sale.fluent.journal(open_until)["entries"])
        assert after == {sku: ON_HAND - lines[sku]["consumed"] for sku in after}
        assert min(marks(sale, "minAvailable").values()) >= 0


def test_with_sale_bookings_a_sold_unit_is_never_on_sale_again_although_nobody_else_books(
    open_sale: OpenSale,
) -> None:
    with open_sale(settlement="sale") as sale:
        sell_over_time(sale)
        assert held(sale) < len(SKUS) * HELD, "holds shrink during the sale"
        assert marks(sale, "maxAvailable") == NOTHING_MORE_ON_SALE
        open_until = sale.fluent.journal()["last"]
        late = [order("LAST", "P", ("ONE-SHELF", 7))]
        sale.publish("order-placed", late)
        sale.wait_for("order-outcomes", ORDERS + 1)
        lines = end(sale)
        check_books(sale, lines)
        after = most_on_sale(sale.fluent.journal(open_until)["entries"])
        assert all(units <= ON_HAND - lines[sku]["consumed"] for sku, units in after.items())
        assert min(marks(sale, "minAvailable").values()) >= 0


def test_a_shop_that_books_later_than_the_settle_delay_shows_in_these_marks(open_sale: OpenSale) -> None:
    """The control: the two tests above could not pass unnoticed where units did come back on sale."""
    with open_sale(settlement="order-flow", settleDelaySeconds=0) as sale:
        sale.publish("order-placed", orders_of(0))
        wait_until(lambda: held(sale) < len(SKUS) * HELD, "the hold is settled although nobody booked")
        assert max(marks(sale, "maxAvailable").values()) > ON_HAND - HELD
