"""A wrong producer was deployed: the intake stops before a sale has become dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flashsale.status.report import status_report
from rehearsal.kafka.config import free_port
from streams.settings import load_settings
from streams.system import now_ms
from tests.support.audit import order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

LIMIT = 40
ORDERS = 300
MAPPING = {"order-placed": {"order": {"ref": "no", "promotionId": "sale", "items": "rows"}}}


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {"SKU-1": {"LOC-1": 1_000}}
    limit = {"deadLetterLimitPerMinute": LIMIT}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **limit) as built:
        yield built


def foreign(ref: str) -> dict[str, object]:
    """An order in a shape that only MAPPING makes readable."""
    return {"no": ref, "sale": "P", "rows": [{"sku": "SKU-1", "quantity": 1}]}


def test_a_flood_of_poison_stops_the_intake_and_waits_for_a_person(sale: System) -> None:
    port = free_port()
    worker = sale.start_worker("--health-port", str(port))
    sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 900})])
    sale.wait_for("promotion-results", 1)
    sale.publish("order-placed", [order("O-0", "P", ("SKU-1", 1))])
    sale.wait_for("order-outcomes", 1)

    sale.publish("order-placed", [foreign(f"O-{i}") for i in range(1, ORDERS + 1)])
    wait_until(lambda: "intake_stopped" in worker.log, "the line intake_stopped")
    answer = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    assert answer.status_code == 503
    assert "intake is stopped" in answer.text and f"deadLetterLimitPerMinute is {LIMIT}" in answer.text
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    letters = sale.wait_for("dead-letters", LIMIT + 1)

    settings = load_settings(sale.environment())
    wait_until(lambda: status_report(settings, now_ms).attention[0].subject == "intake", "status says so")

    # What was taken in before goes on, and what comes is left in its topic.
    sale.publish("order-placed", [order("O-LATER", "P", ("SKU-1", 1))])
    wait_until(lambda: sale.read("reconciliation-reports"), "a report")
    assert len(sale.read("dead-letters")) == len(letters) <= 3 * LIMIT
    assert len(sale.read("order-outcomes")) == 1
    assert "source_sought_again" not in worker.log

    assert worker.terminate() == 0
    sale.config |= {"inputMapping": MAPPING}
    sale.start_worker()
    decided = sale.wait_for("order-outcomes", 1 + ORDERS - len(letters))
    assert {m.json["outcome"] for m in decided} == {"ACCEPTED"}
