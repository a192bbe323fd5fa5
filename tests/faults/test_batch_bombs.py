"""Somebody sends batches that are small on the broker and would fill a worker's memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer

from schemas.topics import MAX_INPUT_BYTES, MAX_MESSAGE_BYTES
from tests.support.audit import order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, WorkerProcess, system

BOMB = bytes(110 << 20)
EACH = 2
"""Records of a batch: unpacked it is larger by far than a worker may grow."""
CODECS = ("gzip", "lz4", "zstd")
MAX_GROWN_BYTES = 256 << 20
PARTITION = 0


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 100}}) as built:
        yield built


def encoded(ref: str) -> bytes:
    return json.dumps(order(ref, "SOUND", ("A", 1))).encode()


def peak_bytes(worker: WorkerProcess) -> int:
    """The most memory that a process of the worker has had."""
    root = psutil.Process(worker.process.pid)
    pids = [root.pid, *(child.pid for child in root.children(recursive=True))]
    found = [re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return max(int(each[1]) << 10 for each in found if each)


def send(sale: System, topic: str, codec: str, *values: bytes) -> None:
    """Records in one batch of one partition, as any client may send them."""
    producer = Producer(
        {
            "bootstrap.servers": sale.bootstrap,
            "compression.codec": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 1_000,
        }
    )
    failed: list[str] = []
    for value in values:
        producer.produce(
            sale.prefix + topic,
            value,
            partition=PARTITION,
            on_delivery=lambda error, _: failed.append(str(error)) if error else None,
        )
    assert producer.flush(120) == 0 and not failed


@pytest.mark.slow
def test_bombs_are_dead_letters_and_the_order_behind_them_is_decided(sale: System) -> None:
    worker = sale.start_worker()
    sale.publish("promotion-start", [promotion_start("SOUND", {"A": 10})])
    sale.wait_for("promotion-results", 1)
    before = peak_bytes(worker)

    for codec in CODECS:
        send(sale, "order-placed", codec, *[BOMB] * EACH)
    for size in (MAX_INPUT_BYTES, MAX_MESSAGE_BYTES):
        send(sale, "order-placed", "zstd", encoded("LARGE") + b" " * size)
    send(sale, "order-commands", "zstd", *[BOMB] * EACH)
    send(sale, "order-placed", "none", encoded("LAST"))

    [outcome] = sale.wait_for("order-outcomes", 1, 120)
    assert (outcome.json["orderRef"], outcome.json["outcome"]) == ("LAST", "ACCEPTED")
    letters = sale.wait_for("dead-letters", EACH * len(CODECS) + 2 + EACH, 120)
    places = {(each.headers["source-topic"], each.headers["source-offset"]) for each in letters}
    assert len(places) == len(letters) == EACH * len(CODECS) + 2 + EACH
    assert {(each.value, each.headers["reason"]) for each in letters} == {(b"", "INVALID")}
    assert sum("does not unpack into 64 MiB" in each.headers["error"] for each in letters) == EACH * 4
    assert worker.process.poll() is None and "worker_restarts" not in worker.log
    grown = peak_bytes(worker) - before
    assert grown < MAX_GROWN_BYTES, f"{grown:,} bytes more"
