"""A whole sale, watched in a real Chromium: at its end the page says what the report says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.process import BridgeProcess
from tests.support.audit import final_report, order, promotion_start
from tests.support.browser import Browser, chromium
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

pytestmark = pytest.mark.slow

STOCK = {"SKU-1": {"LOC-1": 60, "LOC-2": 60}, "SKU-2": {"LOC-1": 50}, "SKU-3": {"LOC-1": 1}}
PATIENCE_S = 30


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def sale(browser: Browser, kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    """A system with a worker; none without a browser."""
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK) as built:
        built.start_worker()
        yield built


def test_the_pages_numbers_move_with_a_sale_and_end_as_its_report(browser: Browser, sale: System) -> None:
    with BridgeProcess(sale.environment(), sale.directory / "bridge", "--unsigned") as bridge:
        bridge.wait_ready()
        browser.open(f"{bridge.url}/sale/P")
        browser.wait_for("#status", "not known yet")
        sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 100, "SKU-2": 50, "SKU-3": 9})])
        browser.wait_for("#status", "on sale")
        browser.wait_for("#attention-title", "1 SKU needs a person")
        browser.wait_for("#left", "150")

        sold = 0
        for number in range(3):
            orders = [order(f"O-{number}-{each}", "P", ("SKU-1", 1)) for each in range(40)]
            sale.publish("order-placed", orders, key=lambda event: str(event["order"]["ref"]))
            sold = min(100, sold + 40)
            browser.wait_for("#consumed", str(sold))
        browser.wait_for("#reasons tr:nth-child(2) td", "20")
        browser.wait_for("#rejectedUnits", "20")

        sale.publish("order-cancelled", [{"order": {"ref": "O-0-0", "promotionId": "P"}}])
        browser.wait_for("#consumed", "99")
        sale.publish("promotion-end", [{"promotion": {"id": "P"}}])
        report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", PATIENCE_S)
        browser.wait_for("#report", lambda text: text.startswith("FINAL"))
        browser.wait_for("#status", "closed")

        names = ("consumed", "reserved", "released", "rejectedUnits", "rejectedOrders", "cancelled")
        shown = {sku: [cells[1], *cells[3:8]] for sku, cells in browser.rows().items()}
        assert shown == {line["sku"]: [str(line[name]) for name in names] for line in report["lines"]}
        totals = {name: browser.text(f"#{name}") for name in names[:4]}
        assert totals == {name: str(report["totals"][name]) for name in names[:4]}
        assert browser.text("#fluent-state") == "in agreement" and browser.text("#drift") == "0 units"
        assert browser.text("#left") == "0" and browser.violations() == []
