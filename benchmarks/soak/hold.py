"""Holding the soak: workers that come and go, samples, and what is found in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from benchmarks.result import Arena
from benchmarks.soak.shop import SALES_APART, SKUS_A_SALE, Shop
from benchmarks.soak.verdict import RIGHT, Finding, Sample, judge
from benchmarks.subject import TODAY
from benchmarks.trial import Trial
from benchmarks.usage import files, rss_mb
from rehearsal.demo.processes import StageError, wait_for
from schemas.topics import TOPICS

PARTITIONS = 12
PILED_UP = 200_000
ANSWERED_WITHIN_S = 60.0

CACHES_MB = 64 + 128 + 110
"""What a worker's memory may come to above that at its start: RocksDB's block cache, the write buffers of all
tasks, and 50,000 reservations in memory."""

DATABASE_FILES = 512
"""What the databases of all tasks may have open together."""

LAG_S = 2.0
"""So many seconds' orders without an outcome are no lag."""

KEPT_MS = 300_000
"""The broker's logs of a long soak are kept as long as this, so that its disk does not fill up."""


@dataclass(frozen=True)
class Plan:
    """How long, how many orders a second, and what follows from that.

    The quarters that are compared have the same sales and rebalances in them, the shortest soak one of each:
    otherwise the lag of a second worker that joins would be growth.
    """

    seconds: float
    rate: float

    @property
    def sale_s(self) -> float:
        """A sale begins so often."""
        return min(60.0, self.seconds / 4)

    @property
    def rebalance_s(self) -> float:
        """A second worker joins so often, and leaves half-way to the next time."""
        return min(120.0, self.seconds / 2)

    @property
    def config(self) -> dict[str, Any]:
        """Times that are short beside the soak, so that everything happens in it many times."""
        return {
            "claimGraceSeconds": 2,
            "expiryGraceSeconds": 1,
            "settleDelaySeconds": 2,
            "settleIntervalSeconds": 2,
            "fluentVerifySeconds": 10,
            "reconciliationIntervalSeconds": self.sale_s / 4,
            "claimRetentionHours": self.sale_s / 3_600,
        }


def capacity(arena: Arena) -> float:
    """Orders a second that a worker decides when they have piled up."""
    with Trial(arena, TODAY, PARTITIONS, SKUS_A_SALE) as trial:
        trial.place(PILED_UP)
        began = trial.start_worker()
        return PILED_UP / (trial.wait_decided(PILED_UP) - began)


@dataclass(frozen=True)
class Held:
    """What was seen of a soak, and what was found."""

    findings: list[Finding]
    samples: list[Sample]

    @property
    def good(self) -> bool:
        """Whether nothing grows and all is answered."""
        return all(finding.good for finding in self.findings)


def hold(arena: Arena, plan: Plan) -> Held:
    """Hold the soak. Raises RuntimeError or StageError when something does not run."""
    skus = SALES_APART * SKUS_A_SALE
    with Trial(arena, TODAY, PARTITIONS, skus, **plan.config) as trial:
        if plan.seconds * 1e3 > KEPT_MS:
            _keep_little(trial)
        trial.start_worker()
        assert trial.worker is not None
        worker = trial.worker.pid
        enough = {
            "memory": rss_mb(worker) + CACHES_MB,
            "open files": files(worker) + DATABASE_FILES,
            "lag": plan.rate * LAG_S,
        }
        with Shop(trial, plan.rate, plan.sale_s) as shop:
            samples = _watch(trial, shop, plan, worker)
            shop.stop_sending()
            return Held([*judge(samples, enough), *_answers(shop, plan)], samples)


def _watch(trial: Trial, shop: Shop, plan: Plan, worker: int) -> list[Sample]:
    """Look all the time, in a thread of its own, while a second worker comes and goes."""
    watch = Watch(trial, shop, worker, min(2.0, plan.seconds / 100))
    watch.start()
    try:
        for change in range(1, int(2 * plan.seconds / plan.rebalance_s)):
            watch.pause_until(change * plan.rebalance_s / 2)
            if change % 2:
                trial.start_worker("second")
            else:
                trial.stop_worker()
        watch.pause_until(plan.seconds)
    finally:
        watch.ended.set()
        watch.join()
    return watch.samples


class Watch(threading.Thread):
    """Takes a sample of the worker every `every_s` seconds."""

    def __init__(self, trial: Trial, shop: Shop, worker: int, every_s: float) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.ended = threading.Event()
        self._trial, self._shop, self._worker, self._every_s = trial, shop, worker, every_s
        self._began = time.monotonic()

    def pause_until(self, at_s: float) -> None:
        """Wait until so many seconds have passed. Raises RuntimeError when the shop has failed."""
        while time.monotonic() - self._began < at_s:
            if self._shop.failure is not None:
                raise RuntimeError(f"the shop failed: {self._shop.failure!r}") from self._shop.failure
            time.sleep(0.05)

    def run(self) -> None:
        """Look until it is ended."""
        worker, counts = self._worker, self._shop.counts
        while not self.ended.wait(self._every_s):
            self.samples.append(
                Sample(
                    time.monotonic() - self._began,
                    rss_mb(worker),
                    files(worker),
                    self._trial.disk_mb(),
                    counts.events,
                    counts.unanswered,
                )
            )


def _answers(shop: Shop, plan: Plan) -> Sequence[Finding]:
    """Every event has one outcome, and every sale a FINAL report that adds up."""
    counts, enough_s = shop.counts, ANSWERED_WITHIN_S + 2 * plan.sale_s
    try:
        wait_for(lambda: counts.unanswered <= 0, "every event has an outcome", ANSWERED_WITHIN_S)
        wait_for(lambda: len(counts.final) >= counts.sales, "every sale has a FINAL report", enough_s)
    except StageError:
        pass  # the findings say what is missing
    dead = f", {counts.dead_letters:,} dead letters" if counts.dead_letters else ""
    answers = f"{counts.outcomes:,} for {counts.events:,} events{dead}"
    reports = f"{len(counts.final)} FINAL ones of {counts.sales} sales, {counts.reports:,} in all"
    all_final = len(counts.final) == counts.sales
    return [
        Finding("answers", not counts.unanswered and not dead, answers, RIGHT),
        Finding("reports", all_final and not counts.wrong, "; ".join([reports, *counts.wrong[:3]]), RIGHT),
    ]


def _keep_little(trial: Trial) -> None:
    admin = AdminClient(trial.client)
    settings = {"retention.ms": str(KEPT_MS), "segment.ms": str(KEPT_MS // 5)}
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    topics = [topic for topic in TOPICS if not topic.compacted]
    resources = [
        ConfigResource(ResourceType.TOPIC, trial.topic(topic.name), incremental_configs=entries)
        for topic in topics
    ]
    for done in admin.incremental_alter_configs(resources).values():
        done.result(30)
