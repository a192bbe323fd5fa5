"""A sale in a storm: every fault that Fluent is known for, two workers, and both of them killed once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.fluent.switches import Fault
from tests.audit.report import audit
from tests.support.audit import final_report, order, promotion_start
from tests.support.evidence import gather
from tests.support.kafka import KafkaUnderTest
from tests.support.storm import WEATHER, Shop
from tests.support.system import System, system, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]

SKUS = [f"SKU-{number:04d}" for number in range(1_000)]
ON_HAND, HELD = 20, 8
SOUGHT_AFTER = SKUS[::3]
ORDERS = 1_200
CONFIG: dict[str, Any] = {
    "kafkaSessionTimeoutMs": 6_000,
    "fluentTimeoutSeconds": 3,
    "fluentMaxInFlight": 200,  # one request in ten is refused for the rate: of these limits a tenth is left
    "fluentRequestsPerSecond": 1_000,
    "fluentAskAgainSeconds": 2,
    "holdTimeoutSeconds": 600,
    "maxRetries": 4,
    "settleDelaySeconds": 5,
    "settleIntervalSeconds": 5,
    "reconciliationIntervalSeconds": 60,
    "fluentVerifySeconds": 20,
    "closeTimeoutSeconds": 600,
}
PATIENCE_S = 240
"""For each step, on a machine that is busy with other things; what it takes is a fraction of that."""


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {sku: shelves(index) for index, sku in enumerate(SKUS)}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **CONFIG) as built:
        yield built


def shelves(index: int) -> dict[str, int]:
    """Every fifth SKU is spread over three places, none of which has enough for the hold."""
    return {"LOC-1": 6, "LOC-2": 7, "LOC-3": 7} if index % 5 == 0 else {"LOC-1": ON_HAND}


def orders() -> list[dict[str, Any]]:
    """Two SKUs each, one that many want, which may sell out, and any other."""
    chance = random.Random(6)
    return [
        order(
            f"O-{number}",
            "P",
            (chance.choice(SOUGHT_AFTER), chance.randint(1, 4)),
            (chance.choice(SKUS if number % 4 == 0 else SOUGHT_AFTER), chance.randint(1, 4)),
        )
        for number in range(ORDERS)
    ]


def kill(sale: System, number: int) -> None:
    """SIGKILL for a worker, and a new machine in its place."""
    sale.workers[number].kill()
    sale.start_worker(wait=False)


def held_skus(sale: System) -> int:
    """How many SKUs have a live hold in Fluent."""
    return sum(figures["held"] > 0 for figures in sale.fluent.truth().values())


def hold_everything(sale: System) -> None:
    """The first worker dies while holds are being made."""
    sale.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, HELD))])
    wait_until(lambda: held_skus(sale) >= len(SKUS) // 5, "some holds are made", PATIENCE_S)
    kill(sale, 0)
    assert held_skus(sale) < len(SKUS), "it died before all of them were"
    results = sale.wait_for("reservation-results", len(SKUS), PATIENCE_S)
    assert all(message.json["success"] for message in results)


def sell_everything(sale: System, shop: Shop) -> None:
    """The second worker dies while orders are decided, which may take less than the first settle's delay."""
    sent = orders()
    sale.publish("order-placed", sent[: ORDERS // 2])
    sale.wait_for("order-outcomes", ORDERS // 10, PATIENCE_S)
    sale.publish("order-placed", sent[ORDERS // 2 :])
    kill(sale, 1)
    sale.wait_for("order-outcomes", ORDERS, PATIENCE_S)
    wait_until(lambda: shop.has_booked(ORDERS), "the shop has booked all orders", PATIENCE_S)
    wait_until(lambda: any(map(shrank, sale.fluent.journal()["entries"])), "a hold was settled", PATIENCE_S)


def test_after_every_fault_and_two_kills_fluent_ledger_and_report_agree_on_every_sku(sale: System) -> None:
    sale.fluent.control(**WEATHER)
    for _ in range(2):
        sale.start_worker(wait=False)
    for worker in sale.workers:
        worker.wait_ready(timeout_s=PATIENCE_S)
    with Shop(sale) as shop:
        hold_everything(sale)
        sell_everything(sale, shop)
    sale.publish("promotion-end", [{"promotion": {"id": "P", "reason": "the storm is over"}}])
    wait_until(lambda: final_report(sale, "P"), "the FINAL report", PATIENCE_S)
    wait_until(lambda: held_skus(sale) == 0, "nothing is held", PATIENCE_S)
    check_every_sku(sale)
    check_weather(sale)


def check_every_sku(sale: System) -> None:
    """Fluent, the ledger's rows, the outcomes and the FINAL report: four ways to the same figures.

    And no sold unit was on sale after any change in Fluent, but for orders that waited for a killed worker:
    where one line does, the units of the other may be settled before the shop hears of the order.
    """
    audited = audit(gather(sale, all_or_nothing=False, settle_delay_ms=1_000 * CONFIG["settleDelaySeconds"]))
    assert audited.wrong == []
    assert len(audited.sale.outcomes) == len(audited.sale.histories) == ORDERS
    assert audited.sale.reserved == {("P", sku): HELD for sku in SKUS}
    assert audited.sale.evidence.stock == dict.fromkeys(SKUS, ON_HAND)
    report = final_report(sale, "P")
    assert report is not None and (report["status"], report["totals"]["drift"]) == ("CLOSED", 0)


def check_weather(sale: System) -> None:
    """Each fault has struck, holds shrank on the way, none was ever made twice, and nothing was oversold."""
    assert sale.fluent.control()["faults"].keys() == {fault.value for fault in Fault}
    journal = sale.fluent.journal()
    assert journal["oldest"] == 1, "all changes are still to be seen"
    assert any(shrank(entry) for entry in journal["entries"])
    assert max(entry["held"] for entry in journal["entries"]) <= HELD
    assert min(marks["minAvailable"] for marks in journal["marks"].values()) >= 0


def shrank(entry: dict[str, Any]) -> bool:
    """Whether this change is a settle of a hold."""
    of_a_live_hold = (entry["type"], entry["status"], entry["action"]) == ("SOFT_RESERVE", "ACTIVE", "update")
    return of_a_live_hold and bool(entry["quantityBefore"] < entry["quantity"])
