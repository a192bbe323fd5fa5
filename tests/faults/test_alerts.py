"""Alerts fire because of what real workers export while something is broken, not before it and not after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from rehearsal.kafka.config import free_port
from tests.support.alerts import Prometheus
from tests.support.audit import order, promotion_start
from tests.support.kafka import KafkaUnderTest, unique_prefix
from tests.support.system import System, WorkerProcess, system, wait_until

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (apt install prometheus)"
)


@pytest.fixture(scope="module")
def sale(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A sale of two SKUs; the workers are the tests' own."""
    stock = {"A": {"LOC-1": 100}, "B": {"LOC-1": 100}}
    with system(kafka.bootstrap, unique_prefix(), tmp_path_factory.mktemp("alerts"), stock) as built:
        yield built


@pytest.fixture
def watched(sale: System) -> Iterator[Prometheus]:
    """A worker, and what is seen of it; it ends with the test."""
    port = free_port()
    worker = sale.start_worker("--health-port", str(port))
    prometheus = Prometheus({"a": f"http://127.0.0.1:{port}/metrics"})
    wait_until(lambda: prometheus.look() and prometheus.values("flashsale_ready") == [1], "ready")
    wait_until(lambda: prometheus.look() and prometheus.values("flashsale_tasks") == [2], "its tasks")
    del prometheus.looks[:-1]
    yield prometheus
    worker.kill()


def looked(prometheus: Prometheus, metric: str, wanted: float) -> bool:
    prometheus.look()
    return wanted in prometheus.values(metric)


def test_fluent_that_is_down_and_comes_back(sale: System, watched: Prometheus, tmp_path: Path) -> None:
    assert watched.fires(".*", tmp_path), "nothing is wrong yet"
    sale.fluent.control(failing=503)
    sale.publish("promotion-start", [promotion_start("FLUENT-DOWN", {"A": 5})])
    wait_until(lambda: looked(watched, "flashsale_fluent_breaker_open", 1), "the breaker opens")
    wait_until(lambda: looked(watched, "flashsale_fluent_outstanding", 1), "a request is under way")
    assert watched.fires("FlashSaleFluentDown", tmp_path)
    sale.fluent.control(failing=0)
    wait_until(lambda: looked(watched, "flashsale_fluent_breaker_open", 0), "the breaker closes", 60)
    assert not watched.fires("FlashSaleFluentDown", tmp_path)


def test_a_worker_that_is_gone(sale: System, watched: Prometheus, tmp_path: Path) -> None:
    port = free_port()
    second: WorkerProcess = sale.start_worker("--health-port", str(port))
    both = Prometheus({**watched.targets, "b": f"http://127.0.0.1:{port}/metrics"})
    wait_until(lambda: both.look() and sorted(both.values("flashsale_tasks")) == [1, 1], "a task each")
    del both.looks[:-1]
    assert both.fires(".*", tmp_path), "nothing is wrong yet"
    second.kill()
    both.look()
    assert both.fires("FlashSaleTasksUnowned", tmp_path), "where its task stays without an owner"
    wait_until(lambda: both.look() and both.values("flashsale_tasks") == [2], "the other takes over")
    assert both.fires("FlashSaleProcessGone", tmp_path)
    assert not both.fires("FlashSaleTasksUnowned", tmp_path)
    sale.workers[-2].kill()
    both.look()
    assert both.fires("FlashSaleNoWorker", tmp_path)


def test_a_flood_of_poison(sale: System, watched: Prometheus, tmp_path: Path) -> None:
    for turned_away in range(60, 60 * 12, 60):
        sale.publish("order-placed", [b"no order"] * 60)

        def counted(wanted: int = turned_away) -> bool:
            watched.look()
            return sum(watched.values("flashsale_dead_letters_total")) >= wanted

        before = len(watched.looks)
        wait_until(counted, f"{turned_away} dead letters")
        del watched.looks[before:-1]
    assert watched.fires("FlashSalePoisonFlood", tmp_path, minutes=0)
    assert watched.fires("FlashSaleDeadLetters", tmp_path)
    assert not watched.fires("FlashSalePoisonFlood", tmp_path), "it is over"


def test_a_partition_that_is_stuck(sale: System, watched: Prometheus, tmp_path: Path) -> None:
    broker, name = {"bootstrap.servers": sale.bootstrap}, f"{sale.prefix}somebody"
    producer = Producer({**broker, "transactional.id": name})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(f"{sale.prefix}order-placed", b"{}", partition=1)
    assert producer.flush(20) == 0
    wait_until(lambda: looked(watched, "flashsale_lag_records", 1), "what nobody may read yet is lag")
    assert watched.fires("FlashSalePartitionStuck", tmp_path)
    producer.abort_transaction(20)
    wait_until(lambda: watched.look() and not any(watched.values("flashsale_lag_records")), "no lag")
    assert not watched.fires("FlashSalePartitionStuck", tmp_path)
    sale.publish("order-placed", [order("O-1", "NOBODY", ("A", 1))])
    wait_until(lambda: any(each.key == b"O-1" for each in sale.read("order-outcomes")), "it goes on")
