"""The next sale right behind the last one, on the same units."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.audit import final_report, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import system, wait_until

UNITS = 100


def start(promotion: str, expires_at: datetime) -> dict[str, Any]:
    return promotion_start(promotion, {"A": UNITS}, expiresAt=expires_at.isoformat())


def test_a_sale_that_starts_a_moment_after_the_last_one_expired_gets_its_units(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    config = {"fluentAskAgainSeconds": 5, "expiryGraceSeconds": 4}
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": UNITS}}, **config) as sale:
        sale.start_worker()
        expires_at = datetime.now(UTC) + timedelta(seconds=6)
        sale.publish("promotion-start", [start("F1", expires_at)])
        assert sale.wait_for("promotion-results", 1)[0].json["summary"] == {"success": 1, "errors": 0}
        wait_until(lambda: time.time() > expires_at.timestamp() + 0.1, "the first sale has expired")
        sale.publish("promotion-start", [start("F2", expires_at + timedelta(hours=1))])
        results = {each.json["promotionId"]: each.json for each in sale.wait_for("promotion-results", 2)}
        assert results["F2"]["summary"] == {"success": 1, "errors": 0}
        assert sale.fluent.truth("A")["held"] == UNITS
        report = wait_until(lambda: final_report(sale, "F1"), "the first sale's FINAL report")
        assert report["lines"][0]["released"] == UNITS
