"""Latency at 1,000 orders a second: from the producer's send to a `read_committed` reader's receipt."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from benchmarks import prefill
from benchmarks.jit import warm_up
from benchmarks.reader import next_record, reader
from benchmarks.result import Arena, Result, p50_and_p99_ms
from benchmarks.workers import MeasuredWorker
from rehearsal.kafka.config import free_port
from schemas.topics import ORDER_OUTCOMES, ORDER_PLACED, SKU_COMMANDS

RATE = 1_000
SECONDS = 15
SKUS = 1_000
WARM_SHARE = 0.2
AIMS = {1: "", 4: "p50 60 ms, p99 150 ms", 12: "p50 60 ms, p99 150 ms"}

LOAD = """
import json, sys, time
from confluent_kafka import Producer
servers, topic, rate, seconds, skus = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
producer = Producer({"bootstrap.servers": servers, "linger.ms": 1})
began = time.time()
for i in range(rate * seconds):
    ahead = began + i / rate - time.time()
    if ahead > 0:
        producer.poll(0)
        time.sleep(ahead)
    items = [{"sku": f"SKU-{i * 7919 % skus}", "quantity": 1}]
    ref = f"{i}/{time.time():.6f}"
    order = {"ref": ref, "promotionId": "BENCH", "items": items}
    producer.produce(topic, json.dumps({"order": order}), ref)
producer.flush()
"""


def run(arena: Arena) -> list[Result]:
    """p50 and p99 with one, four and twelve partitions; not shown are the runs that warm the broker up."""
    warm_up(arena.broker_pid, partial(_measure, arena, 4))
    return [result for partitions in AIMS for result in _measure(arena, partitions)]


def _measure(arena: Arena, partitions: int) -> list[Result]:
    settings, environment = arena.settings(partitions)
    prefill.send(arena.client, settings.prefixed(SKU_COMMANDS), prefill.reserved(SKUS))
    with MeasuredWorker(environment, arena.directory, free_port()) as worker:
        worker.wait("flashsale_records_total", 2 * SKUS)
        arguments = [arena.bootstrap, settings.prefixed(ORDER_PLACED), str(RATE), str(SECONDS), str(SKUS)]
        load = subprocess.Popen([sys.executable, "-c", LOAD, *arguments])
        taken = _receive(arena, settings.prefixed(ORDER_OUTCOMES), partitions)
        load.wait(60)
    p50, p99 = p50_and_p99_ms(taken, WARM_SHARE)
    name = f"latency, {partitions} partition{'s' if partitions > 1 else ''}"
    notes = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(taken):,} orders"
    return [Result(name, p50, "ms p50", AIMS[partitions], notes)]


def _receive(arena: Arena, topic: str, partitions: int) -> list[float]:
    """Seconds from send to receipt, in order of receipt."""
    consumer, taken, deadline = (
        reader(arena.client, topic, partitions),
        list[float](),
        time.time() + SECONDS + 30,
    )
    try:
        while len(taken) < RATE * SECONDS:
            if (message := next_record(consumer)) is not None:
                taken.append(time.time() - float((message.key() or b"").rpartition(b"/")[2]))
            if time.time() > deadline:
                raise RuntimeError(f"only {len(taken)} of {RATE * SECONDS} outcomes came")
    finally:
        consumer.close()
    return taken
