"""docs/reports.md shows what the stage really publishes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from schemas.drift import DriftKind
from streams.ledger.commands import LineFigures
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    TERMS,
    Stage,
    end_of,
    figures,
    held,
    refused,
    reports,
    start_of,
)

TEXT = (Path(__file__).parents[4] / "docs" / "reports.md").read_text(encoding="utf-8")
EXAMPLES = [
    json.loads(found) for found in re.findall(r"```json reconciliation-reports\n(.*?)```", TEXT, re.DOTALL)
]
LINES = (("SKU-001", 100), ("SKU-002", 40), ("SKU-003", 10))


def released(version: int, consumed: int, cancelled: int) -> LineFigures:
    drift = {"held": 3, "drift_units": 3, "drift_kind": DriftKind.RELEASE_REFUSED}
    hold = {"fluent_status": "ACTIVE", "checked_at_ms": NOON_MS + 7_205_000, **drift}
    units = {"reserved": 40, "consumed": consumed, "cancelled": cancelled, "released": 40 - consumed}
    return figures("SKU-002", version, "CLOSED", **units, **hold)


def test_the_examples_are_the_reports_of_one_sale() -> None:
    stage = Stage()
    stage.take(start_of(LINES), held("SKU-001", 100), held("SKU-002", 40), refused("SKU-003"))
    sold = {"reserved": 100, "consumed": 96, "cancelled": 2, "rejected_units": 12, "rejected_orders": 7}
    live = {"held": 100, "fluent_status": "ACTIVE", "checked_at_ms": NOON_MS + 7_100_000}
    stage.now_ms += 7_200_000
    stage.take(end_of(), figures("SKU-001", 1, "RELEASING", **sold, **live), released(1, 40, 0))
    late = reports(stage.wait(TERMS.close_timeout_ms))
    gone = {"fluent_status": "INACTIVE", "checked_at_ms": NOON_MS + 7_290_000, "released": 4}
    stage.take(figures("SKU-001", 2, "CLOSED", **sold, **gone))
    final = reports(stage.wait(TERMS.claim_grace_ms))
    stage.take(released(2, 39, 1))
    again = reports(stage.wait(TERMS.report_interval_ms))
    assert [late[-1], final[0]] == EXAMPLES
    assert (again[0]["revision"], again[0]["lines"][1]["released"]) == (2, 1)
