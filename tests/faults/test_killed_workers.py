"""Workers that die or freeze in the middle of a sale: what readers see must not change."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.report import audit
from tests.support import audit as support
from tests.support.audit import newest_figures, order, promotion_start
from tests.support.evidence import gather
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

SKUS = [f"SKU-{i}" for i in range(20)]
STOCK = {sku: 40 + 10 * i for i, sku in enumerate(SKUS)}
ORDERS = 6_000
REPEATED = 0.02


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {sku: {"LOC-1": 1_000} for sku in SKUS}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, partitions=4) as built:
        yield built


def orders(seed: int) -> list[dict[str, object]]:
    """Orders of one to three SKUs, some of them sent twice."""
    chance = random.Random(seed)
    made: list[dict[str, object]] = []
    for i in range(ORDERS):
        skus = chance.sample(SKUS, chance.choice([1, 1, 1, 2, 3]))
        made.append(order(f"O-{i}", "P", *((sku, chance.randint(1, 2)) for sku in skus)))
        if chance.random() < REPEATED:
            made.append(chance.choice(made[-200:]))
    return made


def start_sale(sale: System, workers: int = 2) -> None:
    for _ in range(workers):
        sale.start_worker()
    sale.publish("promotion-start", [promotion_start("P", STOCK)])
    sale.wait_for("promotion-results", 1)


def check(sale: System, sent: list[dict[str, object]]) -> None:
    """Read back from Kafka, by an auditor that knows nothing of the program. Nobody books what is sold."""
    report = audit(gather(sale, over=False, all_or_nothing=False, journal=None))
    assert report.wrong == []
    assert len(report.sale.outcomes) == len(sent) and len(report.sale.histories) == ORDERS
    assert {sku: units for (_, sku), units in report.sale.reserved.items()} == STOCK
    taken = support.audit(sale).taken
    wait_until(lambda: _shown(sale) == taken, "the figures of what was sold", 30)


def _shown(sale: System) -> dict[tuple[str, str], int]:
    """Units that were sold of each SKU, as `sale-figures` says."""
    return {key: figures["consumed"] for key, figures in newest_figures(sale).items()}


def until_decided(sale: System, count: int) -> None:
    wait_until(lambda: len(sale.read("order-outcomes")) >= count, f"{count} outcomes", 90)


def test_two_workers_and_a_sigkill_decide_every_order_once(sale: System) -> None:
    start_sale(sale)
    sent = orders(1)
    sale.publish("order-placed", sent[:2_000])
    until_decided(sale, 500)
    sale.publish("order-placed", sent[2_000:])
    sale.workers[0].kill()
    until_decided(sale, len(sent))
    check(sale, sent)


def test_a_worker_frozen_for_longer_than_its_session_changes_nothing_when_it_wakes(sale: System) -> None:
    start_sale(sale)
    sent = orders(2)
    sale.publish("order-placed", sent[:2_000])
    until_decided(sale, 200)
    frozen = sale.workers[0]
    frozen.signal(signal.SIGSTOP)
    sale.publish("order-placed", sent[2_000:])
    until_decided(sale, len(sent))
    before = Counter(message.value for message in sale.read("order-outcomes"))
    frozen.signal(signal.SIGCONT)
    ready = frozen.ready_count()
    sale.publish("order-placed", [order("LAST", "P", ("SKU-0", 1))])
    until_decided(sale, len(sent) + 1)
    frozen.wait_ready(ready + 1)
    after = Counter(message.value for message in sale.read("order-outcomes"))
    assert sum((after - before).values()) == 1


def test_a_deleted_data_directory_restores_and_the_sale_goes_on(sale: System) -> None:
    start_sale(sale, workers=1)
    sent = orders(3)
    sale.publish("order-placed", sent[:3_000])
    until_decided(sale, 3_000)
    sale.workers[0].kill()
    shutil.rmtree(sale.directory / "worker-0")
    sale.publish("order-placed", sent[3_000:])
    sale.start_worker()
    until_decided(sale, len(sent))
    check(sale, sent)


def test_a_worker_that_is_stopped_hands_over_in_seconds_without_a_gap(sale: System) -> None:
    start_sale(sale)
    sent = orders(4)
    sale.publish("order-placed", sent[:3_000])
    assert sale.workers[0].terminate() == 0
    stopped_at = time.monotonic()
    sale.publish("order-placed", sent[3_000:])
    until_decided(sale, len(sent))
    assert time.monotonic() - stopped_at < 60
    check(sale, sent)
