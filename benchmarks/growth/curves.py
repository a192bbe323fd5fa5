"""The curves. Each point is measured in a process of its own, with empty databases to begin with."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

from benchmarks.growth.curve import Curve, Figure, Figures
from benchmarks.growth.sale import catalogue, claims, costs, cpu_us, feeding_us, orders, size, start
from benchmarks.growth.worker import BATCH, Worker
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, SKU_COMMANDS
from streams.engine.portion import MAX_ROWS
from streams.ledger.reservations.figures import MAX_FIGURES
from streams.ledger.terms import HOUR_MS, Terms

MINUTE_MS = 60_000
FEW_SKUS, SOME_SKUS = 100, 10_000
ARRIVALS = BATCH // 2
"""Orders that come in each round trip while a queue is decided: half of what a batch holds."""

MOST_ROUNDS = 3_000
IDLE_MS = 2 * MINUTE_MS
CANCELLED_SHARE = 10
"""Every tenth order is cancelled."""


def skus(directory: Path, count: int, effort: int) -> Figures:
    """Orders over a catalogue of `count` SKUs."""
    worker = Worker(directory)
    began = time.process_time()
    pick = catalogue(worker, count)
    begun_us = (time.process_time() - began) / count * 1e6
    return {"start": begun_us, **costs(worker, pick, effort)}


def claims_per_sku(directory: Path, count: int, effort: int) -> Figures:
    """Orders of SKUs of which each has `count` claims: so many SKUs that there are claims to measure."""
    worker = Worker(directory)
    pick = catalogue(worker, max(1, effort // count))
    before = max(1, effort // count) * count
    worker.feed(SKU_COMMANDS, claims(worker, range(effort, effort + before), pick))
    return costs(worker, pick, effort)


def promotions(directory: Path, count: int, effort: int) -> Figures:
    """Orders of `count` promotions, which share SOME_SKUS SKUs."""
    worker = Worker(directory)
    return costs(worker, catalogue(worker, SOME_SKUS, SOME_SKUS // count), effort)


def partitions(directory: Path, count: int, effort: int) -> Figures:
    """Orders in a worker of `count` tasks."""
    worker = Worker(directory, count)
    return costs(worker, catalogue(worker, 1_000), effort)


def waiting(directory: Path, count: int, _effort: int, *, unknown: bool = False) -> Figures:
    """`count` claims of one SKU that wait for Fluent, or for a start that does not come, and are decided."""
    figures = _queue(directory / "alone", count, 0, unknown)
    if not unknown:
        figures["busy"] = _queue(directory / "busy", count, ARRIVALS, unknown)["rounds"]
    return figures


def _queue(directory: Path, count: int, arrivals: int, unknown: bool) -> Figures:
    worker = Worker(directory, fluent_answers=False)
    if not unknown:
        start(worker, "P-0", ["SKU-0"])
    joined_us = feeding_us(worker, ORDER_PLACED, orders(range(count), _one_sku))
    if unknown:
        worker.now_ms += worker.terms.claim_grace_ms
        worker.tick()
    worker.fluent_answers = True
    worker.answer_fluent()
    began = time.process_time()
    rounds = _rounds_until_decided(worker, count, arrivals)
    decided_us = (time.process_time() - began) / count * 1e6
    return {"join": joined_us, "decide": decided_us, "rounds": float(rounds), **size(worker)}


def _one_sku(_: int) -> tuple[str, str]:
    return "P-0", "SKU-0"


def _rounds_until_decided(worker: Worker, waiting: int, arrivals: int) -> int:
    """Round trips until no order is undecided, with `arrivals` new ones in each; MOST_ROUNDS at most."""
    placed = waiting
    for rounds in range(1, MOST_ROUNDS):
        worker.put(ORDER_PLACED, orders(range(placed, placed + arrivals), _one_sku))
        placed += arrivals
        worker.round()
        if placed - worker.counts.outcomes <= 2 * arrivals:
            return rounds
    return MOST_ROUNDS


def idle(directory: Path, count: int, _effort: int) -> Figures:
    """`count` SKUs of which nobody orders."""
    worker = Worker(directory)
    catalogue(worker, count)
    first_figures_ms = count // MAX_FIGURES * 1_000
    worker.pass_time(worker.now_ms + 2 * MINUTE_MS + first_figures_ms)
    before, requests, rows = time.process_time(), worker.counts.requests, worker.counts.rows
    worker.pass_time(worker.now_ms + IDLE_MS)
    seconds = IDLE_MS / 1_000
    return {
        "cpu": (time.process_time() - before) / seconds * 1e3,
        "requests": (worker.counts.requests - requests) / seconds,
        "rows": (worker.counts.rows - rows) / seconds,
        **size(worker),
    }


def forgetting(directory: Path, count: int, _effort: int) -> Figures:
    """`count` orders of a promotion that is over, of which some were cancelled, come of age together."""
    terms = Terms(retention_ms=HOUR_MS)
    worker = Worker(directory, terms=terms)
    start(worker, "P-0", map("SKU-{}".format, range(FEW_SKUS)), minutes=30)
    worker.pass_time(worker.now_ms + MINUTE_MS)
    pick = lambda number: ("P-0", f"SKU-{number % FEW_SKUS}")  # noqa: E731
    worker.feed(ORDER_PLACED, orders(range(count), pick))
    cancels = (
        (key, json.dumps({"order": {"ref": key.decode(), "promotionId": "P-0"}}).encode())
        for key, _ in orders(range(0, count, CANCELLED_SHARE), pick)
    )
    worker.feed(ORDER_CANCELLED, cancels)
    worker.pass_time(worker.now_ms + HOUR_MS - MINUTE_MS)
    worker.counts.longest_s, worker.counts.most_rows = 0.0, 0
    spent = cpu_us(lambda: worker.pass_time(worker.now_ms + 3 * HOUR_MS), count)
    return {
        "forget": spent,
        "longest": worker.counts.longest_s * 1e3,
        "most": float(worker.counts.most_rows),
        "left": float(worker.stored_rows()),
        **size(worker),
    }


ORDER = Figure("order", "an order", "µs CPU")
CLAIM = Figure("claim", "a claim alone", "µs CPU")
ROWS = Figure("rows", "an order writes", "rows")
RSS = Figure("rss", "memory", "MB RSS")
RSS_OF_ROWS = Figure(
    "rss", "memory", "MB RSS", "row cache, block cache and write buffers fill up to their limits"
)
DISK = Figure("disk", "disk", "MB", "it is what is stored")

CURVES: tuple[Curve, ...] = (
    Curve(
        "skus",
        "SKUs",
        (10, 100, 1_000, 10_000, 100_000, 1_000_000),
        (
            Figure("start", "to set a SKU aside", "µs CPU"),
            Figure(
                "order",
                "an order",
                "µs CPU",
                "a batch writes a SKU's row once, and a SKU's first order sets its deadlines: with as many "
                "SKUs as orders each order pays for that; beyond 50,000 it reads a row from RocksDB, too, "
                "and at 1 M a third of it is RocksDB's threads, which still compact what the start wrote",
            ),
            Figure("claim", "a claim alone", "µs CPU", "as above"),
            Figure("rows", "an order writes", "rows", "as above"),
            RSS_OF_ROWS,
            DISK,
        ),
        skus,
        "20,000 orders over a catalogue of so many SKUs, in promotions of 10,000.",
    ),
    Curve(
        "claims",
        "claims a SKU",
        (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
        (ORDER, CLAIM, RSS_OF_ROWS, DISK),
        claims_per_sku,
        "20,000 orders of SKUs that have so many claims each.",
    ),
    Curve(
        "promotions",
        "open promotions",
        (1, 10, 100, 1_000, 10_000),
        (ORDER, CLAIM, ROWS, RSS, Figure("disk", "disk", "MB", "a promotion has rows of its own")),
        promotions,
        "20,000 orders over 10,000 SKUs in so many promotions.",
    ),
    Curve(
        "partitions",
        "partitions of a worker",
        (4, 8, 16, 32, 64),
        (
            Figure("order", "an order", "µs CPU", "a batch of all tasks holds fewer orders of each"),
            Figure("claim", "a claim alone", "µs CPU", "as above"),
            RSS,
            Figure("disk", "disk", "MB"),
            Figure("files", "open files", "", "each task has a database of its own"),
        ),
        partitions,
        "20,000 orders over 1,000 SKUs in one worker that owns so many partitions.",
    ),
    Curve(
        "waiting",
        "waiting claims",
        (100, 1_000, 10_000, 100_000, 200_000),
        (
            Figure("join", "to join the queue", "µs CPU"),
            Figure("decide", "to be decided", "µs CPU"),
            Figure(
                "rounds",
                "until all are decided",
                "round trips",
                "a round trip decides a bounded number",
                10.0,
            ),
            Figure("busy", "the same with 500 orders a round trip", "round trips", "as above", 10.0),
            RSS_OF_ROWS,
        ),
        waiting,
        "So many orders of one SKU wait for Fluent, which then confirms the hold.",
    ),
    Curve(
        "unknown",
        "claims of an unknown promotion",
        (100, 1_000, 10_000, 100_000),
        (
            Figure("join", "to join the queue", "µs CPU"),
            Figure("decide", "to be refused", "µs CPU"),
            Figure(
                "rounds",
                "until all are refused",
                "round trips",
                "a round trip decides a bounded number",
                10.0,
            ),
            RSS_OF_ROWS,
        ),
        partial(waiting, unknown=True),
        "So many orders wait for a promotion that nobody starts, until their grace is over.",
    ),
    Curve(
        "idle",
        "SKUs of which nobody orders",
        (10, 100, 1_000, 10_000, 100_000),
        (
            Figure("cpu", "a second costs", "ms CPU", "each is named in a page every 45 s", 1.0),
            Figure("requests", "Fluent is asked", "requests/s", "200 SKUs to a request, every 45 s", 1.0),
            Figure("rows", "rows are written", "rows/s", "as many as requests, and a few", 1.0),
            RSS_OF_ROWS,
        ),
        idle,
        "Nothing happens for two minutes but what deadlines ask for; the figures of the start are out.",
    ),
    Curve(
        "forgetting",
        "orders that come of age together",
        (1_000, 10_000, 100_000, 300_000),
        (
            Figure("forget", "to forget an order and its claim", "µs CPU"),
            Figure("longest", "the longest batch", "ms CPU", "", 100.0),
            Figure("most", "the most that a batch writes", "rows", "", MAX_ROWS * 1.2),
            Figure("left", "what is left", "rows"),
            RSS_OF_ROWS,
        ),
        forgetting,
        "So many orders of one promotion, every tenth cancelled, are forgotten a retention after it closed.",
    ),
)
