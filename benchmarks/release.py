"""How soon after their deadline the units of idle SKUs are given back, on a system that is caught up.

Sales end one after the other. What counts is, of each SKU, the time from the deadline and its grace to the
receipt of its record in reservation-releases by a `read_committed` reader.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import prefill
from benchmarks.open_loop import offer
from benchmarks.reader import reader
from benchmarks.result import Arena, Result, p50_and_p99_ms
from benchmarks.subject import Subject
from benchmarks.trial import Measure, Trial
from schemas.times import iso_utc
from schemas.topics import PROMOTION_START, RESERVATION_RELEASES

PARTITIONS = 12
SKUS = 12
PROMOTIONS = 40
APART_S = 0.7
"""Between two ends, give or take half of it."""

FIRST_AFTER_S = 12.0
"""From the starts to the first end: by then everything is held, and nothing else is on its way."""

GRACE_S = 2.0
"""`expiryGraceSeconds` where nothing is configured."""

WITHIN_S = 30.0
RATE = 300
AIM = "p99 1,000 ms"


def _measure(arena: Arena, subject: Subject, *, rate: int) -> list[Result]:
    """p50 and p99, while so many orders a second come for another sale."""
    with Trial(arena, subject, PARTITIONS, SKUS) as trial:
        trial.start_worker()
        ends = dict(_ends(time.time() + FIRST_AFTER_S))
        prefill.send(trial.client, trial.topic(PROMOTION_START), (_start(*each) for each in ends.items()))
        with _ordering(trial, rate, round(max(ends.values()) - time.time())):
            taken = _receive(trial, ends)
    p50, p99 = p50_and_p99_ms(taken, 0.0)
    orders = f"{rate} orders a second" if rate else "no orders"
    notes = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(taken)} SKUs"
    return [Result(f"release after expiry and grace, {orders}", p50, "ms p50", AIM, notes)]


def _ends(first: float) -> Iterator[tuple[str, float]]:
    chance = random.Random(7)
    for number in range(PROMOTIONS):
        yield f"IDLE-{number}", round(first + APART_S * (number + chance.random() - 0.5), 3)


def _start(promotion: str, ends_at: float) -> prefill.Pair:
    at = iso_utc(round(ends_at * 1_000))
    skus = [{"sku": f"SKU-{i}", "quantity": 1} for i in range(SKUS)]
    event = {"promotion": {"id": promotion, "skus": skus, "expiresAt": at}}
    return promotion.encode(), json.dumps(event).encode()


@contextmanager
def _ordering(trial: Trial, rate: int, seconds: int) -> Iterator[None]:
    """Orders for the trial's own sale, meanwhile."""
    if not rate:
        yield
        return
    customer = threading.Thread(target=partial(offer, trial, rate, seconds, skus=SKUS), daemon=True)
    customer.start()
    yield
    customer.join(WITHIN_S)


def _receive(trial: Trial, ends: dict[str, float]) -> list[float]:
    """Seconds from deadline and grace to receipt, in order of receipt."""
    consumer = reader(trial.client, trial.topic(RESERVATION_RELEASES), PARTITIONS)
    taken: list[float] = []
    try:
        while len(taken) < PROMOTIONS * SKUS:
            for message in consumer.consume(100, 0.01):
                if message.error() is None:
                    release = json.loads(message.value() or b"")
                    taken.append(time.time() - ends[release["promotionId"]] - GRACE_S)
            if time.time() > max(ends.values()) + WITHIN_S:
                raise RuntimeError(f"only {len(taken)} of {PROMOTIONS * SKUS} releases came")
    finally:
        consumer.close()
    return taken


FIGURES: tuple[Measure, ...] = (partial(_measure, rate=0), partial(_measure, rate=RATE))
