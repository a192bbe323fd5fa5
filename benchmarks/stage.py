"""The reservations stage alone: claims in, durable decisions out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks import prefill
from benchmarks.result import Arena, Result
from benchmarks.workers import MeasuredWorker
from rehearsal.kafka.config import free_port
from schemas.topics import SKU_COMMANDS

RECORDS = "flashsale_records_total"
CLAIMS = 200_000
SKUS = 1_000
PARTITIONS = 2


def run(arena: Arena) -> list[Result]:
    """Durable claims a second on one worker: spread over SKUs, and with nine of ten on one."""
    return [
        _measure(arena, "claims, spread over 1,000 SKUs", prefill.spread(SKUS), "40,000 /s"),
        _measure(arena, "claims, 90 % on one SKU", prefill.hot(SKUS), "30,000 /s"),
    ]


def warm_up(arena: Arena) -> None:
    """Let the broker's JIT see the work before anything is measured."""
    _measure(arena, "warm-up", prefill.spread(SKUS), "", count=60_000)


def _measure(
    arena: Arena, name: str, pick: Callable[[random.Random], int], aim: str, count: int = CLAIMS
) -> Result:
    settings, environment = arena.settings(PARTITIONS)
    topic = settings.prefixed(SKU_COMMANDS)
    total = prefill.send(arena.client, topic, prefill.reserved(SKUS))
    total += prefill.send(arena.client, topic, prefill.claims(count, pick))
    with MeasuredWorker(environment, arena.directory, free_port(), [SKU_COMMANDS]) as worker:
        worker.wait(RECORDS, 1)
        before, began, cpu = worker.metric(RECORDS), time.monotonic(), worker.cpu_s()
        ended = worker.wait(RECORDS, total)
        done = total - before
        notes = f"{(worker.cpu_s() - cpu) / done * 1e6:.1f} µs CPU a claim, RSS {worker.rss_mb():.0f} MB"
    return Result(name, done / (ended - began), "/s", aim, notes)
