"""An open-loop client: orders go out at a fixed rate, however long the outcomes take, and each is waited for.

Latency is from the moment at which an order was due to the receipt of its outcome by a `read_committed`
reader. So a stall of the client, the broker or the worker counts for every order that it delays.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import Producer

from benchmarks import prefill
from benchmarks.reader import next_record
from benchmarks.result import Arena, Result, p50_and_p99_ms
from benchmarks.subject import Subject
from benchmarks.trial import Measure, Trial
from schemas.topics import ORDER_PLACED
from streams.kafka import producing

RATE = 1_000
SECONDS = 20
SKUS = 1_000
WARM_SHARE = 0.25
WAIT_S = 60.0
"""For outcomes after the last order is sent; one that has not come by then counts as this late."""

AIM = "p50 100 ms, p99 250 ms"


def _measure(arena: Arena, subject: Subject, *, partitions: int) -> list[Result]:
    """p50, with p99 beside it."""
    with Trial(arena, subject, partitions, SKUS) as trial:
        trial.start_worker()
        cpu, broker, began = trial.cpu_s(), trial.broker_cpu_s(), time.monotonic()
        _, taken, missing = offer(trial, RATE, SECONDS)
        seconds = time.monotonic() - began
        shares = [(trial.cpu_s() - cpu) / seconds, (trial.broker_cpu_s() - broker) / seconds]
    p50, p99 = p50_and_p99_ms(taken, WARM_SHARE)
    notes = f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms; worker {shares[0]:.0%}, broker {shares[1]:.0%} of a core"
    if missing:
        notes += f"; {missing:,} of {len(taken):,} had no outcome {WAIT_S:.0f} s after the last order"
    return [Result(f"open loop, {partitions} partitions", p50, "ms p50", AIM, notes)]


class Offered(NamedTuple):
    """What became of the orders that were offered, in order of sending."""

    began: float
    """Unix time at which the first was due."""
    taken: list[float]
    """Each order's latency in seconds."""
    missing: int
    """How many have no outcome."""


def offer(trial: Trial, rate: int, seconds: int, *, skus: int = SKUS) -> Offered:
    """Send and wait."""
    count = rate * seconds
    orders = list(prefill.orders(count, skus))
    number_of = {ref: number for number, (ref, _) in enumerate(orders)}
    came = [0.0] * count
    outcomes = trial.outcomes()
    outcomes.consume(1, 1.0)  # connects, and finds the ends
    began = time.time() + 0.5
    sender = threading.Thread(target=_send, args=(trial, orders, began, rate), daemon=True)
    sender.start()
    left, deadline = count, began + seconds + WAIT_S
    try:
        while left and time.time() < deadline:
            message = next_record(outcomes)
            number = None if message is None else number_of.get(message.key() or b"")
            if number is not None and not came[number]:
                came[number] = time.time()
                left -= 1
    finally:
        outcomes.close()
        sender.join(WAIT_S)
    taken = [(at or deadline) - began - number / rate for number, at in enumerate(came)]
    return Offered(began, taken, left)


def _send(trial: Trial, orders: list[prefill.Pair], began: float, rate: int) -> None:
    settings: dict[str, Any] = producing(trial.client) | {"linger.ms": 1}
    producer, topic = Producer(settings), trial.topic(ORDER_PLACED)
    for number, (key, value) in enumerate(orders):
        ahead = began + number / rate - time.time()
        if ahead > 0:
            producer.poll(0)
            time.sleep(ahead)
        producer.produce(topic, value, key)
    producer.flush(WAIT_S)


FIGURES: tuple[Measure, ...] = (partial(_measure, partitions=4), partial(_measure, partitions=12))
