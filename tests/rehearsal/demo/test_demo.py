"""The whole demo: it proves its figures, fails when one is wrong, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient

from tests.rehearsal.demo.performance import ADDRESS, Performance
from tests.support.kafka import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OWN_ORDERS = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
A1,MUG,Mug,2,2026-11-27 09:00,4.5,7,DE
A1,TEA,Tea,1,2026-11-27 09:00,6.5,7,DE
A2,MUG,Mug,3,2026-11-27 09:01,4.5,8,DE
A3,TEA,Tea,2,2026-11-27 09:01,6.5,9,DE
CA4,MUG,Mug,-1,2026-11-27 09:02,4.5,8,DE
CA5,MUG,Mug,-1,2026-11-27 09:02,4.5,6,DE
"""


@pytest.fixture
def own_orders(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(OWN_ORDERS)
    return file


@pytest.fixture
def performance(tmp_path: Path, kafka: KafkaUnderTest, own_orders: Path) -> Iterator[Performance]:
    """One's own few orders on a broker that runs already."""
    broker = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    demo = Performance(tmp_path, "--orders", str(own_orders), environment=broker)
    yield demo
    demo.close()


def traces(kafka: KafkaUnderTest) -> list[str]:
    """Topics and consumer groups of a demo on a broker."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    groups = admin.list_consumer_groups().result(10).valid or []
    names = [*admin.list_topics(timeout=10).topics, *(group.group_id for group in groups)]
    return [name for name in names if name.startswith("demo-")]


def test_the_demo_proves_a_rush_with_a_killed_worker_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    demo = Performance(tmp_path)
    demo.wait_for("Promotions started", 90)
    status, out, err = demo.finish(120)
    assert status == 0, out + err
    assert "killed with SIGKILL" in err
    proof = out.partition("Proof")[2].splitlines()[1:]
    assert len(proof) == 8 and all(line.strip().startswith("ok ") for line in proof), out
    sent = re.search(r"orders sent = orders decided: ([0-9,]+) = ([0-9,]+);", out)
    assert sent is not None and sent[1] == sent[2] and int(sent[1].replace(",", "")) >= 3_000
    undecided = re.search(r"amid the rush: ([0-9,]+) orders undecided", out)
    assert undecided is not None and int(undecided[1].replace(",", "")) >= 500
    assert re.search(r"FLASH-1\s.*\n.*FLASH-2\s.*\n.*FLASH-3\s", out)
    assert demo.left_behind() == []


def test_the_proof_fails_when_another_channel_sells_units_that_the_topics_do_not_know(
    performance: Performance, kafka: KafkaUnderTest
) -> None:
    address = ADDRESS.search(performance.wait_for("simulator is at", 90))
    performance.wait_for("Promotions started", 60)
    assert address is not None
    sale = {"sku": "MUG", "quantity": 1}
    httpx.post(f"{address[1]}/_control/sell", json=sale, trust_env=False).raise_for_status()
    status, out, err = performance.finish(90)
    assert status == 1, out + err
    failed = [line.strip() for line in out.splitlines() if line.strip().startswith("FAIL")]
    assert len(failed) == 1
    assert "Fluent's available = stock - sold" in failed[0] and "MUG" in failed[0]
    kept = re.search(r"The logs are in (\S+)\.\n", err)
    assert kept is not None
    assert (Path(kept[1]) / "worker-1.log").stat().st_size > 0
    assert traces(kafka) == []


def test_an_interrupted_demo_on_ones_own_broker_says_so_first_and_leaves_nothing_there(
    performance: Performance, kafka: KafkaUnderTest
) -> None:
    performance.wait_for("Promotions started", 90)
    assert len(traces(kafka)) > 10
    before = performance.said[: performance.said.index(performance.wait_for("Topics (", 1))]
    assert any(f"the demo runs on your broker, {kafka.bootstrap}" in line for line in before)
    page = performance.wait_for("live page is at", 1).split()[-1]
    assert httpx.get(page, trust_env=False, timeout=30).status_code == 200
    performance.interrupt()
    status, _, err = performance.finish(60)
    assert status == 130, err
    assert performance.left_behind() == []
    assert traces(kafka) == []


def test_a_broker_of_ones_own_that_does_not_answer_is_one_sentence(tmp_path: Path, own_orders: Path) -> None:
    nobody = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    demo = Performance(tmp_path, "--orders", str(own_orders), environment=nobody)
    status, out, err = demo.finish(60)
    assert (status, out) == (2, "")
    assert "No Kafka broker answers at 127.0.0.1:9" in err.splitlines()[-1]
    assert demo.left_behind() == []


def test_a_file_that_cannot_be_replayed_is_refused_in_one_sentence(tmp_path: Path) -> None:
    status, out, err = Performance(tmp_path, "--orders", str(tmp_path / "none.csv")).finish(30)
    assert status == 2
    assert "none.csv cannot be read" in err and len(err.splitlines()) == 1
    assert out == ""
