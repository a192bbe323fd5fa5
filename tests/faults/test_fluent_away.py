"""Fluent is away: claims wait, nothing is lost, and it recovers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.ledger.commands import Claim, decode_sku_command
from tests.support.audit import audit, final_report, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

WAITING = 200_000
UNITS = 120_000


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {"HOT": {"LOC-1": 500_000}, "COLD": {"LOC-1": 100}}
    config = {"holdTimeoutSeconds": 600, "fluentAskAgainSeconds": 1}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **config) as built:
        yield built


def test_claims_that_waited_through_an_outage_are_decided_in_order_without_a_fenced_transaction(
    sale: System,
) -> None:
    worker = sale.start_worker()
    sale.fluent.control(failing=503)
    sale.publish("promotion-start", [promotion_start("P", {"HOT": UNITS})])
    sale.publish("order-placed", (order(f"O-{i}", "P", ("HOT", 1)) for i in range(WAITING)))
    wait_until(lambda: len(claims_in_log(sale)) >= WAITING, "all claims are in the ledger's log", 120)
    assert sale.read("order-outcomes") == []
    sale.fluent.control(failing=0)
    sale.wait_for("order-outcomes", WAITING, 180)
    found = audit(sale)
    assert found.taken == {("P", "HOT"): UNITS}
    accepted = {m.json["orderRef"] for m in found.outcomes if m.json["outcome"] == "ACCEPTED"}
    assert accepted == set(claims_in_log(sale)[:UNITS])
    assert found.answered_twice() == [] and len(found.outcomes) == WAITING
    assert "worker_ends" not in worker.log and "aborted" not in worker.log


def claims_in_log(sale: System) -> list[str]:
    """Order refs in the order in which the ledger's log has their claims."""
    commands = (decode_sku_command(message.value) for message in sale.read("sku-commands"))
    return [command.order_ref for command in commands if isinstance(command, Claim)]


def test_a_promotion_that_ends_while_its_hold_is_asked_for_serves_who_came_in_time_and_leaves_nothing_held(
    sale: System,
) -> None:
    sale.start_worker()
    sale.fluent.control(latency_ms=600)
    sale.publish("promotion-start", [promotion_start("P", {"COLD": 40})])
    sale.publish("order-placed", [order("O-1", "P", ("COLD", 1))])
    wait_until(lambda: len(sale.read("fluent-requests")) >= 1, "the hold is asked for")
    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "a mistake"}}])
    sale.publish("order-placed", [order("O-2", "P", ("COLD", 1))])
    outcomes = {each.json["orderRef"]: each.json for each in sale.wait_for("order-outcomes", 2)}
    assert outcomes["O-1"]["outcome"] == "ACCEPTED"
    assert outcomes["O-2"]["consumeResults"][0]["reason"] == "ENDED"
    report = wait_until(lambda: final_report(sale, "P"), "the FINAL report", 60)
    assert (report["lines"][0]["consumed"], report["lines"][0]["released"]) == (1, 39)
    sale.fluent.control(latency_ms=0)
    truth = sale.fluent.truth("COLD")
    assert truth["held"] == 0 and truth["available"] == 100
    assert all(hold["status"] == "INACTIVE" for hold in truth["holds"])
    assert sale.wait_for("promotion-results", 1)[0].json["summary"] == {"success": 1, "errors": 0}


def test_after_the_hold_timeout_orders_are_answered_and_a_late_hold_still_opens_the_sale(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    config = {"holdTimeoutSeconds": 2, "fluentAskAgainSeconds": 1}
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 10}}, **config) as sale:
        sale.start_worker()
        sale.fluent.control(failing=503)
        sale.publish("promotion-start", [promotion_start("P", {"A": 5})])
        sale.publish("order-placed", [order("EARLY", "P", ("A", 1))])
        early = sale.wait_for("order-outcomes", 1)[0].json
        assert early["consumeResults"][0]["reason"] == "FLUENT_UNAVAILABLE"
        assert early["consumeResults"][0]["recommendation"]
        sale.fluent.control(failing=0)
        assert sale.wait_for("promotion-results", 1)[0].json["summary"]["success"] == 1
        sale.publish("order-placed", [order("LATE", "P", ("A", 1))])
        late = {m.json["orderRef"]: m.json["outcome"] for m in sale.wait_for("order-outcomes", 2)}
        assert late == {"EARLY": "REJECTED", "LATE": "ACCEPTED"}
