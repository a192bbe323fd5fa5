"""One sale of the whole system: what is asked of it, what goes wrong meanwhile, what must be true afterwards.

First everything goes wrong that the seed has drawn. Then nothing does any more, and within its time the
system has to answer everything, close every promotion and let go of every hold.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
from structlog.testing import capture_logs

from schemas.topics import INPUTS, TOPICS
from streams.engine.broker.coordinators import Partition
from streams.engine.partitioner import partition_of
from streams.ledger.inputs import StartPromotion
from tests.audit.report import Report, audit
from tests.simulation.evidence import Event, as_sent
from tests.simulation.sale import Promotion, plan_sale
from tests.simulation.smaller import leave_out
from tests.simulation.whole.clock import Died, VirtualLoop, virtual_time
from tests.simulation.whole.deletions import draw_deletions
from tests.simulation.whole.evidence import answered_inputs, gather, unanswered
from tests.simulation.whole.fluent import Fluent, Shop
from tests.simulation.whole.group import Group
from tests.simulation.whole.inputs import Inputs
from tests.simulation.whole.kafka import Kafka
from tests.simulation.whole.network import Weather
from tests.simulation.whole.person import Person
from tests.simulation.whole.small import small
from tests.simulation.whole.trouble import Trouble, draw_trouble
from tests.simulation.whole.worker import Cluster, Worker
from tests.simulation.worlds import (
    MINUTE_MS,
    NOON_MS,
    Kind,
    chance,
    draw,
    log,
)

LOOK_EVERY_S = 2.0
SENT_AGAIN_S = 0.1
AT_REST_WITHIN_S = 90.0
"""Beside all that the terms allow for."""

OVERTIME_S = 100.0
"""After the last answer: for the look at Fluent that follows a close, and for late writes."""


@dataclass
class Run:
    """What a run left behind."""

    report: Report
    cluster: Cluster
    trouble: Trouble
    workers: list[Worker]
    inputs: Inputs
    calls: int
    """How often a person was called."""
    seconds: float
    """How long the sale took, by its own clock."""

    @property
    def crashes(self) -> int:
        """How many transactions were lost."""
        return sum(worker.observer.discards for worker in self.workers)


def run(seed: int, *, without: Collection[str] = (), orders: Collection[int] | None = None) -> Run:
    """Hold the sale of a seed and audit it. Raises AssertionError for whatever is wrong."""
    rng = random.Random(seed)
    kind = leave_out(small(draw(rng), rng), without)
    with virtual_time(NOON_MS) as loop, patch.multiple(random, uniform=chance(seed, "back-off").uniform):
        sale = Sale(loop, seed, kind)
        gc.disable()  # what a dead process has left behind is not cleaned up in the middle of a sale
        try:
            with capture_logs():
                return sale.hold(range(kind.orders) if orders is None else orders)
        finally:
            gc.enable()


def orders_of(seed: int) -> int:
    """How many orders the sale of a seed has."""
    rng = random.Random(seed)
    return small(draw(rng), rng).orders


class Sale:
    """The system, and the world that asks something of it; `tests.simulation.sale` plans by `plan`."""

    def __init__(self, loop: VirtualLoop, seed: int, kind: Kind) -> None:
        self.kind = kind
        self.seed = seed
        self.loop = loop
        self.workers: list[Worker] = []
        self.failures: list[str] = []
        self._rng = chance(seed, "input")
        counts = {topic.name: self._partitions(topic.name) for topic in TOPICS}
        kafka = Kafka(loop, chance(seed, "broker"), counts)
        group = Group(kafka, chance(seed, "group"), self._assign)
        self.promotions, stock = self._draw_promotions(chance(seed, "promotions"))
        self._last_ms = max(each.expires_at_ms for each in self.promotions)
        """When the last thing is asked of the system, or the last promotion expires."""
        self.trouble = draw_trouble(chance(seed, "trouble"), kind)
        drawn = draw_deletions(chance(seed, "deletions"), self.trouble.over_s)
        self.deletions = drawn if kind.deletions else []
        self.inputs = Inputs(kafka, kind.partitions, numbered=bool(self.deletions))
        fluent = Fluent(loop, chance(seed, "Fluent"), kind, stock)
        troubles = self.trouble
        weather = Weather(
            troubles.network_loss,
            troubles.network_slow,
            troubles.refusals,
            troubles.broker_away,
            troubles.refusing,
        )
        workers = chance(seed, "workers")
        self.cluster = Cluster(
            loop, kafka, group, fluent, weather, kind.terms, kind.partitions, workers, self._stalled,
            watched=bool(self.deletions),
        )  # fmt: skip
        self.person = Person(self, chance(seed, "person")) if self.deletions else None
        self.stock = stock
        self.sold_elsewhere: Counter[str] = Counter()
        if not kind.terms.book_sale:
            Shop(kafka, fluent, chance(seed, "shop"))
        loop.set_exception_handler(self._failed)

    def _partitions(self, topic: str) -> int:
        """Input topics have any number of partitions."""
        return self._rng.randint(1, 5) if topic in INPUTS else self.kind.partitions

    def _draw_promotions(self, rng: Random) -> tuple[list[Promotion], dict[str, int]]:
        promotions: list[Promotion] = []
        stock: dict[str, int] = {}
        for number in range(self.kind.promotions):
            lines = {f"SKU-{n}-{number}": log(rng, 1, 60) for n in range(rng.randint(1, 3))}
            stock |= {sku: rng.choice([units, 2 * units, units // 2]) for sku, units in lines.items()}
            starts_at_ms = NOON_MS + rng.randint(5_000, 20_000)
            duration_ms = rng.randint(self.kind.lasts_ms // 2, self.kind.lasts_ms)
            promotions.append(Promotion(f"FLASH-{number}", lines, starts_at_ms, duration_ms))
        return promotions, stock

    # -- the world

    def plan(self, at_ms: int, topic: str, event: Event, rng: Random) -> None:
        """Send `event` at `at_ms`, and sometimes once more; under its own key or any other."""
        if isinstance(event, StartPromotion):
            expires_at_ms = {each.id: each.expires_at_ms for each in self.promotions}[event.promotion_id]
            event = msgspec.structs.replace(event, duration_ms=0, expires_at_ms=expires_at_ms)
        again_ms = at_ms + log(rng, 1, max(MINUTE_MS, self.kind.lasts_ms))
        partition = self._partition(topic, event, rng)
        self._plan(at_ms, (topic, partition), event)
        if rng.random() < self.kind.habits.repeats:
            self._plan(again_ms, (topic, self._partition(topic, event, rng)), event)

    def _partition(self, topic: str, event: Event, rng: Random) -> int:
        count = self.cluster.kafka.topics[topic]
        ref = getattr(event, "order_ref", event.promotion_id)
        return partition_of(ref.encode(), count) if rng.random() < 0.5 else rng.randrange(count)

    def _plan(self, at_ms: int, partition: Partition, event: Event) -> None:
        self._last_ms = max(at_ms, self._last_ms)
        delay_s = max(0, at_ms - self.loop.now_ms) / 1_000
        self.loop.later(delay_s, partial(self._send, partition, event))

    def _send(self, partition: Partition, event: Event) -> None:
        self.send(partition, event.promotion_id.encode(), as_sent(event))

    def send(self, partition: Partition, key: bytes | None, value: bytes | None) -> None:
        """An input record; a producer waits for a topic that is not there."""
        if self.cluster.kafka.has(partition[0]):
            self.inputs.send(partition, key, value)
        else:
            self.loop.later(SENT_AGAIN_S, partial(self.send, partition, key, value))

    # -- the system

    def hold(self, orders: Collection[int]) -> Run:
        """Everything from the first record to the audit."""
        with self.cluster.stand_ins():
            plan_sale(self, self.promotions, orders, self.seed)  # type: ignore[arg-type]
            for number in range(self.trouble.workers):
                self.start(f"w{number}")
            self.trouble.plan(self)
            for deletion in self.deletions:
                deletion.plan(self)
            for topic, (_, to_ms) in self.kind.stalls.items():
                self.loop.later(max(0, to_ms - NOON_MS) / 1_000, partial(self.cluster.kafka.tell_all, topic))
            self.loop.run_until_complete(self._to_the_end())
            for worker in self.workers:
                worker.kill()
        return self._audited()

    def start(self, machine: str) -> Worker:
        """A worker on a machine, with what is on its disk."""
        rng = Random(self._rng.getrandbits(64))
        skew_ms = self.trouble.skews_ms[len(self.workers) % len(self.trouble.skews_ms)]
        worker = Worker(self.cluster, f"{machine}.{len(self.workers)}", Path("/", machine), rng, skew_ms)
        self.workers.append(worker)
        worker.start()
        return worker

    async def _to_the_end(self) -> None:
        fair_s = self.trouble.over_s
        await asyncio.sleep(fair_s)
        self._clear_up()
        await asyncio.sleep(max(0.0, (self._last_ms - self.loop.now_ms) / 1_000))
        within_s, since = self._patience_s(), self.loop.seconds
        while (missing := unanswered(self)) and not self.failures:
            if self.loop.seconds >= within_s + max(since, self.person.acted_at if self.person else 0.0):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        assert not self.failures, self.failures[0]
        assert not missing, f"after {within_s:.0f} s of fair weather: {missing[:5]}"
        await asyncio.sleep(OVERTIME_S)

    def _patience_s(self) -> float:
        """Within this, and so before a watermark is given up, everything has to be over."""
        terms = self.kind.terms
        known_ms = (
            2 * terms.settle_delay_ms + terms.hold_timeout_ms + terms.close_timeout_ms + terms.claim_grace_ms
            + terms.expiry_grace_ms + terms.ask_again_ms + terms.verify_ms
        )  # fmt: skip
        return AT_REST_WITHIN_S + known_ms / 1_000

    def _clear_up(self) -> None:
        """Nothing goes wrong any more, and somebody is there."""
        self.cluster.weather.clear_up()
        self.cluster.fluent.fair = True
        if self.person is not None:
            self.person.fair = True
        for worker in self.workers:
            if worker.process.frozen:
                worker.thaw()
        if not any(worker.alive for worker in self.workers):
            self.start("last")

    def _stalled(self, topic: str) -> bool:
        """Whether nobody reads a topic now."""
        from_ms, to_ms = self.kind.stalls.get(topic, (0, 0))
        return from_ms <= self.loop.now_ms < to_ms

    def _assign(self, members: list[str]) -> dict[str, list[Partition]]:
        """Whole tasks, to anybody."""
        shares: dict[str, list[Partition]] = {member: [] for member in members}
        tasks = [self._rng.choice(members) for _ in range(self.kind.partitions)]
        for topic, number in sorted(self.cluster.kafka.logs):
            shares[tasks[number % self.kind.partitions]].append((topic, number))
        return shares

    def _failed(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, asyncio.CancelledError | Died | None):
            self.failures.append(f"{context['message']}: {error!r}")

    # -- afterwards

    def _audited(self) -> Run:
        assert not self.failures, self.failures[0]
        gaps = self.inputs.silent_gaps(answered_inputs(self))
        assert not gaps, f"a silent gap: nobody knows that these were lost: {gaps}"
        report = audit(gather(self))
        assert not report.wrong, "\n".join(report.wrong)
        assert not self.cluster.died, self.cluster.died[0]
        calls, seconds = self.person.calls if self.person else 0, self.loop.seconds - 1_000.0
        return Run(report, self.cluster, self.trouble, self.workers, self.inputs, calls, seconds)

    @property
    def tables(self) -> dict[int, dict[bytes, bytes]]:
        """What the disks of the last owners have."""
        found = {}
        for worker in self.workers:
            if not worker.alive or worker.host is None:
                continue
            for name, task in worker.host.engine.tasks.items():
                disk = self.cluster.disks.at(worker.directory / name)
                if task.running and disk is not None:
                    found[task.partition] = disk.rows
        return found
