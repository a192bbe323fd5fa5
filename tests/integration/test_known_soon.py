"""A running sale is known within seconds, however rarely it is reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.audit import newest_figures, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

INTERVAL_S = 600
SOON_S = 30
"""A loaded machine has this long, which is much less than the interval."""


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    rarely = {"reconciliationIntervalSeconds": INTERVAL_S}
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"SKU-1": {"LOC-1": 60}}, **rarely) as built:
        yield built


def test_figures_and_the_first_report_come_soon_and_say_what_was_true_at_their_time(sale: System) -> None:
    sale.start_worker()
    sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 50})])
    sale.wait_for("promotion-results", 1)
    sale.publish("order-placed", [order(f"O-{n}", "P", ("SKU-1", 1 + n)) for n in range(2)])
    outcomes = [message.json for message in sale.wait_for("order-outcomes", 2)]
    report = wait_until(lambda: sale.read("reconciliation-reports"), "the first report", SOON_S)[0].json
    wait_until(lambda: newest_figures(sale)["P", "SKU-1"]["consumed"] == 3, "the figures", SOON_S)

    assert (report["kind"], report["status"], report["totals"]["reserved"]) == ("INTERIM", "ACTIVE", 50)
    at = report["generatedAt"]
    units = [(outcome["decidedAt"], outcome["consumeResults"][0]["quantity"]) for outcome in outcomes]
    before = sum(quantity for decided_at, quantity in units if decided_at < at)
    by_then = sum(quantity for decided_at, quantity in units if decided_at <= at)
    assert before <= report["totals"]["consumed"] <= by_then
