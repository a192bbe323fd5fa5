"""One of three brokers is killed in the middle of a sale: decisions go on, and no worker is started anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.kafka import KafkaCluster
from tests.audit.report import audit
from tests.support.audit import order, promotion_start
from tests.support.evidence import gather
from tests.support.system import System, system, wait_until

pytestmark = pytest.mark.slow

SKUS = [f"SKU-{i}" for i in range(8)]
SILENCE_S = 40.0
"""Nine seconds are Kafka's own broker session; the rest is room for a machine that does other things, too."""


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster() as running:
        yield running


def test_a_broker_that_dies_costs_a_pause_and_nothing_else(
    cluster: KafkaCluster, topic_prefix: str, tmp_path: Path
) -> None:
    stock = {sku: {"LOC-1": 2_000} for sku in SKUS}
    config = {"partitions": 6, "replicationFactor": 3, "kafkaSessionTimeoutMs": 6_000}
    with system(cluster.bootstrap, topic_prefix, tmp_path, stock, **config) as sale:
        workers = [sale.start_worker() for _ in range(2)]
        sale.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, 1_000))])
        sale.wait_for("promotion-results", 1)
        sent = [order(f"O-{i}", "P", (SKUS[i % 8], 1)) for i in range(3_000)]
        sale.publish("order-placed", sent[:1_000])
        wait_until(lambda: len(sale.read("order-outcomes")) >= 1_000, "1,000 outcomes", 60)
        victim = cluster.nodes[1]
        victim.kill()
        killed_at = time.monotonic()
        sale.publish("order-placed", sent[1_000:2_000])
        wait_until(lambda: len(sale.read("order-outcomes")) >= 2_000, "decisions go on", 90)
        assert time.monotonic() - killed_at < SILENCE_S
        victim.start()
        sale.publish("order-placed", sent[2_000:])
        wait_until(lambda: len(sale.read("order-outcomes")) >= 3_000, "all outcomes", 90)
        check(sale, len(sent))
        assert [worker.log.count('"worker_restarts"') for worker in workers] == [0, 0]


def check(sale: System, count: int) -> None:
    """One outcome for each order, and all that can be seen from outside. Nobody books here what is sold."""
    report = audit(gather(sale, over=False, all_or_nothing=False, journal=None))
    assert report.wrong == []
    assert len(report.sale.outcomes) == len(report.sale.histories) == count
