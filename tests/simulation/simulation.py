"""One run of the whole system under virtual time: everything that happens in it follows from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from schemas.topics import INPUTS
from streams.ledger.inputs import CancelOrder
from streams.ledger.terms import Terms
from tests.simulation.auditor import Audit
from tests.simulation.barrier import Barrier
from tests.simulation.broker import Broker, Clock
from tests.simulation.fluent import Fluent, Stock
from tests.simulation.sale import Promotion, World, plan_sale
from tests.simulation.shop import Shop
from tests.simulation.worker import Task

NOON_MS = 1_800_000_000_000
MAX_STEPS = 400_000
FAILOVER_MS = 10_000
STUCK_MS = 90_000
KEPT = {b"RR", b"RA", b"PP", b"PL", b"PA", b"PE", b"OH", b"OK", b"RT", b"!w"}
"""Rows that stay: a promotion must not begin twice; the orders' open page; attendance; watermarks."""


@dataclass
class Run:
    """What a run left behind."""

    audit: Audit
    tasks: list[Task]
    fluent: Fluent

    @property
    def longest_wait_ms(self) -> int:
        """For how long a watermark stood still."""
        return max(task.barrier.longest_wait_ms for task in self.tasks)

    @property
    def crashes(self) -> int:
        """How many transactions were lost."""
        return sum(task.crashes for task in self.tasks)


def run(seed: int) -> Run:
    """Run a sale until nothing is left to do, and audit it."""
    rng = random.Random(seed)
    clock = Clock(NOON_MS)
    broker = Broker(clock, rng.choice([1, 2, 4]))
    terms = _terms(rng)
    away_ms = NOON_MS + rng.randint(0, 120_000)
    lasts_ms = rng.choice([0, 0, 15_000, 90_000])
    loss_rate = rng.choice([0.0, 0.05, 0.3])
    fluent = Fluent(broker, rng, loss_rate=loss_rate, away=(away_ms, away_ms + lasts_ms))
    shop = Shop(broker, fluent, rng, books=not terms.book_sale)
    crash_rate = rng.choice([0.0, 0.02, 0.2])
    barrier = Barrier(broker)
    tasks = [Task(index, barrier, rng, crash_rate) for index in range(broker.partitions)]
    _plan_outages(rng, clock, tasks)
    stalls = {topic: _stall(rng) for topic in INPUTS if rng.random() < 0.3}
    world = World(broker, rng, terms, barrier, stalls)
    plan_sale(world, _promotions(rng, fluent, shared=terms.book_sale), rng.randint(20, 120))
    fluent.watchers.append(lambda sku: _watch(sku, shop, world))
    shop.watchers.append(lambda sku: _watch(sku, shop, world))
    clock.run(MAX_STEPS)
    audit = Audit(broker, fluent, world.sent, terms)
    audit.check()
    for task in tasks:
        left = {key[:2] for key in task.store.rows}
        assert left <= KEPT, f"rows {left - KEPT} were never forgotten"
    return Run(audit, tasks, fluent)


def _backlog_ms(rng: random.Random) -> int:
    """From a moment to a quarter of an hour: as often about a second as about a minute."""
    return int(10 ** rng.uniform(1, 6))


def _stall(rng: random.Random) -> tuple[int, int]:
    from_ms = NOON_MS + rng.randint(0, 150_000)
    return from_ms, from_ms + _backlog_ms(rng)


def _plan_outages(rng: random.Random, clock: Clock, tasks: list[Task]) -> None:
    """Now and then a worker goes, and others take over; now and then there is no worker left for a while."""
    for task in tasks:
        if rng.random() < 0.5:
            clock.plan(_some_time_ms(rng), partial(_go_away, [task], rng.randint(1_000, FAILOVER_MS)))
    if rng.random() < 0.5:
        clock.plan(_some_time_ms(rng), partial(_go_away, tasks, _backlog_ms(rng)))
    if rng.random() < 0.5:
        clock.plan(_some_time_ms(rng), partial(_be_stuck, tasks, rng.randint(1_000, STUCK_MS)))


def _some_time_ms(rng: random.Random) -> int:
    return NOON_MS + rng.randint(0, 120_000)


def _go_away(tasks: list[Task], for_ms: int) -> None:
    """Nobody owns these tasks for a while."""
    for task in tasks:
        task.away_until_ms = max(task.away_until_ms, task.broker.clock.now_ms + for_ms)


def _be_stuck(tasks: list[Task], for_ms: int) -> None:
    """Nothing is committed for a while, and the timers go on."""
    for task in tasks:
        task.stuck_until_ms = task.broker.clock.now_ms + for_ms


def _terms(rng: random.Random) -> Terms:
    return Terms(
        hold_timeout_ms=rng.choice([5_000, 60_000]),
        retention_ms=3_600_000,
        report_interval_ms=rng.choice([5_000, 60_000]),
        settle_delay_ms=30_000,
        ask_again_ms=rng.choice([3_000, 10_000]),
        auto_release=rng.random() < 0.9,
        all_or_nothing=rng.random() < 0.5,
        book_sale=rng.random() < 0.5,
    )


def _promotions(rng: random.Random, fluent: Fluent, *, shared: bool) -> list[Promotion]:
    """Up to three promotions; `shared` lets them compete for the same SKUs' stock."""
    promotions = []
    for number in range(rng.randint(1, 3)):
        owner = "" if shared else f"-{number}"
        lines = {f"SKU-{n}{owner}": rng.randint(1, 40) for n in range(rng.randint(1, 4))}
        for sku, quantity in lines.items():
            fluent.stocks.setdefault(sku, Stock(rng.choice([quantity, 2 * quantity, quantity // 2])))
        starts_at_ms = NOON_MS + rng.randint(0, 30_000)
        duration_ms = rng.randint(20_000, 150_000)
        promotions.append(Promotion(f"FLASH-{number}", lines, starts_at_ms, duration_ms))
    return promotions


def _watch(sku: str, shop: Shop, world: World) -> None:
    """At no moment is a sold unit on sale again. Orders with a cancel are left out: it may be under way."""
    events = world.sent.values()
    cancelled = {(e.order_ref, e.promotion_id) for e in events if isinstance(e, CancelOrder)}
    stock = shop.fluent.stocks[sku]
    sold = shop.sold_units(sku, without=cancelled)
    assert stock.available <= stock.on_hand - sold, f"units of {sku} that were sold are on sale again"
    assert shop.books or stock.available >= 0, f"{sku} is promised twice"
