"""Kafka's fence does not reach HTTP: a worker that was frozen in the middle of a write to Fluent wakes up.

Its partitions have gone to a successor by then, and the world has moved on. What it writes must not stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.ledger.fluent_requests import ReleaseRequest, decode_request
from tests.support.audit import final_report, order, promotion_start
from tests.support.fluent import hold_ref
from tests.support.kafka import KafkaUnderTest
from tests.support.storm import FreezingWorker, newest_report
from tests.support.system import System, system, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]

HELD = 60
UNDONE = "late_write_undone"
PART = hold_ref("P", "A")
CONFIG: dict[str, Any] = {
    "kafkaSessionTimeoutMs": 6_000,
    "fluentTimeoutSeconds": 3,
    "fluentVerifySeconds": 15,
    "holdTimeoutSeconds": 20,
    "fluentAskAgainSeconds": 15,
    "maxRetries": 0,
}


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 100}}, **CONFIG) as built:
        yield built


def freeze_at(sale: System, operation: str) -> FreezingWorker:
    """A worker that is alone, opens the sale, and freezes at this operation."""
    worker = FreezingWorker(sale, operation)
    worker.wait_ready()
    sale.publish("promotion-start", [promotion_start("P", {"A": HELD})])
    return worker


def held(sale: System) -> int:
    """Units held in Fluent."""
    return int(sale.fluent.truth("A")["held"])


def end(sale: System) -> None:
    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "enough"}}])


def release_is_asked_for(sale: System) -> bool:
    requests = (decode_request(message.value) for message in sale.read("fluent-requests"))
    return any(isinstance(request, ReleaseRequest) for request in requests)


def line_of(report: dict[str, Any] | None) -> dict[str, Any]:
    """The report's only line, without what is not a figure."""
    assert report is not None
    wanted = ("reserved", "consumed", "released", "drift")
    return {name: report["lines"][0][name] for name in wanted}


def test_a_hold_written_after_a_successor_closed_the_reservation_is_undone_and_reported(sale: System) -> None:
    frozen = freeze_at(sale, "CreatePart")
    frozen.wait_frozen()
    sale.fluent.control(failing=503)
    successor = sale.start_worker()
    end(sale)
    wait_until(lambda: release_is_asked_for(sale), "the successor gives the hold up", 60)
    sale.fluent.control(failing=0)
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", 60)
    assert line_of(report) == {"reserved": 0, "consumed": 0, "released": 0, "drift": 0}
    assert sale.fluent.truth("A")["holds"] == []

    frozen.wake()
    wait_until(lambda: sale.fluent.truth("A")["holds"], "the late write arrives")
    wait_until(lambda: held(sale) == 0, "the late write is undone", 60)
    changes = [entry for entry in sale.fluent.journal()["entries"] if entry["ref"] == PART]
    assert [(entry["action"], entry["held"]) for entry in (changes[0], changes[-1])] == [
        ("create", HELD),
        ("update", 0),
    ]
    # Whoever owns the SKU by then says so: a worker that wakes up joins its group again.
    told = wait_until(
        lambda: [line for log in (successor.log, frozen.log) for line in log.splitlines() if UNDONE in line],
        "it is reported",
    )[0]
    assert "LATE_ACTIVATION" in told and str(HELD) in told
    assert line_of(final_report(sale, "P"))["drift"] == 0


def test_a_settle_that_arrives_after_a_later_one_is_reported_as_drift_until_the_hold_ends(
    sale: System,
) -> None:
    frozen = freeze_at(sale, "ResizePart")
    sale.wait_for("promotion-results", 1)
    sale.publish("order-placed", [order("O-1", "P", ("A", 10))])
    frozen.wait_frozen()
    sale.start_worker()
    wait_until(lambda: held(sale) == HELD - 10, "the successor settles", 60)
    sale.publish("order-placed", [order("O-2", "P", ("A", 15))])
    wait_until(lambda: held(sale) == HELD - 25, "the successor settles what came later", 60)

    frozen.wake()
    wait_until(lambda: held(sale) == HELD - 10, "the late write arrives")
    drift = wait_until(
        lambda: next((line for line in newest_report(sale)["lines"] if line["drift"]), None), "drift", 60
    )
    assert (abs(drift["drift"]), drift["driftKind"]) == (15, "WRONG_QUANTITY")
    end(sale)
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", 60)
    assert line_of(report) == {"reserved": HELD, "consumed": 25, "released": HELD - 25, "drift": 0}
    assert held(sale) == 0


def test_a_release_that_arrives_late_leaves_the_hold_ended(sale: System) -> None:
    frozen = freeze_at(sale, "EndPart")
    sale.wait_for("promotion-results", 1)
    end(sale)
    frozen.wait_frozen()
    sale.start_worker()
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", 60)
    last = sale.fluent.journal()["last"]

    frozen.wake()
    wait_until(lambda: sale.fluent.journal(last)["entries"], "the late write arrives")
    assert [entry["status"] for entry in sale.fluent.journal(last)["entries"]] == ["INACTIVE"]
    assert held(sale) == 0
    assert line_of(report) == {"reserved": HELD, "consumed": 0, "released": HELD, "drift": 0}
