"""A promotion of ten thousand SKUs goes through, with flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.audit import final_report, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, WorkerProcess, system, wait_until

SKUS = 10_000
FLAT_MB = 150


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {f"SKU-{i}": {"LOC-1": 5} for i in range(SKUS)}
    config = {
        "fluentRequestsPerSecond": 1_000,
        "fluentAskAgainSeconds": 10,
        "fluentTimeoutSeconds": 10,
        "closeTimeoutSeconds": 300,
        "kafkaSessionTimeoutMs": 20_000,
        "reconciliationIntervalSeconds": 120,
        "fluentVerifySeconds": 600,
    }
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **config) as built:
        yield built


def memory_mb(worker: WorkerProcess) -> float:
    """Resident memory of supervisor and child."""
    process = psutil.Process(worker.process.pid)
    return sum(float(p.memory_info().rss) for p in [process, *process.children(recursive=True)]) / 1e6


def test_ten_thousand_skus_are_reserved_reported_and_released_with_flat_memory(sale: System) -> None:
    worker = sale.start_worker()
    before = memory_mb(worker)
    sale.publish("promotion-start", [promotion_start("BIG", {f"SKU-{i}": 3 for i in range(SKUS)})])
    pages = sale.wait_for("promotion-results", SKUS // 500, 180)
    assert sum(len(page.json["reservations"]) for page in pages) == SKUS
    assert pages[0].json["summary"] == {"success": SKUS, "errors": 0}
    assert len({m.json["sku"] for m in sale.read("reservation-results")}) == SKUS
    sale.publish("promotion-end", [{"promotion": {"id": "BIG", "reason": "enough"}}])
    report = wait_until(lambda: final_report(sale, "BIG"), "the FINAL report", 180)
    assert len(report["lines"]) == SKUS
    assert report["totals"]["reserved"] == report["totals"]["released"] == 3 * SKUS
    assert all(truth["held"] == 0 for truth in sale.fluent.truth().values())
    assert memory_mb(worker) - before < FLAT_MB
