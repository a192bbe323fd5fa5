"""What a worker measures of a sale can be scraped from its health port."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics import definitions, worker
from tests.support.audit import final_report, order
from tests.support.kafka import KafkaUnderTest
from tests.support.system import WorkerProcess, system, wait_until

QUIET = ["flashsale_fetches_dropped"]
"""Only what goes wrong shows these; tests/flashsale/test_worker_metrics.py does."""

Figures = dict[tuple[str, str], float]
"""Sample names and their labels' values, one text, to the value."""


def scrape(process: WorkerProcess) -> Figures:
    [told] = [json.loads(line) for line in process.log.splitlines() if '"event": "health"' in line]
    text = httpx.get(told["url"].replace("/readyz", "/metrics"), trust_env=False).text
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_sale_shows_every_figure_of_a_worker(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 50}}) as sale:
        process = sale.start_worker("--health-port", "0")
        expires_at = (datetime.now(UTC) + timedelta(seconds=12)).isoformat(timespec="milliseconds")
        start = {"id": "P", "skus": [{"sku": "A", "quantity": 20}], "expiresAt": expires_at[:23] + "Z"}
        sale.publish("promotion-start", [{"promotion": start}])
        sale.wait_for("promotion-results", 1)
        sale.publish("order-placed", [order(f"O-{i}", "P", ("A", 3)) for i in range(7)] + [b"no JSON"])
        sale.wait_for("order-outcomes", 7)
        wait_until(lambda: final_report(sale, "P"), "the FINAL report")
        found = wait_until(lambda: all_told(scrape(process)), "the last transaction is measured")
        assert process.terminate() == 0

    assert found["flashsale_outcomes_total", "ACCEPTED"] == 6
    assert found["flashsale_outcomes_total", "REJECTED"] == 1
    assert found["flashsale_lines_total", "EXHAUSTED"] == 1
    assert found["flashsale_dead_letters_total", "INVALID"] == 1
    assert found["flashsale_units_total", "reserved"] == 20
    assert found["flashsale_units_total", "refused"] == 3
    assert found["flashsale_hold_seconds_count", ""] == found["flashsale_release_seconds_count", ""] == 1
    assert 0 < found["flashsale_hold_seconds_sum", ""] < found["flashsale_release_seconds_sum", ""] + 30
    assert found["flashsale_decision_seconds_count", ""] >= 7
    assert found["flashsale_stage_seconds_count", "order-placed"] == 8
    assert found["flashsale_ready", ""] == 1 and found["flashsale_tasks", ""] > 0
    seen = " ".join(name for name, _ in found)
    assert [each.name for each in definitions(worker) if each.name not in seen] == QUIET


def all_told(found: Figures) -> Figures | None:
    """The figures once the sold and the released units are in them."""
    taken, returned, released = (
        found.get(("flashsale_units_total", what), 0) for what in ("taken", "returned", "released")
    )
    return found if (taken - returned, released) == (18, 2) else None
