"""One run of the whole system under virtual time: everything that happens in it follows from its seed."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from streams.ledger.inputs import CancelOrder
from tests.audit.report import Report, audit
from tests.simulation.barrier import Barrier
from tests.simulation.bounds import bounded, draw_bounds
from tests.simulation.broker import Broker, Clock
from tests.simulation.deadlines import Deadlines
from tests.simulation.evidence import gather
from tests.simulation.fluent import Fluent, Stock
from tests.simulation.sale import Promotion, plan_sale
from tests.simulation.shop import Shop
from tests.simulation.smaller import BOUNDS, leave_out
from tests.simulation.worker import Task
from tests.simulation.world import World
from tests.simulation.worlds import NOON_MS, Kind, backlog_ms, chance, draw, log

LEAST_STEPS, MOST_STEPS, MS_PER_STEP = 150_000, 500_000, 100
"""A sale that has not come to rest after so many steps never will; the longer it lasts the more it takes."""

FAILOVER_MS = 10_000
STUCK_MS = 90_000


@dataclass
class Run:
    """What a run left behind."""

    report: Report
    deadlines: Deadlines
    world: World
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


def run(seed: int, *, without: Collection[str] = (), orders: Collection[int] | None = None) -> Run:
    """Run a sale until nothing is left to do, and audit it.

    `without` names what is left out of the seed's world (`smaller.LEFT_OUT`); `orders` are the numbers of the
    orders that are placed, all of them unless they are given.
    """
    rng = random.Random(seed)
    kind, bounds = draw(rng), draw_bounds(rng)
    with bounded({} if BOUNDS in without else bounds):
        return _run(leave_out(kind, without), seed, range(kind.orders) if orders is None else orders)


def _run(kind: Kind, seed: int, orders: Collection[int]) -> Run:
    clock = Clock(NOON_MS)
    broker = Broker(clock, kind.partitions)
    fluent = Fluent(broker, chance(seed, "Fluent"), kind)
    shop = Shop(broker, fluent, chance(seed, "shop"), books=not kind.terms.book_sale)
    barrier = Barrier(broker)
    tasks = [
        Task(index, barrier, chance(seed, f"task {index}"), kind.crash_rate)
        for index in range(broker.partitions)
    ]
    if kind.ownerless:
        _plan_outages(chance(seed, "outages"), clock, tasks, kind.lasts_ms)
    world = World(broker, kind, barrier)
    plan_sale(world, _promotions(chance(seed, "promotions"), fluent, kind), orders, seed)
    journal: list[dict[str, Any]] = []
    fluent.watchers.append(lambda sku: journal.append(_entry(sku, fluent.stocks[sku], clock.now_ms)))
    fluent.watchers.append(lambda sku: _watch(sku, shop, world))
    shop.watchers.append(lambda sku: _watch(sku, shop, world))
    clock.run(min(LEAST_STEPS + kind.lasts_ms // MS_PER_STEP, MOST_STEPS))
    report = audit(gather(broker, world.sent, fluent, tasks, kind.terms, journal))
    assert not report.wrong, "\n".join(report.wrong)
    deadlines = Deadlines(broker, kind.terms, report.sale.forgettable)
    deadlines.check(report.sale.reserved, world.sent)
    return Run(report, deadlines, world, tasks, fluent)


def _entry(sku: str, stock: Stock, at_ms: int) -> dict[str, Any]:
    return {
        "atMs": at_ms,
        "sku": sku,
        "onHand": stock.on_hand,
        "held": stock.held,
        "available": stock.available,
    }


def orders_of(seed: int) -> int:
    """How many orders the sale of a seed has."""
    return draw(random.Random(seed)).orders


def _plan_outages(rng: random.Random, clock: Clock, tasks: list[Task], lasts_ms: int) -> None:
    """Now and then a worker goes, and others take over; now and then there is no worker left for a while."""

    def some_time_ms() -> int:
        return NOON_MS + rng.randint(0, lasts_ms)

    for task in tasks:
        if rng.random() < 0.5:
            clock.plan(some_time_ms(), partial(_go_away, [task], rng.randint(1_000, FAILOVER_MS)))
    if rng.random() < 0.5:
        clock.plan(some_time_ms(), partial(_go_away, tasks, backlog_ms(rng)))
    if rng.random() < 0.5:
        clock.plan(some_time_ms(), partial(_be_stuck, tasks, rng.randint(1_000, STUCK_MS)))


def _go_away(tasks: list[Task], for_ms: int) -> None:
    """Nobody owns these tasks for a while."""
    for task in tasks:
        task.away_until_ms = max(task.away_until_ms, task.broker.clock.now_ms + for_ms)


def _be_stuck(tasks: list[Task], for_ms: int) -> None:
    """Nothing is committed for a while, and the timers go on."""
    for task in tasks:
        task.stuck_until_ms = task.broker.clock.now_ms + for_ms


def _promotions(rng: random.Random, fluent: Fluent, kind: Kind) -> list[Promotion]:
    """Up to three promotions; those that book sales themselves compete for the same SKUs' stock."""
    promotions = []
    for number in range(kind.promotions):
        owner = "" if kind.terms.book_sale else f"-{number}"
        lines = {f"SKU-{n}{owner}": log(rng, 1, 100) for n in range(rng.randint(1, 4))}
        for sku, quantity in lines.items():
            fluent.stocks.setdefault(sku, Stock(rng.choice([quantity, 2 * quantity, quantity // 2])))
        starts_at_ms = NOON_MS + rng.randint(0, 30_000)
        duration_ms = rng.randint(kind.lasts_ms // 2, kind.lasts_ms)
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
