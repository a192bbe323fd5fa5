"""What somebody changes in Fluent behind our back is in the report within a minute: units, kind, remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.drift import REMEDIES, DriftKind
from tests.support.audit import final_report, promotion_start
from tests.support.fluent import hold_ref
from tests.support.kafka import KafkaUnderTest
from tests.support.storm import newest_report
from tests.support.system import System, system, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

REPORTED_WITHIN_S = 60
HELD = 60
SKUS = ["FINE", "SHRUNK", "GROWN", "ENDED", "TWICE"]
FOREIGN_HOLD = "SOMEBODY-ELSE-1"

Drift = tuple[int, str | None]
AGREEMENT: Drift = (0, None)


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {sku: {"LOC-1": 100} for sku in SKUS}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock) as built:
        built.start_worker()
        built.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, HELD))])
        assert built.wait_for("promotion-results", 1)[0].json["summary"]["success"] == len(SKUS)
        yield built


def drift_of(report: dict[str, Any]) -> dict[str, Drift]:
    """Units (whichever way) and kind by SKU; each kind comes with what to do about it."""
    lines = report["lines"]
    for line in lines:
        kind = line.get("driftKind")
        assert line.get("driftAction") == (REMEDIES[DriftKind(kind)] if kind else None)
    return {line["sku"]: (abs(line["drift"]), line.get("driftKind")) for line in lines}


def wait_for_drift(sale: System, expected: dict[str, Drift]) -> None:
    """Until the newest report shows exactly this."""
    wait_until(
        lambda: drift_of(newest_report(sale)) == expected,
        f"the newest report shows {expected}",
        REPORTED_WITHIN_S,
    )


def test_drift_is_reported_within_a_minute_and_goes_away_when_it_is_repaired(sale: System) -> None:
    sale.fluent.quantity(hold_ref("P", "SHRUNK"), quantity=-50)
    sale.fluent.quantity(hold_ref("P", "GROWN"), quantity=-75)
    sale.fluent.quantity(hold_ref("P", "ENDED"), status="INACTIVE")
    ours = [{"name": "promotion_id", "type": "STRING", "value": "P"}]
    sale.fluent.quantity(FOREIGN_HOLD, sku="TWICE", location="LOC-1", quantity=-25, attributes=ours)
    drift: dict[str, Drift] = {
        "FINE": AGREEMENT,
        "SHRUNK": (10, "WRONG_QUANTITY"),
        "GROWN": (15, "FOREIGN_CHANGE"),
        "ENDED": (HELD, "FOREIGN_CHANGE"),
        "TWICE": (25, "DUPLICATE"),
    }
    wait_for_drift(sale, drift)
    assert newest_report(sale)["kind"] == "INTERIM"
    assert any("drift" in line and "DUPLICATE" in line for line in sale.workers[0].log.splitlines())

    sale.fluent.quantity(hold_ref("P", "SHRUNK"), quantity=-HELD)
    sale.fluent.quantity(hold_ref("P", "GROWN"), quantity=-HELD)
    sale.fluent.quantity(hold_ref("P", "ENDED"), status="ACTIVE")
    wait_for_drift(sale, {**dict.fromkeys(SKUS, AGREEMENT), "TWICE": (25, "DUPLICATE")})

    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "the day is over"}}])
    wait_for_drift(sale, {**dict.fromkeys(SKUS, AGREEMENT), "TWICE": (25, "ORPHAN_HOLD")})
    report = final_report(sale, "P")
    assert report is not None and {line["released"] for line in report["lines"]} == {HELD}
    assert {sku: figures["held"] for sku, figures in sale.fluent.truth().items()} == {
        **dict.fromkeys(SKUS, 0),
        "TWICE": 25,
    }, "what is not ours by ref is left for a person to judge"
