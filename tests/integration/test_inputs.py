"""What producers may do to us: odd partition counts, aborted transactions, poison, idle SKUs, big sales."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.ledger.commands import Claim, LineDecided, LineReserved, Reserve, encode
from streams.ledger.fluent_requests import HoldRequest, encode_request
from streams.ledger.terms import Terms
from tests.support.audit import audit, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.odd_records import send
from tests.support.system import System, system, wait_until

STOCK = {f"SKU-{i}": {"LOC-1": 20_000} for i in range(10)}


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK) as built:
        yield built


def started(sale: System, promotion: str = "P", quantity: int = 20_000) -> None:
    sale.publish("promotion-start", [promotion_start(promotion, dict.fromkeys(STOCK, quantity))])
    sale.wait_for("promotion-results", 1)


def test_input_topics_may_have_other_partition_counts_than_ours(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    stamped = {"message.timestamp.type": "LogAppendTime"}
    foreign = [
        NewTopic(f"{topic_prefix}order-placed", 7, 1, config=stamped),
        NewTopic(f"{topic_prefix}promotion-start", 1, 1, config=stamped),
    ]
    for future in admin.create_topics(foreign).values():
        future.result(20)
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK) as sale:
        sale.start_worker()
        started(sale)
        sent = [order(f"O-{i}", "P", (f"SKU-{i % 10}", 1)) for i in range(700)]
        sale.publish("order-placed", sent, key=lambda event: str(event["order"]["ref"]))
        sale.wait_for("order-outcomes", 700)
        found = audit(sale)
        assert sum(found.taken.values()) == 700
        assert {source[1] for source in found.answered} == {str(p) for p in range(7)}


def test_poison_among_orders_arrives_in_dead_letters_byte_by_byte_and_no_order_is_lost(sale: System) -> None:
    sale.start_worker()
    started(sale)
    poison = [b'{"order":%d' % i + bytes(range(i % 256)) for i in range(97)]
    poison += [b"\xff" * 900_000, b"", b"[" * 100_000]
    events: list[object] = []
    for i in range(10_000):
        events.append(order(f"O-{i}", "P", (f"SKU-{i % 10}", 1)))
        if i % 100 == 50:
            events.append(poison[i // 100])
    sale.publish("order-placed", events)
    sale.wait_for("order-outcomes", 10_000)
    dead = sale.wait_for("dead-letters", 100)
    assert sorted(message.value for message in dead) == sorted(poison)
    assert {message.headers["reason"] for message in dead} == {"INVALID"}
    assert all(message.headers["recommendation"] and message.headers["error"] for message in dead)
    assert sum(audit(sale).taken.values()) == 10_000


def test_a_header_whose_name_is_no_text_stands_in_nobodys_way(sale: System) -> None:
    """Seen: aiokafka does not read such a record, and each worker that fetched it ended."""
    worker = sale.start_worker()
    started(sale)
    odd = json.dumps(order("ODD", "P", ("SKU-1", 1))).encode()
    asyncio.run(send(sale.bootstrap, f"{sale.prefix}order-placed", 0, odd, [(b"\xff\xfe", b"1")]))
    asyncio.run(send(sale.bootstrap, f"{sale.prefix}order-placed", 0, b"{", [(b"\xff\xfe", None)]))
    sale.publish("order-placed", [order(f"O-{i}", "P", ("SKU-1", 1)) for i in range(20)])
    outcomes = sale.wait_for("order-outcomes", 21)
    assert {outcome.json["outcome"] for outcome in outcomes} == {"ACCEPTED"}
    [dead] = sale.wait_for("dead-letters", 1)
    assert (dead.value, dead.headers["reason"]) == (b"{", "INVALID")
    assert "worker_ends" not in worker.log


def test_aborted_commands_are_not_decided_and_nothing_after_them_is_lost(sale: System) -> None:
    sale.start_worker()
    started(sale, quantity=1_000)
    producer = Producer({"bootstrap.servers": sale.bootstrap, "transactional.id": f"{sale.prefix}stranger"})
    producer.init_transactions(20)
    for round_ in range(3):
        producer.begin_transaction()
        _forged(sale, producer, round_)
        producer.flush(20)
        producer.abort_transaction(20)
        sale.publish("order-placed", [order(f"O-{round_}-{i}", "P", ("SKU-1", 1)) for i in range(100)])
        sale.wait_for("order-outcomes", 100 * (round_ + 1))
    found = audit(sale)
    assert found.taken == {("P", "SKU-1"): 300}
    assert {outcome.json["outcome"] for outcome in found.outcomes} == {"ACCEPTED"}
    assert len(sale.read("reservation-results")) == len(STOCK)
    assert {hold["promotionId"] for hold in sale.fluent.truth("SKU-1")["holds"]} == {"P"}


def _forged(sale: System, producer: Producer, round_: int) -> None:
    """Commands that would change every stage if they were read."""
    claim = Claim("P", "SKU-1", 500, f"GHOST-{round_}", 0, 1_000, 60_000)
    reserve = Reserve("GHOST", "SKU-1", 5, 2**41, Terms())
    decided = LineDecided("P", f"O-{round_}-1", "SKU-1", 1, "EXHAUSTED")
    reserved = LineReserved("P", "SKU-1", 1, "FS-GHOST", 0, "INSUFFICIENT_INVENTORY", "forged")
    placed = json.dumps(order(f"GHOST-{round_}", "P", ("SKU-1", 9))).encode()
    for _ in range(50):
        producer.produce(f"{sale.prefix}sku-commands", encode(claim), b"SKU-1")
        producer.produce(f"{sale.prefix}sku-commands", encode(reserve), b"SKU-1")
        producer.produce(f"{sale.prefix}order-commands", encode(decided), f"O-{round_}-1".encode())
        producer.produce(f"{sale.prefix}promotion-commands", encode(reserved), b"P")
        producer.produce(f"{sale.prefix}order-placed", placed)
    hold = HoldRequest("GHOST", "SKU-1", 1, "FS-GHOST-SKU-1", 5, 2**41)
    producer.produce(f"{sale.prefix}fluent-requests", encode_request(hold), b"SKU-1")


def test_an_idle_skus_reservation_is_released_within_a_second_of_its_expiry(sale: System) -> None:
    sale.start_worker()
    sale.publish("promotion-start", [promotion_start("IDLE", {"SKU-3": 7})])
    started_at = sale.wait_for("promotion-results", 1)[0]
    assert started_at.json["summary"]["success"] == 1
    short = json.dumps(promotion_start("SHORT", {"SKU-4": 7}, expiresAt=_in_seconds(sale, 3)))
    sale.publish("promotion-start", [short.encode()])
    [start] = [m for m in sale.read("promotion-start") if m.json["promotion"]["id"] == "SHORT"]
    released = sale.wait_for("reservation-releases", 1)[0]
    expires_at_ms = _millis(json.loads(short)["promotion"]["expiresAt"])
    grace_ms = 300
    assert start.timestamp_ms < expires_at_ms
    assert released.json["released"] == 7 and released.json["cause"] == "EXPIRED"
    assert 0 < _millis(released.json["releasedAt"]) - expires_at_ms - grace_ms < 1_000
    wait_until(lambda: sale.fluent.truth("SKU-4")["held"] == 0, "nothing of the SKU is held")


def _in_seconds(sale: System, seconds: float) -> str:
    from datetime import UTC, datetime, timedelta

    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _millis(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def test_batches_in_any_compression_that_kafka_knows_are_read(sale: System) -> None:
    sale.start_worker()
    started(sale, quantity=1_000)
    codecs = ("gzip", "snappy", "lz4", "zstd")
    for codec in codecs:
        producer = Producer({"bootstrap.servers": sale.bootstrap, "compression.type": codec})
        for i in range(50):
            event = json.dumps(order(f"O-{codec}-{i}", "P", ("SKU-1", 1))).encode()
            producer.produce(f"{sale.prefix}order-placed", event)
        assert producer.flush(20) == 0
    sale.wait_for("order-outcomes", 50 * len(codecs))
    assert audit(sale).taken == {("P", "SKU-1"): 50 * len(codecs)}
