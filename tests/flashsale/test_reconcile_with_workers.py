"""`flashsale reconcile` beside a worker: a real sale, whose figures only its own ledger knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.ledger.commands import SettleConfirmed, decode_sku_command
from tests.flashsale.command import InProcess
from tests.fluent.support import live
from tests.support.audit import final_report, order, promotion_start
from tests.support.fluent import hold_ref
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {"SKU-1": {"LOC-1": 60, "LOC-2": 60}, "SKU-2": {"LOC-1": 50}, "SKU-3": {"LOC-1": 1}}
    times = {"fluentVerifySeconds": 60, "reconciliationIntervalSeconds": 1}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **times) as built:
        yield built


def test_what_is_found_and_repaired_is_what_the_worker_goes_on_with(
    sale: System, capsys: pytest.CaptureFixture[str]
) -> None:
    sale.start_worker()
    reconcile = InProcess(sale.environment(), capsys)
    sale.publish("promotion-start", [promotion_start("P", {"SKU-1": 100, "SKU-2": 40, "SKU-3": 9})])
    sale.wait_for("promotion-results", 1)
    sale.publish("order-placed", [order(f"O-{i}", "P", ("SKU-1", 2)) for i in range(10)])
    wait_until(lambda: settled(sale, "SKU-1", 80), "the hold follows what was sold, and the ledger knows")
    agreeing = reconcile("reconcile", "P")
    assert (agreeing.status, agreeing.lines[-1]) == (0, "3 of 3 SKUs agree, 0 differ."), agreeing

    sale.fluent.quantity(hold_ref("P", "SKU-1"), status="INACTIVE")
    assert reconcile("reconcile", "P").status == 1
    assert reconcile("reconcile", "P", "--repair", "--yes").status == 0
    assert live(sale.fluent, "SKU-1") == {hold_ref("P", "SKU-1", 2): 40, hold_ref("P", "SKU-1", 3): 40}

    sale.publish("order-placed", [order("O-LAST", "P", ("SKU-1", 10))])
    wait_until(lambda: settled(sale, "SKU-1", 70), "the repaired hold follows, too")
    sale.publish("promotion-end", [{"promotion": {"id": "P"}}])
    wait_until(lambda: final_report(sale, "P"), "the FINAL report")
    assert sum(figures["held"] for figures in sale.fluent.truth().values()) == 0

    sale.fluent.quantity(hold_ref("P", "SKU-2"), status="ACTIVE")
    late = reconcile("reconcile", "P", "--repair", "--yes")
    assert late.status == 0 and "mutation EndPart" in late.out, late
    assert live(sale.fluent, "SKU-2") == {}


def settled(sale: System, sku: str, units: int) -> bool:
    """Whether a hold has this size, and no settle looks at it any more: it would repair what we do to it."""
    answers = [decode_sku_command(each.value) for each in sale.read("sku-commands") if each.value]
    return any(
        isinstance(each, SettleConfirmed) and (each.sku, each.remaining) == (sku, units) for each in answers
    )
