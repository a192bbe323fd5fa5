"""What the curves feed a worker with: promotions that have begun, orders, claims, cancels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

import psutil

from benchmarks.growth.curve import Figures
from benchmarks.growth.worker import BATCH, Pair, Worker
from benchmarks.usage import disk_mb
from schemas.topics import ORDER_PLACED, PROMOTION_START, SKU_COMMANDS
from streams.ledger.commands import Claim, encode
from streams.ledger.terms import Source

WEEK_MINUTES = 10_080
UNITS = 10**9
MOST_SKUS = 10_000
"""Of a promotion: the contract's limit."""

SOURCE = Source(ORDER_PLACED, 0, 0, b"key")

Pick = Callable[[int], tuple[str, str]]
"""(promotion, SKU) of the order with this number."""


def start(worker: Worker, promotion: str, skus: Iterable[str], minutes: int = WEEK_MINUTES) -> None:
    """Have units set aside and confirmed (or asked for, while Fluent does not answer)."""
    lines = [{"sku": sku, "quantity": UNITS} for sku in skus]
    event = {"promotion": {"id": promotion, "skus": lines, "durationMinutes": minutes}}
    worker.feed(PROMOTION_START, [(promotion.encode(), json.dumps(event).encode())])


def catalogue(worker: Worker, skus: int, per_promotion: int = MOST_SKUS) -> Pick:
    """Begin as many promotions as `skus` SKUs need; returns which SKU an order wants: each in its turn."""
    for first in range(0, skus, per_promotion):
        numbers = range(first, min(skus, first + per_promotion))
        start(worker, f"P-{first // per_promotion}", map("SKU-{}".format, numbers))

    def pick(number: int) -> tuple[str, str]:
        sku = number * 7919 % skus
        return f"P-{sku // per_promotion}", f"SKU-{sku}"

    return pick


def orders(numbers: Iterable[int], pick: Pick) -> Iterator[Pair]:
    """Orders of one unit, keyed by their ref."""
    for number in numbers:
        promotion, sku = pick(number)
        items = [{"sku": sku, "quantity": 1}]
        order = {"ref": f"ORD-{number}", "promotionId": promotion, "items": items}
        yield f"ORD-{number}".encode(), json.dumps({"order": order}).encode()


def claims(worker: Worker, numbers: Iterable[int], pick: Pick) -> Iterator[Pair]:
    """What the orders stage makes of such orders."""
    kept_ms, placed_at_ms = worker.terms.claims_kept_ms, worker.now_ms
    for number in numbers:
        promotion, sku = pick(number)
        claim = Claim(promotion, sku, 1, f"CLM-{number}", placed_at_ms, 5_000, kept_ms, SOURCE)
        yield sku.encode(), encode(claim)


def cpu_us(work: Callable[[], None], count: int) -> float:
    """CPU microseconds of one of `count` parts of some work, the database's own threads included."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def feeding_us(worker: Worker, topic: str, records: Iterable[Pair]) -> float:
    """CPU microseconds of a record that is fed. What it takes to make the records does not count."""
    left, count, spent_us = iter(records), 0, 0.0
    while made := list(islice(left, 5 * BATCH)):
        spent_us += cpu_us(partial(worker.feed, topic, made), 1)
        count += len(made)
    return spent_us / count


def costs(worker: Worker, pick: Pick, effort: int) -> Figures:
    """CPU of an order and of a claim, rows that an order writes, and what the process has come to."""
    rows, decided = worker.counts.rows, worker.counts.outcomes
    order_us = feeding_us(worker, ORDER_PLACED, orders(range(effort), pick))
    if worker.counts.outcomes - decided != effort:
        raise RuntimeError(f"{worker.counts.outcomes - decided} outcomes for {effort} orders")
    rows = worker.counts.rows - rows
    claim_us = feeding_us(worker, SKU_COMMANDS, claims(worker, range(effort), pick))
    return {"order": order_us, "claim": claim_us, "rows": rows / effort, **size(worker)}


def size(worker: Worker) -> Figures:
    """Memory and disk."""
    process = psutil.Process()
    return {
        "rss": process.memory_info().rss / 1e6,
        "disk": disk_mb(worker.directory),
        "files": float(process.num_fds()),
    }
