"""What a system costs while nothing happens: a promotion has begun, and nobody orders."""

from __future__ import annotations

import time

from benchmarks.jit import rest
from benchmarks.result import Arena, Result
from benchmarks.subject import Subject
from benchmarks.trial import Measure, Trial

PARTITIONS = 12
SKUS = 1_000
SETTLE_S = 5.0
SECONDS = 30.0


def _measure(arena: Arena, subject: Subject) -> list[Result]:
    """Parts of a core that worker and broker take with 12 partitions."""
    with Trial(arena, subject, PARTITIONS, SKUS) as trial:
        trial.start_worker()
        time.sleep(SETTLE_S)
        rest(arena.broker_pid)
        worker, broker, began = trial.cpu_s(), trial.broker_cpu_s(), time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - began
        worker_share = (trial.cpu_s() - worker) / seconds * 100
        broker_share = (trial.broker_cpu_s() - broker) / seconds * 100
        notes = f"RSS {trial.rss_mb():.0f} MB, {SECONDS:.0f} s"
    return [
        Result(f"idle worker, {PARTITIONS} partitions", worker_share, "% of a core", "3 %", notes),
        Result(f"broker of an idle worker, {PARTITIONS} partitions", broker_share, "% of a core"),
    ]


FIGURES: tuple[Measure, ...] = (_measure,)
