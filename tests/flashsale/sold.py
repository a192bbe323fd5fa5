"""A small sale on a real worker, for the tests of the commands that tell what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.support.audit import final_report, order, promotion_start
from tests.support.kafka import KafkaUnderTest, unique_prefix
from tests.support.system import System, system, wait_until

STOCK = {"SKU-1": {"LOC-1": 60}, "SKU-2": {"LOC-1": 5}, "SKU-3": {"LOC-1": 1}}
NOT_READABLE = json.dumps(order("O-BAD", "FLASH-1", ("SKU-1", 0))).encode()


@contextmanager
def sold(kafka: KafkaUnderTest, directory: Path) -> Iterator[System]:
    """FLASH-1, from its start to its FINAL report, with one of everything that can become of an order."""
    with system(kafka.bootstrap, unique_prefix(), directory, STOCK) as sale:
        sale.start_worker()
        sale.publish("promotion-start", [promotion_start("FLASH-1", {"SKU-1": 5, "SKU-2": 2, "SKU-3": 9})])
        sale.wait_for("promotion-results", 1)
        for event in (
            order("O-1", "FLASH-1", ("SKU-1", 2)),
            order("O-2", "FLASH-1", ("SKU-1", 2), ("SKU-2", 1)),
            order("O-3", "FLASH-1", ("SKU-1", 3)),
            order("O-1", "FLASH-1", ("SKU-1", 2)),
        ):
            _decide(sale, "order-placed", event)
        before = len(sale.read("order-outcomes"))
        _by_client(sale, "order-cancelled", order("O-1", "FLASH-1", ("SKU-1", 1)), "shop")
        sale.wait_for("order-outcomes", before + 1)
        sale.publish("order-placed", [order("O-1", "FLASH-1", ("SKU-2", 7))], key=lambda _: "O-1")
        sale.publish("order-placed", [NOT_READABLE], key=lambda _: "O-BAD")
        sale.wait_for("dead-letters", 2)
        _by_client(sale, "promotion-end", {"promotion": {"id": "FLASH-1", "reason": "a trial"}}, "merch")
        wait_until(lambda: final_report(sale, "FLASH-1"), "the FINAL report")
        yield sale


def _by_client(sale: System, topic: str, event: dict[str, Any], client: str) -> None:
    """Send an event as the bridge does for a client."""
    producer = Producer({"bootstrap.servers": sale.bootstrap})
    producer.produce(
        sale.prefix + topic, json.dumps(event).encode(), "O-1", headers={"bridge-client": client}
    )
    assert producer.flush(30) == 0


def _decide(sale: System, topic: str, event: dict[str, Any]) -> None:
    """Send an event and wait for its answer, so that the next one comes after it."""
    before = len(sale.read("order-outcomes"))
    sale.publish(topic, [event], key=lambda each: str(each["order"]["ref"]))
    sale.wait_for("order-outcomes", before + 1)
