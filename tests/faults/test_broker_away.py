"""The only broker goes away and comes back: two lines say so, and the worker goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rehearsal.kafka import EmbeddedKafka
from rehearsal.kafka.config import free_port
from tests.support.audit import order, promotion_start
from tests.support.system import system, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

LINES_OF_AN_OUTAGE = 60
"""Of all loggers together, in ten seconds: there were 60 a second."""


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of this test's own."""
    with EmbeddedKafka() as found:
        yield found


def test_an_outage_speaks_once_when_it_begins_and_once_when_it_is_over(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    with system(broker.bootstrap, "", tmp_path, {"SKU-1": {"LOC-1": 10}}) as sale:
        port = free_port()
        worker = sale.start_worker("--health-port", str(port))

        def ready() -> bool:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200

        def connected() -> bool:
            page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            return "flashsale_kafka_connected 1.0" in page

        sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 5})])
        sale.wait_for("promotion-results", 1)
        assert connected()
        before = len(worker.log.splitlines())
        broker.kill()
        wait_until(lambda: not ready(), "the worker says that it is not ready", 10)
        wait_until(lambda: "kafka_silent" in worker.log, "the line kafka_silent", 15)
        wait_until(lambda: not connected(), "the metric says so", 5)
        broker.start()
        wait_until(lambda: "kafka_answers" in worker.log, "the line kafka_answers", 60)
        told = [
            json.loads(line)["event"] for line in worker.log.splitlines()[before:] if line.startswith("{")
        ]
        assert (told.count("kafka_silent"), told.count("kafka_answers")) == (1, 1)
        assert len(told) < LINES_OF_AN_OUTAGE, told
        sale.publish("order-placed", [order("O-1", "P", ("SKU-1", 1))])
        sale.wait_for("order-outcomes", 1)
        wait_until(ready, "the worker is ready again")
