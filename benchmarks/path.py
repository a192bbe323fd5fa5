"""The whole path: order-placed to order-outcomes, single-line orders, one worker."""

from __future__ import annotations

import time

from benchmarks import prefill
from benchmarks.reader import count_committed
from benchmarks.result import Arena, Result
from benchmarks.workers import MeasuredWorker
from rehearsal.kafka.config import free_port
from schemas.topics import ORDER_OUTCOMES, ORDER_PLACED, SKU_COMMANDS

ORDERS = 100_000
SKUS = 1_000
PARTITIONS = 2
RECORDS = "flashsale_records_total"


def run(arena: Arena) -> list[Result]:
    """Orders a second, from the first record taken in to the last committed outcome."""
    settings, environment = arena.settings(PARTITIONS)
    reserved = prefill.send(arena.client, settings.prefixed(SKU_COMMANDS), prefill.reserved(SKUS))
    prefill.send(arena.client, settings.prefixed(ORDER_PLACED), prefill.orders(ORDERS, SKUS))
    with MeasuredWorker(environment, arena.directory, free_port()) as worker:
        worker.wait(RECORDS, 1)
        began, cpu = time.monotonic(), worker.cpu_s()
        before = worker.metric(RECORDS)
        ended = worker.wait(RECORDS, reserved + 4 * ORDERS)
        notes = f"{(worker.cpu_s() - cpu) / ORDERS * 1e6:.0f} µs CPU an order, RSS {worker.rss_mb():.0f} MB"
        found = count_committed(arena.client, settings.prefixed(ORDER_OUTCOMES), PARTITIONS)
    if found != ORDERS:
        raise RuntimeError(f"{found} outcomes for {ORDERS} orders")
    share = 1 - max(0.0, before - reserved) / (4 * ORDERS)
    return [
        Result("whole path, single-line orders", ORDERS * share / (ended - began), "/s", "12,000 /s", notes)
    ]
