"""What a system costs while nothing happens: a promotion has begun, and nobody orders."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.jit import rest
from benchmarks.result import Arena, Result
from benchmarks.subject import Subject
from benchmarks.trial import Measure, Trial

SKUS = 1_000
ORDERS = 20_000
"""Decided before a worker is measured with other numbers of partitions, so that their memory is in use."""

SETTLE_S = 5.0
SECONDS = 30.0


def _measure(arena: Arena, subject: Subject, *, partitions: int, orders: int = 0) -> list[Result]:
    """Parts of a core that worker and broker take, and the worker's memory."""
    with Trial(arena, subject, partitions, SKUS) as trial:
        trial.place(orders)
        trial.start_worker()
        if orders:
            trial.wait_decided(orders)
        time.sleep(SETTLE_S)
        rest(arena.broker_pid)
        worker, broker, began = trial.cpu_s(), trial.broker_cpu_s(), time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - began
        worker_share = (trial.cpu_s() - worker) / seconds * 100
        broker_share = (trial.broker_cpu_s() - broker) / seconds * 100
        memory = trial.rss_mb()
    after = f"after {orders:,} orders, " if orders else ""
    notes = f"{after}{SECONDS:.0f} s"
    return [
        Result(f"idle worker, {partitions} partitions", worker_share, "% of a core", "3 %", notes),
        Result(f"broker of an idle worker, {partitions} partitions", broker_share, "% of a core"),
        Result(f"memory of an idle worker, {partitions} partitions", memory, "MB RSS", "", notes),
    ]


FIGURES: tuple[Measure, ...] = (partial(_measure, partitions=12),)
WITH_MORE_OR_LESS: tuple[Measure, ...] = tuple(
    partial(_measure, partitions=number, orders=ORDERS) for number in (4, 12, 64)
)
"""What partitions cost."""
